import pytest
import torch
from helpers import plain_copy, random_items, randomise, zeros_before
from torch import Tensor, nn

from skiprec_lite.policy import PolicyNetwork

NUM_ITEMS = 20
LENGTHS = (9, 1, 4, 6, 9)
ENCODERS = ("conv", "gru")


def random_policy(num_blocks: int = 3, **settings: object) -> PolicyNetwork:
    return randomise(PolicyNetwork(NUM_ITEMS, num_blocks, channels=8, **settings).double())


def items_of(lengths: tuple[int, ...] = LENGTHS, time: int = 9) -> Tensor:
    return random_items(lengths, time, NUM_ITEMS)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("num_blocks", [1, 3, 16])
def test_one_pair_of_logits_for_each_row_and_block(num_blocks: int, encoder: str) -> None:
    logits = random_policy(num_blocks, encoder=encoder)(items_of())
    assert logits.shape == (5, num_blocks, 2)
    assert len(logits.unique()) == logits.numel()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("embedding_channels", [None, 5])
@pytest.mark.parametrize("pads", [1, 7, 40])
def test_padding_never_changes_a_choice(pads: int, embedding_channels: int | None, encoder: str) -> None:
    policy, items = random_policy(embedding_channels=embedding_channels, encoder=encoder), items_of()
    torch.testing.assert_close(policy(zeros_before(items, pads)), policy(items), rtol=0, atol=1e-11)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_row_alone_is_chosen_for_as_in_the_batch(encoder: str) -> None:
    policy, items = random_policy(encoder=encoder), items_of()
    for row, (length, logits) in enumerate(zip(LENGTHS, policy(items))):
        torch.testing.assert_close(policy(items[row : row + 1, 9 - length :])[0], logits, rtol=0, atol=1e-11)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_nothing_after_the_cut_is_read(encoder: str) -> None:
    """What a cut leaves is a row with padding on its right, and the choice is that for the row without it."""
    policy, items = random_policy(encoder=encoder), items_of((9, 9, 9))
    blanked = items.clone()
    blanked[:, 6:] = 0
    torch.testing.assert_close(policy(blanked), policy(items[:, :6]), rtol=0, atol=1e-11)
    assert (policy(blanked) - policy(items)).abs().max() > 0.01


@pytest.mark.parametrize("embedding_channels", [None, 5])
@pytest.mark.parametrize("dilations", [(1, 4), (3,), ()])
def test_a_policy_equals_one_made_of_torch_s_layers(dilations: tuple[int, ...], embedding_channels: int | None) -> None:
    policy, items = random_policy(dilations=dilations, embedding_channels=embedding_channels), items_of()
    hidden = nn.functional.embedding(items, policy.embedding.weight)
    if embedding_channels:
        hidden = hidden @ policy.join.weight.T
    for block, dilation in zip(policy.blocks, dilations, strict=True):
        hidden = plain_copy(block, dilation)(hidden, items > 0)
    mean = torch.stack([row[9 - length :].mean(dim=0) for row, length in zip(hidden, LENGTHS)])
    expected = (mean @ policy.output.weight.T + policy.output.bias).view(5, 3, 2)
    torch.testing.assert_close(policy(items), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("embedding_channels", [None, 5])
def test_a_gru_s_choice_rests_on_its_state_after_the_last_real_item(embedding_channels: int | None) -> None:
    """Each row's items alone, one after the other, through torch's GRU cell of the same weights."""
    policy, items = random_policy(encoder="gru", embedding_channels=embedding_channels), items_of()
    cell = nn.GRUCell(8, 8).double()
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in policy.gru.state_dict().items()})
    found = policy(items)
    for row, length in enumerate(LENGTHS):
        state = torch.zeros(1, 8, dtype=torch.float64)
        for item in items[row, 9 - length :]:
            state = cell(policy.join(policy.embedding.weight[item]).unsqueeze(0), state)
        expected = (state[0] @ policy.output.weight.T + policy.output.bias).view(3, 2)
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-11)


def test_a_gru_leaves_out_what_is_no_item_wherever_it_stands() -> None:
    policy = random_policy(encoder="gru")
    expected = policy(torch.tensor([[7, 3, 12]])).expand(4, -1, -1)
    items = torch.tensor([[0, 0, 7, 3, 12], [7, 0, 3, 0, 12], [7, 3, 12, 0, 0], [0, 7, 3, 12, 0]])
    torch.testing.assert_close(policy(items), expected, rtol=0, atol=1e-11)


def test_a_gru_policy_has_no_blocks_of_its_own_and_starts_at_its_keep_bias() -> None:
    policy = PolicyNetwork(NUM_ITEMS, 50, encoder="gru", keep_bias=4.0)
    assert {name.split(".")[0] for name, _ in policy.named_parameters()} == {"embedding", "gru", "output"}
    logits = policy(items_of())
    gap = logits[..., 0] - logits[..., 1]
    assert 3.5 < gap.mean() < 4.5
    assert 0 < gap.std() < 1


def test_the_mean_runs_over_real_positions_only() -> None:
    """At ReZero's start the blocks do nothing, and a choice is the mean of the choices for the single items."""
    policy = randomise(PolicyNetwork(NUM_ITEMS, 3, channels=8).double(), scale=0.0)
    items = torch.tensor([[0, 0, 0, 3, 17, 3, 8]])
    single = policy(torch.tensor([[3], [17], [3], [8]]))
    assert single.std(dim=0).min() > 0.01
    torch.testing.assert_close(policy(items)[0], single.mean(dim=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_real_item_is_read(encoder: str) -> None:
    policy, items = random_policy(encoder=encoder), items_of((9, 9))
    before = policy(items)
    for t in range(9):
        changed = items.clone()
        changed[:, t] = changed[:, t] % NUM_ITEMS + 1
        assert ((policy(changed) - before).abs().amax(dim=(1, 2)) > 1e-6).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_order_of_the_items_is_read_once_the_blocks_work(encoder: str) -> None:
    policy, items = random_policy(encoder=encoder), torch.tensor([[1, 2, 3, 4, 5]])
    assert (policy(items) - policy(items.flip(1))).abs().max() > 1e-3


@pytest.mark.parametrize("keep_bias", [0.0, 2.5, -4.0])
def test_keep_bias_is_the_gap_between_keep_and_skip_at_the_start(keep_bias: float) -> None:
    policy = PolicyNetwork(NUM_ITEMS, 5, keep_bias=keep_bias).double()
    with torch.no_grad():
        policy.output.weight.zero_()  # what is left is the gap in expectation over the random weights
    logits = policy(items_of())
    gap = logits[..., 0] - logits[..., 1]
    torch.testing.assert_close(gap, torch.full((5, 5), keep_bias, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_policy_starts_near_its_keep_bias() -> None:
    logits = PolicyNetwork(NUM_ITEMS, 50, keep_bias=4.0)(items_of())
    gap = logits[..., 0] - logits[..., 1]
    assert 3.5 < gap.mean() < 4.5
    assert 0 < gap.std() < 1


def test_the_embedding_may_have_a_width_of_its_own() -> None:
    policy = random_policy(embedding_channels=5)
    assert policy.embedding.weight.shape == (NUM_ITEMS + 1, 5)
    logits = policy(items_of())
    assert logits.shape == (5, 3, 2)
    logits.square().sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_parameter_of_the_policy_has_a_gradient(encoder: str) -> None:
    policy, items = random_policy(encoder=encoder), items_of()
    policy(items).square().sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    assert (policy.embedding.weight.grad[0] == 0).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_row_without_items_is_refused(encoder: str) -> None:
    with pytest.raises(ValueError, match="no item"):
        random_policy(encoder=encoder)(torch.tensor([[0, 3], [0, 0]]))


@pytest.mark.parametrize("item", [-1, NUM_ITEMS + 1])
def test_an_item_outside_the_catalogue_is_refused(item: int) -> None:
    with pytest.raises(ValueError, match="items"):
        random_policy()(torch.tensor([[1, item]]))


def test_settings_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="num_blocks"):
        PolicyNetwork(NUM_ITEMS, 0)
    with pytest.raises(ValueError, match="num_items"):
        PolicyNetwork(0, 3)
    with pytest.raises(ValueError, match="encoder"):
        PolicyNetwork(NUM_ITEMS, 3, encoder="transformer")


# --- what the mean is over ---

LONG = (60, 31, 30, 12, 1)  # the policy reads 31 items: two rows have states whose reach is real


@pytest.mark.parametrize("pool", ["inner", "last"])
def test_what_lies_before_the_last_items_changes_no_choice_bit_by_bit(pool: str) -> None:
    """With "last" the policy is the last 31 items; "inner" takes a mean of such looks, the first of them later."""
    policy, items = random_policy(pool=pool).float(), items_of((60,) * 4, 60)
    changed = items.clone()
    changed[:, : 60 - 31] = items_of((29,) * 4, 29)
    same = torch.equal(policy(items).softmax(dim=-1), policy(changed).softmax(dim=-1))
    assert same == (pool == "last")
    changed[:, 60 - 31] = items[:, 60 - 31] % NUM_ITEMS + 1
    assert not torch.equal(policy(items), policy(changed))  # the oldest of the 31 is read


@pytest.mark.parametrize("pool", ["mean", "inner", "last"])
def test_of_the_real_positions_those_count_that_the_name_says(pool: str) -> None:
    policy, items = random_policy(pool=pool), items_of(LONG, 60)
    for row, length in enumerate(LONG):
        first = {"mean": 0, "inner": min(length - 1, 30), "last": length - 1}[pool]
        expected = torch.zeros(60, dtype=torch.bool)
        expected[60 - length + first :] = True
        assert torch.equal(policy.pooled(items > 0)[row], expected)
    blanked = items.clone()
    blanked[:, 40:] = 0  # what a cut leaves: the last real position stands at 39
    counted = policy.pooled(blanked > 0)[0]
    assert torch.equal(counted, policy.pooled(items[:1, :40] > 0)[0].new_tensor([*counted[:40], *[False] * 20]))
    assert counted[39]


@pytest.mark.parametrize("pool", ["inner", "last"])
def test_one_position_s_logits_do_not_depend_on_where_in_the_row_it_stands(pool: str) -> None:
    """No state that counts feels the zeros before the start: each is that of its 31 items, wherever they stand."""
    policy, items = random_policy(pool=pool), items_of((60,), 60)
    counted = policy.pooled(items > 0)[0].nonzero()[:, 0].tolist()
    states = [policy(items[:, t - 30 : t + 1]) for t in counted]  # alone in a row of their own
    torch.testing.assert_close(policy(items), torch.stack(states).mean(dim=0), rtol=0, atol=1e-11)


def test_the_published_mean_feels_the_zeros_before_the_start() -> None:
    policy, items = random_policy(pool="mean"), items_of((60,), 60)
    states = [
        policy(
            items[:, max(0, t - 30) : t + 1],
        )
        for t in range(60)
    ]
    assert (policy(items) - torch.stack(states).mean(dim=0)).abs().max() > 1e-3


def test_where_no_reach_is_real_the_last_state_counts() -> None:
    inner, items = random_policy(pool="inner"), items_of((12, 30), 30)
    last = random_policy(pool="last")
    last.load_state_dict(inner.state_dict())
    assert torch.equal(inner(items), last(items))


def test_a_mean_of_embeddings_feels_no_start_and_no_order() -> None:
    """A policy without blocks: each position gives the same wherever it stands."""
    policy, items = random_policy(dilations=()), items_of((9, 9), 9)
    torch.testing.assert_close(policy(items.flip(1)), policy(items), rtol=0, atol=1e-11)
    states = torch.stack([policy(items[:, t : t + 1]) for t in range(9)])
    torch.testing.assert_close(policy(items), states.mean(dim=0), rtol=0, atol=1e-11)
