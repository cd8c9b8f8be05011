"""What goes wrong in lessons 02 and 03 on the way to a relaxed and a straight-through sample: edits of `gumbel.py`."""

from skiprec_course.mistakes import Mistake

PERTURB = "perturbed = logits + noise\n"
NOISE = "noise = sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype).to(logits.device)\n    perturbed"
SOFT = "soft = torch.softmax((perturbed - largest) / tau, dim=-1)"
CHOICE = "choice = perturbed.argmax("
ONE_HOT = "one_hot = torch.zeros_like(soft).scatter_(-1, choice, 1.0)"
THROUGH = "return soft + (one_hot - soft).detach()"

GUMBEL_SOFTMAX = (
    Mistake("the noise is missing: the same sample every time", PERTURB, "perturbed = logits\n"),
    Mistake("tau divides the logits only: it has to divide the noise too",
            PERTURB, "perturbed, tau = logits / tau + noise, 1.0\n"),
    Mistake("you multiply by tau: divide by it", "(perturbed - largest) / tau", "(perturbed - largest) * tau"),
    Mistake("tau has no effect", "(perturbed - largest) / tau", "(perturbed - largest)"),
    Mistake("without an argument tau is 10", "tau: Positive = 10.0", "tau: Positive = 1.0"),
    Mistake("a softmax (or sigmoid) comes before the noise: the noise belongs to the logits",
            PERTURB, "perturbed = logits.softmax(dim=-1) + noise\n"),
    Mistake("the noise is normal: it has to be Gumbel",
            PERTURB, "perturbed = logits + torch.randn(logits.shape, generator=generator)\n"),
    Mistake("the noise is subtracted, or upside down", PERTURB, "perturbed = logits - noise\n"),
    Mistake("draw all random numbers from `generator`: hand it on", NOISE,
            NOISE.replace("generator=generator, ", "")),
    Mistake("your softmax runs over the rows: the classes are on the last axis", SOFT, SOFT.replace("-1", "0")),
    Mistake("your softmax runs over everything: each row needs one of its own",
            SOFT, SOFT.replace(", dim=-1)", ".flatten(), dim=0).view(logits.shape)")),
    Mistake("subtract each row's largest before you divide by tau: a softmax does not change",
            "(perturbed - largest)", "perturbed"),
    Mistake("a .detach(), .item() or torch.no_grad() cuts the gradient off",
            PERTURB, "perturbed = logits.detach() + noise\n"),
    Mistake("hard and soft change places", "if not hard:", "if hard:"),
    Mistake("the choice has no noise: it is the argmax of the perturbed logits", CHOICE, "choice = logits.argmax("),
    Mistake("choice and soft sample need the same noise: draw it once",
            CHOICE, "choice = (logits + sample_gumbel(logits.shape, dtype=logits.dtype)).argmax("),
    Mistake("the softmax ties in float32: choose by the perturbed logits, not by the soft sample",
            CHOICE, "choice = soft.argmax("),
    Mistake("a class is chosen only where it has more than half: take the largest",
            ONE_HOT, "one_hot = (soft > 0.5).to(soft.dtype)"),
    Mistake("the hard choice alone has no gradient: let the soft sample bring it", THROUGH, "return one_hot"),
    Mistake("its value is off by a rounding error: add soft and take soft away in another order",
            THROUGH, "return one_hot + soft - soft.detach()"),
    Mistake("its value has to be the choice, not the soft sample", THROUGH, "return soft"),
    Mistake("detach the difference of hard and soft, and nothing else",
            THROUGH, "return soft.detach() + (one_hot - soft)"),
)  # fmt: skip
