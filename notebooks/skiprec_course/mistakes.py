"""A mistake is written once: a sentence, and an edit of the course's own source.

The same row tells a reader what went wrong (a check finds the row that fails as the answer does), is handed to the
check as an answer, is put in force against the unit tests, and stands in the teacher's table.
"""

import functools
import importlib.util
import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Mistake(NamedTuple):
    """What one who makes it is told, and how the course's source becomes wrong in this way.

    Attributes:
        says: the likely cause, in the words of the check.
        old: text that occurs exactly once in the file that defines the part.
        new: what stands there instead.
    """

    says: str
    old: str
    new: str


def onto(part: Any) -> Callable[[Callable[[Any], Any]], Any]:
    """Make a function of another form that runs a part of the package; its mistakes are edits of the part behind it.

    What is decorated takes the part, as it is or with a mistake, and returns the function.
    """

    def adapt(make: Callable[[Any], Any]) -> Any:
        made = make(part)
        made.__name__ = make.__name__
        made.with_mistake = lambda mistake: make(with_mistake(part, mistake))
        return made

    return adapt


def source_of(part: Any) -> Path:
    """The file that defines a function or class, whatever a notebook has put in its module's place."""
    spec = importlib.util.find_spec(inspect.unwrap(part).__module__)
    assert spec is not None
    return Path(str(spec.origin))


def with_mistake(part: Any, mistake: Mistake) -> Any:
    """The function or class as it would be with this mistake in its file; the file itself is left alone.

    Raises:
        ValueError: if the text to replace does not occur exactly once.
    """
    if hasattr(part, "with_mistake"):  # it stands on another part
        return part.with_mistake(mistake)
    source = _read(source_of(part))
    if source.count(mistake.old) != 1:
        raise ValueError(f"{mistake.old!r} occurs {source.count(mistake.old)} times in {source_of(part)}, not once")
    twin = types.ModuleType(inspect.unwrap(part).__module__)
    code = compile(source.replace(mistake.old, mistake.new), f"<{mistake.says}>", "exec", dont_inherit=True)
    exec(code, vars(twin))
    return vars(twin)[part.__name__]


@functools.cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
