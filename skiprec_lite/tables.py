"""Where the course's result tables and trained weights lie, and how a table is read."""

from pathlib import Path

import pandas as pd

DATA = Path(__file__).resolve().parent.parent / "data"
RESULTS = DATA / "results"
COURSE_WEIGHTS = DATA / "weights" / "skiprec_ml100k.safetensors"


def read_table(path: Path) -> pd.DataFrame:
    """Read a result table; versions and fingerprints stay text, a last line that was cut off is a ValueError."""
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError(f"{path}: the last line was cut off while it was written: delete that line")
    return pd.read_csv(path, dtype={"version": str, "weights": str})
