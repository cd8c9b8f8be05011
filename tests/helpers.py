"""What several test files build their cases from."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite import softmax
from skiprec_lite.backbones import Backbone, NextItemModel, NextItNet
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.choosing import History
from skiprec_lite.datasets import Interactions
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import last_n
from skiprec_lite.stages import Stage, skiprec_stages
from skiprec_lite.training import fit, start_from
from skiprec_lite.windows import Split, Windows, pad_left


def generator(seed: int = 0) -> torch.Generator:
    """A source of randomness of the test's own."""
    return torch.Generator().manual_seed(seed)


def randomise(module: nn.Module, *, scale: float = 0.3, seed: int = 0) -> nn.Module:
    """Random parameters and non-zero ReZero scalars: at the values that a model starts from, mistakes cancel."""
    noise = generator(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() == 1:
                parameter.fill_(scale)
            else:
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=noise, dtype=parameter.dtype))
        for part in module.modules():
            if isinstance(part, nn.Embedding):
                part.weight[0] = 0  # the one row that is a constant
    return module


def random_items(lengths: Sequence[int], time: int, num_items: int, *, seed: int = 0) -> Tensor:
    """One row of `time` positions for each length, padding on the left."""
    noise = generator(seed)
    return pad_left([torch.randint(1, num_items + 1, (n,), generator=noise).tolist() for n in lengths], time)


def random_windows(lengths: Sequence[int], time: int, num_items: int, *, seed: int = 0) -> Windows:
    """Rows of random items, each real position of which is scored; a policy may read all."""
    both = random_items([n + 1 for n in lengths], time + 1, num_items, seed=seed)
    items = both[:, :-1].clone()
    targets = both[:, 1:].masked_fill(items == 0, 0)
    return Windows(items, targets, torch.full((len(items),), time - 1), torch.arange(len(items)))


def windows_with_cuts(lengths: Sequence[int], cut: Sequence[int], num_items: int) -> Windows:
    """Rows of seven positions with padding, each scored from a cut of its own on."""
    batch = random_windows(lengths, 7, num_items)
    cuts = torch.tensor(cut)
    before = torch.arange(7) < cuts.unsqueeze(1)
    return replace(batch, cut=cuts, targets=batch.targets.masked_fill(before, 0))


def zeros_before(items: Tensor, pads: int) -> Tensor:
    """The same rows with more padding on the left."""
    return torch.cat([torch.zeros(len(items), pads, dtype=torch.int64), items], dim=1)


def interactions(rows: Sequence[tuple[int, int, int]], *, num_users: int, num_items: int) -> Interactions:
    """A log from (user, item, timestamp) in file order."""
    names = tuple(str(i) for i in range(1, num_items + 1))
    return Interactions(
        table=pd.DataFrame(list(rows), columns=["user", "item", "timestamp"]),
        user_ids=tuple(f"u{u}" for u in range(num_users)),
        item_ids=names,
        titles=names,
    )


def histories_log(histories: Sequence[Sequence[int]], num_items: int) -> Interactions:
    """A log in which user u met histories[u], one item a tick."""
    rows = [(u, item, t) for u, history in enumerate(histories) for t, item in enumerate(history)]
    return interactions(rows, num_users=len(histories), num_items=num_items)


def tiny_split(*, users: int = 30, num_items: int = 15, seed: int = 0) -> Split:
    """Users who walk round the catalogue in steps of 1, a tenth of the time of 2 to 4: there is something to learn."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random((users, 16)) < 0.9, 1, rng.integers(2, 5, (users, 16)))
    walks = (rng.integers(num_items, size=(users, 1)) + steps.cumsum(axis=1)) % num_items + 1
    return last_n(histories_log(walks.tolist(), num_items), n=2, length=8)


class PlainBlock(nn.Module):
    """What a residual block is, from torch's own layers, with the names of ours: one's weights fit the other."""

    def __init__(self, channels: int, kernel_size: int, dilation: int, *, rezero: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, channels, kernel_size, dilation=dilation)
        self.norm1 = nn.LayerNorm(channels)
        self.conv2 = nn.Conv1d(channels, channels, kernel_size, dilation=2 * dilation)
        self.norm2 = nn.LayerNorm(channels)
        self.scale = nn.Parameter(torch.zeros(1)) if rezero else None

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        branch = self.norm1(self.convolve(self.conv1, hidden, mask)).relu()
        branch = self.norm2(self.convolve(self.conv2, branch, mask)).relu()
        return hidden + (branch if self.scale is None else self.scale * branch)

    @staticmethod
    def convolve(conv: nn.Conv1d, hidden: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            hidden = torch.where(mask.unsqueeze(-1), hidden, 0.0)
        left = (conv.kernel_size[0] - 1) * conv.dilation[0]
        return conv(F.pad(hidden.transpose(1, 2), (left, 0))).transpose(1, 2)


def plain_copy(block: ResidualBlock, dilation: int, kernel_size: int = 3) -> PlainBlock:
    """The same block from torch's own layers, in float64."""
    plain = PlainBlock(len(block.conv1.weight), kernel_size, dilation, rezero=block.scale is not None).double()
    plain.load_state_dict(block.state_dict())
    return plain


class GivenLogits(nn.Module):
    """Stands in for a policy: a parameter of logits (row, block, keep / skip), whatever the items are."""

    def __init__(self, logits: Tensor, num_items: int) -> None:
        super().__init__()
        self.sizes = {"num_items": num_items, "num_blocks": logits.shape[1]}
        self.logits = nn.Parameter(logits.clone())

    def forward(self, items: Tensor) -> Tensor:
        assert len(items) == len(self.logits)
        return self.logits


def random_logits(rows: int, blocks: int, *, spread: float = 1.5, seed: int = 7) -> Tensor:
    return spread * torch.randn(rows, blocks, 2, generator=generator(seed), dtype=torch.float64)


def with_given_logits(model: SkipRec, logits: Tensor) -> SkipRec:
    """The same backbone and temperature, with these logits for its rows in place of the policy."""
    given = SkipRec(model.backbone, PolicyNetwork(int(model.policy.sizes["num_items"]), logits.shape[1]), tau=model.tau)
    given.policy = GivenLogits(logits, int(model.policy.sizes["num_items"]))
    return given


def random_skiprec(
    num_items: int, *, dropout: float = 0.0, scale: float = 0.5, tau: float = 2.0, backbone: Backbone | None = None
) -> SkipRec:
    """Three blocks, or those of the given backbone; float64, every parameter random."""
    if backbone is None:
        backbone = NextItNet(
            num_items, channels=6, dilations=(1, 2, 1), dropout=dropout, embedding_dropout=dropout, tied=True
        )
    policy = PolicyNetwork(num_items, len(backbone.blocks), channels=5, dilations=(1,))
    return SkipRec(randomise(backbone.double(), scale=scale), randomise(policy.double(), seed=1, scale=0.7), tau=tau)


def losses_by_loop(backbone: Backbone, cases: Windows, gates: Tensor) -> list[Tensor]:
    """Cross-entropy at the scored positions of each row, position by position."""
    log_p = backbone(cases.items, gates).log_softmax(dim=-1)
    return [
        torch.stack([-log_p[row, t, target] for t, target in enumerate(targets) if target])
        for row, targets in enumerate(cases.targets.tolist())
    ]


def fitted(
    model: NextItemModel,
    split: Split,
    *,
    epochs: int = 3,
    pretrained: Backbone | None = None,
    negatives: int | None = None,
    **settings: Any,
) -> History:
    """`fit` with everything by name: what belongs to stages, to a start or to a sampled softmax goes there.

    What only a SkipRec reads is looked at, but not used, where there are no gates. Users made up here come back to
    items: where nothing is said, the epoch is chosen with all of them ranked.
    """
    settings.setdefault("exclude_seen", False)
    of_gates = settings.keys() & inspect.signature(skiprec_stages).parameters.keys()
    stages = skiprec_stages(epochs, **{name: settings.pop(name) for name in of_gates})
    if not isinstance(model, SkipRec):
        stages = [Stage(epochs)]
    if negatives is not None:
        stages = softmax.sampled(stages, split.num_items, negatives)
    if pretrained is not None:
        start_from(model, pretrained)
    return fit(model, split, stages=stages, progress=False, **settings)


def write_small_log(path: Path) -> Path:
    """Write forty users of thirty films each, as a CSV."""
    rng = np.random.default_rng(0)
    rows = [f"u{u},{rng.integers(1, 41)},{t}" for u in range(40) for t in range(30)]
    path.write_text("user,item,timestamp\n" + "\n".join(rows) + "\n")
    return path


def assert_reads_a_bag(net: NextItemModel, items: Tensor, num_items: int) -> None:
    """The order of the past is nothing to it, and the future it does not read; rows without padding."""
    before = net(items)[..., 1:]
    shuffled = items.clone()
    shuffled[:, :6] = items[:, torch.tensor([3, 5, 0, 2, 1, 4])]
    torch.testing.assert_close(net(shuffled)[:, 5:, 1:], before[:, 5:], rtol=0, atol=1e-11)
    changed = items.clone()
    changed[:, 4] = changed[:, 4] % num_items + 1
    after = net(changed)[..., 1:]
    assert torch.equal(after[:, :4], before[:, :4])
    assert (after[:, 4:] != before[:, 4:]).any(dim=-1).all()


def assert_scores_at_are_the_scores(net: NextItemModel, items: Tensor) -> None:
    """At positions drawn among the real ones."""
    where = (torch.rand(items.shape, generator=generator(2)) < 0.4) & (items > 0)
    torch.testing.assert_close(net.score_at(items, where), net(items)[where], rtol=0, atol=1e-12)
