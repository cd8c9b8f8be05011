"""Draw README's animation, gates.gif, and the still for print, gates.png: python notebooks/figures/gates.py.

Trains skiprec_100.py's SkipRec once more, with a look at the gates three times an epoch. Needs torch and matplotlib.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib import animation, patches

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import skiprec_100

LOOKS = 3  # an epoch
EPOCHS, WARMUP, RAMP = 24, 7, 4
DILATIONS = (1, 2, 4, 1, 2, 4)
KEPT, PASSED_BY = "#0173b2", "#f2f2f2"


def trained() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Gates (kind, block) and right answers (kind,), as `look` gives them, LOOKS times an epoch."""
    torch.manual_seed(0)
    model = skiprec_100.SkipRec(skiprec_100.ITEMS * len(skiprec_100.LAGS))
    return skiprec_100.train(
        model, epochs=EPOCHS * LOOKS, warmup=WARMUP * LOOKS, ramp=RAMP * LOOKS, steps=24 // LOOKS, say=lambda *_: None
    )


def draw(axes: list[plt.Axes], note: plt.Text, step: int, gates: torch.Tensor, right: torch.Tensor) -> None:
    """One frame: a stack of blocks for each kind of user, filled as far as its users keep them."""
    for kind, axis in enumerate(axes):
        axis.clear()
        axis.set(xlim=(0.6, 9.4), ylim=(-1.3, 6.7))
        axis.axis("off")
        axis.set_title(f"the next item follows from\nthe one {skiprec_100.LAGS[kind]} steps back", fontsize=13)
        axis.plot([5, 5], [0.35, 6.6], color="black", lw=1.2, zorder=0)  # what is passed on, block to block
        for block, dilation in enumerate(DILATIONS):
            share = float(gates[kind, block])
            box = {"boxstyle": "round,pad=0,rounding_size=0.2", "lw": 1.2}
            axis.add_patch(patches.FancyBboxPatch((1.2, block + 0.6), 7.6, 0.7, fc=PASSED_BY, ec="#bbbbbb", **box))
            axis.add_patch(patches.FancyBboxPatch((1.2, block + 0.6), 7.6, 0.7, fc=KEPT, ec=KEPT, alpha=share, **box))
            words, color = f"block {block + 1}: reaches {6 * dilation} back", "white" if share > 0.5 else "#777777"
            axis.text(5, block + 0.93, words, ha="center", va="center", color=color, fontsize=12)
        axis.text(5, -0.1, "a user's items", ha="center", va="center", fontsize=12)
        kept = f"{gates[kind].sum():.1f} blocks, {right[kind]:.0%} right"
        axis.text(5, -1.0, kept, ha="center", weight="bold", fontsize=13)
    epoch = step / LOOKS
    phase = "all blocks on" if epoch < WARMUP else "each user's blocks are chosen, and each costs"
    note.set_text(f"epoch {int(epoch) + 1} of {EPOCHS}: {phase}")


def main() -> None:
    """Train, and write both pictures."""
    history = trained()
    figure, axes = plt.subplots(1, 3, figsize=(9, 4.2), dpi=85)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.78, bottom=0.01, wspace=0.03)
    note = figure.text(0.5, 0.94, "", ha="center", fontsize=14)
    moving_from, moving_to, last = 6, 51, len(history) - 1
    steps = [*range(moving_from, moving_to), *range(moving_to, last, LOOKS), *[last] * 10]  # the end stays a while

    def frame(number: int) -> None:
        draw(list(axes), note, steps[number], *history[steps[number]])

    moving = animation.FuncAnimation(figure, frame, frames=len(steps))
    moving.save(HERE / "gates.gif", writer=animation.PillowWriter(fps=6))
    frame(len(steps) - 1)
    figure.savefig(HERE / "gates.png", dpi=150)


if __name__ == "__main__":
    main()
