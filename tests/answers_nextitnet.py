"""Answers to the exercises of lesson 06."""

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch import nn
from torch.nn import functional as F

from skiprec_lite.backbones import Backbone, in_eval_mode
from skiprec_lite.backbones import NextItNet as Given
from skiprec_lite.blocks import CausalConv1d, ResidualBlock
from skiprec_lite.choosing import History
from skiprec_lite.evaluation import ndcg_per_user
from skiprec_lite.stages import next_item_loss

# --- CausalConv1d ---


class OfTorch(nn.Module):
    """nn.Conv1d itself, zeros on the left."""

    def __init__(self, channels, kernel_size=3, dilation=1):
        super().__init__()
        self.left = (kernel_size - 1) * dilation
        self.conv = nn.Conv1d(channels, channels, kernel_size, dilation=dilation)

    def forward(self, hidden):
        return self.conv(F.pad(hidden.transpose(1, 2), (self.left, 0))).transpose(1, 2)


class CutOff(nn.Module):
    """Zeros on both sides, and what is too much at the end is cut off."""

    def __init__(self, channels, kernel_size=3, dilation=1):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=(kernel_size - 1) * dilation)

    def forward(self, hidden):
        return self.conv(hidden.permute(0, 2, 1))[..., : hidden.shape[1]].permute(0, 2, 1)


class Weights(nn.Module):
    """The parameters; what is derived from it has a forward of its own."""

    def __init__(self, channels, kernel_size=3, dilation=1):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, kernel_size) / channels)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.dilation = dilation
        self.kernel_size = kernel_size


class ByEinsum(Weights):
    def forward(self, hidden):
        reach = (self.kernel_size - 1) * self.dilation
        padded = F.pad(hidden, (0, 0, reach, 0))
        time = hidden.shape[1]
        windows = [padded[:, j * self.dilation : j * self.dilation + time] for j in range(self.kernel_size)]
        return torch.einsum("btck,dck->btd", torch.stack(windows, dim=-1), self.weight) + self.bias


class ByLoops(Weights):
    """The specification's loop, in float64 inside."""

    def forward(self, hidden):
        x, weight = hidden.double(), self.weight.double()
        rows = []
        for t in range(hidden.shape[1]):
            y = self.bias.double().expand(len(hidden), -1)
            for j in range(self.kernel_size):
                if t - j * self.dilation >= 0:
                    y = y + x[:, t - j * self.dilation] @ weight[:, :, self.kernel_size - 1 - j].T
            rows.append(y)
        return torch.stack(rows, dim=1).to(hidden.dtype)


class InPlace(Weights):
    def forward(self, hidden):
        out = hidden @ self.weight[..., -1].T + self.bias
        for j in range(1, self.kernel_size):
            s = j * self.dilation
            if s < hidden.shape[1]:
                out[:, s:] += hidden[:, :-s] @ self.weight[..., -1 - j].T
        return out


class BothSides(OfTorch):
    def forward(self, hidden):
        half = self.left // 2
        return self.conv(F.pad(hidden.transpose(1, 2), (half, self.left - half))).transpose(1, 2)


class TapsReversed(Weights):
    def forward(self, hidden):
        out = self.bias
        for j in range(self.kernel_size):
            s = min(j * self.dilation, hidden.shape[1])
            out = out + F.pad(F.linear(hidden[:, : hidden.shape[1] - s], self.weight[:, :, j]), (0, 0, s, 0))
        return out


class NoTranspose(OfTorch):
    def forward(self, hidden):
        return self.conv(F.pad(hidden, (self.left, 0)))


class NotANumber(ByEinsum):
    def forward(self, hidden):
        return super().forward(hidden) * torch.nan


class ChangesItsArgument(ByEinsum):
    def forward(self, hidden):
        out = super().forward(hidden)
        hidden.data.zero_()
        return out


class StayingInFloat64(ByLoops):
    def forward(self, hidden):
        return super().forward(hidden.double())


def a_function(channels, kernel_size=3, dilation=1):
    return OfTorch(channels, kernel_size, dilation)


# --- ResidualBlock ---


class OtherOrder(nn.Module):
    """The norms come first, under other names; the mask by torch.where; the scale has no axis."""

    def __init__(self, channels, kernel_size=3, dilation=1, *, rezero=True, dropout=0.0):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.convs = nn.ModuleList(OfTorch(channels, kernel_size, d) for d in (dilation, 2 * dilation))
        self.p = dropout
        self.alpha = nn.Parameter(torch.tensor(0.0)) if rezero else None

    def forward(self, hidden, mask=None):
        branch = hidden
        for conv, norm in zip(self.convs, self.norms):
            if mask is not None:
                branch = torch.where(mask[..., None], branch, torch.zeros_like(branch))
            branch = torch.relu(norm(conv(branch)))
        branch = F.dropout(branch, self.p, self.training)
        return branch + hidden if self.alpha is None else branch * self.alpha + hidden


class Parts(nn.Module):
    def __init__(self, channels, kernel_size=3, dilation=1, *, rezero=True, dropout=0.0):
        super().__init__()
        self.conv1, self.norm1 = CausalConv1d(channels, kernel_size, dilation), nn.LayerNorm(channels)
        self.conv2, self.norm2 = CausalConv1d(channels, kernel_size, 2 * dilation), nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.scale = nn.Parameter(torch.zeros(1)) if rezero else 1.0


class OnCopies(Parts):
    """In-place masks on copies; the output is masked too, which nobody sees."""

    def forward(self, hidden, mask=None):
        branch = hidden.clone()
        if mask is not None:
            branch[~mask] = 0
        branch = self.norm1(self.conv1(branch)).relu_()
        if mask is not None:
            branch = branch.masked_fill(~mask.unsqueeze(2), 0.0)
        branch = self.dropout(F.relu(self.norm2(self.conv2(branch))))
        out = hidden + self.scale * branch
        return out if mask is None else out * mask.unsqueeze(2)


class HandNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * self.gain + self.shift


class NormByHand(Parts):
    def __init__(self, channels, kernel_size=3, dilation=1, *, rezero=True, dropout=0.0):
        super().__init__(channels, kernel_size, dilation, rezero=rezero, dropout=dropout)
        self.norm1, self.norm2 = HandNorm(channels), HandNorm(channels)

    def forward(self, hidden, mask=None):
        real = torch.ones_like(hidden[..., :1]) if mask is None else mask.unsqueeze(-1).to(hidden.dtype)
        branch = self.norm1(self.conv1(hidden * real)).clamp(min=0)
        branch = self.norm2(self.conv2(branch * real)).clamp(min=0)
        return hidden + self.scale * self.dropout(branch)


class NormOverTime(Parts):
    def forward(self, hidden, mask=None):
        real = 1.0 if mask is None else mask.unsqueeze(-1)
        branch = F.relu(self.over_time(self.conv1(hidden * real)) * self.norm1.weight + self.norm1.bias)
        branch = F.relu(self.over_time(self.conv2(branch * real)) * self.norm2.weight + self.norm2.bias)
        return hidden + self.scale * self.dropout(branch)

    def over_time(self, x):
        return F.layer_norm(x.transpose(1, 2), x.shape[1:2]).transpose(1, 2)


class SeesTheFuture(OnCopies):
    def __init__(self, channels, kernel_size=3, dilation=1, *, rezero=True, dropout=0.0):
        super().__init__(channels, kernel_size, dilation, rezero=rezero, dropout=dropout)
        self.conv1 = BothSides(channels, kernel_size, dilation)


class DropsTheSum(Parts):
    def forward(self, hidden, mask=None):
        real = 1.0 if mask is None else mask.unsqueeze(-1)
        branch = F.relu(self.norm1(self.conv1(hidden * real)))
        return self.dropout(hidden + self.scale * F.relu(self.norm2(self.conv2(branch * real))))


class MasksItsArgument(OnCopies):
    def forward(self, hidden, mask=None):
        if mask is not None:
            hidden.data[~mask] = 0
        return super().forward(hidden, mask)


class NoMask(Parts):
    def forward(self, hidden):
        return hidden + self.scale * F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(hidden))))))


class ChannelsFirst(OnCopies):
    def forward(self, hidden, mask=None):
        return super().forward(hidden, mask).transpose(1, 2)


# --- receptive_field ---


def by_loop(dilations, kernel_size=3):
    reach = 1
    for d in dilations:
        for gap in (d, 2 * d):
            reach += (kernel_size - 1) * gap
    return reach


def by_sets(dilations, kernel_size=3):
    """The positions themselves: as far back as the farthest of them, plus one."""
    steps = {0}
    for d in dilations:
        for gap in (d, 2 * d):
            steps = {s + j * gap for s in steps for j in range(kernel_size)}
    return max(steps) + 1


def by_numpy(dilations, kernel_size=3):
    return 1 + np.multiply(3 * (kernel_size - 1), np.array(dilations, dtype=int)).sum()


def steps_only(dilations, kernel_size=3):
    return sum((kernel_size - 1) * (d + 2 * d) for d in dilations)


def as_words(dilations, kernel_size=3):
    return f"{by_loop(dilations, kernel_size)} positions"


def only_tuples(dilations, kernel_size=3):
    return 1 + 3 * (kernel_size - 1) * sum(dilations + (0,))  # noqa: RUF005


# --- Backbone ---


class Walk(nn.Module):
    """forward and score_at as they should be; encode is what answers write."""

    def forward(self, items, gates=None):
        return self.score(self.encode(items, gates))

    def score_at(self, items, where, cut=None):
        return self.score(self.encode(items)[where])


class ByLerp(Walk):
    def encode(self, items, gates=None):
        hidden = self.embed(items)
        for block, gate in zip(self.blocks, [None] * len(self.blocks) if gates is None else gates.unbind(dim=1)):
            out = block(hidden, items != 0)
            hidden = out if gate is None else torch.lerp(hidden, out, gate.view(-1, 1, 1).to(out.dtype))
        return hidden


class ByDifference(Walk):
    """The gate multiplies what the block changed; all positions are scored, then some are picked."""

    def encode(self, items, gates=None):
        hidden, mask = self.embed(items), items.bool()
        for i in range(len(self.blocks)):
            change = self.blocks[i](hidden, mask) - hidden
            hidden = hidden + (change if gates is None else torch.einsum("btc,b->btc", change, gates[:, i]))
        return hidden

    def score_at(self, items, where, cut=None):
        return self(items)[where]


class OnesForNoGates(Walk):
    def __init__(self):
        super().__init__()
        self.register_buffer("one", torch.ones(()))

    def encode(self, items, gates=None):
        hidden, mask = self.embed(items), items > 0
        if gates is None:
            gates = self.one.to(hidden.dtype).expand(len(items), len(self.blocks))
        for i, block in enumerate(self.blocks):
            gate = gates[:, i].reshape(len(items), 1, 1)
            hidden = gate * block(hidden, mask) + (1 - gate) * hidden
        return hidden


def walk(step, *, mask=lambda items: items > 0):
    """A backbone with this step: (hidden, out, gates, index) -> hidden."""

    class Walking(Walk):
        def encode(self, items, gates=None):
            hidden = self.embed(items)
            for i, block in enumerate(self.blocks):
                out = block(hidden, mask(items))
                hidden = out if gates is None else step(hidden, out, gates, i)
            return hidden

    return Walking


def mixed(hidden, out, gates, i):
    gate = gates[:, i, None, None]
    return gate * out + (1 - gate) * hidden


gates_of_an_if = walk(lambda h, out, gates, i: out if gates[:, i].any() else h)
mask_of_ones = walk(mixed, mask=lambda items: torch.ones_like(items, dtype=torch.bool))
gates_off_axis = walk(lambda h, out, gates, i: gates[:, i] * out + (1 - gates[:, i]) * h)


class AllReal(ByLerp):
    def score_at(self, items, where, cut=None):
        return self.score(self.encode(items)[items > 0])


class NoModule:
    def encode(self, items, gates=None):
        return self.embed(items)


# --- NextItNet ---


class LinearOutput(Backbone):
    """The output is an nn.Linear with a row for padding that is overwritten; the mask is applied in embed too."""

    def __init__(
        self, num_items, *, channels=64, dilations=(1, 4) * 4, kernel_size=3, rezero=True, dropout=0.0,
        embedding_dropout=0.0, tied=False,
    ):  # fmt: skip
        super().__init__()
        self.embedding = nn.Embedding(num_items + 1, channels)
        nn.init.normal_(self.embedding.weight, std=1 / channels**0.5)
        self.p = embedding_dropout
        self.blocks = nn.ModuleList()
        for d in dilations:
            self.blocks.append(ResidualBlock(channels, kernel_size, d, rezero=rezero, dropout=dropout))
        self.output = nn.Linear(channels, num_items + 1)
        if tied:
            self.output.weight = self.embedding.weight

    def embed(self, items):
        embedded = self.embedding(items) * (items > 0).unsqueeze(-1)
        return F.dropout(embedded, self.p, self.training)

    def score(self, hidden):
        scores = self.output(hidden)
        scores[..., 0] = -torch.inf
        return scores


class NoRowForPadding(Backbone):
    """Scores of the items only; the column of padding is put in front."""

    def __init__(self, num_items, *, channels=64, dilations=(1, 4) * 4, **more):
        super().__init__()
        self.tied = more.pop("tied", False)
        self.embedding_dropout = nn.Dropout(more.pop("embedding_dropout", 0.0))
        kernel_size = more.pop("kernel_size", 3)
        self.output_bias = nn.Parameter(torch.zeros(num_items))
        if not self.tied:
            self.output_weight = nn.Parameter(torch.randn(num_items, channels) * channels**-0.5)
        self.blocks = nn.ModuleList([ResidualBlock(channels, kernel_size, d, **more) for d in dilations])
        self.embedding = nn.Embedding(num_items + 1, channels, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight[1:].normal_(std=channels**-0.5)

    def embed(self, items):
        return self.embedding_dropout(self.embedding(items))

    def score(self, hidden):
        weight = self.embedding.weight[1:] if self.tied else self.output_weight
        scores = torch.einsum("...c,nc->...n", hidden, weight) + self.output_bias
        return torch.cat([torch.full_like(scores[..., :1], -torch.inf), scores], dim=-1)


class NoBias(Given):
    def score(self, hidden):
        scores = F.linear(hidden, self.output_weight)
        scores[..., 0] = -torch.inf
        return scores


class PlainList(NoRowForPadding):
    def __init__(self, num_items, **sizes):
        super().__init__(num_items, **sizes)
        blocks = list(self.blocks)
        del self.blocks
        self.blocks = blocks


class PaddingEmbedded(Given):
    def __init__(self, num_items, **sizes):
        super().__init__(num_items, **sizes)
        with torch.no_grad():
            self.embedding.weight.normal_(std=self.embedding.weight.shape[1] ** -0.5)


# --- next_item_loss ---


def ignoring_padding(model, batch):
    scores = model(batch.items)
    return F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=0)


def by_logsumexp(model, batch):
    scored = batch.targets != 0
    scores = model.score_at(batch.items, scored)
    true = scores[torch.arange(len(scores)), batch.targets[scored]]
    return (scores.logsumexp(dim=1) - true).mean()


def row_by_row(model, batch):
    total, count = 0.0, 0
    for i in range(len(batch)):
        row = batch.rows(slice(i, i + 1))
        log_p = model(row.items)[row.scored()].log_softmax(dim=-1)
        total = total - log_p.gather(1, row.targets[row.scored()].unsqueeze(1)).sum()
        count += len(log_p)
    return total / count


def per_row(model, batch):
    each = F.cross_entropy(model(batch.items).mT, batch.targets, ignore_index=0, reduction="none")
    return (each.sum(dim=1) / batch.scored().sum(dim=1)).mean()


def a_number(model, batch):
    return by_logsumexp(model, batch).item()


def not_flattened(model, batch):
    return F.cross_entropy(model(batch.items), batch.targets)


# --- fit ---


def training(step):
    """The lesson's loop of epochs and batches with this step(model, batch, optimizer) -> loss."""

    def fit(model, split, *, seed=0, epochs=30, batch_size=32, learning_rate=1e-3):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            optimizer = torch.optim.Adam(model.train().parameters(), lr=learning_rate)
            history = []
            for _ in range(epochs):
                batches = torch.randperm(len(split.train)).split(batch_size)
                losses = [step(model, split.train.rows(index), optimizer) for index in batches]
                history.append(sum(losses) / len(losses))
        return history

    return fit


def usual_step(model, batch, optimizer):
    optimizer.zero_grad()
    loss = next_item_loss(model, batch)
    loss.backward()
    optimizer.step()
    return loss.item()


def by_numpy_order(model, split, *, seed=0, epochs=30, batch_size=32, learning_rate=1e-3):
    """Order by numpy; Adam written out; tensors of losses weighted by rows."""
    rng, losses = np.random.default_rng(seed), torch.zeros(epochs)
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]
    number = 0
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            order = rng.permutation(len(split.train))
            for start in range(0, len(order), batch_size):
                batch = split.train.rows(torch.from_numpy(order[start : start + batch_size]))
                loss = next_item_loss(model, batch)
                gradients = torch.autograd.grad(loss, list(model.parameters()))
                losses[epoch] += loss.detach() * len(batch) / len(order)
                number += 1
                with torch.no_grad():
                    for p, g, (m, v) in zip(model.parameters(), gradients, moments):
                        m.lerp_(g, 0.1)
                        v.lerp_(g * g, 0.001)
                        scale = (v / (1 - 0.999**number)).sqrt() + 1e-8
                        p -= learning_rate * (m / (1 - 0.9**number)) / scale
    return losses


def by_data_loader(model, split, *, seed=0, epochs=30, batch_size=32, learning_rate=1e-3):
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loader = torch.utils.data.DataLoader(range(len(split.train)), batch_size=batch_size, shuffle=True)
        for _ in range(epochs):
            model.train()
            losses.append(np.mean([usual_step(model, split.train.rows(rows), optimizer) for rows in loader]))
            with in_eval_mode(model), torch.no_grad():
                next_item_loss(model, split.validation)  # a look at validation, without a gradient
    return losses


def best_epoch(keep, *, better=lambda new, old: new > old):
    """The package's kind of fit: validation after each epoch, a History; keep(model) copies the weights."""

    def fit(model, split, *, seed=0, epochs=30, batch_size=32, learning_rate=1e-3):
        history, best, kept = History(), None, None
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for epoch in range(epochs):
                model.train()
                losses = [
                    usual_step(model, split.train.rows(rows), optimizer)
                    for rows in torch.randperm(len(split.train)).split(batch_size)
                ]
                model.eval()
                ndcg = float(ndcg_per_user(model, split.validation, exclude_seen=False).mean())
                history.epochs.append({"epoch": epoch, "loss": float(np.mean(losses)), "ndcg": ndcg})
                if best is None or better(ndcg, best):
                    best, history.chosen, kept = ndcg, epoch, keep(model)
        model.load_state_dict(kept)
        return history

    return fit


def of_clones(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def no_backward(model, batch, optimizer):
    optimizer.zero_grad()
    loss = next_item_loss(model, batch)
    optimizer.step()
    return loss.item()


def seeds_everything(model, split, *, seed=0, epochs=30, batch_size=32, learning_rate=1e-3):
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=learning_rate)
    order = lambda: torch.randperm(len(split.train)).split(batch_size)
    losses = [[usual_step(model, split.train.rows(r), optimizer) for r in order()] for _ in range(epochs)]
    return [sum(epoch) / len(epoch) for epoch in losses]


def looks_at_test(model, split, **settings):
    losses = training(usual_step)(model, split, **settings)
    with torch.no_grad():
        next_item_loss(model, split.test)
    return losses


def a_copy_is_trained(model, split, **settings):
    other = type(model)(torch.Generator(), dropout=model.dropout.p)
    other.load_state_dict(model.state_dict())
    other.log = model.log
    return training(usual_step)(other, split, **settings)


def no_losses(model, split, **settings):
    training(usual_step)(model, split, **settings)


def every_step(model, split, **settings):
    return 3 * training(usual_step)(model, split, **settings)


def no_keywords(model, split):
    return training(usual_step)(model, split)


ANSWERS_NEXTITNET: dict[str, list[Answer]] = {
    "blocks.CausalConv1d": [
        right(OfTorch), right(CutOff), right(ByEinsum), right(ByLoops), right(InPlace),
        wrong(BothSides, "both sides"), wrong(TapsReversed, "reversed"),
        wrong(NotANumber, "NaN"), wrong(ChangesItsArgument, "copy"),
        wrong(StayingInFloat64, "float64"), wrong(a_function, "class"), raises(NoTranspose, "channels"),
    ],
    "blocks.ResidualBlock": [
        right(OtherOrder), right(OnCopies), right(NormByHand),
        wrong(NormOverTime, "norm over time"), wrong(DropsTheSum, "hits the sum"), wrong(SeesTheFuture, "future"),
        wrong(MasksItsArgument, "copy"), raises(NoMask, "argument"), wrong(ChannelsFirst, "Same shape"),
    ],
    "blocks.receptive_field": [
        right(by_loop), right(by_sets), right(by_numpy), wrong(steps_only, "Off by one"),
        wrong(as_words, "number"), raises(only_tuples, "list"),
    ],
    "backbones.Backbone": [
        right(ByLerp), right(ByDifference), right(OnesForNoGates),
        wrong(gates_of_an_if, "an if"), wrong(mask_of_ones, "mask is not handed"),
        wrong(AllReal, "where="), wrong(NoModule, "nn.Module"), raises(gates_off_axis, "size"),
    ],
    "backbones.NextItNet": [
        right(LinearOutput), right(NoRowForPadding),
        wrong(NoBias, "bias is missing"), wrong(PlainList, "nn.ModuleList"), wrong(PaddingEmbedded, "padding_idx"),
    ],
    "stages.next_item_loss": [
        right(ignoring_padding), right(by_logsumexp), right(row_by_row),
        wrong(per_row, "per row"), wrong(a_number, "tensor"), raises(not_flattened, "size"),
    ],
    "training.fit": [
        right(training(usual_step)), right(by_numpy_order), right(by_data_loader), right(best_epoch(of_clones)),
        wrong(training(no_backward), "optimizer.step"), wrong(seeds_everything, "fork_rng"),
        wrong(looks_at_test, "test"),
        wrong(best_epoch(lambda model: model.state_dict()), "clone"),
        wrong(best_epoch(of_clones, better=lambda new, old: True), "not the last one's"),
        wrong(a_copy_is_trained, "in place"), wrong(no_losses, "return"), wrong(every_step, "each epoch"),
        raises(no_keywords, "keyword"),
    ],
}  # fmt: skip
