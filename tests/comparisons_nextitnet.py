"""How each part that lesson 06 builds is compared with the package's.

A lesson's `fit` is the first half of the package's: it has no validation and no policy, and returns the epochs' losses.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from comparing import DTYPES, Comparison, assert_same, assert_same_signature, random_logits, same_module
from helpers import generator, random_items, randomise, tiny_split
from torch import Tensor, nn

from skiprec_lite import blocks
from skiprec_lite.backbones import NextItNet
from skiprec_lite.windows import Split

NUM_ITEMS = 15
MASK = torch.arange(12) >= torch.tensor([[0], [5], [11]])


def items_of(seed: int = 0) -> Tensor:
    """Histories of 9, 4, 1 and 7 items in windows of 9: padding on the left, and none."""
    return random_items((9, 4, 1, 7), 9, NUM_ITEMS, seed=seed)


def several(*comparisons: Comparison) -> Comparison:
    def comparison(lesson: Any, package: Any) -> None:
        for one in comparisons:
            one(lesson, package)

    return comparison


# --- modules ---


def same_start(*sizes: dict[str, Any]) -> Comparison:
    """The same signature, and with the same seed the same parameters under the same names."""

    def comparison(lesson: type[nn.Module], package: type[nn.Module]) -> None:
        assert_same_signature(lesson, package)
        assert_same_signature(lesson.forward, package.forward)
        for size in sizes:
            started = []
            for kind in (lesson, package):
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(3)
                    started.append(dict(kind(**size).named_parameters()))
            assert list(started[0]) == list(started[1])
            for ours, theirs in zip(*(parameters.values() for parameters in started), strict=True):
                assert_same(ours, theirs)

    return comparison


def same_dropout(*inputs: Tensor, **sizes: Any) -> Comparison:
    """In training mode, with the same seed, the same numbers are dropped; in eval mode none."""

    def comparison(lesson: type[nn.Module], package: type[nn.Module]) -> None:
        theirs = randomise(package(**sizes)).train()
        ours = lesson(**sizes).train()
        ours.load_state_dict(theirs.state_dict())
        dropped = []
        for module in (ours, theirs):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(4)
                dropped.append(module(*inputs)[..., 1:])
        assert_same(*dropped)
        assert not torch.equal(dropped[1], theirs.eval()(*inputs)[..., 1:])

    return comparison


def hidden(time: int = 12, channels: int = 6) -> Tensor:
    return torch.randn(3, time, channels, generator=generator(2), dtype=torch.float64)


same_convolution = several(
    same_start({"channels": 6}, {"channels": 6, "kernel_size": 5, "dilation": 3}),
    *(
        same_module(hidden(time), channels=6, kernel_size=kernel_size, dilation=dilation)
        for time in (1, 5, 12)
        for kernel_size, dilation in ((1, 1), (2, 3), (3, 1), (3, 2), (3, 11), (3, 12))
        if dilation < time or kernel_size == 1  # else every tap of the past has a gradient of 0
    ),
)


def same_beyond_the_start(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    """A dilation longer than the sequence: nothing but the present is read, and nothing else gets a gradient."""
    theirs = randomise(package(6, 3, 20).double())
    ours = lesson(6, 3, 20).double()
    ours.load_state_dict(theirs.state_dict())
    gradients = []
    for module in (ours, theirs):
        out = module(hidden())
        gradients.append(torch.autograd.grad((out * hidden(12).flip(0)).sum(), module.weight)[0])
        gradients.append(out)
    assert gradients[2][:, :, -1].abs().min() > 0
    assert (gradients[2][:, :, :-1] == 0).all()
    assert_same(gradients[0], gradients[2])
    assert_same(gradients[1], gradients[3])


same_block = several(
    same_start({"channels": 6}, {"channels": 6, "kernel_size": 2, "dilation": 3, "rezero": False}),
    *(
        same_module(*inputs, channels=6, kernel_size=kernel_size, dilation=dilation, rezero=rezero)
        for inputs in ((hidden(),), (hidden(), MASK))
        for kernel_size, dilation in ((3, 1), (2, 4))
        for rezero in (True, False)
    ),
    same_dropout(hidden().float(), MASK, channels=6, dropout=0.5),
    same_dropout(hidden().float(), channels=6, dropout=0.2, rezero=False),
)


# --- backbones ---


def assert_same_walk(ours: nn.Module, theirs: nn.Module, items: Tensor) -> None:
    """encode, score, forward and score_at, without gates, with gates of 0 and 1, and of anything between."""
    between = torch.rand(len(items), len(theirs.blocks), generator=generator(5), dtype=torch.float64)
    where = (items > 0) & (torch.arange(items.shape[1]) % 3 == 0)
    for gates in (None, between.round(), between, between.float()):
        found = []
        for model in (ours, theirs):
            leaf = None if gates is None else gates.clone().requires_grad_()
            encoded, scores = model.encode(items, leaf), model(items, leaf)
            assert (scores[..., 0] == -torch.inf).all()
            assert_same(scores, model.score(encoded))
            wanted = [*model.parameters(), *([] if leaf is None else [leaf])]
            weight = random_logits(*scores[..., 1:].shape, dtype=scores.dtype)
            gradients = torch.autograd.grad((scores[..., 1:] * weight).sum(), wanted)
            found.append([encoded, scores[..., 1:], *gradients])
            if gates is None:
                assert_same(model.score_at(items, where), scores[where])
        for a, b in zip(*found, strict=True):
            assert b.abs().max() > 0
            assert a.dtype == b.dtype
            if found[1][0].dtype == torch.float32:  # a gradient of float64 gates is computed in float32 there
                a, b = a.float(), b.float()
            assert_same(a / b.detach().abs().max(), b / b.detach().abs().max())


def same_backbone(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    """The walk itself, under a little model of the test's own: it embeds, has blocks and scores."""
    for method in ("encode", "forward", "score_at"):
        assert_same_signature(getattr(lesson, method), getattr(package, method))

    def small(base: type[nn.Module]) -> nn.Module:
        class Small(base):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(NUM_ITEMS + 1, 8, padding_idx=0)
                self.blocks = nn.ModuleList(blocks.ResidualBlock(8, dilation=d) for d in (1, 4, 2))

            def embed(self, items: Tensor) -> Tensor:
                return self.embedding(items)

            def score(self, hidden: Tensor) -> Tensor:
                return torch.cat([hidden[..., :1] - torch.inf, hidden @ self.embedding.weight[1:].T], dim=-1)

        return Small()

    for dtype in DTYPES:
        theirs = randomise(small(package)).to(dtype)
        ours = small(lesson).to(dtype)
        ours.load_state_dict(theirs.state_dict())
        assert_same_walk(ours, theirs, items_of())


def same_network(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    sizes: Sequence[dict[str, Any]] = (
        {},
        {"channels": 8, "dilations": (1, 4)},
        {"channels": 8, "dilations": (2, 1, 4), "kernel_size": 2, "rezero": False},
        {"channels": 8, "dilations": (1, 2), "tied": True},
    )
    same_start(*({"num_items": NUM_ITEMS} | size for size in sizes))(lesson, package)
    for size in sizes[1:]:
        for dtype in DTYPES:
            theirs = randomise(package(NUM_ITEMS, **size)).to(dtype)
            ours = lesson(NUM_ITEMS, **size).to(dtype)
            ours.load_state_dict(theirs.state_dict())
            assert_same_walk(ours, theirs, items_of())
    for dropouts in ({"dropout": 0.5}, {"embedding_dropout": 0.5}):
        same_dropout(items_of(), num_items=NUM_ITEMS, channels=8, dilations=(1, 2), **dropouts)(lesson, package)


def same_reach(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for dilations in ([], (1,), (1, 4) * 4, [1, 2, 4, 8], (5, 3)):
        assert lesson(dilations) == package(dilations)
        for kernel_size in (1, 2, 5):
            assert lesson(dilations, kernel_size) == package(dilations, kernel_size=kernel_size)


# --- training ---


def network(**dropouts: float) -> NextItNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        return NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2), **dropouts)


def same_loss(lesson: Callable, package: Callable) -> None:
    """With padding, and with real positions that are not scored (a test case scores its last few only)."""
    assert_same_signature(lesson, package)
    split = tiny_split(num_items=NUM_ITEMS)
    for batch in (split.train, split.test):
        assert (batch.scored().sum(dim=1) < batch.items.shape[1]).any()
        for dtype in DTYPES:
            found = []
            for loss in (lesson, package):
                model = randomise(network().to(dtype))
                value = loss(model, batch)
                found.append([value, *torch.autograd.grad(value, list(model.parameters()))])
            for a, b in zip(*found, strict=True):
                assert b.abs().max() > 0
                assert_same(a / b.detach().abs().max(), b / b.detach().abs().max())


def same_training(lesson: Callable, package: Callable) -> None:
    """The same losses epoch by epoch, and the same weights as the package's after the epoch that it chooses."""
    ours, theirs = (inspect.signature(f).parameters for f in (lesson, package))
    assert list(ours) == [name for name in theirs if name in ours]
    assert [ours[name].kind for name in ours] == [theirs[name].kind for name in ours]
    for name in ours:
        default = 30 if name == "epochs" else theirs[name].default  # None there: the package may be given stages
        assert ours[name].default in (default, inspect.Parameter.empty), name
    split: Split = tiny_split(num_items=NUM_ITEMS)
    for seed, dropout in ((0, 0.0), (1, 0.3)):
        settings = {"seed": seed, "batch_size": 8, "learning_rate": 0.01}
        model = network(dropout=dropout)
        history = package(model, split, epochs=4, patience=4, progress=False, **settings)
        expected = [record["loss"] for record in history.epochs]
        state = torch.get_rng_state()
        losses = lesson(network(dropout=dropout), split, epochs=4, **settings)
        assert torch.equal(torch.get_rng_state(), state), "training must leave the global stream alone"
        torch.testing.assert_close(losses, expected, rtol=1e-6, atol=0)
        assert losses[-1] < losses[0]
        again = network(dropout=dropout)
        lesson(again, split, epochs=history.chosen + 1, **settings)
        for name, tensor in model.state_dict().items():
            assert_same(again.state_dict()[name], tensor)


COMPARISONS_NEXTITNET: dict[str, Comparison] = {
    "blocks.CausalConv1d": several(same_convolution, same_beyond_the_start),
    "blocks.ResidualBlock": same_block,
    "blocks.receptive_field": same_reach,
    "backbones.Backbone": same_backbone,
    "backbones.NextItNet": same_network,
    "stages.next_item_loss": same_loss,
    "training.fit": same_training,
}
