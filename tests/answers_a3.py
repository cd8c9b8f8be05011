"""Answers for testing assignment 3: sources of whole solution cells, by the cell's grade_id."""

from answers import Answer, raises, right, wrong

# --- adaptive_output ---

OUTPUT_RIGHT = [
    """
def adaptive_output(hidden_before, hidden_after, gates):
    return torch.lerp(hidden_before, hidden_after, gates.view(-1, 1, 1))
""",
    """
def adaptive_output(hidden_before, hidden_after, gates):
    return hidden_before + torch.einsum("b,btc->btc", gates, hidden_after - hidden_before)
""",
    """
def adaptive_output(hidden_before, hidden_after, gates):
    rows = [g * a + (1 - g) * b for b, a, g in zip(hidden_before, hidden_after, gates)]
    return torch.stack(rows)
""",
    """
def adaptive_output(hidden_before, hidden_after, gates):
    out = hidden_after.clone().transpose(0, 2)  # (channel, time, batch)
    out = out * gates
    out += hidden_before.transpose(0, 2) * (1 - gates)
    return out.transpose(0, 2)
""",
]
OUTPUT_WHERE = """
def adaptive_output(hidden_before, hidden_after, gates):
    return torch.where(gates[:, None, None] == 1, hidden_after, hidden_before)
"""
OUTPUT_BY_INDEX = """
def adaptive_output(hidden_before, hidden_after, gates):
    out = hidden_before.clone()
    out[gates > 0.5] = hidden_after[gates > 0.5]
    return out
"""
OUTPUT_IN_PLACE = """
def adaptive_output(hidden_before, hidden_after, gates):
    keep = gates > 0
    hidden_before[keep] = hidden_after[keep]
    return hidden_before
"""
OUTPUT_LAST_AXIS = """
def adaptive_output(hidden_before, hidden_after, gates):
    return gates * hidden_after + (1 - gates) * hidden_before
"""
OUTPUT_NO_RETURN = """
def adaptive_output(hidden_before, hidden_after, gates):
    g = gates[:, None, None]
    g * hidden_after + (1 - g) * hidden_before
"""

# --- gated_encode ---

ENCODE_RIGHT = [
    """
def gated_encode(backbone, items, gates):
    x = backbone.embed(items)
    for gate, block in zip(gates.unbind(dim=1), backbone.blocks):
        x = torch.lerp(x, block(x, items != 0), gate[:, None, None])
    return x
""",
    """
def gated_encode(backbone, items, gates):
    def walk(x, left):
        if left == 0:
            return x
        x = walk(x, left - 1)
        branch = backbone.blocks[left - 1](x, items.bool()) - x
        return x + gates[:, left - 1].view(-1, 1, 1) * branch
    return walk(backbone.embed(items), len(backbone.blocks))
""",
]
ENCODE_GATE_ROWS = """
def gated_encode(backbone, items, gates):
    hidden, mask = backbone.embed(items), items > 0
    for block, gate in zip(backbone.blocks, gates[0]):
        hidden = gate * block(hidden, mask) + (1 - gate) * hidden
    return hidden
"""
ENCODE_SKIPS = """
def gated_encode(backbone, items, gates):
    hidden, mask = backbone.embed(items).clone(), items > 0
    for index, block in enumerate(backbone.blocks):
        keep = gates[:, index] > 0
        if keep.any():
            out = hidden.clone()
            out[keep] = block(hidden[keep], mask[keep])
            hidden = out
    return hidden
"""
ENCODE_BY_THE_PACKAGE = """
def gated_encode(backbone, items, gates):
    return backbone.encode(items, gates)
"""
ENCODE_SCORES = """
def gated_encode(backbone, items, gates):
    hidden, mask = backbone.embed(items), items > 0
    for index, block in enumerate(backbone.blocks):
        hidden = adaptive_output(hidden, block(hidden, mask), gates[:, index])
    return backbone.score(hidden)
"""

# --- visible ---

VISIBLE_RIGHT = [
    """
def visible(items, cut):
    if cut is None:
        return items
    place = torch.arange(items.shape[1]).unsqueeze(0)
    return items * (place <= cut.unsqueeze(1))
""",
    """
def visible(items, cut):
    out = items.clone()
    if cut is not None:
        for row, c in zip(out, cut.tolist()):
            row[c + 1 :] = 0
    return out
""",
]
VISIBLE_BEFORE_ONLY = """
def visible(items, cut):
    if cut is None:
        return items
    return items.masked_fill(torch.arange(items.shape[1]) >= cut[:, None], 0)
"""
VISIBLE_ONE_MORE = """
def visible(items, cut):
    out = items.clone()
    if cut is not None:
        for row, c in zip(out, cut.tolist()):
            row[c + 2 :] = 0
    return out
"""
VISIBLE_IN_PLACE = """
def visible(items, cut):
    if cut is not None:
        items[torch.arange(items.shape[1]) > cut[:, None]] = 0
    return items
"""
VISIBLE_SHORTER = """
def visible(items, cut):
    return items if cut is None else items[:, : cut.max() + 1]
"""
VISIBLE_OTHER_SIDE = """
def visible(items, cut):
    if cut is None:
        return items
    return torch.where(torch.arange(items.shape[1]) > cut[:, None], items, 0)
"""
VISIBLE_NO_NONE = """
def visible(items, cut):
    return items * (torch.arange(items.shape[1]) <= cut[:, None])
"""

# --- masked_mean ---

MEAN_RIGHT = [
    """
def masked_mean(hidden, mask):
    weight = mask.to(hidden.dtype)
    weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.einsum("btc,bt->bc", hidden, weight)
""",
    """
def masked_mean(hidden, mask):
    real = mask.float()
    total = torch.bmm(real.unsqueeze(1), hidden).squeeze(1)
    return total / torch.maximum(real.sum(1), torch.ones(len(real))).unsqueeze(1)
""",
    """
def masked_mean(hidden, mask):
    rows = [h[m].mean(dim=0) if m.any() else h.sum(dim=0) * 0 for h, m in zip(hidden, mask)]
    return torch.stack(rows)
""",
    """
def masked_mean(hidden, mask):
    total = hidden.masked_fill(~mask[..., None], 0.0).double().sum(1)
    count = torch.count_nonzero(mask, dim=1)[:, None]
    return torch.where(count > 0, total / count.clamp(min=1), 0.0).to(hidden.dtype)
""",
]
MEAN_MASKED_BY_ALL = """
def masked_mean(hidden, mask):
    return (hidden * mask.unsqueeze(-1)).mean(dim=1)
"""
MEAN_NAN = """
def masked_mean(hidden, mask):
    return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
"""
MEAN_FLAT = """
def masked_mean(hidden, mask):
    return hidden[mask].mean(dim=0)
"""
MEAN_BROADCAST = """
def masked_mean(hidden, mask):
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)
"""

# --- policy_logits ---

LOGITS_RIGHT = [
    """
def policy_logits(policy, items, cut):
    seen = items if cut is None else items * (torch.arange(items.shape[1]) <= cut[:, None])
    x = policy.embedding(seen)
    for block in policy.blocks:
        x = block(x, seen != 0)
    out = policy.output(masked_mean(x, seen != 0))
    return out.view(len(items), -1, 2)
""",
    """
def policy_logits(policy, items, cut):  # the blocks are causal: what comes after the cut can be left out of the mean
    real = items > 0
    x = policy.embedding(items)
    for block in policy.blocks:
        x = block(x, real)
    read = real if cut is None else real & (torch.arange(items.shape[1]) <= cut[:, None])
    out = policy.output(masked_mean(x, read))
    return torch.stack([out[:, 0::2], out[:, 1::2]], dim=-1)
""",
    """
def policy_logits(policy, items, cut):
    rows = []
    for index, row in enumerate(items):
        row = row[None] if cut is None else row[None, : cut[index] + 1]
        row = row[:, row[0] > 0]
        x = policy.embedding(row)
        for block in policy.blocks:
            x = block(x, row > 0)
        rows.append(policy.output(x.mean(dim=1)).reshape(-1, 2))
    return torch.stack(rows)
""",
]
LOGITS_NO_CUT = """
def policy_logits(policy, items, cut):
    hidden, mask = policy.embedding(items), items > 0
    for block in policy.blocks:
        hidden = block(hidden, mask)
    return policy.output(masked_mean(hidden, mask)).unflatten(-1, (-1, 2))
"""
LOGITS_OLD_MASK = """
def policy_logits(policy, items, cut):
    mask = items > 0
    hidden = policy.embedding(visible(items, cut))
    for block in policy.blocks:
        hidden = block(hidden, mask)
    return policy.output(masked_mean(hidden, mask)).unflatten(-1, (-1, 2))
"""
LOGITS_OTHER_LAYOUT = """
def policy_logits(policy, items, cut):
    read = visible(items, cut)
    hidden, mask = policy.embedding(read), read > 0
    for block in policy.blocks:
        hidden = block(hidden, mask)
    out = policy.output(masked_mean(hidden, mask))
    return out.view(len(items), 2, -1).transpose(1, 2)
"""
LOGITS_BY_THE_PACKAGE = """
def policy_logits(policy, items, cut):
    return policy(visible(items, cut))
"""
LOGITS_FLAT = """
def policy_logits(policy, items, cut):
    read = visible(items, cut)
    hidden, mask = policy.embedding(read), read > 0
    for block in policy.blocks:
        hidden = block(hidden, mask)
    return policy.output(masked_mean(hidden, mask))
"""

# --- joint_loss ---

LOSS_RIGHT = [
    """
def joint_loss(model, batch, cost):
    z = F.gumbel_softmax(policy_logits(model.policy, batch.items, batch.cut), tau=model.tau, hard=True)
    gates = z[:, :, 0]
    scores = model.backbone.score(gated_encode(model.backbone, batch.items, gates))
    where = batch.scored()
    log_p = scores[where].log_softmax(dim=-1).gather(1, batch.targets[where][:, None])
    return -log_p.mean() + cost * gates.mean()
""",
    """
def joint_loss(model, batch, cost):  # straight-through by hand, from a logistic number
    logits = policy_logits(model.policy, batch.items, batch.cut)
    u = torch.rand(logits.shape[:2], dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    perturbed = logits[..., 0] - logits[..., 1] + (u.log() - (1 - u).log()).to(logits.dtype)
    soft = torch.sigmoid(perturbed / model.tau)
    gates = soft + ((perturbed > 0).to(soft.dtype) - soft).detach()
    hidden = gated_encode(model.backbone, batch.items, gates)
    scores = model.backbone.score(hidden).flatten(0, 1)
    loss = F.cross_entropy(scores, batch.targets.flatten(), ignore_index=0)
    return loss + cost * gates.sum() / gates.numel()
""",
]
LOSS = """
def joint_loss(model, batch, cost):
    logits = policy_logits(model.policy, batch.items, batch.cut)
    gates = gumbel_softmax(logits, model.tau, hard=True)[..., 0]
    where = batch.scored()
    scores = model.backbone.score(gated_encode(model.backbone, batch.items, gates)[where])
    return F.cross_entropy(scores, batch.targets[where]) + cost * gates.mean()
"""


def loss_with(*changes: str) -> str:
    """The model solution with a misconception in it: old, new, old, new, …"""
    text = LOSS
    for old, new in zip(changes[::2], changes[1::2]):
        assert old in text, old
        text = text.replace(old, new)
    return text


SAMPLED = "gumbel_softmax(logits, model.tau, hard=True)[..., 0]"
GREEDY = "(logits[..., 0] > logits[..., 1]).to(logits.dtype)"

# --- training_step ---

STEP_RIGHT = [
    """
def training_step(model, batch, cost, optimizer):
    loss = joint_loss(model, batch, cost)
    model.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())
""",
    """
def training_step(model, batch, cost, optimizer):
    parameters = list(model.parameters())
    loss = joint_loss(model, batch, cost)
    for p, g in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True)):
        p.grad = g
    optimizer.step()
    return loss.item()
""",
]
STEP_ADDS_UP = """
def training_step(model, batch, cost, optimizer):
    loss = joint_loss(model, batch, cost)
    loss.backward()
    optimizer.step()
    return loss.item()
"""
STEP_CLEARS_TOO_LATE = """
def training_step(model, batch, cost, optimizer):
    loss = joint_loss(model, batch, cost)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()
"""
STEP_TOO_EARLY = """
def training_step(model, batch, cost, optimizer):
    optimizer.zero_grad()
    loss = joint_loss(model, batch, cost)
    optimizer.step()
    loss.backward()
    return loss.item()
"""
STEP_BACKBONE_ONLY = """
def training_step(model, batch, cost, optimizer):
    optimizer.zero_grad()
    loss = joint_loss(model, batch, cost)
    loss.backward(inputs=list(model.backbone.parameters()))
    optimizer.step()
    return loss.item()
"""
STEP_TENSOR = """
def training_step(model, batch, cost, optimizer):
    optimizer.zero_grad()
    loss = joint_loss(model, batch, cost)
    loss.backward()
    optimizer.step()
    return loss
"""
STEP_OWN_OPTIMIZER = """
def training_step(model, batch, cost, optimizer):
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.zero_grad()
    loss = joint_loss(model, batch, cost)
    loss.backward()
    optimizer.step()
    return loss.item()
"""
STEP_AFTERWARDS = """
def training_step(model, batch, cost, optimizer):
    optimizer.zero_grad()
    joint_loss(model, batch, cost).backward()
    optimizer.step()
    return joint_loss(model, batch, cost).item()
"""
STEP_NOTHING_BACK = """
def training_step(model, batch, cost, optimizer):
    optimizer.zero_grad()
    joint_loss(model, batch, cost).backward()
    optimizer.step()
"""
STEP_ON_A_NUMBER = """
def training_step(model, batch, cost, optimizer):
    optimizer.zero_grad()
    loss = joint_loss(model, batch, cost).item()
    loss.backward()
    optimizer.step()
    return loss
"""

# --- at_the_same_rate ---

RATE_RIGHT = [
    """
def at_the_same_rate(gates, generator=None):
    return torch.bernoulli(torch.full_like(gates, gates.mean().item()), generator=generator)
""",
    """
def at_the_same_rate(gates, generator=None):
    flat = gates.flatten()  # shuffle them all: exactly as many are kept
    return flat[torch.randperm(len(flat), generator=generator)].view_as(gates)
""",
]
RATE_HALF = """
def at_the_same_rate(gates, generator=None):
    return torch.randint(0, 2, gates.shape, generator=generator).to(gates.dtype)
"""
RATE_OF_BLOCKS = """
def at_the_same_rate(gates, generator=None):
    return (torch.rand(gates.shape, generator=generator) < gates.mean(dim=0)).to(gates.dtype)
"""
RATE_OF_USERS = """
def at_the_same_rate(gates, generator=None):
    return (torch.rand(gates.shape, generator=generator) < gates.mean(dim=1, keepdim=True)).to(gates.dtype)
"""
RATE_ONE_ROW = """
def at_the_same_rate(gates, generator=None):
    row = torch.rand(gates.shape[1], generator=generator) < gates.mean()
    return row.to(gates.dtype).expand_as(gates).clone()
"""
RATE_SKIPPED = """
def at_the_same_rate(gates, generator=None):
    return (torch.rand(gates.shape, generator=generator) > gates.mean()).to(gates.dtype)
"""
RATE_BOOL = """
def at_the_same_rate(gates, generator=None):
    return torch.rand(gates.shape, generator=generator) < gates.mean()
"""
RATE_UNIFORM = """
def at_the_same_rate(gates, generator=None):
    return torch.rand(gates.shape, generator=generator) * 2 * gates.mean()
"""
RATE_NO_GENERATOR = """
def at_the_same_rate(gates, generator=None):
    return (torch.rand(gates.shape) < gates.mean()).to(gates.dtype)
"""
RATE_NUMPY = """
def at_the_same_rate(gates, generator=None):
    return np.random.default_rng(0).binomial(1, gates.mean().item(), gates.shape)
"""

# --- accuracy_under ---

ACCURACY_RIGHT = [
    """
def accuracy_under(model, cases, gates):
    where = cases.scored()
    with torch.no_grad():
        scores = model.backbone.score(gated_encode(model.backbone, cases.items, gates)[where])
    hit = torch.zeros(where.shape, dtype=torch.float64)
    hit[where] = (scores.argmax(dim=1) == cases.targets[where]).double()
    return hit.sum(dim=1) / where.sum(dim=1)
""",
    """
@torch.no_grad()
def accuracy_under(model, cases, gates):
    scores = model.backbone.score(gated_encode(model.backbone, cases.items, gates))
    rows = []
    for row, target in zip(scores, cases.targets):
        hits = [float(s.topk(1).indices[0] == t) for s, t in zip(row, target) if t > 0]
        rows.append(sum(hits) / len(hits))
    return torch.tensor(rows)
""",
]
ACCURACY_OWN_GATES = """
def accuracy_under(model, cases, gates):
    with torch.no_grad():
        logits = policy_logits(model.policy, cases.items, cases.cut)
        gates = (logits[..., 0] > logits[..., 1]).to(logits.dtype)
        best = model.backbone.score(gated_encode(model.backbone, cases.items, gates)).argmax(dim=-1)
    where = cases.scored()
    return ((best == cases.targets) & where).sum(dim=1) / where.sum(dim=1)
"""
ACCURACY_LAST = """
def accuracy_under(model, cases, gates):
    with torch.no_grad():
        best = model.backbone.score(gated_encode(model.backbone, cases.items, gates)).argmax(dim=-1)
    return (best[:, -1] == cases.targets[:, -1]).float()
"""
ACCURACY_SOFT = """
def accuracy_under(model, cases, gates):
    where = cases.scored()
    p = model.backbone.score(gated_encode(model.backbone, cases.items, gates)).softmax(dim=-1)
    right = p.gather(-1, cases.targets[..., None])[..., 0]
    return (right * where).sum(dim=1) / where.sum(dim=1)
"""
ACCURACY_LIST = """
def accuracy_under(model, cases, gates):
    with torch.no_grad():
        best = model.backbone.score(gated_encode(model.backbone, cases.items, gates)).argmax(dim=-1)
    where = cases.scored()
    return (((best == cases.targets) & where).sum(dim=1) / where.sum(dim=1)).tolist()
"""
ACCURACY_SCORES_GATES = """
def accuracy_under(model, cases, gates):
    return model.score_at(cases.items, cases.scored(), cases.cut, gates)
"""

# --- paired ---

PAIRED_RIGHT = [
    """
def paired(learned, random):
    d = (learned[None] - random).mean(dim=0).numpy()
    return float(d.mean()), float(d.std(ddof=1) / math.sqrt(len(d)))
""",
    """
def paired(learned, random):
    n = len(learned)
    d = learned.double() - random.double().sum(dim=0) / random.shape[0]
    mean = d.sum() / n
    variance = ((d - mean) ** 2).sum() / (n - 1)
    return mean.item(), (variance / n).sqrt().item()
""",
]
PAIRED_DRAWS_AS_USERS = """
def paired(learned, random):
    d = learned - random
    return d.mean().item(), (d.std() / d.numel() ** 0.5).item()
"""
PAIRED_POPULATION = """
def paired(learned, random):
    d = (learned - random.mean(dim=0)).numpy()
    return d.mean().item(), (d.std() / len(d) ** 0.5).item()
"""
PAIRED_FIRST_DRAW = """
def paired(learned, random):
    d = learned - random[0]
    return d.mean().item(), (d.std() / len(d) ** 0.5).item()
"""
PAIRED_MEAN_ONLY = """
def paired(learned, random):
    return (learned - random.mean(dim=0)).mean().item()
"""
PAIRED_WRONG_AXIS = """
def paired(learned, random):
    d = learned - random.mean(dim=1)
    return d.mean().item(), (d.std() / len(d) ** 0.5).item()
"""

ANSWERS_A3: dict[str, list[Answer]] = {
    "adaptive_output": [
        *map(right, OUTPUT_RIGHT), wrong(OUTPUT_WHERE, "only chooses"), wrong(OUTPUT_BY_INDEX, "only chooses"),
        wrong(OUTPUT_IN_PLACE, "changes the argument"), wrong(OUTPUT_NO_RETURN, "return missing"),
        raises(OUTPUT_LAST_AXIS, "size"),
    ],
    "gated_encode": [
        *map(right, ENCODE_RIGHT), wrong(ENCODE_GATE_ROWS, "each row has its own"),
        wrong(ENCODE_SKIPS, "also one that is 0"), wrong(ENCODE_SCORES, "shape"),
        raises(ENCODE_BY_THE_PACKAGE, "encode"),
    ],
    "visible": [
        *map(right, VISIBLE_RIGHT),
        wrong(VISIBLE_BEFORE_ONLY, "may be read"), wrong(VISIBLE_ONE_MORE, "past the cut"),
        wrong(VISIBLE_IN_PLACE, "changes the argument"), wrong(VISIBLE_SHORTER, "the shape stays"),
        wrong(VISIBLE_OTHER_SIDE, "hide what may be read"), raises(VISIBLE_NO_NONE, "NoneType"),
    ],
    "masked_mean": [
        *map(right, MEAN_RIGHT), wrong(MEAN_MASKED_BY_ALL, "padding counts in the mean"), wrong(MEAN_NAN, "NaN"),
        wrong(MEAN_FLAT, "shape"), raises(MEAN_BROADCAST, "size"),
    ],
    "policy_logits": [
        *map(right, LOGITS_RIGHT), wrong(LOGITS_NO_CUT, "reads what comes after it"),
        wrong(LOGITS_OLD_MASK, "mask what is read"), wrong(LOGITS_OTHER_LAYOUT, "side by side"),
        wrong(LOGITS_FLAT, "shape"), raises(LOGITS_BY_THE_PACKAGE, "yours to write"),
    ],
    "joint_loss": [
        *map(right, LOSS_RIGHT), wrong(loss_with(SAMPLED, GREEDY), "greedy"),
        wrong(loss_with("softmax(logits,", "softmax(logits.sigmoid(),"), "comes before the noise"),
        wrong(loss_with("model.tau", "10.0"), "use model.tau"),
        wrong(loss_with("scored()", "items > 0", "batch.items > 0", "(batch.items > 0)"), "without a target"),
        wrong(loss_with("return F", "return float(F", "gates.mean()", "gates.mean())"), ".item()"),
        raises(loss_with("scores = model.backbone.score(gated_encode(model.backbone, batch.items, gates)[where])",
                         "scores = model.score_at(batch.items, where, batch.cut, gates)"), "score_at"),
    ],
    "training_step": [
        *map(right, STEP_RIGHT),
        wrong(STEP_ADDS_UP, "clear them first"), wrong(STEP_CLEARS_TOO_LATE, "in this order"),
        wrong(STEP_TOO_EARLY, "in this order"), wrong(STEP_BACKBONE_ONLY, "policy does not move"),
        wrong(STEP_TENSOR, "keeps the graph"), wrong(STEP_OWN_OPTIMIZER, "handed in"),
        wrong(STEP_AFTERWARDS, "after the step"), wrong(STEP_NOTHING_BACK, "return missing"),
        raises(STEP_ON_A_NUMBER, "backward"),
    ],
    "at_the_same_rate": [
        *map(right, RATE_RIGHT),
        wrong(RATE_HALF, "mean of the given"), wrong(RATE_OF_BLOCKS, "each block's own rate"),
        wrong(RATE_OF_USERS, "each user's own number"), wrong(RATE_ONE_ROW, "draws for itself"),
        wrong(RATE_SKIPPED, "wrong way round"), wrong(RATE_BOOL, "type of the gates"),
        wrong(RATE_UNIFORM, "not a rate"), wrong(RATE_NO_GENERATOR, "generator"), wrong(RATE_NUMPY, "tensor"),
    ],
    "accuracy_under": [
        *map(right, ACCURACY_RIGHT), wrong(ACCURACY_OWN_GATES, "given gates are not used"),
        wrong(ACCURACY_LAST, "last position counts"), wrong(ACCURACY_SOFT, "gradient"), wrong(ACCURACY_LIST, "list"),
        raises(ACCURACY_SCORES_GATES, "score_at"),
    ],
    "paired": [
        *map(right, PAIRED_RIGHT), wrong(PAIRED_DRAWS_AS_USERS, "users are the unit"),
        wrong(PAIRED_POPULATION, "n - 1"), wrong(PAIRED_FIRST_DRAW, "first draw counts"),
        wrong(PAIRED_MEAN_ONLY, "two numbers"), raises(PAIRED_WRONG_AXIS, "size"),
    ],
}  # fmt: skip
