"""What the package asks of its input: each check raises one line that names the value and what would be right.

A wrong type is a TypeError, a wrong value a ValueError. Every check is cheap, changes nothing and draws nothing.
"""

import math
import reprlib
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

KINDS: dict[str, Callable[[torch.dtype], bool]] = {
    "floating point numbers": lambda dtype: dtype.is_floating_point,
    "whole numbers": lambda dtype: dtype in (torch.int64, torch.int32),  # what an embedding takes
    "bools": lambda dtype: dtype == torch.bool,
    "numbers": lambda dtype: not dtype.is_complex,
}


def described(value: object) -> str:
    """Describe a value in a few words on one line: its type and its shape, or else its beginning."""
    if isinstance(value, Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, Tensor) else "numpy array"
        return f"a {kind} of {str(value.dtype).removeprefix('torch.')}, shape {tuple(value.shape)}"
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    said = " ".join(reprlib.repr(value).split())
    return f"{type(value).__name__} {said if len(said) <= 80 else said[:79] + '…'}"


def check_tensor(name: str, value: object, kind: str, *axes: str | int) -> None:
    """Raise unless value is a tensor of such numbers (one of KINDS), its axes as long as those given as a number."""
    if not isinstance(value, Tensor) or not KINDS[kind](value.dtype):
        raise TypeError(f"{name} must be a tensor of {kind}, got {described(value)}")
    wanted = tuple(size if isinstance(axis, str) else axis for axis, size in zip(axes, value.shape))
    if len(axes) != value.dim() or wanted != value.shape:
        said = ", ".join(map(str, axes)) + ("," if len(axes) == 1 else "")
        raise ValueError(f"{name} must be of shape ({said}), got shape {tuple(value.shape)}")


def check_rows(name: str, items: Tensor) -> None:
    """Raise ValueError unless rows of items have at least one position."""
    if items.shape[1] == 0:
        raise ValueError(f"{name} must have at least one position, got shape {tuple(items.shape)}")


def check_whole(name: str, value: object, least: int | None = 1, most: int | None = None) -> None:
    """Raise TypeError unless value is a whole number, ValueError unless it lies between the bounds."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {described(value)}")
    number = int(value)
    if most is not None and not (least or 0) <= number <= most:
        raise ValueError(f"{name} must lie in {least or 0} ... {most}, got {number}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")


def check_number(
    name: str, value: object, *, above: float | None = None, least: float | None = None, most: float | None = None
) -> None:
    """Raise TypeError unless value is a number or a tensor of one, ValueError unless finite and within the bounds."""
    number: Any = value.item() if isinstance(value, Tensor) and value.dim() == 0 else value
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    if not is_number:
        raise TypeError(f"{name} must be a number, got {described(value)}")
    if least is not None and most is not None:
        right, wanted = least <= number <= most, f"must lie in {least} ... {most}"
    elif least is not None:
        right, wanted = number >= least, f"must be a finite number of at least {least}"
    elif above is not None:
        right, wanted = number > above, f"must be a finite number above {above}"
    else:
        right, wanted = True, "must be a finite number"
    if not (right and math.isfinite(number)):
        raise ValueError(f"{name} {wanted}, got {number}")


def check_flag(name: str, value: object) -> None:
    """Raise TypeError unless value is True or False: any other string, "no" included, would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {described(value)}")


def check_has(name: str, value: object, wanted: str, *attributes: str) -> None:
    """Raise TypeError unless value is an object with these attributes, as what is wanted has them."""
    if isinstance(value, type) or not all(hasattr(value, attribute) for attribute in attributes):
        raise TypeError(f"{name} must be {wanted}, got {described(value)}")


def check_callable(name: str, value: object) -> None:
    """Raise TypeError unless value can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {described(value)}")


def check_floating(name: str, dtype: object) -> None:
    """Raise TypeError unless it is a torch.dtype of floating point numbers."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"{name} must be a floating point dtype such as torch.float32, got {described(dtype)}")


def whole_numbers(name: str, values: object, least: int = 1, *, each: str = "") -> list[int]:
    """Return a row of whole numbers as a list; `each` is what one of them is called."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a row of whole numbers, such as (1, 4), got {described(values)}")
    found = [value.item() if isinstance(value, Tensor) and value.dim() == 0 else value for value in values]
    for value in found:
        check_whole(each or f"each of {name}", value, least)
    return [int(value) for value in found]


def item_row(name: str, values: object) -> np.ndarray:
    """Return a flat row of whole numbers as an int64 array: 2.5 would be cut to 2, a text is no index."""
    try:
        row = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths; a tensor that numpy cannot hold
        row = np.asarray(None)
    if row.ndim != 1 or isinstance(values, str | bytes) or (row.dtype.kind not in "iu" and len(row)):
        raise TypeError(f"{name} must be a row of whole numbers, got {described(values)}")
    row = np.ascontiguousarray(row, dtype=np.int64)  # torch takes no view that runs backwards
    return row if row.flags.writeable else row.copy()  # nor one, without a warning, that nobody may write to


def check_item_rows(name: str, rows: Any) -> None:
    """Raise TypeError unless it is a list of rows of whole numbers, of any lengths."""
    check_has(name, rows, "a list of rows of whole numbers, such as [[3, 1, 2]]", "__len__", "__iter__")
    for place, row in enumerate(rows):
        item_row(f"sequence {place}", row)


def check_windows(name: str, windows: Any, num_items: int | None = None) -> None:
    """Raise unless the parts of Windows fit together and, where num_items is given, hold no other items."""
    check_has(name, windows, "Windows, such as split.test", "items", "targets", "cut", "users", "scored")
    check_tensor(f"{name}.items", windows.items, "whole numbers", "row", "time")
    check_tensor(f"{name}.targets", windows.targets, "whole numbers", *windows.items.shape)
    check_tensor(f"{name}.cut", windows.cut, "whole numbers", len(windows.items))
    check_tensor(f"{name}.users", windows.users, "whole numbers", len(windows.items))
    if num_items is not None and windows.items.numel():
        for part, held in (("items", windows.items), ("targets", windows.targets)):
            low, high = int(held.min()), int(held.max())
            if low < 0 or high > num_items:
                raise ValueError(f"{name}.{part} must lie in 0 ... {num_items}, got {low} ... {high}")


def check_no_nan(name: str, values: Tensor) -> None:
    """Raise ValueError if one of the values is NaN."""
    if torch.isnan(values).any():
        raise ValueError(f"{name} must not hold NaN, got {int(torch.isnan(values).sum())} among {values.numel()}")


def check_one_per_case(values: Tensor, windows: Any) -> None:
    """Raise unless there is a number for each scored position of the windows."""
    check_tensor("values", values, "floating point numbers", int(windows.scored().sum()))
