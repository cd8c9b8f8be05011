"""The hidden half of assignment 3: its own checks, read afresh, while ready-made versions are switched off."""

import re
from typing import Any

import grading

MODULE = "skiprec_course.assignments.a3"
# The package's own answer to what is asked; what stands on it in MODULE is switched off too.
READY_MADE = {
    "adaptive_output": ("skiprec_lite.backbones.Backbone.encode",),
    "masked_mean": ("skiprec_lite.policy.PolicyNetwork.mean_state",),
    "policy_logits": ("skiprec_lite.policy.PolicyNetwork.forward",),
    "gated_encode": ("skiprec_lite.skipping.encode_kept",),
    "joint_loss": ("skiprec_lite.gate_losses.straight_through_loss", "skiprec_lite.gate_losses.losses_at"),
    "at_the_same_rate": ("skiprec_lite.controls.random_gates",),
    "accuracy_under": ("skiprec_lite.evaluation.rank_cases",),
    "paired": ("skiprec_lite.metrics.paired_difference", "skiprec_lite.metrics.mean_and_error"),
}


def check(name: str, answer: Any, *, seeds: int = 3) -> None:
    """Judge an answer with a fresh check of assignment 3 and hidden seeds.

    Args:
        name: of the check, "joint_loss_gradient" for check_joint_loss_gradient.
        answer: the student's function.
        seeds: how many hidden seeds are tried.

    Raises:
        grading.NotPassed: with the line that the check would have printed.
    """
    function = re.sub("_(cut|gradient|sampled|twice)$", "", name)  # several checks can be about one function
    judge = getattr(grading.fresh(MODULE), f"check_{name}")
    with grading.blocking(f"{MODULE}.{function}", *READY_MADE.get(function, ())):
        grading.with_hidden_seeds(judge, answer, seeds)
