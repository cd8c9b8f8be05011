"""What a reader can get wrong when calling the package: one clear line, at once, that names the value and the remedy.

Shape checks are off, as they are for a reader: the package itself has to notice.
"""

import dataclasses
import functools
import gzip
import io
import json
import math
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import fitted, histories_log, random_windows, tiny_split
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from skiprec_lite import (
    checkpoints,
    controls,
    enumeration,
    estimators,
    evaluation,
    gumbel,
    metrics,
    policy_gradient,
    skipping,
    synthetic,
)
from skiprec_lite.backbones import (
    NFM,
    AttentionBlock,
    MarkovChain,
    NextItNet,
    Popularity,
    ResidualNFM,
    SASRec,
    WindowCounter,
)
from skiprec_lite.blocks import CausalConv1d, ResidualBlock, receptive_field
from skiprec_lite.claims import claim
from skiprec_lite.datasets import Interactions
from skiprec_lite.gate_losses import SteeredCost, per_row
from skiprec_lite.lab import random_depth, running_products
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skipping import within_budget
from skiprec_lite.skiprec import SkipRec, recommend
from skiprec_lite.softmax import sampled
from skiprec_lite.splits import fewer_users, last_n, leave_one_out, sessions, user_sequences
from skiprec_lite.stages import Stage
from skiprec_lite.training import fit
from skiprec_lite.windows import Split, Windows, last_position, pad_left

pytestmark = pytest.mark.usefixtures("untyped")

NAN, INF = math.nan, math.inf
NUM_ITEMS = 10
LOGITS = torch.tensor([[0.5, -1.0, 0.0], [2.0, 0.0, 1.0]])
PAIRS = torch.tensor([[[0.5, -1.0], [0.0, 1.0]], [[2.0, 0.0], [1.0, 3.0]]])  # (batch, block, keep / skip)
ITEMS = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])
HIDDEN = torch.zeros(2, 4, 4)
GATES = torch.ones(2, 2)
WHERE = torch.ones(2, 4, dtype=torch.bool)
RANKS = torch.tensor([1, 3, 7])
USERS = torch.tensor([0.1, 0.2, 0.4])
SCORES = torch.zeros(2, 5)
SPLIT = tiny_split(users=6, num_items=NUM_ITEMS)


def net(**sizes: Any) -> NextItNet:
    return NextItNet(NUM_ITEMS, **{"channels": 4, "dilations": (1, 2), **sizes})


def skiprec(**settings: Any) -> SkipRec:
    return SkipRec(net(), PolicyNetwork(NUM_ITEMS, 2, channels=4), **settings).eval()


def cases() -> Windows:
    return random_windows((3, 5), 5, NUM_ITEMS)


def changed(**parts: Any) -> Windows:
    return dataclasses.replace(cases(), **parts)


def trained(model: Any = None, given: Any = None, **settings: Any) -> object:
    settings = {"epochs": 1, "batch_size": 8, **settings}
    return fitted(net() if model is None else model, SPLIT if given is None else given, **settings)


def table(**columns: Any) -> Interactions:
    """Two users of five items each, with these columns in place of the right ones; None takes one away."""
    right = {"user": [0] * 5 + [1] * 5, "item": [*range(1, 6)] * 2, "timestamp": [*range(10)]}
    names = ("1", "2", "3", "4", "5")
    kept = {name: values for name, values in (right | columns).items() if values is not None}
    return Interactions(pd.DataFrame(kept), user_ids=("a", "b"), item_ids=names, titles=names)


def each_row(gates: Tensor) -> Tensor:
    return gates.sum(dim=1)


def wrong(table: dict[str, tuple[Callable[[], object], type[Exception], tuple[str, ...]]]) -> list[Any]:
    return [pytest.param(*row, id=name) for name, row in table.items()]


T, V = TypeError, ValueError


def sizes_of(make: Callable[..., object], name: str, *, least: int = 1) -> dict[str, Any]:
    """One size that is too small, broken, a text and a bool."""
    what = getattr(make, "__name__", "size")
    small = {
        f"{what}: {name} {v}": (lambda v=v: make(**{name: v}), V, (name, str(least), str(v))) for v in (least - 1, -3)
    }
    odd = {
        f"{what}: {name} {v!r}": (lambda v=v: make(**{name: v}), T, (name, "whole number", repr(v)))
        for v in (2.5, "4", True, None)
    }
    return small | odd


def numbers_of(make: Callable[..., object], name: str, *values: float, wanted: str) -> dict[str, Any]:
    """Numbers that are out of range, and what is no number."""
    what = getattr(make, "__name__", "number")
    out = {f"{what}: {name} {v}": (lambda v=v: make(**{name: v}), V, (name, wanted, str(v))) for v in values}
    odd = {
        f"{what}: {name} {v!r}": (lambda v=v: make(**{name: v}), T, (name, "number", repr(v)))
        for v in ("0.5", None, True)
    }
    return out | odd


def temperature(tau: object) -> object:
    return gumbel.gumbel_softmax(LOGITS, tau)


def straight_through(samples: object) -> object:
    return estimators.straight_through(LOGITS[0], each_row, samples, tau=1.0)


def draw_gates(samples: object) -> object:
    return estimators.draw_gates(LOGITS[0], samples)


def logits_of(name: str, call: Callable[[Any], object], right: Tensor = LOGITS) -> dict[str, Any]:
    whole = torch.zeros(right.shape, dtype=torch.int64)
    none_left = right.clone()
    none_left[..., :] = -INF
    return {
        f"{name}: logits in a list": (lambda: call(right.tolist()), T, ("logits", "tensor", "list")),
        f"{name}: logits of numpy": (lambda: call(right.numpy()), T, ("logits", "tensor", "numpy array")),
        f"{name}: whole logits": (lambda: call(whole), T, ("logits", "floating point", "int64")),
        f"{name}: NaN": (lambda: call(right.clone().index_fill_(0, torch.tensor(0), NAN)), V, ("logits", "NaN")),
        f"{name}: +inf": (lambda: call(right.clone().index_fill_(0, torch.tensor(0), INF)), V, ("logits", "inf")),
        f"{name}: only -inf": (lambda: call(none_left), V, ("logits", "-inf")),
    }


def named(name: str, function: Callable[..., object], *given: object, **settings: object) -> Callable[..., object]:
    """The function under a short name, with these arguments given; more come by name."""

    def call(**more: object) -> object:
        return function(*given, **{**settings, **more})

    call.__name__ = name
    return call


NOISE = {
    "noise: a dtype by name": (
        lambda: gumbel.sample_gumbel((2,), dtype="float32"),
        T,
        ("dtype", "torch.float32", "str"),
    ),
    "noise: whole numbers": (lambda: gumbel.sample_gumbel((2,), dtype=torch.int64), T, ("floating point", "int64")),
    "noise: a shape without brackets": (lambda: gumbel.sample_gumbel(5), T, ("shape", "whole numbers", "int 5")),
    "noise: half a row": (lambda: gumbel.sample_gumbel((2.5, 2)), T, ("shape", "whole number", "2.5")),
    "noise: minus two rows": (lambda: gumbel.sample_gumbel((-2, 2)), V, ("shape", "at least 0", "-2")),
    "noise: a seed as generator": (lambda: gumbel.sample_gumbel((2,), generator=3), T, ("torch.Generator", "int 3")),
    "max: a seed as generator": (lambda: gumbel.gumbel_max(LOGITS, generator=3), T, ("torch.Generator", "int 3")),
    "max: a single number": (lambda: gumbel.gumbel_max(torch.tensor(1.0)), V, ("logits", "classes", "()")),
    "softmax: hard as a text": (lambda: gumbel.gumbel_softmax(LOGITS, hard="no"), T, ("hard", "True or False", "'no'")),
    "softmax: a row of temperatures": (lambda: temperature(torch.ones(2)), T, ("tau", "number", "shape (2,)")),
    **numbers_of(temperature, "tau", 0.0, -1.0, NAN, INF, -INF, wanted="finite number above 0"),
    **logits_of("max", gumbel.gumbel_max),
    **logits_of("softmax", gumbel.gumbel_softmax),
}


def mean_loss(gates: Tensor) -> Tensor:
    return gates.sum(dim=1).mean()


def column_loss(gates: Tensor) -> Tensor:
    return gates.sum(dim=1, keepdim=True)


ROW = LOGITS[0]
ESTIMATORS = {
    "exact: logits of two axes": (
        lambda: estimators.exact_gradient(LOGITS, each_row),
        V,
        ("logits", "(gate,)", "(2, 3)"),
    ),
    "exact: logits in a list": (lambda: estimators.exact_gradient([0.5], each_row), T, ("logits", "tensor", "list")),
    "exact: whole logits": (lambda: estimators.exact_gradient(torch.ones(2).long(), each_row), T, ("logits", "int64")),
    "exact: NaN": (lambda: estimators.exact_gradient(torch.tensor([NAN]), each_row), V, ("logits", "NaN")),
    "exact: no gate": (lambda: estimators.exact_gradient(torch.ones(0), each_row), V, ("at least one gate", "[]")),
    "exact: 17 gates": (lambda: estimators.exact_gradient(torch.ones(17), each_row), V, ("16", "17")),
    "exact: no function": (lambda: estimators.exact_gradient(ROW, 0.3), T, ("loss", "function", "0.3")),
    "exact: one number for all rows": (lambda: estimators.exact_gradient(ROW, mean_loss), V, ("loss", "per row", "()")),
    "reinforce: a column": (lambda: estimators.reinforce(ROW, column_loss, 4), V, ("loss", "(4,)", "(4, 1)")),
    "difference: a plain number": (lambda: estimators.difference(ROW, lambda z: 0.0, 4), V, ("loss", "(4,)", "0.0")),
    "relaxed: one number for all rows": (
        lambda: estimators.relaxed(ROW, mean_loss, 4, tau=1.0),
        V,
        ("loss", "(4,)", "()"),
    ),
    "identity: one number for all rows": (
        lambda: estimators.identity_straight_through(ROW, mean_loss, 4),
        V,
        ("loss", "(4,)", "()"),
    ),
    "relaxed: tau 0": (lambda: estimators.relaxed(ROW, each_row, 4, tau=0.0), V, ("tau", "above 0", "0.0")),
    "draw: a seed as generator": (lambda: estimators.draw_gates(ROW, 4, generator=3), T, ("torch.Generator", "int 3")),
    **sizes_of(straight_through, "samples"),
    **sizes_of(draw_gates, "samples"),
}

WITH_NAN = SCORES.clone().fill_(NAN)
METRICS = {
    "ranks of scores in a list": (lambda: metrics.rank_of_target([[0.0]], RANKS), T, ("scores", "tensor", "list")),
    "ranks of numpy scores": (lambda: metrics.rank_of_target(SCORES.numpy(), RANKS[:2]), T, ("scores", "numpy array")),
    "ranks of complex scores": (lambda: metrics.rank_of_target(SCORES + 1j, RANKS[:2]), T, ("scores", "complex64")),
    "ranks of NaN": (lambda: metrics.rank_of_target(WITH_NAN, RANKS[:2]), V, ("scores", "NaN")),
    "ranks for float targets": (
        lambda: metrics.rank_of_target(SCORES, torch.ones(2)),
        T,
        ("targets", "whole", "float32"),
    ),
    "ranks for targets in a list": (lambda: metrics.rank_of_target(SCORES, [1, 2]), T, ("targets", "tensor", "list")),
    "ranks for other rows": (lambda: metrics.rank_of_target(SCORES, RANKS), V, ("targets", "(2,)", "(3,)")),
    "rank of the padding": (
        lambda: metrics.rank_of_target(SCORES, torch.tensor([0, 1])),
        V,
        ("targets", "1 ... 4", "0"),
    ),
    "rank of an unknown item": (lambda: metrics.rank_of_target(SCORES, torch.tensor([1, 5])), V, ("1 ... 4", "5")),
    "hit rate of a list": (lambda: metrics.hit_rate([1, 2], 5), T, ("ranks", "tensor", "list [1, 2]")),
    "mrr of float ranks": (lambda: metrics.mrr(RANKS.float(), 5), T, ("ranks", "whole numbers", "float32")),
    "ndcg of rank 0": (lambda: metrics.ndcg(torch.tensor([0, 1]), 5), V, ("ranks", "1", "0")),
    **sizes_of(named("hit rate", metrics.hit_rate, RANKS), "k"),
    **sizes_of(named("ndcg", metrics.ndcg, RANKS), "k"),
    "error of one user": (lambda: metrics.mean_and_error(USERS[:1]), V, ("two users", "1")),
    "error of a list": (lambda: metrics.mean_and_error([0.1, 0.2]), T, ("per_user", "tensor", "list")),
    "error of whole numbers": (lambda: metrics.mean_and_error(RANKS), T, ("per_user", "floating point", "int64")),
    "error of a table": (lambda: metrics.mean_and_error(SCORES), V, ("per_user", "(users,)", "(2, 5)")),
    "error of NaN": (lambda: metrics.mean_and_error(torch.tensor([0.1, NAN])), V, ("per_user", "NaN", "1 among 2")),
    "difference of other users": (lambda: metrics.paired_difference(USERS, USERS[:2]), V, ("second", "(3,)", "(2,)")),
    "difference of numpy": (lambda: metrics.paired_difference(USERS, USERS.numpy()), T, ("second", "numpy array")),
    "difference of a column": (
        lambda: metrics.paired_difference(USERS, USERS[:, None]),
        V,
        ("second", "(3,)", "(3, 1)"),
    ),
}

BLOCKS = {
    **sizes_of(named("conv", CausalConv1d), "channels"),
    **sizes_of(named("conv", CausalConv1d, 4), "kernel_size"),
    **sizes_of(named("conv", CausalConv1d, 4), "dilation"),
    **numbers_of(named("block", ResidualBlock, 4), "dropout", 1.5, -0.1, NAN, wanted="0 ... 1"),
    **numbers_of(named("attention", AttentionBlock, 4), "dropout", 1.5, NAN, wanted="0 ... 1"),
    **sizes_of(named("attention", AttentionBlock, 4), "heads"),
    "attention: no channel": (lambda: AttentionBlock(0), V, ("channels", "at least 1", "0")),
    "attention: 3 heads for 4 channels": (lambda: AttentionBlock(4, 3), V, ("heads", "divide channels", "3 and 4")),
    "block: ReZero as a text": (lambda: ResidualBlock(4, rezero="no"), T, ("rezero", "True or False", "'no'")),
    "conv reads one sequence": (lambda: CausalConv1d(4)(HIDDEN[0]), V, ("hidden", "batch, time", "(4, 4)")),
    "conv reads another width": (lambda: CausalConv1d(3)(HIDDEN), V, ("hidden", "time, 3", "(2, 4, 4)")),
    "conv reads whole numbers": (lambda: CausalConv1d(4)(HIDDEN.long()), T, ("hidden", "floating point", "int64")),
    "conv reads a list": (lambda: CausalConv1d(4)(HIDDEN.tolist()), T, ("hidden", "tensor", "list")),
    "block reads another width": (lambda: ResidualBlock(3)(HIDDEN), V, ("hidden", "time, 3", "(2, 4, 4)")),
    "block: mask of other rows": (lambda: ResidualBlock(4)(HIDDEN, WHERE[:1]), V, ("mask", "(2, 4)", "(1, 4)")),
    "block: mask of numbers": (lambda: ResidualBlock(4)(HIDDEN, ITEMS), T, ("mask", "bools", "int64")),
    "attention: mask of numbers": (lambda: AttentionBlock(4)(HIDDEN, ITEMS), T, ("mask", "bools", "int64")),
    "attention reads another width": (lambda: AttentionBlock(3)(HIDDEN), V, ("hidden", "time, 3", "(2, 4, 4)")),
    "reach of dilation 0": (lambda: receptive_field((1, 0)), V, ("dilations", "at least 1", "0")),
    "reach of half a dilation": (lambda: receptive_field((1.5,)), T, ("dilations", "whole number", "1.5")),
    "reach of one number": (lambda: receptive_field(4), T, ("dilations", "such as (1, 4)", "int 4")),
    "reach of a text": (lambda: receptive_field("14"), T, ("dilations", "such as (1, 4)", "'14'")),
    "reach of kernel 0": (lambda: receptive_field((1,), 0), V, ("kernel_size", "at least 1", "0")),
}


def items_of(name: str, call: Callable[[Any], object]) -> dict[str, Any]:
    outside, below = ITEMS.clone(), ITEMS.clone()
    outside[1, 2], below[1, 2] = 11, -1
    return {
        f"{name}: items in a list": (lambda: call(ITEMS.tolist()), T, ("items", "tensor", "list")),
        f"{name}: items of numpy": (lambda: call(ITEMS.numpy()), T, ("items", "tensor", "numpy array")),
        f"{name}: float items": (lambda: call(ITEMS.float()), T, ("items", "whole numbers", "float32")),
        f"{name}: bools": (lambda: call(ITEMS > 0), T, ("items", "whole numbers", "bool")),
        f"{name}: one history": (lambda: call(ITEMS[0]), V, ("items", "(batch, time)", "(4,)")),
        f"{name}: three axes": (lambda: call(ITEMS[None]), V, ("items", "(batch, time)", "(1, 2, 4)")),
        f"{name}: an unknown item": (lambda: call(outside), V, ("items", "0 ... 10", "11")),
        f"{name}: item -1": (lambda: call(below), V, ("items", "0 ... 10", "-1")),
    }


BACKBONES = {
    **sizes_of(named("NextItNet", NextItNet), "num_items"),
    **sizes_of(named("NextItNet", NextItNet, 10), "channels"),
    **sizes_of(named("NextItNet", NextItNet, 10), "kernel_size"),
    **sizes_of(named("SASRec", SASRec, 10), "num_blocks"),
    **sizes_of(named("SASRec", SASRec, 10), "max_length"),
    **sizes_of(named("SASRec", SASRec, 10), "channels"),
    **sizes_of(named("NFM", NFM, 10), "hidden_layers", least=0),
    **sizes_of(named("NFM", NFM, 10), "channels"),
    **numbers_of(named("NextItNet", NextItNet, 10), "dropout", 1.5, -0.1, NAN, wanted="0 ... 1"),
    **numbers_of(named("NextItNet", NextItNet, 10), "embedding_dropout", 1.5, wanted="0 ... 1"),
    **numbers_of(named("SASRec", SASRec, 10), "dropout", 1.5, NAN, wanted="0 ... 1"),
    **numbers_of(named("NFM", NFM, 10), "dropout", -0.1, wanted="0 ... 1"),
    **sizes_of(named("residual NFM", ResidualNFM, 10), "hidden_layers", least=0),
    **numbers_of(named("residual NFM", ResidualNFM, 10), "embedding_dropout", 1.5, wanted="0 ... 1"),
    "NextItNet: one dilation without brackets": (lambda: net(dilations=3), T, ("dilations", "such as (1, 4)", "int 3")),
    "NextItNet: dilation 0": (lambda: net(dilations=(1, 0)), V, ("dilations", "at least 1", "0")),
    "NextItNet: dilation -4": (lambda: net(dilations=(1, -4)), V, ("dilations", "at least 1", "-4")),
    "NextItNet: dilation 1.5": (lambda: net(dilations=(1, 1.5)), T, ("dilations", "whole number", "1.5")),
    "NextItNet: dilations as a text": (lambda: net(dilations="14"), T, ("dilations", "such as (1, 4)", "'14'")),
    "NextItNet: ReZero as a text": (lambda: net(rezero="no"), T, ("rezero", "True or False", "'no'")),
    "NextItNet: tied as a text": (lambda: net(tied="no"), T, ("tied", "True or False", "'no'")),
    "SASRec: 3 heads for 64 channels": (lambda: SASRec(10, heads=3), V, ("heads", "divide channels", "3 and 64")),
    **items_of("NextItNet", lambda items: net()(items)),
    **items_of("SASRec", lambda items: SASRec(NUM_ITEMS, channels=4)(items)),
    **items_of("NFM", lambda items: NFM(NUM_ITEMS, channels=4)(items)),
    **items_of("residual NFM", lambda items: ResidualNFM(NUM_ITEMS, channels=4)(items)),
    **items_of("Popularity", lambda items: Popularity(SPLIT)(items)),
    **items_of("MarkovChain", lambda items: MarkovChain(SPLIT)(items)),
    **items_of("WindowCounter", lambda items: WindowCounter(SPLIT)(items)),
    "gates of other blocks": (lambda: net()(ITEMS, torch.ones(2, 3)), V, ("gates", "(2, 2)", "(2, 3)")),
    "gates of other rows": (lambda: net()(ITEMS, torch.ones(1, 2)), V, ("gates", "(2, 2)", "(1, 2)")),
    "gates of one axis": (lambda: net()(ITEMS, torch.ones(2)), V, ("gates", "(2, 2)", "(2,)")),
    "gates in a list": (lambda: net()(ITEMS, [[1, 0], [0, 1]]), T, ("gates", "tensor", "list")),
    "gates of NaN": (lambda: net()(ITEMS, torch.full((2, 2), NAN)), V, ("gates", "NaN", "4 among 4")),
    "NextItNet scores another width": (lambda: net().score(torch.ones(2, 5)), V, ("hidden", "4)", "(2, 5)")),
    "SASRec scores another width": (lambda: SASRec(10).score(torch.ones(2, 5)), V, ("hidden", "64)", "(2, 5)")),
    "NFM scores another width": (lambda: NFM(10).score(torch.ones(2, 5)), V, ("hidden", "64)", "(2, 5)")),
    "NextItNet scores a list": (lambda: net().score([[0.0] * 4]), T, ("hidden", "tensor", "list")),
    "positions by index": (lambda: net().score_at(ITEMS, torch.tensor([0, 1])), T, ("where", "bools", "int64")),
    "positions of other rows": (lambda: net().score_at(ITEMS, WHERE[:1]), V, ("where", "(2, 4)", "(1, 4)")),
    "positions in a list": (lambda: Popularity(SPLIT).score_at(ITEMS, WHERE.tolist()), T, ("where", "bools", "list")),
    "last of no position": (lambda: last_position(ITEMS[:, :0]), V, ("items", "at least one position", "(2, 0)")),
    "last of a list": (lambda: last_position([[1, 2]]), T, ("items", "tensor", "list")),
    "Popularity of windows": (lambda: Popularity(SPLIT.train), T, ("split", "a Split", "Windows")),
    "Popularity of a number": (lambda: Popularity(10), T, ("split", "a Split", "int 10")),
    "Popularity of nothing": (
        lambda: Popularity(dataclasses.replace(SPLIT, sequences=())),
        V,
        ("split.sequences", "no item"),
    ),
    "Popularity of more items than it is told": (
        lambda: Popularity(dataclasses.replace(SPLIT, num_items=4)),
        V,
        ("split.sequences", "1 ... 4", "10"),
    ),
    "MarkovChain of a table": (lambda: MarkovChain(table()), T, ("split", "a Split", "Interactions")),
    **numbers_of(named("Markov", MarkovChain, SPLIT), "strength", 0.0, -1.0, NAN, INF, wanted="above 0"),
    **sizes_of(named("counter", WindowCounter, SPLIT), "reach"),
    **sizes_of(named("counter", WindowCounter, SPLIT), "last"),
    **numbers_of(named("counter", WindowCounter, SPLIT), "damp", -1.0, NAN, INF, wanted="at least 0"),
    **numbers_of(named("counter", WindowCounter, SPLIT), "fade", -1.0, NAN, INF, wanted="at least 0"),
}

POLICY = {
    **sizes_of(named("policy", PolicyNetwork, num_blocks=2), "num_items"),
    **sizes_of(named("policy", PolicyNetwork, 10), "num_blocks"),
    **sizes_of(named("policy", PolicyNetwork, 10, 2), "channels"),
    "policy: embedding_channels 0": (
        lambda: PolicyNetwork(10, 2, embedding_channels=0),
        V,
        ("channels", "at least 1", "0"),
    ),
    "policy: another encoder": (lambda: PolicyNetwork(10, 2, encoder="lstm"), V, ("'conv' or 'gru'", "'lstm'")),
    "policy: another pool": (lambda: PolicyNetwork(10, 2, pool="max"), V, ("'mean', 'inner' or 'last'", "'max'")),
    "policy: dilation 0": (lambda: PolicyNetwork(10, 2, dilations=(0,)), V, ("dilations", "at least 1", "0")),
    "policy: dilations that run out": (lambda: PolicyNetwork(10, 2, dilations=iter((1,))), T, ("dilations", "(1, 4)")),
    **numbers_of(named("policy", PolicyNetwork, 10, 2), "keep_bias", NAN, INF, wanted="finite"),
    **items_of("policy", lambda items: PolicyNetwork(NUM_ITEMS, 2)(items)),
    "policy: an empty history": (lambda: PolicyNetwork(10, 2)(ITEMS * 0), V, ("no item", "empty history")),
    "policy: no position": (lambda: PolicyNetwork(10, 2)(ITEMS[:, :0]), V, ("no item", "empty history")),
}


def cut(value: Any) -> object:
    return skiprec().forward(ITEMS, value)


def recommended(histories: Any, **settings: Any) -> object:
    return recommend(net(), histories, **{"k": 3, **settings})


SKIPREC = {
    **numbers_of(named("SkipRec", skiprec), "tau", 0.0, -1.0, NAN, INF, wanted="above 0"),
    "SkipRec: the two exchanged": (
        lambda: SkipRec(PolicyNetwork(10, 2), net()),
        T,
        ("backbone", "residual blocks", "PolicyNetwork"),
    ),
    "SkipRec: a class": (lambda: SkipRec(NextItNet, PolicyNetwork(10, 2)), T, ("backbone", "the class NextItNet")),
    "SkipRec: no policy": (lambda: SkipRec(net(), None), T, ("policy", "PolicyNetwork", "None")),
    "SkipRec: policy of other blocks": (lambda: SkipRec(net(), PolicyNetwork(10, 3)), V, ("3 blocks", "2")),
    "SkipRec: policy of other items": (lambda: SkipRec(net(), PolicyNetwork(9, 2)), V, ("9 items", "10")),
    **items_of("SkipRec", lambda items: skiprec()(items)),
    **items_of("SkipRec with a cut", lambda items: skiprec()(items, torch.tensor([2, 2]))),
    "an empty history": (lambda: skiprec()(torch.tensor([[0, 0], [0, 3]])), V, ("no item", "empty history")),
    "a history that is empty up to its cut": (lambda: cut(torch.tensor([0, 3])), V, ("no item", "empty history")),
    "cut in a list": (lambda: cut([1, 2]), T, ("cut", "tensor", "list")),
    "cut of floats": (lambda: cut(torch.tensor([1.0, 2.0])), T, ("cut", "whole numbers", "float32")),
    "cut of one number": (lambda: cut(2), T, ("cut", "tensor", "int 2")),
    "cut of other rows": (lambda: cut(torch.tensor([1])), V, ("cut", "(2,)", "(1,)")),
    "cut as a column": (lambda: cut(torch.tensor([[1], [2]])), V, ("cut", "(2,)", "(2, 1)")),
    "cut behind the end": (lambda: cut(torch.tensor([1, 4])), V, ("cut", "0 ... 3", "4")),
    "cut before the start": (lambda: cut(torch.tensor([-1, 3])), V, ("cut", "0 ... 3", "-1")),
    "score before the cut": (lambda: skiprec().score_at(ITEMS, WHERE), V, ("before the cut",)),
    "score at indices": (lambda: skiprec().score_at(ITEMS, ITEMS), T, ("where", "bools", "int64")),
    "score with gates of other blocks": (
        lambda: skiprec().score_at(ITEMS, last_position(ITEMS), gates=torch.ones(2, 3)),
        V,
        ("gates", "(2, 2)", "(2, 3)"),
    ),
    "half a gate": (lambda: skiprec().skip_blocks(ITEMS, GATES / 2), V, ("gates", "0 or 1")),
    "a gate of NaN": (lambda: skiprec().skip_blocks(ITEMS, GATES * NAN), V, ("gates", "NaN")),
    "gates of numpy": (lambda: skiprec().skip_blocks(ITEMS, GATES.numpy()), T, ("gates", "tensor", "numpy array")),
    "gates for one history": (lambda: skiprec().skip_blocks(ITEMS, GATES[0]), V, ("gates", "(2, 2)", "(2,)")),
    **logits_of("decide", lambda logits: skiprec().decide(logits, sample=False), PAIRS),
    **logits_of("sample", lambda logits: skiprec().decide(logits, sample=True), PAIRS),
    **logits_of("budget", lambda logits: within_budget(logits, 1), PAIRS),
    "budget: three choices": (lambda: within_budget(LOGITS[None], 1), V, ("logits", "block, 2", "(1, 2, 3)")),
    "budget: one row": (lambda: within_budget(PAIRS[0], 1), V, ("logits", "block, 2", "(2, 2)")),
    **sizes_of(named("budget", within_budget, PAIRS), "k", least=0),
    **sizes_of(named("recommend", recommended, [[1, 2]]), "k"),
    **sizes_of(named("recommend", recommended, [[1, 2]]), "length"),
    **sizes_of(named("recommend", recommended, [[1, 2]]), "batch_size"),
    "recommend: more than there are": (lambda: recommended([[1, 2]], k=9), V, ("k", "at most 8", "9")),
    "recommend: an empty history": (lambda: recommended([[1], []]), V, ("history 1", "empty", "at least one")),
    "recommend: padding in a history": (lambda: recommended([[1, 0]]), V, ("history 0", "item 0", "from 1")),
    "recommend: item -2": (lambda: recommended([[1, -2]]), V, ("history 0", "item -2", "from 1")),
    "recommend: an unknown item": (lambda: recommended([[1, 11]]), V, ("items", "10", "11")),
    "recommend: an unknown item, seen ones included": (
        lambda: recommended([[1, 11]], exclude_seen=False),
        V,
        ("items", "10", "11"),
    ),
    "recommend: an unknown item long ago": (
        lambda: recommended([[11, 1, 2]], length=2, exclude_seen=False),
        V,
        ("items", "1 ... 10", "11"),
    ),
    "recommend: half an item": (lambda: recommended([[1, 2.5]]), T, ("history 0", "whole numbers", "2.5")),
    "recommend: NaN": (lambda: recommended([[1, NAN]]), T, ("history 0", "whole numbers", "nan")),
    "recommend: a title": (lambda: recommended([[1], ["Toy Story"]]), T, ("history 1", "whole numbers", "Toy Story")),
    "recommend: no history": (lambda: recommended([[1], None]), T, ("history 1", "whole numbers", "None")),
    "recommend: one history without brackets": (lambda: recommended([1, 2]), T, ("history 0", "row of", "int 1")),
    "recommend: a history of histories": (lambda: recommended([[[1, 2]]]), T, ("history 0", "row of", "[[1, 2]]")),
    "recommend: a number": (lambda: recommended(3), T, ("histories", "[[3, 1, 2]]", "int 3")),
    "recommend: a text": (lambda: recommended("12"), T, ("history 0", "row of", "'1'")),
    "recommend: no model": (lambda: recommend("net", [[1]], 3), T, ("model", "backbone", "'net'")),
    "recommend: a class": (lambda: recommend(NextItNet, [[1]], 3), T, ("model", "the class NextItNet")),
    "recommend: exclude as a text": (lambda: recommended([[1]], exclude_seen="no"), T, ("exclude_seen", "'no'")),
}

LOG = histories_log([[*range(1, 9)]] * 3, 8)
SPLITS = {
    **sizes_of(named("leave one out", leave_one_out, LOG), "length"),
    **sizes_of(named("last n", last_n, LOG), "n"),
    **sizes_of(named("last n", last_n, LOG, n=1), "length"),
    **sizes_of(named("sessions", sessions, LOG), "length", least=3),
    **sizes_of(named("pad left", pad_left, [[1, 2]]), "length"),
    "split of a path": (lambda: leave_one_out("u.data"), T, ("interactions", "load_movielens", "'u.data'")),
    "split of a bare table": (lambda: leave_one_out(LOG.table), T, ("interactions", "load_movielens", "DataFrame")),
    "sequences of nothing": (lambda: user_sequences(None), T, ("interactions", "load_movielens", "None")),
    **numbers_of(named("fewer users", fewer_users, SPLIT), "share", -0.1, 1.5, wanted="0 ... 1"),
    "fewer users of a log": (lambda: fewer_users(LOG, 0.5), T, ("split", "Interactions")),
    "too short for n": (lambda: last_n(LOG, 4), V, ("no user", "8 items")),
    "too short for sessions": (lambda: sessions(LOG, 7), V, ("no user", "three sessions", "7")),
    "no item column": (lambda: leave_one_out(table(item=None)), V, ("item", "found user, timestamp")),
    "item 0": (lambda: leave_one_out(table(item=[0] * 10)), V, ("item", "1 ... 5", "0")),
    "item 6 of 5": (lambda: leave_one_out(table(item=[6] * 10)), V, ("item", "1 ... 5", "6")),
    "float items": (lambda: leave_one_out(table(item=[1.5] * 10)), T, ("item", "whole numbers", "float64")),
    "user 2 of 2": (lambda: leave_one_out(table(user=[2] * 10)), V, ("user", "0 ... 1", "2")),
    "a timestamp of NaN": (lambda: leave_one_out(table(timestamp=[NAN] * 10)), V, ("timestamp", "NaN", "10 of 10")),
    "timestamps as text": (lambda: leave_one_out(table(timestamp=["9"] * 10)), T, ("timestamp", "numbers")),
    "pad half items": (lambda: pad_left([[1.5, 2.0]], 4), T, ("sequence 0", "whole numbers", "1.5")),
    "pad numpy floats": (lambda: pad_left([np.array([1.0])], 4), T, ("sequence 0", "whole numbers", "float64")),
    "pad titles": (lambda: pad_left([["Toy Story"]], 4), T, ("sequence 0", "whole numbers", "Toy Story")),
    "pad one sequence without brackets": (lambda: pad_left([1, 2], 4), T, ("sequence 0", "row of", "int 1")),
    "pad ragged rows": (lambda: pad_left([[1, [2, 3]]], 4), T, ("sequence 0", "row of", "[1, [2, 3]]")),
    "pad a number": (lambda: pad_left(3, 4), T, ("sequences", "[[3, 1, 2]]", "int 3")),
}

RULES = np.zeros((2, 4), dtype=np.int64)


def drawn(rng: Any = None, lags: Any = (0, 1), rules: Any = RULES, **settings: Any) -> object:
    settings = {"length": 6, "noise": 0.1, "shared_items": False, **settings}
    return synthetic.draw_sequences(rng or np.random.default_rng(0), lags, rules, 2, **settings)


known = named("world", synthetic.users_of_known_depth)
SYNTHETIC = {
    **sizes_of(known, "items_per_group", least=2),
    **sizes_of(known, "users_per_group"),
    **sizes_of(known, "length"),
    **sizes_of(known, "curriculum_epochs", least=0),
    **sizes_of(known, "seed", least=0),
    **numbers_of(known, "noise", 1.5, -0.1, NAN, wanted="0 ... 1"),
    "world: nobody to test": (lambda: known(test_users_per_group=0), V, ("test_users_per_group", "at least 1", "0")),
    "world: no lag": (lambda: known(lags=()), V, ("lags", "at least one", "()")),
    "world: lag -1": (lambda: known(lags=(-1,)), V, ("lags", "at least 0", "-1")),
    "world: a lag longer than the window": (lambda: known(lags=(49,)), V, ("lags", "0 ... 48", "49")),
    "world: half a lag": (lambda: known(lags=(1.5,)), T, ("lags", "whole number", "1.5")),
    "world: one lag without brackets": (lambda: known(lags=6), T, ("lags", "row of", "int 6")),
    "world: shared as a text": (lambda: known(shared_items="no"), T, ("shared_items", "True or False", "'no'")),
    "world: a draw by name": (lambda: known().draw("first"), T, ("seed", "whole number", "'first'")),
    "world: a draw below 0": (lambda: known().draw(-1), V, ("seed", "0", "-1")),
    "world: epoch -1": (lambda: known().fresh(-1), V, ("epoch", "at least 0", "-1")),
    "draw: a seed for a generator": (lambda: drawn(rng=3), T, ("rng", "numpy.random.Generator", "int 3")),
    "draw: fewer lags than rules": (lambda: drawn(lags=(0,)), V, ("rules", "(1, items_per_group)", "(2, 4)")),
    "draw: one rule without brackets": (lambda: drawn(rules=RULES[0]), V, ("rules", "(2, items_per_group)", "(4,)")),
    "draw: rules of floats": (lambda: drawn(rules=RULES * 1.0), V, ("rules", "whole numbers", "float64")),
    "draw: noise of NaN": (lambda: drawn(noise=NAN), V, ("noise", "0 ... 1", "nan")),
    **sizes_of(named("products", running_products.RunningProducts), "length"),
    **sizes_of(named("products", running_products.RunningProducts), "users"),
    **sizes_of(named("products", running_products.RunningProducts), "seed", least=0),
    **numbers_of(named("products", running_products.RunningProducts), "marker", 1.5, NAN, wanted="0 ... 1"),
    "steps: no marker first": (lambda: running_products.steps_since_marker(ITEMS), V, ("marker", "item 1", "[0, 4]")),
    "steps: one row": (lambda: running_products.steps_since_marker(ITEMS[0]), V, ("items", "(batch, time)", "(4,)")),
}

EVALUATION = {
    "rank: no model": (lambda: evaluation.rank_cases(None, cases()), T, ("model", "backbone", "None")),
    "rank: a split": (lambda: evaluation.rank_cases(net(), SPLIT), T, ("cases", "split.test", "Split")),
    "rank: a tensor": (lambda: evaluation.rank_cases(net(), ITEMS), T, ("cases", "split.test", "tensor")),
    "rank: float items": (
        lambda: evaluation.rank_cases(net(), changed(items=USERS)),
        T,
        ("cases.items", "whole", "float32"),
    ),
    "rank: targets of other rows": (
        lambda: evaluation.rank_cases(net(), changed(targets=ITEMS[:1])),
        V,
        ("cases.targets", "(2, 5)", "(1, 4)"),
    ),
    "rank: cut of other rows": (
        lambda: evaluation.rank_cases(net(), changed(cut=RANKS)),
        V,
        ("cases.cut", "(2,)", "(3,)"),
    ),
    "rank: users of other rows": (
        lambda: evaluation.rank_cases(net(), changed(users=RANKS)),
        V,
        ("cases.users", "(2,)", "(3,)"),
    ),
    "rank: items that the model does not know": (
        lambda: evaluation.rank_cases(NextItNet(3), cases()),
        V,
        ("items", "0 ... 3", "10"),
    ),
    "rank: a target that the model does not know": (
        lambda: evaluation.rank_cases(net(), changed(targets=cases().targets * 11)),
        V,
        ("targets", "1 ... 10"),
    ),
    "rank: gates of other rows": (
        lambda: evaluation.rank_cases(skiprec(), cases(), gates=torch.ones(3, 2)),
        V,
        ("gates", "(2, 2)", "(3, 2)"),
    ),
    "rank: gates in a list": (
        lambda: evaluation.rank_cases(skiprec(), cases(), gates=[[1, 0]] * 2),
        T,
        ("gates", "tensor", "list"),
    ),
    "rank: gates for a model without": (
        lambda: evaluation.rank_cases(net(), cases(), gates=GATES),
        T,
        ("only a SkipRec", "NextItNet"),
    ),
    "rank: exclude as a text": (
        lambda: evaluation.rank_cases(net(), cases(), exclude_seen="no"),
        T,
        ("exclude_seen", "'no'"),
    ),
    **sizes_of(named("rank", evaluation.rank_cases, net(), cases()), "batch_size"),
    "evaluate: no case": (lambda: evaluation.evaluate(net(), cases().rows(slice(0, 0))), V, ("no case",)),
    "evaluate: k 0": (lambda: evaluation.evaluate(net(), cases(), (5, 0)), V, ("k must", "at least 1", "0")),
    "evaluate: k 2.5": (lambda: evaluation.evaluate(net(), cases(), (2.5,)), T, ("k must", "whole number", "2.5")),
    "evaluate: one k without brackets": (
        lambda: evaluation.evaluate(net(), cases(), 10),
        T,
        ("ks", "row of", "int 10"),
    ),
    "evaluate: no k": (lambda: evaluation.evaluate(net(), cases(), ()), V, ("ks", "such as (5, 10, 20)", "none")),
    "evaluate: ks in a text": (lambda: evaluation.evaluate(net(), cases(), "5"), T, ("ks", "row of", "'5'")),
    "summary: a list": (lambda: evaluation.summarise([1, 2]), T, ("ranks", "tensor", "list")),
    "summary: no rank": (lambda: evaluation.summarise(RANKS[:0]), V, ("no case",)),
    "per user: other cases": (lambda: evaluation.mean_per_user(USERS, cases()), V, ("values", "(8,)", "(3,)")),
    "per user: a list": (lambda: evaluation.mean_per_user([0.5], cases()), T, ("values", "tensor", "list")),
    **sizes_of(named("ndcg per user", evaluation.ndcg_per_user, net(), cases()), "k"),
    "gates of a backbone": (lambda: evaluation.gates_of(net(), cases()), T, ("model", "a SkipRec", "NextItNet")),
    "gates of no case": (lambda: evaluation.gates_of(skiprec(), cases().rows(slice(0, 0))), V, ("no case",)),
    **sizes_of(named("seconds", skipping.inference_seconds, skiprec(), ITEMS), "repeats"),
}

ONE_USER = leave_one_out(histories_log([[*range(1, 11)]], 10))


def with_items(num_items: int) -> Split:
    return dataclasses.replace(SPLIT, num_items=num_items)


training = named("fit", trained)
TRAINING = {
    **{k: v for name in ("epochs", "batch_size", "patience") for k, v in sizes_of(training, name).items()},
    **{
        k: v
        for name in ("warmup_epochs", "ramp_epochs", "hold_epochs", "settle_epochs", "seed")
        for k, v in sizes_of(training, name, least=0).items()
    },
    **numbers_of(training, "learning_rate", 0.0, -1.0, NAN, INF, wanted="above 0"),
    **numbers_of(training, "weight_decay", -1.0, NAN, wanted="at least 0"),
    **numbers_of(training, "cost", -1.0, NAN, INF, wanted="at least 0"),
    "fit: no model": (lambda: trained("net"), T, ("model", "backbone", "'net'")),
    "fit: a baseline": (lambda: trained(Popularity(SPLIT)), T, ("model", "parameters", "Popularity")),
    "fit: windows for a split": (lambda: trained(given=SPLIT.train), T, ("split", "a Split", "Windows")),
    "fit: a model of other items": (lambda: trained(NextItNet(9)), V, ("9 items", "10")),
    "fit: a split of other items": (lambda: trained(given=with_items(11)), V, ("10 items", "11")),
    "fit: a split that says too few items": (
        lambda: trained(NextItNet(4), with_items(4)),
        V,
        ("split.train.items", "0 ... 4", "10"),
    ),
    "fit: one user": (lambda: trained(given=ONE_USER), V, ("split.validation", "two users", "1")),
    "fit: nothing to train on": (
        lambda: trained(given=dataclasses.replace(SPLIT, train=SPLIT.train.rows(slice(0, 0)))),
        V,
        ("no window to train",),
    ),
    "fit: nobody to validate": (
        lambda: trained(given=dataclasses.replace(SPLIT, validation=SPLIT.test.rows(slice(0, 0)))),
        V,
        ("two users", "0"),
    ),
    "fit: a policy that reads otherwise": (
        lambda: trained(reads="all"),
        T,
        ("reads", "function", "'all'"),
    ),
    "fit: a stage by name": (lambda: fit(net(), SPLIT, stages="warm-up"), T, ("stages", "stages only", "'w'")),
    "fit: no stage": (lambda: fit(net(), SPLIT, stages=[]), V, ("stages", "at least one epoch", "0 stages")),
    "fit: epochs and stages": (lambda: fit(net(), SPLIT, epochs=2, stages=[Stage(2)]), V, ("epochs or stages", "2")),
    **sizes_of(named("stage", Stage), "epochs", least=0),
    **sizes_of(named("stage", Stage, 1), "ramp", least=0),
    **numbers_of(named("stage", Stage, 1), "cost", -1.0, NAN, wanted="at least 0"),
    "stage: a loss by name": (lambda: Stage(1, "difference"), T, ("loss", "function", "'difference'")),
    **sizes_of(named("sampled", sampled, [Stage(1)], 9), "negatives"),
    "fit: pretrained by name": (lambda: trained(pretrained="net"), T, ("pretrained", "backbone", "'net'")),
    "fit: pretrained of other sizes": (lambda: trained(pretrained=net(channels=8)), V, ("sizes", "8", "4")),
    "fit: a loss by name": (lambda: trained(gate_loss="difference"), T, ("gate_loss", "function", "'difference'")),
    "fit: fresh windows by hand": (lambda: trained(fresh=cases()), T, ("fresh", "function", "Windows")),
    "fit: fresh gives a tensor": (lambda: trained(fresh=lambda epoch: ITEMS), T, ("fresh", "Windows", "tensor")),
    "fit: fresh gives unknown items": (
        lambda: trained(fresh=lambda epoch: changed(items=cases().items * 5)),
        V,
        ("fresh", "0 ... 10"),
    ),
    "fit: a watcher by name": (lambda: trained(after_epoch="print"), T, ("after_epoch", "function", "'print'")),
    **numbers_of(named("steered", SteeredCost), "tolerance", NAN, wanted="finite"),
    **numbers_of(named("steered", SteeredCost), "rate", -0.1, 2.0, NAN, wanted="0 ... 1"),
    "per row: other cases": (lambda: per_row(USERS, cases()), V, ("values", "(8,)", "(3,)")),
}

HIT, USED = torch.tensor([True, False]), torch.tensor([0.5, 1.0])
REWARDS = {
    "reward: hits as numbers": (lambda: policy_gradient.block_drop_reward(USED, USED), T, ("hit", "bools", "float32")),
    "reward: hits in a list": (lambda: policy_gradient.block_drop_reward([True], USED), T, ("hit", "bools", "list")),
    "reward: other rows": (
        lambda: policy_gradient.block_drop_reward(HIT, USED[:1]),
        V,
        ("used", "(2,)", "(1,)"),
    ),
    "reward: whole shares": (
        lambda: policy_gradient.published_reward(HIT, HIT.long()),
        T,
        ("used", "floating", "int64"),
    ),
    **numbers_of(named("reward", policy_gradient.block_drop_reward, HIT, USED), "miss", NAN, INF, wanted="finite"),
    **numbers_of(named("published", policy_gradient.published_reward, HIT, USED), "gamma", NAN, wanted="finite"),
    "probability: three choices": (
        lambda: policy_gradient.log_probability(LOGITS[None], GATES[:1]),
        V,
        ("logits", "block, 2", "(1, 2, 3)"),
    ),
    "probability: gates of one row": (
        lambda: policy_gradient.log_probability(PAIRS, GATES[0]),
        V,
        ("gates", "(2, 2)", "(2,)"),
    ),
    "probability: gates as bools": (
        lambda: policy_gradient.log_probability(PAIRS, GATES > 0),
        T,
        ("gates", "floating", "bool"),
    ),
    **sizes_of(named("self-critical", policy_gradient.self_critical_loss, skiprec(), cases(), 1.0), "k"),
    **sizes_of(named("patterns", enumeration.all_patterns), "blocks"),
    "patterns: of 13 blocks": (lambda: enumeration.all_patterns(13), V, ("blocks", "1 ... 12", "13")),
    "losses of other blocks": (
        lambda: enumeration.pattern_losses(net(), cases(), torch.ones(4, 3)),
        V,
        ("patterns", "2)", "(4, 3)"),
    ),
    "losses of one pattern without brackets": (
        lambda: enumeration.pattern_losses(net(), cases(), torch.ones(2)),
        V,
        ("patterns", "2)", "(2,)"),
    ),
    "losses of a SkipRec": (
        lambda: enumeration.pattern_losses(skiprec(), cases(), GATES),
        T,
        ("backbone", "NextItNet", "SkipRec"),
    ),
    "slopes at whole gates": (
        lambda: enumeration.gate_slopes(net(), cases(), GATES.long()),
        T,
        ("gates", "floating", "int64"),
    ),
    "slopes of other rows": (
        lambda: enumeration.gate_slopes(net(), cases(), GATES[:1]),
        V,
        ("gates", "(2, 2)", "(1, 2)"),
    ),
    "differences of a tensor": (lambda: enumeration.gate_differences(net(), ITEMS, GATES), T, ("cases", "split.test")),
}

CONTROLS = {
    **numbers_of(named("RandomGates", controls.RandomGates, net()), "keep_rate", 1.5, -0.1, NAN, wanted="0 ... 1"),
    **numbers_of(named("RandomDepth", random_depth.RandomDepth, net()), "full_share", 1.5, NAN, wanted="0 ... 1"),
    "RandomGates: no backbone": (lambda: controls.RandomGates(4, 0.5), T, ("backbone", "NextItNet", "int 4")),
    **numbers_of(named("gates", controls.random_gates, 2, 3), "keep_rate", 2.0, -0.1, NAN, wanted="0 ... 1"),
    **sizes_of(named("gates", controls.random_gates, blocks=2, keep_rate=0.5), "rows", least=0),
    **sizes_of(named("depths", random_depth.random_depths, 2, full_share=0.5), "blocks"),
    "pattern of no row": (
        lambda: controls.most_frequent_pattern(GATES[:0]),
        V,
        ("gates", "at least one row", "(0, 2)"),
    ),
    "pattern of a list": (lambda: controls.most_frequent_pattern([[1, 0]]), T, ("gates", "tensor", "list")),
    "another of one": (lambda: controls.another_users(GATES[:1]), V, ("another user", "1 rows")),
    "another of a list": (lambda: controls.another_users([[1.0]] * 2), T, ("gates", "tensor", "list")),
    **sizes_of(named("another", controls.another_users, GATES), "seed", least=0),
    **sizes_of(named("shuffled", controls.shuffled_histories, cases()), "seed", least=0),
    "shuffled tensor": (lambda: controls.shuffled_histories(ITEMS), T, ("cases", "Windows", "tensor")),
    "claim the other way round": (lambda: claim(True, "it holds"), T, ("single bool", "str")),
    "claim of a number": (lambda: claim("it holds", 1), T, ("single bool", "int")),
    "claim of several": (lambda: claim("it holds", WHERE), T, ("single bool", "(2, 4)")),
}

ALL = NOISE | ESTIMATORS | METRICS | BLOCKS | BACKBONES | POLICY | SKIPREC | SPLITS | SYNTHETIC
ALL |= EVALUATION | TRAINING | REWARDS | CONTROLS


def complaint(call: Callable[[], object], error: type[Exception], words: tuple[str, ...]) -> str:
    """The message, which has to be one line that names the value and what would be right."""
    with pytest.raises(error) as raised:
        call()
    message = str(raised.value)
    assert type(raised.value) is error, message
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("call", "error", "words"), wrong(ALL))
def test_one_line_names_the_value_and_what_would_be_right(
    call: Callable[[], object], error: type[Exception], words: tuple[str, ...]
) -> None:
    assert len(complaint(call, error, words)) < 400


def test_there_are_enough_cases() -> None:
    assert len(ALL) > 700
    assert len(FILES) >= 30


@pytest.mark.parametrize("wrong", [{"cost": -1.0}, {"seed": 0.5}, {"fresh": 3}, {"pretrained": "net"}], ids=str)
def test_a_refused_training_draws_nothing_and_moves_nothing(wrong: dict[str, Any]) -> None:
    model, before = net(), torch.get_rng_state()
    weights = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises((ValueError, TypeError)):
        trained(model, SPLIT, **wrong)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), weights, strict=True))


# --- checkpoints ---


@functools.cache
def saved(kind: str = "SkipRec") -> tuple[dict[str, Tensor], dict[str, str], bytes]:
    """Weights, header and bytes of a small saved model."""
    model = {"SkipRec": skiprec, "NextItNet": net, "SASRec": lambda: SASRec(NUM_ITEMS, channels=4, max_length=6)}[
        kind
    ]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        checkpoints.save(model, path)
        with safe_open(path, framework="pt") as file:
            return load_file(path), file.metadata(), path.read_bytes()


def cut_to(length: float) -> Callable[[Path], object]:
    """The first bytes only; a fraction counts from the whole."""
    content = saved()[2]
    return lambda path: path.write_bytes(content[: int(length * len(content)) if 0 < length < 1 else int(length)])


def holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def described(change: Callable[[Any], object], kind: str = "SkipRec") -> Callable[[Path], object]:
    """The right weights under a header whose description of the model has been changed."""

    def write(path: Path) -> None:
        tensors, header, _ = saved(kind)
        model = json.loads(header["model"])
        change(model)
        save_file(tensors, path, metadata=header | {"model": json.dumps(model)})

    return write


def backbone_with(**sizes: object) -> Callable[[Path], object]:
    return described(lambda model: model["backbone"]["sizes"].update(sizes))


def policy_with(**sizes: object) -> Callable[[Path], object]:
    return described(lambda model: model["policy"].update(sizes))


def with_header(**entries: str) -> Callable[[Path], object]:
    return lambda path: save_file(saved()[0], path, metadata=saved()[1] | entries)


def with_weights(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        tensors = {name: tensor.clone() for name, tensor in saved()[0].items()}
        change(tensors)
        save_file(tensors, path, metadata=saved()[1])

    return write


def raw(header: object, data: bytes = b"") -> bytes:
    """A safetensors file written by hand: length of the header, header, data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, buffer)
    return buffer.getvalue()


def weight(value: float) -> Callable[[Path], object]:
    return with_weights(lambda tensors: tensors["backbone.output_bias"].__setitem__(2, value))


def cast(dtype: torch.dtype) -> Callable[[Path], object]:
    return with_weights(lambda tensors: tensors.update(item_bias_of(tensors, dtype)))


def item_bias_of(tensors: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {"backbone.output_bias": tensors["backbone.output_bias"].to(dtype)}


EMBEDDING = "backbone.embedding.weight"
FILES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty": (holding(b""), ("damaged",)),
    "4 bytes": (cut_to(4), ("damaged",)),
    "the length of the header alone": (cut_to(8), ("damaged",)),
    "half a header": (cut_to(200), ("damaged",)),
    "half": (cut_to(0.5), ("damaged",)),
    "one byte short": (cut_to(len(saved()[2]) - 1), ("damaged",)),
    "one byte too many": (holding(saved()[2] + b"0"), ("damaged",)),
    "a text": (holding(b"user,item,timestamp\n1,2,3\n"), ("damaged",)),
    "a pickle": (holding(pickle.dumps({"weight": 3})), ("damaged",)),
    "torch.save's zip": (holding(pickled()), ("damaged",)),
    "gzip": (holding(gzip.compress(saved()[2])), ("damaged",)),
    "a header of 2^60 bytes": (holding((1 << 60).to_bytes(8, "little") + b"{}"), ("damaged",)),
    "a header that is a list": (holding(raw([1, 2])), ("damaged",)),
    "a header that is no text": (holding(raw(b"\xff" * 16)), ("damaged",)),
    "weights beyond the end": (
        holding(raw({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}})),
        ("damaged",),
    ),
    "weights that do not fill their shape": (
        holding(raw({"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, b"0000")),
        ("damaged",),
    ),
    "another program's": (lambda path: save_file({"weight": torch.ones(3)}, path), ("None", "'skiprec_lite 1'")),
    "another format": (with_header(format="skiprec_lite 99"), ("'skiprec_lite 99'", "'skiprec_lite 1'")),
    "a description that is no JSON": (with_header(model="{not json"), ("header",)),
    "a description that is a list": (with_header(model="[1, 2]"), ("no kind", "list [1, 2]")),
    "a description that is a number": (with_header(model="3"), ("no kind", "int 3")),
    "brackets without end": (with_header(model="[" * 100_000), ("header",)),
    "no kind": (described(lambda model: model.pop("kind")), ("no kind",)),
    "an unknown kind": (
        described(lambda model: model.update(kind="BERT4Rec")),
        ("'BERT4Rec'", "NextItNet, SASRec, SkipRec"),
    ),
    "a kind that is a number": (described(lambda model: model.update(kind=3)), ("kind", "str", "int 3")),
    "no backbone": (described(lambda model: model.pop("backbone")), ("no backbone",)),
    "a SkipRec as backbone": (described(lambda m: m["backbone"].update(kind="SkipRec")), ("unknown kind", "'SkipRec'")),
    "sizes in a list": (described(lambda model: model["backbone"].update(sizes=[1])), ("sizes", "dict", "list [1]")),
    "an unknown size": (backbone_with(heads=2), ("NextItNet has no heads",)),
    "a missing size": (described(lambda m: m["backbone"]["sizes"].pop("dilations")), ("NextItNet without dilations",)),
    "a missing size of the policy": (
        described(lambda m: m["policy"].pop("encoder")),
        ("PolicyNetwork without encoder",),
    ),
    "twice the channels": (backbone_with(channels=8), (EMBEDDING, "(11, 4)", "(11, 8)")),
    "no channel": (backbone_with(channels=0), ("channels", "at least 1", "0")),
    "-4 channels": (backbone_with(channels=-4), ("channels", "at least 1", "-4")),
    "channels as a text": (backbone_with(channels="4"), ("channels", "whole number", "'4'")),
    "half a channel": (backbone_with(channels=4.5), ("channels", "whole number", "4.5")),
    "no number of channels": (backbone_with(channels=None), (EMBEDDING, "None")),
    "10^12 items": (backbone_with(num_items=10**12), (EMBEDDING, "(11, 4)", str(10**12 + 1))),
    "10^30 items": (backbone_with(num_items=10**30), (EMBEDDING, str(10**30 + 1))),
    "10^12 items of the policy": (policy_with(num_items=10**12), ("policy.embedding.weight", str(10**12 + 1))),
    "10^12 blocks of the policy": (policy_with(num_blocks=10**12), ("policy.output.weight", str(2 * 10**12))),
    "a kernel of 10^9": (backbone_with(kernel_size=10**9), ("conv1.weight", str(10**9))),
    "a million blocks": (backbone_with(dilations=[1] * 10**6), ("1000000 blocks", "weights in all")),
    "one block more": (backbone_with(dilations=[1, 2, 4]), ("blocks", "2", "3")),
    "no block": (backbone_with(dilations=[]), ("2 blocks", "the backbone has 0")),
    "dilation 0": (backbone_with(dilations=[1, 0]), ("dilations", "at least 1", "0")),
    "dilations that are a number": (backbone_with(dilations=2), ("dilations", "row of", "int 2")),
    "ReZero as a text": (backbone_with(rezero="yes"), ("rezero", "True or False", "'yes'")),
    "no ReZero": (backbone_with(rezero=False), ("backbone.blocks.0.scale", "(1,)", "left out")),
    "a dropout of 2": (backbone_with(dropout=2), ("dropout", "0 ... 1", "2")),
    "another encoder": (policy_with(encoder="lstm"), ("'conv' or 'gru'", "'lstm'")),
    "a GRU's header": (policy_with(encoder="gru"), ("policy.blocks", "left out")),
    "no tau": (described(lambda model: model.pop("tau")), ("no tau",)),
    "tau NaN": (described(lambda model: model.update(tau=NAN)), ("tau", "above 0", "nan")),
    "tau 0": (described(lambda model: model.update(tau=0.0)), ("tau", "above 0", "0.0")),
    "tau as a text": (described(lambda model: model.update(tau="10")), ("tau", "float", "'10'")),
    "SASRec: a billion blocks": (
        described(lambda model: model["sizes"].update(num_blocks=10**9), "SASRec"),
        ("1000000000 blocks", "in all"),
    ),
    "SASRec: 10^12 places": (
        described(lambda model: model["sizes"].update(max_length=10**12), "SASRec"),
        ("positions", "(6, 4)", str(10**12)),
    ),
    "SASRec: 3 heads": (described(lambda model: model["sizes"].update(heads=3), "SASRec"), ("heads", "3 and 4")),
    "SASRec: a NextItNet's header": (
        described(lambda model: model.update(kind="NextItNet"), "SASRec"),
        ("NextItNet without dilations",),
    ),
    "one weight missing": (
        with_weights(lambda t: t.pop("backbone.output_bias")),
        ("backbone.output_bias", "missing", "(10,)"),
    ),
    "one weight too many": (
        with_weights(lambda t: t.update({"backbone.more": torch.ones(2)})),
        ("backbone.more", "(2,)", "left out"),
    ),
    "a weight of NaN": (weight(NAN), ("backbone.output_bias", "finite", "NaN")),
    "an infinite weight": (weight(INF), ("backbone.output_bias", "finite", "infinity")),
    "half precision": (cast(torch.float16), ("backbone.output_bias", "float32", "float16")),
    "whole weights": (cast(torch.int64), ("backbone.output_bias", "float32", "int64")),
    "bools": (cast(torch.bool), ("backbone.output_bias", "float32", "bool")),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_checkpoint_is_named_with_what_is_wrong(name: str, tmp_path: Path) -> None:
    write, words = FILES[name]
    path = tmp_path / "model.safetensors"
    write(path)
    complaint(lambda: checkpoints.load(path), ValueError, (str(path), *words))


@pytest.mark.parametrize(
    ("text", "words"),
    [("{not json", ("JSON",)), ("[1, 2]", ("names and values", "list [1, 2]"))],
    ids=["no JSON", "a list"],
)
def test_notes_that_are_none_are_refused(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with_header(notes=text)(path)
    complaint(lambda: checkpoints.notes(path), ValueError, (str(path), *words))


@pytest.mark.parametrize("read", [checkpoints.load, checkpoints.notes])
def test_a_folder_a_missing_file_and_a_locked_one_are_told_apart(
    read: Callable[[Any], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaint(lambda: read(tmp_path), ValueError, (str(tmp_path), "folder", "not a file"))
    complaint(lambda: read(tmp_path / "nowhere"), FileNotFoundError, ("no such file", "nowhere"))
    path = tmp_path / "model.safetensors"
    path.write_bytes(saved()[2])
    monkeypatch.setattr(os, "access", lambda *_: False)  # a chmod would not keep root out
    complaint(lambda: read(path), PermissionError, (str(path), "may not be read"))


def test_what_cannot_be_saved_is_named_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, broken = tmp_path / "model.safetensors", net()
    with torch.no_grad():
        broken.output_bias[0] = NAN
    save = checkpoints.save
    complaint(lambda: save(broken, path), ValueError, ("output_bias", "finite", "NaN"))
    complaint(lambda: save(net().half(), path), ValueError, ("weight", "float32", "float16"))
    complaint(lambda: save(NFM(NUM_ITEMS), path), TypeError, ("NextItNet", "SkipRec", "NFM"))
    complaint(lambda: save("net", path), TypeError, ("NextItNet", "SkipRec", "str"))
    complaint(lambda: save(net(), path, films={1, 2}), TypeError, ("JSON", "set {1, 2}"))
    complaint(lambda: save(net(), path, ndcg=torch.ones(2)), TypeError, ("JSON", "tensor", "(2,)"))
    complaint(lambda: save(net(), tmp_path), ValueError, (str(tmp_path), "folder"))
    complaint(lambda: save(net(), tmp_path / "no" / "where"), FileNotFoundError, ("no such folder", "no"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # a chmod would not keep root out
    complaint(lambda: save(net(), path), PermissionError, ("folder", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


# --- what is right stays right ---


def test_numbers_of_numpy_and_of_torch_count_as_numbers(tmp_path: Path) -> None:
    model = SkipRec(
        NextItNet(np.int64(10), channels=np.int32(4), dilations=np.array([1, 2])),
        PolicyNetwork(10, np.int64(2), dilations=(np.int64(1),)),
        tau=torch.tensor(2.0),
    )
    assert model.backbone.sizes["dilations"] == [1, 2]
    assert len(model.policy.blocks) == 1
    checkpoints.save(model, tmp_path / "model.safetensors", ndcg=np.float32(0.5), users=torch.tensor(3))
    assert checkpoints.load(tmp_path / "model.safetensors").tau == 2.0
    assert checkpoints.notes(tmp_path / "model.safetensors") == {"ndcg": 0.5, "users": 3}
    assert torch.equal(gumbel.gumbel_softmax(LOGITS, np.float32(1e9)).argmax(-1) >= 0, torch.ones(2) > 0)


def test_minus_infinity_rules_a_choice_out() -> None:
    logits = LOGITS.clone()
    logits[:, 1:] = -INF
    assert gumbel.gumbel_softmax(logits).tolist() == [[1, 0, 0], [1, 0, 0]]
    pairs = torch.tensor([[[0.0, -INF], [-INF, 0.0]]])
    assert skiprec().decide(pairs, sample=False).tolist() == within_budget(pairs, 2).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "history",
    [[7, 2, 9, 1], (7, 2, 9, 1), np.array([7, 2, 9, 1]), np.array([1, 9, 2, 7])[::-1], np.array([7, 2, 9, 1], np.uint8),
     torch.tensor([7, 2, 9, 1]), [np.int64(7), 2, np.int32(9), 1], pd.Series([7, 2, 9, 1])],
    ids=["list", "tuple", "numpy", "backwards", "uint8", "tensor", "numpy numbers", "pandas"],
)  # fmt: skip
def test_a_history_may_be_any_row_of_whole_numbers(history: Any) -> None:
    assert pad_left([history], 3).tolist() == [[2, 9, 1]]
    model = net()
    for found, expected in zip(recommend(model, [history], 6), recommend(model, [[7, 2, 9, 1]], 6)):
        assert torch.equal(found, expected)


def test_nothing_in_nothing_out() -> None:
    none = ITEMS[:0]
    assert net()(none).shape == (0, 4, 11)
    assert skiprec()(none, torch.zeros(0, dtype=torch.int64)).shape == (0, 4, 11)
    assert net().encode(ITEMS[:, :0]).shape == (2, 0, 4)
    assert skiprec().skip_blocks(none, GATES[:0]).shape == (0, 4, 4)
    assert [part.shape for part in recommend(net(), [], 3)] == [(0, 3), (0, 3)]
    assert pad_left([], 3).shape == (0, 3)
    assert pad_left([[], [1]], 2).tolist() == [[0, 0], [0, 1]]
    assert len(evaluation.rank_cases(net(), cases().rows(slice(0, 0)))) == 0
    assert receptive_field(()) == 1
    assert gumbel.sample_gumbel(()).shape == ()


def test_other_types_that_mean_the_same_are_taken() -> None:
    model = net().double()
    expected = model(ITEMS, GATES.double())
    assert expected.dtype == torch.float64
    for gates in (GATES, GATES.bool(), GATES.long()):
        assert torch.equal(model(ITEMS, gates), expected)
    assert torch.equal(model(ITEMS.int()), expected)
    assert torch.equal(ResidualBlock(4)(HIDDEN, WHERE), HIDDEN)
    assert metrics.ndcg(RANKS, np.int64(5))[0] == 1
    assert evaluation.evaluate(net(), cases(), ks=iter((1, 10)))["hr@10"] == 1
    assert float(gumbel.gumbel_softmax(LOGITS.double(), 1).sum()) == pytest.approx(2)
    assert controls.another_users(ITEMS).tolist() == ITEMS.flip(0).tolist()


def test_dates_are_timestamps() -> None:
    dates = pd.to_datetime(["2026-01-01"] * 4 + ["2025-01-01"] + ["2026-01-01"] * 5)
    assert user_sequences(table(timestamp=dates))[0].tolist() == [5, 1, 2, 3, 4]
