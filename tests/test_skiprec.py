import math

import pytest
import torch
from helpers import generator, random_items, randomise, tiny_split
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite import skipping
from skiprec_lite.backbones import Backbone, MarkovChain, NextItNet
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skipping import CHUNK, encode_kept, inference_seconds, within_budget
from skiprec_lite.skiprec import SkipRec, recommend
from skiprec_lite.windows import last_position, pad_left

NUM_ITEMS = 20
BLOCKS = 4
LENGTHS = (9, 1, 4, 6, 9, 9)


def random_model(*, tau: float = 10.0, dropout: float = 0.0, scale: float = 0.3) -> SkipRec:
    backbone = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 4, 2, 1), dropout=dropout)
    policy = PolicyNetwork(NUM_ITEMS, BLOCKS, channels=6)
    return SkipRec(randomise(backbone.double(), scale=scale), randomise(policy.double(), seed=1), tau=tau)


def items_of(lengths: tuple[int, ...] = LENGTHS, time: int = 9, *, seed: int = 0) -> Tensor:
    return random_items(lengths, time, NUM_ITEMS, seed=seed)


def some_cuts() -> Tensor:
    return torch.tensor([0, 8, 6, 4, 7, 3])


def coin_gates(rows: int, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return (torch.rand(rows, BLOCKS, generator=generator(seed)) < 0.5).to(dtype)


def sampled(model: SkipRec, items: Tensor, cut: Tensor | None = None, *, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return model.gates(items, cut, sample=True)


# --- what the gates may read ---


def test_gates_are_blind_to_what_comes_after_the_cut() -> None:
    model, items, cut = random_model(), items_of(), some_cuts()
    after = torch.arange(9) > cut.unsqueeze(1)
    changed = torch.where(after, items_of((9,) * 6, seed=1), items)
    assert (changed != items).sum() > 10
    assert torch.equal(model.gate_logits(changed, cut), model.gate_logits(items, cut))
    assert torch.equal(model.gates(changed, cut, sample=False), model.gates(items, cut, sample=False))
    assert torch.equal(sampled(model, changed, cut), sampled(model, items, cut))
    assert not torch.equal(model.gate_logits(changed), model.gate_logits(items))


def test_gates_read_the_item_at_the_cut_and_those_before_it() -> None:
    model, items = random_model(), items_of((9,) * 6)
    cut = torch.full((6,), 5)
    for t in range(6):
        changed = items.clone()
        changed[:, t] = changed[:, t] % NUM_ITEMS + 1
        assert (model.gate_logits(changed, cut) != model.gate_logits(items, cut)).flatten(1).any(dim=1).all()


def test_a_cut_row_is_judged_as_the_shorter_history_that_it_is() -> None:
    model, items = random_model(), items_of((9, 9))
    shorter = model.gate_logits(items[:, :4])
    torch.testing.assert_close(model.gate_logits(items, torch.tensor([3, 3])), shorter, rtol=0, atol=1e-11)


def test_the_default_cut_is_the_last_position() -> None:
    model, items, last = random_model(), items_of(), torch.full((6,), 8)
    assert torch.equal(model.gate_logits(items), model.gate_logits(items, last))
    assert torch.equal(sampled(model, items), sampled(model, items, last))
    torch.testing.assert_close(model.eval()(items), model(items, last), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("training", [True, False])
def test_scores_before_the_cut_are_nan_and_from_it_on_finite(training: bool) -> None:
    model, items, cut = random_model().train(training), items_of(), some_cuts()
    scores = model(items, cut)
    before = torch.arange(9) < cut.unsqueeze(1)
    assert scores.shape == (6, 9, NUM_ITEMS + 1)
    assert scores[before].isnan().all()
    assert scores[~before][:, 1:].isfinite().all()
    assert (scores[~before][:, 0] == -math.inf).all()


def test_scores_from_the_cut_on_are_the_gated_backbone_s() -> None:
    model, items, cut = random_model().eval(), items_of(), some_cuts()
    honest = torch.arange(9) >= cut.unsqueeze(1)
    expected = model.backbone(items, model.gates(items, cut, sample=False))
    torch.testing.assert_close(model(items, cut)[honest], expected[honest], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cut", [(0, 9, 0, 0, 0, 0), (0, -1, 0, 0, 0, 0)])
def test_a_cut_outside_the_row_is_refused(cut: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cut"):
        random_model()(items_of(), torch.tensor(cut))


def test_a_cut_in_the_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="no item"):
        random_model()(items_of(), torch.zeros(6, dtype=torch.int64))


# --- sampled and greedy ---


def test_training_mode_samples_and_eval_mode_is_greedy() -> None:
    model, items = random_model(), items_of()
    greedy = model.backbone(items, model.gates(items, sample=False))[:, -1]
    assert torch.equal(model.eval()(items)[:, -1], greedy)
    assert torch.equal(model(items)[:, -1], greedy)
    model.train()
    gates = sampled(model, items, seed=3)
    torch.manual_seed(3)
    assert torch.equal(model(items)[:, -1], model.backbone(items, gates)[:, -1])
    assert not torch.equal(model(items)[:, -1], model(items)[:, -1])


@pytest.mark.parametrize("training", [True, False])
def test_sampled_gates_keep_as_often_as_the_policy_says(training: bool) -> None:
    """In eval mode too: which kind of gate is asked for is the caller's choice."""
    model = random_model().train(training)
    items = items_of((9, 3)).repeat(4_000, 1)
    gates = model.gates(items, sample=True).detach()
    keep = torch.softmax(model.gate_logits(items[:2]), dim=-1)[..., 0].detach()
    error = (keep * (1 - keep) / 4_000).sqrt()
    assert ((gates == 0) | (gates == 1)).all()
    assert ((gates.unflatten(0, (-1, 2)).mean(dim=0) - keep).abs() < 4 * error).all()


@pytest.mark.parametrize("training", [True, False])
def test_greedy_gates_keep_iff_the_keep_logit_is_larger(training: bool) -> None:
    model, items = random_model().train(training), items_of((9, 8, 7) * 20)
    logits, gates = model.gate_logits(items), model.gates(items, sample=False)
    assert gates.shape == (60, BLOCKS)
    assert torch.equal(gates == 1, logits[..., 0] > logits[..., 1])
    assert set(gates.unique().tolist()) == {0, 1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sampled_gates_are_exactly_zero_or_one_at_any_tau(dtype: torch.dtype) -> None:
    items = items_of((9, 5) * 300)
    hard = [sampled(random_model(tau=tau).to(dtype), items) for tau in (0.1, 10.0, 1e5)]
    assert set(hard[0].unique().tolist()) == {0, 1}
    assert torch.equal(hard[0], hard[1])
    assert torch.equal(hard[0], hard[2])


# --- masked = skipped ---


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("seed", range(4))
def test_skipping_blocks_equals_masking_them(seed: int, dtype: torch.dtype, tolerance: float) -> None:
    model, items = random_model().to(dtype), items_of(LENGTHS * 4)
    gates = coin_gates(24, dtype=dtype, seed=seed)
    gates[0], gates[5] = 0, 1
    gates[:, 1] = seed % 2  # a block that nobody or everybody runs
    masked, skipped = model.backbone.encode(items, gates), model.skip_blocks(items, gates)
    real = items > 0
    assert skipped.shape == masked.shape == (24, 9, 8)
    assert (masked - model.backbone.encode(items))[real].abs().max() > 0.1
    torch.testing.assert_close(skipped[real], masked[real], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_skipping_equals_masking_when_all_agree(value: float) -> None:
    model, items = random_model(), items_of()
    gates = torch.full((6, BLOCKS), value)
    expected = model.backbone.encode(items) if value else model.backbone.embed(items)
    assert torch.equal(model.skip_blocks(items, gates), expected)


def test_a_block_is_run_only_for_the_rows_that_keep_it() -> None:
    model, items, gates = random_model(), items_of(), coin_gates(6)
    gates[:, 2] = 0
    calls: list[list[int]] = [[] for _ in range(BLOCKS)]
    for block, rows in zip(model.backbone.blocks, calls):

        def count(_: nn.Module, inputs: tuple[Tensor, ...], __: Tensor, rows: list[int] = rows) -> None:
            rows.append(len(inputs[0]))

        block.register_forward_hook(count)
    model.skip_blocks(items, gates)
    kept = gates.sum(dim=0).tolist()
    assert calls == [[n] if n else [] for n in kept]
    assert 0 < sum(kept) < 18


def test_score_at_skips_with_the_policy_s_greedy_gates_or_with_those_given() -> None:
    model, items, cut = random_model(), items_of(), some_cuts()
    where = torch.arange(9) >= cut.unsqueeze(1)
    found = model.score_at(items, where, cut)
    assert found.shape == (int(where.sum()), NUM_ITEMS + 1)
    torch.testing.assert_close(found, model.eval()(items, cut)[where], rtol=0, atol=1e-11)
    gates = coin_gates(6)
    given = model.score_at(items, where, cut, gates)
    torch.testing.assert_close(given, model.backbone(items, gates)[where], rtol=0, atol=1e-11)
    assert (given - found)[:, 1:].abs().max() > 0.1


def test_a_position_before_the_cut_cannot_be_scored() -> None:
    where = torch.zeros(6, 9, dtype=torch.bool)
    where[3, 3] = True
    with pytest.raises(ValueError, match="before the cut"):
        random_model().score_at(items_of(), where, some_cuts())


def test_a_block_cannot_be_half_skipped() -> None:
    gates = coin_gates(6)
    gates[2, 1] = 0.5
    with pytest.raises(ValueError, match="0 or 1"):
        random_model().skip_blocks(items_of(), gates)
    with pytest.raises(ValueError, match="shape"):
        random_model().skip_blocks(items_of(), torch.ones(6, BLOCKS + 1))


# --- gather, run, put back ---


@pytest.mark.parametrize("rows", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
@pytest.mark.parametrize("kind", ["coins", "all kept", "none kept", "some blocks for all"])
def test_encode_kept_equals_encode_for_any_number_of_rows(rows: int, kind: str) -> None:
    """In values and in the gradients of the backbone; rows of nothing but padding are among them."""
    backbone, items = random_model().backbone, items_of(tuple(i % 10 for i in range(rows)))
    gates = coin_gates(rows)
    if kind == "some blocks for all":
        gates[:, 0], gates[:, 2] = 1, 0
    elif kind != "coins":
        gates[:] = kind == "all kept"
    results = []
    for hidden in (encode_kept(backbone, items, gates), backbone.encode(items, gates)):
        weight = torch.randn(hidden.shape, generator=generator(2), dtype=torch.float64)
        found = torch.autograd.grad((hidden * weight).sum(), list(backbone.parameters()), allow_unused=True)
        results.append([hidden, *found])
    for ours, theirs in zip(*results):
        theirs = torch.zeros(()) if theirs is None else theirs
        ours = torch.zeros_like(theirs) if ours is None else ours  # a block that nobody runs has no gradient
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


class Ending(nn.Module):
    """A block, or an embedding, that ends in an operation which needs its own result for its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5)

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.tanh(self.linear(hidden))


def test_writing_in_place_never_spoils_a_gradient_whatever_the_blocks_are() -> None:
    backbone = RunningMeans(NUM_ITEMS, BLOCKS)
    backbone.blocks = nn.ModuleList(Ending() for _ in range(BLOCKS))
    backbone.embed = lambda items: torch.sigmoid(backbone.embedding(items))
    backbone, items = randomise(backbone.double()), items_of(LENGTHS * 8)
    gates = coin_gates(48)
    for index, everybody in ((0, False), (1, True), (2, False), (3, True)):
        gates[:, index] = torch.maximum(gates[:, index], torch.tensor(float(everybody)))
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    found = [
        torch.autograd.grad(hidden.square().sum(), list(backbone.parameters()), allow_unused=True)
        for hidden in (encode_kept(backbone, items, gates), backbone.encode(items, gates))
    ]
    for (name, _), ours, theirs in zip(backbone.named_parameters(), *found):
        if not name.startswith("output"):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    encode_kept(backbone, items, gates)
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_what_embed_hands_out_is_not_written_into() -> None:
    backbone, items, gates = RunningMeans(NUM_ITEMS, BLOCKS), items_of(), coin_gates(6, dtype=torch.float32)
    lent = backbone.embedding(items).detach()
    backbone.embed = lambda items: lent
    before = lent.clone()
    with torch.no_grad():
        assert not torch.equal(encode_kept(randomise(backbone), items, gates), before)
    assert torch.equal(lent, before)


def test_a_block_runs_few_rows_at_once_and_each_row_once() -> None:
    model, items, gates = random_model(), items_of((9,) * 3 * CHUNK), coin_gates(3 * CHUNK)
    gates[:, 3] = 1
    calls: list[list[int]] = [[] for _ in range(BLOCKS)]
    for block, rows in zip(model.backbone.blocks, calls):
        block.register_forward_pre_hook(lambda _, inputs, rows=rows: rows.append(len(inputs[0])))
    encode_kept(model.backbone, items, gates)
    assert [sum(rows) for rows in calls] == gates.sum(dim=0).tolist()
    assert max(map(max, calls)) == CHUNK
    assert all(len(rows) == math.ceil(sum(rows) / CHUNK) for rows in calls)


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, math.nan])
def test_encode_kept_refuses_what_is_no_gate(value: float) -> None:
    gates = coin_gates(6)
    gates[2, 1] = value
    with pytest.raises(ValueError, match=r"gates must (be 0 or 1|not hold NaN)"):
        encode_kept(random_model().backbone, items_of(), gates)


def test_without_a_cut_only_the_last_position_is_scored() -> None:
    model, items = random_model().eval(), items_of()
    assert model.score_at(items, last_position(items)).shape == (6, NUM_ITEMS + 1)
    where = last_position(items)
    where[2, 7] = True
    with pytest.raises(ValueError, match="before the cut"):
        model.score_at(items, where)


# --- a budget ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_budget_keeps_the_surest_of_what_the_policy_would_keep(dtype: torch.dtype) -> None:
    logits = 3 * torch.randn(200, 6, 2, generator=generator(), dtype=dtype)
    gaps = (logits[..., 0] - logits[..., 1]).tolist()
    for k in range(8):
        gates = within_budget(logits, k)
        assert gates.dtype == dtype
        for row, gap in zip(gates.tolist(), gaps):
            wanted = sorted((g for g in gap if g > 0), reverse=True)[:k]
            assert row == [float(g in wanted) for g in gap]
    assert int(gates.sum(dim=1).max()) == 6  # a user who would keep all of them


def test_a_budget_of_all_blocks_is_the_greedy_choice_and_one_of_none_keeps_none() -> None:
    model, items = random_model(), items_of((9, 8, 7) * 20)
    logits = model.gate_logits(items)
    greedy = model.gates(items, sample=False)
    assert 0 < greedy.mean() < 1
    assert torch.equal(within_budget(logits, BLOCKS), greedy)
    assert torch.equal(within_budget(logits, 99), greedy)
    assert not within_budget(logits, 0).any()
    assert not within_budget(logits, 2).requires_grad


def test_a_tie_of_keep_and_skip_is_not_kept_and_equal_gaps_do_not_exceed_the_budget() -> None:
    assert not within_budget(torch.ones(3, 4, 2), 4).any()
    equal = torch.tensor([1.0, 0.0]).expand(3, 5, 2)
    assert within_budget(equal, 2).sum(dim=1).tolist() == [2, 2, 2]
    assert within_budget(torch.empty(0, 5, 2), 2).shape == (0, 5)


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        within_budget(torch.zeros(2, 3, 2), -1)


# --- the stopwatch ---


def test_full_and_skipped_are_timed_in_turn_at_the_last_positions_and_the_median_has_no_warm_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a wall clock that only scoring moves on."""
    model, items, clock = random_model().eval(), items_of(), [0.0]
    calls: list[str] = []
    took = {"full": [90.0, 4.0, 8.0, 60.0, 7.0, 6.0], "skipped": [70.0, 1.0, 5.0, 50.0, 3.0, 2.0]}
    for name, scorer in (("full", model.backbone), ("skipped", model)):

        def score_at(given: Tensor, where: Tensor, name: str = name) -> Tensor:
            assert torch.equal(given, items)
            assert torch.equal(where, last_position(items))
            assert not torch.is_grad_enabled()
            clock[0] += took[name][calls.count(name)]
            calls.append(name)
            return torch.zeros(len(given), NUM_ITEMS + 1)

        monkeypatch.setattr(scorer, "score_at", score_at)
    monkeypatch.setattr(skipping.time, "perf_counter", lambda: clock[0])
    assert inference_seconds(model, items, repeats=5) == {"full": 7.0, "skipped": 3.0}
    assert calls == ["full", "skipped"] * 6


# --- gradients ---


def loss_of(model: SkipRec, items: Tensor, gates: Tensor) -> Tensor:
    """Cross-entropy of the next item with given gates."""
    scores = model.backbone(items[:, :-1], gates)
    return F.cross_entropy(scores.flatten(0, 1), items[:, 1:].flatten())


@pytest.mark.parametrize("tau", [1.0, 10.0])
def test_the_recommendation_loss_reaches_every_parameter_of_the_policy(tau: float) -> None:
    model, items = random_model(tau=tau), items_of((9,) * 12)
    loss_of(model, items, model.gates(items[:, :-1], sample=True)).backward()
    for name, parameter in model.policy.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_scores_from_the_cut_on_bring_a_gradient_to_every_weight_and_nan_before_it_none() -> None:
    model = random_model().train()
    model(items_of(), some_cuts())[..., 1:].nan_to_num().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert all((p.grad != 0).any() for p in model.parameters())


def test_greedy_gates_pass_no_gradient_to_the_policy() -> None:
    assert not random_model().gates(items_of(), sample=False).requires_grad


def test_with_rezero_at_its_start_a_gate_has_no_gradient_at_all() -> None:
    """The branch that it gates is 0: why the policy waits for a warm-up."""
    for scale in (0.0, 0.3):
        model, items = random_model(scale=scale), items_of((9,) * 6)
        gates = coin_gates(6).requires_grad_()
        loss_of(model, items, gates).backward()
        assert (gates.grad == 0).all() if scale == 0 else (gates.grad != 0).all()


@pytest.mark.parametrize("kind", ["coins", "any numbers"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_slopes_of_a_block_s_keepers_sum_to_the_slope_of_its_scalar(dropout: float, kind: str) -> None:
    """Sum over users of g * dL/dg = alpha * dL/dalpha, exactly, in every batch: h + g * alpha * F(h)."""
    model, items = random_model(dropout=dropout), items_of((9,) * 12)
    with torch.no_grad():
        for block, alpha in zip(model.backbone.blocks, (0.3, -0.7, 1.2, 0.1)):
            block.scale.fill_(alpha)
    gates = coin_gates(12) if kind == "coins" else torch.randn(12, BLOCKS, generator=generator(), dtype=torch.float64)
    gates.requires_grad_()
    loss_of(model, items, gates).backward()
    of_users = (gates * gates.grad).sum(dim=0).detach()
    of_blocks = torch.stack([(b.scale * b.scale.grad).squeeze() for b in model.backbone.blocks]).detach()
    assert of_blocks.abs().min() > 1e-4
    torch.testing.assert_close(of_users, of_blocks, rtol=1e-9, atol=1e-12)


# --- any backbone ---


class Mixer(nn.Module):
    """A residual block that is no convolution: a running mean of the real items, and a linear map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        real = mask.unsqueeze(-1)
        mean = (hidden * real).cumsum(dim=1) / real.cumsum(dim=1).clamp_min(1)
        return hidden + torch.tanh(self.linear(mean))


class RunningMeans(Backbone):
    """What SkipRec asks of a backbone, and nothing else."""

    def __init__(self, num_items: int, num_blocks: int) -> None:
        super().__init__()
        self.sizes = {"num_items": num_items}
        self.embedding = nn.Embedding(num_items + 1, 5, padding_idx=0)
        self.blocks = nn.ModuleList(Mixer(5) for _ in range(num_blocks))
        self.output = nn.Linear(5, num_items)

    def embed(self, items: Tensor) -> Tensor:
        return self.embedding(items)

    def score(self, hidden: Tensor) -> Tensor:
        return F.pad(self.output(hidden), (1, 0), value=-math.inf)


def test_skiprec_goes_round_any_backbone() -> None:
    backbone, items, cut = RunningMeans(NUM_ITEMS, BLOCKS), items_of(), some_cuts()
    model = randomise(SkipRec(backbone, PolicyNetwork(NUM_ITEMS, BLOCKS, channels=6)).double())
    gates, real = coin_gates(6), items > 0
    torch.testing.assert_close(
        model.skip_blocks(items, gates)[real], backbone.encode(items, gates)[real], rtol=0, atol=1e-12
    )
    honest = torch.arange(9) >= cut.unsqueeze(1)
    assert torch.equal(~model(items, cut).isnan().any(dim=-1), honest)
    loss_of(model, items_of((9,) * 6), model.gates(items, sample=True)).backward()
    assert all(p.grad.abs().max() > 0 for p in model.policy.parameters())
    found, _ = recommend(model, [[1, 2], [3]], 4)
    assert found.shape == (2, 4)


def test_parts_that_do_not_fit_are_refused() -> None:
    backbone = NextItNet(NUM_ITEMS, channels=4, dilations=(1, 2))
    with pytest.raises(ValueError, match="blocks"):
        SkipRec(backbone, PolicyNetwork(NUM_ITEMS, 3))
    with pytest.raises(ValueError, match="items"):
        SkipRec(backbone, PolicyNetwork(NUM_ITEMS + 1, 2))
    for tau in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="tau"):
            SkipRec(backbone, PolicyNetwork(NUM_ITEMS, 2), tau=tau)


def test_the_parts_are_attributes() -> None:
    backbone, policy = NextItNet(NUM_ITEMS, channels=4, dilations=(1, 2)), PolicyNetwork(NUM_ITEMS, 2)
    model = SkipRec(backbone, policy, tau=3.0)
    assert model.backbone is backbone
    assert model.policy is policy
    assert model.tau == 3.0
    assert SkipRec(backbone, policy).tau == 10.0


# --- recommend ---

HISTORIES = ([3, 8, 1], [7], [5, 5, 2, 9, 14, 11, 6, 13], [20, 1, 2] * 30, [10, 4])


def best_first(model: nn.Module, history: list[int], exclude_seen: bool, length: int = 50) -> list[tuple[int, float]]:
    """Every item that may be recommended with its score, by sorting the last position's scores."""
    with torch.no_grad():
        scores = model(pad_left([history], length))[0, -1].tolist()
    left = [i for i in range(1, len(scores)) if not (exclude_seen and i in history)]
    return sorted(((i, scores[i]) for i in left), key=lambda pair: -pair[1])


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("kind", ["backbone", "SkipRec"])
def test_recommend_equals_sorting_all_scores(kind: str, exclude_seen: bool) -> None:
    model = random_model().float().eval()
    model = model.backbone if kind == "backbone" else model
    items, scores = recommend(model, HISTORIES, 7, exclude_seen=exclude_seen)
    assert items.shape == scores.shape == (5, 7)
    assert items.dtype == torch.int64
    for row, history in enumerate(HISTORIES):
        expected = best_first(model, history, exclude_seen)[:7]
        assert items[row].tolist() == [item for item, _ in expected]
        assert scores[row].tolist() == pytest.approx([score for _, score in expected], abs=1e-4)
        assert scores[row].tolist() == sorted(scores[row].tolist(), reverse=True)


def test_recommend_leaves_out_what_was_seen_even_before_the_window() -> None:
    model, history = random_model().eval(), [4, 9, 2, 17, 5, 5, 11]
    items, _ = recommend(model, [history], 14, length=2)
    assert set(items[0].tolist()) == set(range(1, 21)) - set(history)
    assert items[0].tolist() == [
        item for item, _ in best_first(model, history[-2:], exclude_seen=False) if item not in history
    ]


def test_recommend_from_a_markov_chain_equals_sorting_its_scores() -> None:
    model = MarkovChain(tiny_split())
    histories = [[3, 8, 1], [7], [12, 15, 4, 2]]
    items, scores = recommend(model, histories, 6)
    for row, history in enumerate(histories):
        of_item = dict(best_first(model, history, exclude_seen=True))
        found = items[row].tolist()
        assert len(set(found)) == 6
        # Counts tie: the scores are what is fixed, not the order of equal ones.
        assert scores[row].tolist() == pytest.approx(sorted(of_item.values(), reverse=True)[:6], abs=1e-6)
        assert scores[row].tolist() == pytest.approx([of_item[item] for item in found], abs=1e-6)


def test_a_user_s_list_does_not_depend_on_the_others_in_the_batch() -> None:
    model = random_model().eval()
    items, scores = recommend(model, HISTORIES, 5)
    for row, history in enumerate(HISTORIES):
        alone = recommend(model, [history], 5)
        assert torch.equal(alone[0][0], items[row])
        torch.testing.assert_close(alone[1][0], scores[row], rtol=0, atol=1e-5)
    in_pairs = recommend(model, HISTORIES, 5, batch_size=2)
    assert torch.equal(in_pairs[0], items)


@pytest.mark.parametrize("training", [True, False])
def test_recommend_is_greedy_and_leaves_the_mode_as_it_was(training: bool) -> None:
    model = random_model(dropout=0.5).train(training)
    first, second = recommend(model, HISTORIES, 5), recommend(model, HISTORIES, 5)
    assert torch.equal(first[1], second[1])
    assert model.training == model.backbone.training == training
    assert not first[1].requires_grad


def test_no_history_gives_no_row() -> None:
    items, scores = recommend(random_model(), [], 3)
    assert items.shape == scores.shape == (0, 3)


def test_more_than_there_is_to_recommend_is_refused() -> None:
    model = random_model().eval()
    assert recommend(model, [[1, 2, 2]], NUM_ITEMS - 2)[0].shape == (1, 18)
    assert recommend(model, [[1, 2, 2]], NUM_ITEMS, exclude_seen=False)[0].shape == (1, 20)
    for k, exclude_seen in ((NUM_ITEMS - 1, True), (NUM_ITEMS + 1, False), (0, True)):
        with pytest.raises(ValueError, match="k must be"):
            recommend(model, [[1, 2, 2]], k, exclude_seen=exclude_seen)


@pytest.mark.parametrize("history", [[], [NUM_ITEMS + 1], [3, -1]])
def test_a_history_that_is_empty_or_holds_what_is_no_item_is_refused(history: list[int]) -> None:
    with pytest.raises(ValueError, match=r"history|items"):
        recommend(random_model(), [[1], history], 3)
