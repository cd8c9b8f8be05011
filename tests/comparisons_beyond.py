"""How each part that lesson 13 builds is compared with the package's."""

from collections.abc import Callable
from typing import Any

import torch
from comparing import DTYPES, Comparison, assert_same, assert_same_signature, random_logits, same_module
from comparisons_nextitnet import MASK, assert_same_walk, hidden, items_of, same_dropout, same_start, several
from helpers import generator, randomise, tiny_split
from torch import Tensor, nn

from skiprec_lite.backbones import Backbone, NextItNet
from skiprec_lite.gate_losses import from_a_cut
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

NUM_ITEMS = 15


# --- rewards ---


def same_reward(*settings: dict[str, float]) -> Comparison:
    """Hits and misses, no block, some, all; shapes of any kind."""

    def comparison(lesson: Callable, package: Callable) -> None:
        assert_same_signature(lesson, package)
        for dtype in DTYPES:
            for shape in ((), (40,), (6, 5)):
                hit = torch.rand(shape, generator=generator(1)) < 0.5
                used = (torch.rand(shape, generator=generator(2), dtype=torch.float64) * 4).round().to(dtype) / 4
                for options in ({}, *settings):
                    for won in (hit, torch.ones_like(hit), torch.zeros_like(hit)):
                        assert_same(lesson(won, used, **options), package(won, used, **options))

    return comparison


def same_log_probability(lesson: Callable, package: Callable) -> None:
    """Values and gradients; gates of 0 and 1, sure choices too."""
    assert_same_signature(lesson, package)
    for dtype in DTYPES:
        gates = (torch.rand(30, 4, generator=generator(1)) < 0.5).to(dtype)
        results = []
        for f in (lesson, package):
            logits = (4 * random_logits(30, 4, 2, dtype=dtype)).requires_grad_()
            value = f(logits, gates)
            results += [(value, *torch.autograd.grad(value.square().sum(), logits))]
        for ours, theirs in zip(*results, strict=True):
            assert theirs.abs().max() > 1
            assert_same(ours / theirs.detach().abs().max(), theirs / theirs.detach().abs().max())


def same_self_critical_loss(lesson: Callable, package: Callable) -> None:
    """Same seed, same gates and dropout: the loss and every gradient; the model left in its mode."""
    assert_same_signature(lesson, package)
    batch = with_padding(tiny_split(users=24, num_items=NUM_ITEMS).train)
    for options in ({}, {"k": 1}, {"k": 3, "miss": 2.0}, {"k": NUM_ITEMS, "miss": 0.0}):
        for cost in (0.0, 0.7):
            model = small_skiprec()
            results = [loss_and_gradients(f, model, batch, cost, **options) for f in (lesson, package)]
            assert model.training
            for ours, theirs in zip(*results, strict=True):
                assert_same(ours, theirs)
            if cost and options.get("k") != NUM_ITEMS:
                assert results[1][-1].abs().max() > 1e-4  # the policy's last bias


def small_skiprec() -> SkipRec:
    backbone = randomise(NextItNet(NUM_ITEMS, channels=6, dilations=[1, 2, 1], dropout=0.3))
    return SkipRec(backbone, randomise(PolicyNetwork(NUM_ITEMS, 3, channels=4), seed=1)).train()


def with_padding(batch: Windows) -> Windows:
    """Short rows among long ones, and a cut in each."""
    batch = batch.rows(slice(0, 24))
    short = torch.arange(batch.items.shape[1]) < torch.arange(len(batch)).unsqueeze(1) % 5
    batch.items[short], batch.targets[short] = 0, 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return from_a_cut(batch)


def loss_and_gradients(f: Callable, model: SkipRec, batch: Windows, cost: float, **options: Any) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        loss = f(model, batch, cost, **options)
        after = torch.rand(3)  # as much randomness used up
    return [loss, after, *torch.autograd.grad(loss, list(model.parameters()))]


# --- attention ---


def same_mask_matters(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    """A row of nothing but padding gives numbers, and the same ones."""
    theirs = randomise(package(6, 2).double())
    ours = lesson(6, 2).double()
    ours.load_state_dict(theirs.state_dict())
    mask = MASK & torch.tensor([[True], [True], [False]])
    assert_same(ours(hidden(), mask), theirs(hidden(), mask))
    assert theirs(hidden(), mask).isfinite().all()


same_attention = several(
    same_start({"channels": 6}, {"channels": 6, "heads": 3, "dropout": 0.1}),
    *(
        same_module(*inputs, channels=6, heads=heads)
        for inputs in ((hidden(),), (hidden(), MASK), (hidden(1),))
        for heads in (1, 2, 3)
        if inputs[0].shape[1] > 1
    ),
    same_mask_matters,
    same_dropout(hidden().float(), MASK, channels=6, heads=2, dropout=0.5),
)


def same_sasrec(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    """Sizes, first weights from the same seed, and the whole walk with all parameters random; long rows; dropout."""
    assert_same_signature(lesson, package)
    for method in ("embed", "score"):
        assert_same_signature(getattr(lesson, method), getattr(package, method))
    for sizes in ({}, {"channels": 6, "num_blocks": 3, "heads": 2, "max_length": 4, "dropout": 0.4}):
        started = []
        for kind in (lesson, package):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                started.append(kind(NUM_ITEMS, **sizes))
        assert isinstance(started[0], Backbone)
        assert started[0].sizes == started[1].sizes
        assert [name for name, _ in started[0].named_parameters()] == [
            name for name, _ in started[1].named_parameters()
        ]
        assert started[0].state_dict().keys() == started[1].state_dict().keys()
        for name, weights in started[1].state_dict().items():
            assert_same(started[0].state_dict()[name], weights)
        for dtype in DTYPES:
            theirs = randomise(package(NUM_ITEMS, **sizes)).to(dtype).eval()
            ours = lesson(NUM_ITEMS, **sizes).to(dtype).eval()
            ours.load_state_dict(theirs.state_dict())
            assert_same_walk(ours, theirs, items_of())
    dropped = []
    for kind in (lesson, package):
        model = randomise(kind(NUM_ITEMS, channels=6, dropout=0.5)).train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            dropped.append(model(items_of())[..., 1:])
    assert_same(*dropped)


COMPARISONS_BEYOND: dict[str, Comparison] = {
    "policy_gradient.block_drop_reward": same_reward({"miss": 0.0}, {"miss": 3.0}),
    "policy_gradient.published_reward": same_reward({"gamma": 0.3}, {"gamma": 2.0}),
    "policy_gradient.log_probability": same_log_probability,
    "policy_gradient.self_critical_loss": same_self_critical_loss,
    "backbones.AttentionBlock": same_attention,
    "backbones.SASRec": same_sasrec,
}
