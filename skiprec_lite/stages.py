"""What a training minimises, and for how long: stages, one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from skiprec_lite.backbones import NextItemModel, device_of
from skiprec_lite.gate_losses import GateLoss, difference_loss, from_a_cut, settled_loss, straight_through_loss
from skiprec_lite.inputs import check_has, described
from skiprec_lite.promises import Count, NotNegative, Size, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows


@validated
def next_item_loss(model: NextItemModel, batch: Windows) -> Float[Tensor, ""]:
    """Cross-entropy over all items, mean over every scored position of the batch. Built in lesson 06.

    Source: Yuan et al. (2019), with the full softmax.
    """
    scored = batch.scored()
    return F.cross_entropy(model.score_at(batch.items, scored), batch.targets[scored])


@dataclass(frozen=True)
class Stage:
    """Some epochs that minimise the same thing. Built in lesson 08.

    Attributes:
        epochs: so many; 0 leaves the stage out.
        loss: what a step minimises; without gates (model, batch) -> a number, with them (model, batch, cost).
        reads: with gates, makes of a batch what the policy may read of it and what is scored, such as `from_a_cut`;
            None = no gates: of a SkipRec the backbone alone is trained and judged, at full depth.
        cost: weight of the mean gate in the loss; 0 does not reward skipping.
        ramp: epochs with gates, counted from the first one on, within which the cost grows to its full size.
        candidate: whether its epochs may be chosen; those before the end of the ramp never are.
    """

    epochs: Count
    loss: Callable[..., Tensor] = next_item_loss
    reads: Callable[[Windows], Windows] | None = None
    cost: NotNegative = 0.0
    ramp: Count = 0
    candidate: bool = True

    def part_of(self, model: NextItemModel) -> NextItemModel:
        """What this stage trains and judges: the model or, without gates, the backbone of a SkipRec."""
        return model.backbone if self.reads is None and isinstance(model, SkipRec) else model

    def cost_after(self, epochs: float) -> float:
        """Weight of the mean gate when so many epochs with gates have been run."""
        return self.cost * min(1.0, epochs / self.ramp) if self.ramp else self.cost

    def minimises(self, model: NextItemModel, batch: Windows, cost: float) -> Float[Tensor, ""]:
        """The loss of one step, where the model is; what a batch's policy may read is drawn on the CPU."""
        if self.reads is None:
            return self.loss(self.part_of(model), batch.to(device_of(model)))
        return self.loss(model, self.reads(batch).to(device_of(model)), cost)


Stage.__init__ = validated(Stage.__init__)  # type: ignore[method-assign]


def _check_stages(name: str, stages: Sequence[Stage]) -> None:
    check_has(name, stages, "a list of stages, such as skiprec_stages gives", "__len__", "__iter__")
    if wrong := [stage for stage in stages if not isinstance(stage, Stage)]:
        raise TypeError(f"{name} must hold stages only, got {described(wrong[0])}")
    if not any(stage.epochs for stage in stages):
        raise ValueError(f"{name} must hold at least one epoch, got {len(stages)} stages without any")


Stages = Annotated[Sequence[Stage], _check_stages]


@validated
def skiprec_stages(
    epochs: Size = 30,
    *,
    cost: NotNegative = 0.0,
    warmup_epochs: Count = 5,
    ramp_epochs: Count = 5,
    hold_epochs: Count = 0,
    settle_epochs: Count = 0,
    gate_loss: GateLoss = straight_through_loss,
    reads: Callable[[Windows], Windows] = from_a_cut,
) -> list[Stage]:
    """Warm-up, joint training, holding and settling: the stages of a SkipRec. Built in lesson 08.

    `epochs` are those of all stages together; where they are too few the warm-up goes first, then settling, then
    holding. The warm-up, at full depth, leaves the policy alone. Then each step minimises `gate_loss`, and the weight
    of the mean gate grows to `cost` over `ramp_epochs`. The holding epochs move the policy by what flipping a gate does
    (`difference_loss`): explore first, then hold what is worth holding. The last, settling epochs train the backbone
    alone, under the policy's greedy gates: a gate that wavers around 1/2 is noise to the blocks until then. With
    settling epochs only they are candidates, with holding ones only these and those.

    `reads` is `from_a_cut`, or `whole_window` as in the published scheme, where the gates of early positions have read
    the items to predict.
    """
    warmup = min(warmup_epochs, epochs)
    settle = min(settle_epochs, epochs - warmup)
    hold = min(hold_epochs, epochs - warmup - settle)
    joint = Stage(epochs - warmup - settle - hold, gate_loss, reads, cost, ramp_epochs)
    return [
        Stage(warmup, next_item_loss, candidate=False),
        replace(joint, candidate=not (hold or settle)),
        replace(joint, epochs=hold, loss=difference_loss, candidate=not settle),
        replace(joint, epochs=settle, loss=settled_loss),
    ]
