"""The figures of the lessons as files, for slides."""

import base64
import shutil
from pathlib import Path

import nbformat

LESSONS = Path(__file__).resolve().parent.parent  # of a clone; an installed copy has none beside it


def export(folder: Path) -> list[Path]:
    """Write every figure of the committed lessons into a folder: PNG as computed, SVG as drawn, and an index.

    The index, figures.md, shows each picture with its description, in the order of the lessons.

    Args:
        folder: where to write; made if it is not there. Files of the same names are replaced.

    Returns:
        The pictures' paths.

    Raises:
        FileNotFoundError: if the lessons are not beside the package (a clone of the repository has them).
    """
    if not any(LESSONS.glob("00_*.ipynb")):
        raise FileNotFoundError(f"the lessons are not here ({LESSONS}): figures are exported from a clone")
    folder.mkdir(parents=True, exist_ok=True)
    written, index = [], ["# Figures of the course\n"]
    for drawn in sorted((LESSONS / "figures").glob("*.svg")):
        written.append(Path(shutil.copyfile(drawn, folder / drawn.name)))
        index.append(f"![{drawn.stem}]({drawn.name})\n")
    for lesson in sorted(LESSONS.glob("[0-9][0-9]_*.ipynb")):
        index.append(f"## {lesson.stem}\n")
        cells = nbformat.read(lesson, as_version=4).cells
        pictures = [o for cell in cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        for number, picture in enumerate(pictures, start=1):
            written.append(folder / f"{lesson.stem}_{number:02}.png")
            written[-1].write_bytes(base64.b64decode(picture.data["image/png"]))
            index.append(f"![{picture.metadata['image/png']['alt']}]({written[-1].name})\n")
    (folder / "figures.md").write_text("\n".join(index), encoding="utf-8")
    return written
