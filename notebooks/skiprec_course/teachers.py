"""The list of common mistakes: python -m skiprec_course.teachers > notebooks/assignments/common_mistakes.md."""

from skiprec_course.checks import CHECKS

OF_ASSIGNMENTS = {
    "a1": ("gumbel.sample_gumbel", "gumbel.gumbel_max", "gumbel.gumbel_softmax", "estimators.exact_gradient"),
    "a2": (
        "splits.user_sequences", "splits.leave_one_out", "metrics.rank_of_target", "metrics.ndcg",
        "blocks.receptive_field", "blocks.CausalConv1d", "blocks.ResidualBlock",
    ),
    "a3": ("skiprec.visible",),
}  # fmt: skip


def common_mistakes() -> str:
    """Return what the checks say of mistakes in the exercises that assignments take from lessons, as Markdown."""
    lines = ["# Common mistakes, and what one who makes them is told", ""]
    lines += [
        "Each is an edit of the course's own source that the check is tried on: `mistakes.py` in a lesson's room."
    ]
    for assignment, parts in OF_ASSIGNMENTS.items():
        for part in parts:
            said = dict.fromkeys(mistake.says for mistake in CHECKS[part].mistakes)
            lines += ["", f"## {assignment}: `{CHECKS[part].name}`", ""]
            lines += [f"* {says[0].upper()}{says[1:]}." for says in said]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(common_mistakes(), end="")
