"""Answers to assignment a1: each takes the place of a whole solution cell."""

from textwrap import dedent, indent

from answers import Answer, raises, right, the_course_s, wrong

from skiprec_course.checks import Outcome


def _cell(signature: str, body: str, before: str = "") -> str:
    """A cell with a function, and what stands before it."""
    head = dedent(before).strip()
    return (f"{head}\n\n\n" if head else "") + f"def {signature}:\n" + indent(dedent(body).strip("\n"), "    ")


def _noise(body: str, before: str = "") -> str:
    return _cell("sample_gumbel(shape, *, generator=None, dtype=torch.float32, device=None)", body, before)


def _draw(body: str, before: str = "") -> str:
    return _cell("gumbel_max(logits, *, generator=None)", body, before)


def _soft(body: str, before: str = "") -> str:
    return _cell("gumbel_softmax(logits, tau=10.0, *, generator=None)", body, before)


def _hard(body: str, before: str = "") -> str:
    """A straight-through sample: the soft half is right, and `body` goes on from perturbed, soft and one_hot."""
    start = """
        perturbed = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        soft = torch.softmax((perturbed - perturbed.detach().amax(dim=-1, keepdim=True)) / tau, dim=-1)
        if not hard:
            return soft
        one_hot = torch.nn.functional.one_hot(perturbed.argmax(dim=-1), logits.shape[-1]).to(soft.dtype)
    """
    signature = "gumbel_softmax(logits, tau=10.0, *, hard=False, generator=None)"
    return _cell(signature, dedent(start).strip("\n") + "\n" + dedent(body).strip("\n"), before)


def _exact(body: str, before: str = "") -> str:
    return _cell("exact_gradient(logits, loss)", body, before)


def _failed_hidden(answer: str, word: str) -> Answer:
    """The visible tests pass it; only a hidden one, with torch.multinomial and the package blocked, does not."""
    return Answer(answer, Outcome.RAISED, word)


# --- 1 ---

SAMPLE_GUMBEL = [
    right(_noise("""
        waits = torch.empty(tuple(shape), dtype=dtype, device=device).exponential_(generator=generator)
        return -waits.clamp_min(1e-37).log()
    """)),
    right(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=device).clamp_(min=1e-30)
        return u.log_().neg_().log_().neg_()
    """)),
    right(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=torch.float64, device=device)
        return -torch.log(-torch.log(u + 1e-20)).to(dtype)
    """)),
    right(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=device)
        u = torch.where(u > 0, u, torch.full_like(u, torch.finfo(dtype).tiny))
        return -(-u.log()).log()
    """)),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype).clamp_min(torch.finfo(dtype).tiny)
        return torch.log(-torch.log(u))
    """), "sign"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype).clamp_min(torch.finfo(dtype).tiny)
        return -torch.log(u)
    """), "logarithm is missing"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype)
        return -torch.log(-torch.log(u))
    """), "above 0"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype)
        return -torch.log(-torch.log(u) + 1e-20)  # epsilon in the wrong logarithm
    """), "above 0"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype)
        return -torch.log(-torch.log(u + 1e-5))  # too large an epsilon
    """), "largest u below 1"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype)
        return -torch.log(-torch.log(u + 1e-7))  # + 1e-7 makes 1 of the largest u
    """), "largest u below 1"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype).clamp(1e-6, 1 - 1e-6)
        return -torch.log(-torch.log(u))
    """), "largest u below 1"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), dtype=dtype).clamp_min(torch.finfo(dtype).tiny)
        return -torch.log(-torch.log(u))
    """), "generator"),
    wrong(_noise("return torch.randn(tuple(shape), generator=generator, dtype=dtype)"), "normal"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator).clamp_min(1e-30)
        return -torch.log(-torch.log(u))
    """), "dtype"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype).clamp_min(1e-30)
        return torch.log(torch.log(u))
    """), "NaN"),
    wrong(_noise("""
        u = torch.rand(tuple(shape), generator=generator, dtype=dtype).clamp_min(1e-30)
        return (-torch.log(-torch.log(u))).tolist()
    """), "tensor"),
    raises(_noise("return -torch.log(-torch.log(torch.rand(shape[0], shape[1], generator=generator)))"), "IndexError"),
    the_course_s("from skiprec_lite.gumbel import sample_gumbel"),
]  # fmt: skip


# --- 2 ---

GUMBEL_MAX = [
    right(_draw("""
        perturbed = sample_gumbel(logits.shape, generator=generator) + logits
        return perturbed.max(dim=logits.dim() - 1).indices
    """)),
    right(_draw("""
        # The race: class i arrives after an exponential wait of rate exp(logit); the first one wins.
        waits = torch.exp(-sample_gumbel(logits.shape, generator=generator, dtype=torch.float64))
        return (waits / torch.softmax(logits.double(), dim=-1)).argmin(dim=-1)
    """)),
    right(_draw("""
        rows = logits.reshape(-1, logits.shape[-1]).log_softmax(dim=-1)
        noise = sample_gumbel(rows.shape, generator=generator, dtype=logits.dtype)
        return torch.sort(rows + noise, dim=-1, descending=True).indices[:, 0].reshape(logits.shape[:-1])
    """)),
    wrong(_draw("return logits.argmax(dim=-1)"), "noise is missing"),
    wrong(_draw("""
        pi = logits.softmax(dim=-1)
        return (pi + sample_gumbel(logits.shape, generator=generator)).argmax(dim=-1)
    """), "probabilities"),
    wrong(_draw("return (logits + torch.rand(logits.shape, generator=generator)).argmax(dim=-1)"), "uniform"),
    wrong(_draw("""
        noise = sample_gumbel(logits.shape[-1:], generator=generator)  # the same for all rows
        return (logits + noise).argmax(dim=-1)
    """), "row"),
    wrong(_draw("""
        noise = sample_gumbel((*logits.shape[:-1], 1), generator=generator)  # the same for all classes
        return (logits + noise).argmax(dim=-1)
    """), "noise is missing"),
    wrong(_draw("return (logits + sample_gumbel(logits.shape)).argmax(dim=-1)"), "generator"),
    wrong(_draw("return (logits - sample_gumbel(logits.shape, generator=generator)).argmax(dim=-1)"), "subtracted"),
    wrong(_draw("return (logits + sample_gumbel(logits.shape, generator=generator)).argmax(dim=0)"), "last axis"),
    wrong(_draw("return (logits + sample_gumbel(logits.shape, generator=generator)).amax(dim=-1)"), "index"),
    wrong(_draw("""
        # Inverse CDF: the right probabilities, but not the trick.
        edges = logits.softmax(dim=-1).cumsum(dim=-1)
        u = torch.rand(logits.shape[:-1], generator=generator, dtype=logits.dtype).unsqueeze(-1)
        return (u >= edges[..., :-1]).sum(dim=-1)
    """), "not the Gumbel-max trick"),
    _failed_hidden(_draw("""
        rows = logits.softmax(dim=-1).reshape(-1, logits.shape[-1])
        return torch.multinomial(rows, 1, generator=generator).reshape(logits.shape[:-1])
    """), "not allowed"),
    raises(_draw("""
        rows, classes = logits.shape
        return (logits + sample_gumbel((rows, classes), generator=generator)).argmax(dim=-1)
    """), "unpack"),
]  # fmt: skip


# --- 3 ---

GUMBEL_SOFTMAX = [
    right(_soft("""
        z = logits.double() + sample_gumbel(logits.shape, generator=generator, dtype=torch.float64)
        e = torch.exp((z - z.max(dim=-1, keepdim=True).values.detach()) / tau)
        return (e / e.sum(dim=-1, keepdim=True)).to(logits.dtype)
    """)),
    right(_soft("""
        z = (logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)).movedim(-1, 0)
        z = (z - z.detach().amax(dim=0)) / tau
        return torch.exp(z - torch.logsumexp(z, dim=0)).movedim(0, -1)
    """)),
    right(_soft("""
        z = logits - logits.detach().amax(dim=-1, keepdim=True)
        z = z + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        z = z - z.detach().amax(dim=-1, keepdim=True)
        z /= tau
        return z.log_softmax(dim=-1).exp()
    """)),
    wrong(_soft("""
        z = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        return torch.softmax((z - z.detach().max()) / tau, dim=0)
    """), "last axis"),
    wrong(_soft("""
        z = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        return torch.softmax(z * tau, dim=-1)
    """), "divide by it"),
    wrong(_soft("""
        noise = sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        return torch.softmax(logits / tau + noise, dim=-1)
    """), "noise too"),
    wrong(_soft("""
        z = torch.softmax(logits, dim=-1) + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        return torch.softmax((z - z.detach().amax(dim=-1, keepdim=True)) / tau, dim=-1)
    """), "before the noise"),
    wrong(_soft("return torch.softmax(logits / tau, dim=-1)"), "noise is missing"),
    wrong(_soft("""
        with torch.no_grad():
            z = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
            return torch.softmax((z - z.amax(dim=-1, keepdim=True)) / tau, dim=-1)
    """), "no gradient"),
    wrong(_soft("""
        z = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        return torch.softmax(z / tau, dim=-1)
    """), "each row's largest"),
    wrong(_soft("""
        z = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        return torch.softmax((z - z.detach().amax(dim=-1, keepdim=True)) / tau, dim=-1).unsqueeze(0)
    """), "shape"),
    raises(_soft("""
        z = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype).numpy()
        return torch.softmax((z - z.max(dim=-1, keepdim=True)) / tau, dim=-1)
    """), "Error"),
    the_course_s("from skiprec_lite.gumbel import gumbel_softmax"),
    _failed_hidden(_soft("""
        return checks.check_gumbel_softmax.reference(logits, tau, generator=generator)
    """), "not allowed"),
]  # fmt: skip


# --- 4 ---

STRAIGHT_THROUGH = [
    right(_hard("return one_hot - soft.detach() + soft")),
    right(_hard("return StraightThrough.apply(soft, one_hot)", """
        class StraightThrough(torch.autograd.Function):
            @staticmethod
            def forward(ctx, soft, one_hot):
                return one_hot.clone()

            @staticmethod
            def backward(ctx, gradient):
                return gradient, None
    """)),
    right(_hard("""
        hard_sample = (perturbed == perturbed.amax(dim=-1, keepdim=True)).to(soft.dtype)
        return hard_sample + (soft - soft.detach())
    """)),
    wrong(_hard("return one_hot + soft - soft.detach()"), "rounding"),
    wrong(_hard("""
        one_hot = torch.zeros_like(soft).scatter_(-1, soft.argmax(dim=-1, keepdim=True), 1.0)
        return soft + (one_hot - soft).detach()
    """), "ties"),
    wrong(_hard("return one_hot"), "no gradient"),
    wrong(_hard("return (soft + (one_hot - soft)).detach()"), "no gradient"),
    wrong(_hard("return soft - soft.detach() * (1 - one_hot)"), "one-hot"),
    wrong(_hard("return one_hot + (logits - logits.detach())"), "soft sample's"),
    wrong(_hard("""
        choice = gumbel_max(logits, generator=generator)  # draws again
        one_hot = torch.nn.functional.one_hot(choice, logits.shape[-1]).to(soft.dtype)
        return soft + (one_hot - soft).detach()
    """), "same noise"),
    wrong(_hard("return soft"), "one-hot"),
    wrong(_cell("gumbel_softmax(logits, tau=10.0, *, generator=None)", """
        perturbed = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
        return torch.softmax((perturbed - perturbed.detach().amax(dim=-1, keepdim=True)) / tau, dim=-1)
    """), "hard"),
    wrong(_hard("return perturbed.argmax(dim=-1)"), "shape"),
    raises(_hard("return soft + (perturbed.argmax(dim=-1) - soft).detach()"), "must match"),
    the_course_s("from skiprec_lite.gumbel import gumbel_softmax"),
    _failed_hidden(_hard("""
        return torch.nn.functional.gumbel_softmax(logits, tau, hard=True)
    """), "not allowed"),
]  # fmt: skip


# --- 5 ---

_WITH_RESPECT_TO_PI = """
    keep = torch.sigmoid(logits.detach()).requires_grad_()  # the leaf is pi, not a
    gates = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=logits.dtype)] * len(logits)).reshape(-1, len(logits))
    expected = (torch.where(gates == 1, keep, 1 - keep).prod(dim=1) * loss(gates).detach()).sum()
    return torch.autograd.grad(expected, keep)[0]
"""
_WEIGHTED = """
    leaf = logits.detach().clone().requires_grad_()
    keep = torch.sigmoid(leaf)
    gates = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=logits.dtype)] * len(logits)).reshape(-1, len(logits))
    weights = WEIGHTS
    return torch.autograd.grad((weights * loss(gates).detach()).sum(), leaf)[0]
"""

EXACT_GRADIENT = [
    right(_exact("""
        leaf = logits.detach().clone().requires_grad_()
        keep, total = torch.sigmoid(leaf), 0.0
        for row in itertools.product([0.0, 1.0], repeat=len(logits)):
            gates = torch.tensor([row], dtype=logits.dtype)
            total = total + torch.prod(keep * gates[0] + (1 - keep) * (1 - gates[0])) * loss(gates).detach()[0]
        return torch.autograd.grad(total, leaf)[0]
    """, "import itertools")),
    right(_exact("""
        # In closed form: d P(z) / d a_i = P(z) (z_i - pi_i).
        n = len(logits)
        gates = torch.stack([(torch.arange(2**n) >> bit) & 1 for bit in range(n)], dim=1).to(logits.dtype)
        keep = torch.sigmoid(logits.detach())
        probability = (keep**gates * (1 - keep) ** (1 - gates)).prod(dim=1)
        return ((probability * loss(gates).detach()).unsqueeze(1) * (gates - keep)).sum(dim=0)
    """)),
    right(_exact("""
        def expected(a):
            log_p = gates * F.logsigmoid(a) + (1 - gates) * F.logsigmoid(-a)
            return torch.einsum("r,r->", log_p.sum(dim=1).exp(), losses)

        gates = torch.tensor(list(itertools.product((0, 1), repeat=len(logits))), dtype=logits.dtype)
        losses = loss(gates).detach().double()
        return torch.func.grad(expected)(logits.detach().double()).to(logits.dtype)
    """, """
        import itertools

        import torch.nn.functional as F
    """)),
    right(_exact("""
        # Factor times difference, gate by gate, the other gates by enumeration.
        keep, n = torch.sigmoid(logits.detach()), len(logits)
        gates = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=logits.dtype)] * n).reshape(-1, n)
        result = torch.empty_like(keep)
        for i in range(n):
            on, off = gates.clone(), gates.clone()
            on[:, i], off[:, i] = 1, 0
            probability = torch.where(gates == 1, keep, 1 - keep).prod(dim=1)
            result[i] = keep[i] * (1 - keep[i]) * (probability * (loss(on) - loss(off)).detach()).sum()
        return result
    """)),
    wrong(_exact("""
        leaf = logits.detach().clone().requires_grad_()
        return torch.autograd.grad(loss(torch.sigmoid(leaf).unsqueeze(0)).sum(), leaf)[0]  # the loss of the mean gates
    """), "mean"),
    wrong(_exact(_WITH_RESPECT_TO_PI), "with respect to the probabilities"),
    wrong(_exact(_WEIGHTED.replace("WEIGHTS", "-torch.where(gates == 1, keep, 1 - keep).prod(dim=1)")), "sign"),
    wrong(_exact(_WEIGHTED.replace("WEIGHTS", "torch.where(gates == 1, keep, 1 - keep).prod(dim=1) / len(gates)")),
          "mean over the rows"),
    wrong(_exact(_WEIGHTED.replace("WEIGHTS", "torch.where(gates == 1, keep, 1).prod(dim=1)")), "skipped gates"),
    wrong(_exact("""
        keep, n = torch.sigmoid(logits.detach()), len(logits)
        gates = torch.stack([torch.zeros(n), torch.ones(n)]).to(logits.dtype)  # all skipped, all kept
        f_skip, f_keep = loss(gates)
        return keep * (1 - keep) * (f_keep - f_skip)
    """), "2^n"),
    wrong(_exact("""
        gates = (torch.rand(1000, len(logits), dtype=logits.dtype) < torch.sigmoid(logits)).to(logits.dtype)
        return (loss(gates).unsqueeze(1) * (gates - torch.sigmoid(logits))).mean(dim=0).detach()  # REINFORCE
    """), "Do not draw"),
    wrong(_exact("""
        keep, n = torch.sigmoid(logits.detach()), len(logits)
        gates = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=logits.dtype)] * n).reshape(-1, n)
        return (torch.where(gates == 1, keep, 1 - keep).prod(dim=1) * loss(gates)).sum()  # the expected loss
    """), "shape"),
    raises(_exact("""
        keep = torch.sigmoid(logits)
        f_skip, f_keep = loss(torch.tensor([[0.0], [1.0]], dtype=logits.dtype))
        return torch.tensor([keep.item() * (1 - keep.item()) * float(f_keep - f_skip)], dtype=logits.dtype)
    """), "Error"),
    the_course_s("from skiprec_lite.estimators import exact_gradient"),
    _failed_hidden(_exact("""
        from skiprec_lite import estimators  # not before the function is called

        return estimators.exact_gradient(logits, loss)
    """), "not allowed"),
]  # fmt: skip


# --- 6 ---


def _number(name: str, body: str) -> str:
    return _cell(f"{name}()", body)


MY_EXACT = [
    right(_number("my_exact", "return exact_gradient(torch.tensor([a], dtype=torch.float64), my_loss)")),
    right(_number("my_exact", """
        h_step, gates = 1e-5, torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        keep = torch.sigmoid(torch.tensor([a - h_step, a + h_step], dtype=torch.float64))
        below, above = (torch.stack([1 - k, k]) @ my_loss(gates) for k in keep)
        return (above - below) / (2 * h_step)
    """)),
    right(_number("my_exact", """
        keep = 1 / (1 + math.exp(-a))
        return round(keep * (1 - keep) * h * ((1 - c) ** 3 - c**3), 4)
    """)),
    wrong(_number("my_exact", "return h * ((1 - c) ** 3 - c**3)"), "factor"),
    wrong(_number("my_exact", """
        leaf = torch.tensor([[a]], dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(my_loss(torch.sigmoid(leaf)).sum(), leaf)[0]  # the loss of the mean gate
    """), "half open"),
    wrong(_number("my_exact", """
        keep = 1 / (1 + math.exp(-a))
        return keep * h * (1 - c) ** 3 + (1 - keep) * h * c**3  # the expected loss itself
    """), "not what exact_gradient says"),
    wrong(_number("my_exact", """
        keep = 1 / (1 + math.exp(-a))
        return keep * (1 - keep) * (h * c**3 - h * (1 - c) ** 3)
    """), "sign"),
    wrong(_number("my_exact", "return math.nan"), "found nan"),
    raises(_number("my_exact", "return torch.tensor([a, c])"), "expected a number"),
]  # fmt: skip

MY_REST = [
    right(_number("my_rest", "return c**2 / (c**2 + (1 - c) ** 2)")),
    right(_number("my_rest", "return round(1 / (1 + ((1 - c) / c) ** 2), 3)")),
    right(_number("my_rest", """
        ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
        at_0, at_1 = torch.autograd.grad(my_loss(ends).sum(), ends)[0][:, 0].tolist()
        low, high = 0.0, 1.0
        for _ in range(50):  # bisection
            middle = (low + high) / 2
            low, high = (middle, high) if middle * at_1 + (1 - middle) * at_0 < 0 else (low, middle)
        return torch.tensor(low)
    """)),
    wrong(_number("my_rest", "return c"), "lowest point"),
    wrong(_number("my_rest", "return 0.0"), "always the same"),
    wrong(_number("my_rest", "return 0.5"), "counts as often"),
    wrong(_number("my_rest", "return (1 - c) ** 2 / (c**2 + (1 - c) ** 2)"), "counts as often"),
    wrong(_number("my_rest", "return c**3 / (c**3 + (1 - c) ** 3)"), "slope"),
    raises(_number("my_rest", "return 'c'"), "expected a number"),
]  # fmt: skip


ANSWERS_A1: dict[str, list[Answer]] = {
    "sample_gumbel": SAMPLE_GUMBEL,
    "gumbel_max": GUMBEL_MAX,
    "gumbel_softmax": GUMBEL_SOFTMAX,
    "straight_through": STRAIGHT_THROUGH,
    "exact_gradient": EXACT_GRADIENT,
    "my_exact": MY_EXACT,
    "my_rest": MY_REST,
}
