"""One path through the code, on every device: what meets lies on one, and a seed decides the same on all of them.

A stand-in takes the place of a GPU (`stand_in`). It computes on the CPU, so the same bits have to come out.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fitted, random_items, tiny_split
from stand_in import CPU, THERE, at_home, is_there, stand_in
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite import checkpoints
from skiprec_lite.backbones import NFM, MarkovChain, NextItemModel, NextItNet, SASRec, scoring
from skiprec_lite.controls import RandomGates
from skiprec_lite.evaluation import evaluate, gates_of, ndcg_per_user, rank_cases
from skiprec_lite.gate_losses import SteeredCost, whole_window
from skiprec_lite.gumbel import gumbel_max, sample_gumbel
from skiprec_lite.lab import judging
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.policy_gradient import self_critical_loss
from skiprec_lite.recommending import recommend
from skiprec_lite.skipping import within_budget
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.stages import Stage
from skiprec_lite.training import fit
from skiprec_lite.windows import Windows

NUM_ITEMS = 15
SPLIT = tiny_split(users=8, num_items=NUM_ITEMS)
FAR = str(THERE)


# --- the stand-in itself ---


def numbers(device: object) -> Tensor:
    return torch.ones(3, 3).to(device)


def index(device: object) -> Tensor:
    return torch.tensor([0, 2]).to(device)


MEETINGS: dict[str, tuple[bool, Callable[[Any], Tensor]]] = {  # whether torch lets them pass
    "a sum": (False, lambda far: numbers(far) + numbers("cpu")),
    "a sum in place": (False, lambda far: numbers("cpu").add_(numbers(far))),
    "a product": (False, lambda far: F.linear(numbers("cpu"), numbers(far))),
    "a list": (False, lambda far: torch.cat([numbers(far), numbers("cpu")])),
    "what is made there": (False, lambda far: torch.arange(3, device=far) < torch.arange(3)),
    "what is like it": (False, lambda far: torch.zeros_like(numbers(far)) + numbers("cpu")),
    "an index from there": (False, lambda far: numbers("cpu")[index(far)]),
    "numpy": (False, lambda far: torch.from_numpy(numbers(far).numpy())),
    "the CPU's noise": (False, lambda far: torch.rand(3, device=far, generator=torch.Generator())),
    "its own noise": (True, lambda far: torch.rand(3, device=far, generator=torch.Generator(far).manual_seed(0))),
    "a number": (True, lambda far: numbers(far) + torch.tensor(2.0)),
    "an index": (True, lambda far: numbers(far)[index("cpu")] + numbers(far)[0]),
    "a copy in place": (True, lambda far: numbers(far).copy_(numbers("cpu")) + numbers(far)),
    "like another": (True, lambda far: numbers("cpu").to(numbers(far)) + numbers(far)),
}


@pytest.mark.parametrize("device", [FAR, *["cuda:0"] * torch.cuda.is_available()])
@pytest.mark.parametrize("meeting", MEETINGS)
def test_the_stand_in_refuses_what_a_gpu_refuses_and_nothing_else(meeting: str, device: str) -> None:
    allowed, meet = MEETINGS[meeting]
    refused = contextlib.nullcontext() if allowed else pytest.raises((RuntimeError, TypeError), match="device")
    with stand_in(), refused:
        assert meet(device).device == torch.device(device)


def test_what_comes_from_the_stand_in_is_a_copy_and_gradients_come_back() -> None:
    with stand_in():
        here = torch.zeros(3, requires_grad=True)
        far = here.to(THERE)
        assert (far.device, far.cpu().device, far.to("cpu").device, here.device) == (THERE, CPU, CPU, CPU)
        far.detach().add_(1)
        assert here.tolist() == [0, 0, 0]
        far.sum().backward()
        assert here.grad is not None
        assert here.grad.device == CPU


def test_what_is_drawn_there_does_not_come_from_the_stream_of_the_cpu() -> None:
    with stand_in(), pytest.raises(AssertionError, match="rand_like draws"):
        torch.rand_like(numbers(FAR))


# --- training ---


def net(**sizes: Any) -> NextItNet:
    return NextItNet(NUM_ITEMS, channels=4, dilations=(1, 2), **{"dropout": 0.2, "tied": True} | sizes)


def sasrec() -> SASRec:
    return SASRec(NUM_ITEMS, channels=4, heads=2, max_length=5, dropout=0.2)


def skiprec(backbone: NextItNet | SASRec | None = None, **sizes: Any) -> SkipRec:
    return SkipRec(backbone or net(), PolicyNetwork(NUM_ITEMS, 2, channels=3, dilations=(1,), **sizes), tau=2.0)


MODELS: dict[str, Callable[[], NextItemModel]] = {
    "NextItNet": net,
    "NextItNet, plain": lambda: net(rezero=False, tied=False, embedding_dropout=0.2),
    "SASRec": sasrec,
    "NFM": lambda: NFM(NUM_ITEMS, channels=4, dropout=0.2),
    "random gates": lambda: RandomGates(net(), 0.5),
    "SkipRec": skiprec,
    "SkipRec, SASRec, GRU": lambda: skiprec(sasrec(), encoder="gru", embedding_channels=4),
    "Markov chain": lambda: MarkovChain(SPLIT),
}
ALONE = {"epochs": 2, "anneal": True}
STAGES = {"epochs": 4, "warmup_epochs": 1, "ramp_epochs": 1, "hold_epochs": 1, "settle_epochs": 1, "cost": 0.1}
JOINT = {"epochs": 1, "warmup_epochs": 0, "ramp_epochs": 0, "cost": 0.1}
TRAININGS: list[tuple[str, str, dict[str, Any]]] = [
    ("alone", "NextItNet", ALONE),
    ("alone", "NextItNet, plain", ALONE),
    ("alone", "SASRec", ALONE),
    ("alone", "NFM", ALONE),
    ("alone", "random gates", ALONE),
    ("sampled softmax", "NextItNet", ALONE | {"negatives": 5}),
    ("sampled softmax", "SASRec", ALONE | {"negatives": 5}),
    ("sampled softmax", "NFM", ALONE | {"negatives": 5}),
    ("sampled softmax", "SkipRec", STAGES | {"negatives": 5}),
    ("all stages", "SkipRec", STAGES),
    ("all stages", "SkipRec, SASRec, GRU", STAGES),
    ("new windows each epoch", "SkipRec", STAGES | {"fresh": lambda epoch: SPLIT.train.rows(slice(epoch, 14))}),
    ("as published", "SkipRec", JOINT | {"reads": whole_window}),
    ("self-critical", "SkipRec", JOINT | {"gate_loss": self_critical_loss}),
    ("steered cost", "SkipRec", JOINT | {"gate_loss": lambda *given: SteeredCost()(*given)}),  # it remembers: a new one
]


def made(name: str) -> NextItemModel:
    torch.manual_seed(0)
    return MODELS[name]()


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(one[0] == other[0] and torch.equal(one[1], other[1]) for one, other in pairs)


@pytest.mark.parametrize(("how", "name", "settings"), TRAININGS)
def test_a_training_there_is_the_one_here(how: str, name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    """Orders, cuts, gates and dropout are drawn alike, and the stream outside stays as it was."""
    settings = {"batch_size": 6, "learning_rate": 0.02, "seed": 3} | settings
    here, there = made(name), made(name)
    stream = torch.get_rng_state()
    history = fitted(here, SPLIT, device="cpu", **settings)
    with stand_in() as ran:
        assert fitted(there, SPLIT, device=FAR, **settings) == history
        assert at_home(there)
    training = {"embedding", "linear", "backward", "_fused_adamw_"}
    assert training <= ran[True]
    assert not training & ran[False]
    assert torch.equal(torch.get_rng_state(), stream)
    assert same(here, there)
    if name in ("NextItNet", "SASRec", "SkipRec"):
        checkpoints.save(there, tmp_path / "weights")
        assert same(checkpoints.load(tmp_path / "weights"), here)


def forgets(self: Stage, model: NextItemModel, batch: Windows, cost: float) -> Tensor:
    return self.loss(self.part_of(model), batch) if self.reads is None else self.loss(model, self.reads(batch), cost)


@pytest.mark.parametrize(
    ("part", "function", "forgotten"), [(Stage, "minimises", forgets), (Windows, "to", lambda self, device: self)]
)
@pytest.mark.parametrize("name", ["NextItNet", "SkipRec"])
def test_a_move_that_is_forgotten_raises_and_the_model_is_home_again(
    part: type, function: str, forgotten: Callable, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, function, forgotten)
    model = made(name)
    fitted(made(name), SPLIT, epochs=1, warmup_epochs=0, device="cpu")
    with stand_in(), pytest.raises(RuntimeError, match="same device"):
        fitted(model, SPLIT, epochs=1, warmup_epochs=0, device=FAR)
    assert at_home(model)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_training_that_is_stopped_leaves_the_model_here(error: type[BaseException]) -> None:
    def stop(epoch: int, model: NextItemModel) -> None:
        assert is_there(next(model.parameters()))
        if epoch == 1:
            raise error

    model = made("NextItNet")
    with stand_in(), contextlib.suppress(ZeroDivisionError):
        history = fit(model, SPLIT, epochs=3, progress=False, device=FAR, after_epoch=stop)
        assert (error, history.stopped, history.chosen) == (KeyboardInterrupt, "interrupted", 0)
    assert at_home(model)


# --- a trained model ---


def answers(model: NextItemModel, **where: str) -> list[Any]:
    """What a model is asked for: ranks, quality, and recommendations, which come back to the CPU."""
    cases = SPLIT.test
    found: list[Any] = [rank_cases(model, cases, exclude_seen=seen, **where) for seen in (True, False)]
    found += [evaluate(model, cases, exclude_seen=True, **where), *recommend(model, [[1, 2, 3], [4] * 60], 3, **where)]
    if isinstance(model, SkipRec):
        given = (torch.arange(2 * len(cases)) % 3 > 0).float().view(-1, 2)
        found.append(rank_cases(model, cases, gates=given, **where))
    assert not any(map(is_there, found))
    return [answer.tolist() if isinstance(answer, Tensor) else answer for answer in found]


def at_rest(model: NextItemModel) -> list[Any]:
    """What is asked of a model where it is."""
    torch.manual_seed(0)
    gates = [gates_of(model, SPLIT.test, sample=s) for s in (False, True)] if isinstance(model, SkipRec) else []
    found = [ndcg_per_user(model, SPLIT.test, exclude_seen=True), *gates]
    assert not any(map(is_there, found))
    quality = judging.quality(model, SPLIT)
    return [*(answer.tolist() for answer in found), quality | {"speed-up": 0.0}]


@pytest.mark.parametrize("name", MODELS)
def test_a_trained_model_says_there_what_it_says_here(name: str) -> None:
    model = made(name).eval()
    here, resting = answers(model, device="cpu"), at_rest(model)
    with stand_in() as ran:
        assert answers(model, device=FAR) == here
        assert at_home(model)
        assert not ran[False] & {"linear", "embedding", "index_select"}
        model.to(THERE)
        assert at_rest(model) == resting
        if name != "Markov chain":  # it only counts, and nobody asks where
            assert answers(model) == answers(model, device="auto") == here
            assert is_there(next(model.parameters()))


def test_what_no_training_calls_computes_there_too() -> None:
    with stand_in():
        cases, model = SPLIT.test.to(FAR), made("SkipRec").to(FAR)
        assert model(cases.items, cases.cut).device == THERE
        assert gumbel_max(numbers(FAR)).device == THERE
        assert sample_gumbel((3,), device=FAR, generator=torch.Generator(FAR)).device == THERE
        assert within_budget(numbers(FAR).unsqueeze(-1).expand(3, 3, 2), 1).device == THERE


# --- the meta device ---


@pytest.mark.parametrize("name", ["NextItNet", "NextItNet, plain", "SASRec", "NFM"])
def test_what_looks_at_no_value_runs_on_the_meta_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own way to keep devices apart, within its C++ code and on the way back to the gradients."""
    monkeypatch.setattr(scoring, "check_items", lambda items, num_items: None)  # it has to look
    model = made(name).eval().to("meta")
    items = random_items([3, 6], 6, NUM_ITEMS)
    scores = model(items.to("meta"))
    assert (scores.device.type, scores.shape) == ("meta", (2, 6, NUM_ITEMS + 1))
    F.cross_entropy(scores.flatten(0, 1), items.to("meta").flatten()).backward()
    assert {weight.grad.device.type for weight in model.parameters() if weight.grad is not None} == {"meta"}
    with pytest.raises(RuntimeError, match="device"):
        model(items)
