"""The table of common mistakes in the teacher's guide: python -m skiprec_course.teachers prints it."""

from skiprec_course.checks import CHECKS

OF_ASSIGNMENTS = (
    "gumbel.sample_gumbel", "gumbel.gumbel_max", "gumbel.gumbel_softmax",
    "blocks.CausalConv1d", "blocks.ResidualBlock", "blocks.receptive_field",
    "splits.user_sequences", "splits.leave_one_out", "metrics.rank_of_target", "metrics.ndcg", "skiprec.visible",
)  # fmt: skip


def common_mistakes() -> str:
    """Return what the checks say of each mistake in the exercises of a1 and a2, as a Markdown table."""
    rows = ["| exercise | what a student who makes the mistake is told |", "| --- | --- |"]
    for part in OF_ASSIGNMENTS:
        said = dict.fromkeys(mistake.says for mistake in CHECKS[part].mistakes)
        rows += [f"| `{CHECKS[part].name}` | {says[0].upper()}{says[1:]}. |" for says in said]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(common_mistakes(), end="")
