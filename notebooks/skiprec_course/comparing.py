"""Comparing what an answer returned with what was expected: type, then shape, then values, in words."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MANY = 6  # values that a message names one by one
NUMBERS = (int, float, np.float64, np.float32, np.int64, np.int32)  # by exact type: a subclass could equal anything


def describe(value: Any) -> str:
    """A value in a few words: small tensors by their numbers, large ones by their shape."""
    if isinstance(value, Tensor | np.ndarray):
        numbers = np.asarray(value.detach() if isinstance(value, Tensor) else value)
        if 0 < numbers.size <= MANY and numbers.ndim <= 1:
            return f"[{', '.join(_number(x) for x in numbers.reshape(-1).tolist())}]"
        kind = "a tensor" if isinstance(value, Tensor) else "an array"
        return f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, nn.Module):
        return f"a {type(value).__name__}"
    if isinstance(value, list | tuple) and len(value) > MANY:
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, bool | int | str | torch.dtype) or value is None:
        return repr(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        inside = ", ".join(describe(x) for x in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if value is ...:
        return "..."
    if callable(value):
        return f"the function {value.__name__}" if hasattr(value, "__name__") else "a function"
    return f"a {type(value).__name__}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def difference(found: Any, expected: Any, where: str = "", *, strict: bool = False) -> str:
    """What is wrong with what was found, in words; "" if nothing is.

    Tensors: a plain torch.Tensor, its kind of numbers (floating, whole, bool; not their precision), its shape, its
    values to 1e-4 of the largest (1e-8 if both are float64). Containers and dataclasses: part by part. Strict: the same
    dtype, values to float precision, a gradient where a gradient is expected.
    """
    at = f"{where}: " if where else ""
    if expected is None:
        return "" if found is None else f"{at}found {describe(found)}, expected None"
    if found is None:
        return f"{at}found None, expected {describe(expected)}: is a return missing?"
    if isinstance(expected, Tensor | np.ndarray):
        return at + problem if (problem := _of_arrays(found, expected, strict)) else ""
    if isinstance(expected, bool | np.bool_):
        if type(found) not in (bool, np.bool_) or bool(found) != bool(expected):
            return f"{at}found {describe(found)}, expected {bool(expected)}"
        return ""
    if isinstance(expected, int | float | np.number):
        if type(found) is Tensor and found.dim() == 0:
            found = found.item()
        if type(found) not in NUMBERS:
            return f"{at}found {describe(found)}, expected a number"
        problem = _of_arrays(np.asarray(found, dtype=float), np.asarray(expected, dtype=float), strict)
        return f"{at}found {_number(float(found))}, expected {_number(float(expected))}" if problem else ""
    if isinstance(expected, str):
        same = type(found) is str and found == expected
        return "" if same else f"{at}found {describe(found)}, expected {expected!r}"
    if dataclasses.is_dataclass(expected) and not isinstance(expected, type):
        if type(found).__qualname__ != type(expected).__qualname__:  # by name: grading imports the package afresh
            return f"{at}found {describe(found)}, expected a {type(expected).__name__}"
        pairs = [(f.name, getattr(found, f.name), getattr(expected, f.name)) for f in dataclasses.fields(expected)]
        return _first(pairs, where, "{}{}", strict)
    if isinstance(expected, Mapping):
        if not isinstance(found, dict):
            return f"{at}found {describe(found)}, expected a dict"
        if set(found) != set(expected):
            return f"{at}found the keys {sorted(map(str, found))}, expected {sorted(map(str, expected))}"
        return _first([(f"[{key!r}]", found[key], value) for key, value in expected.items()], where, "{}{}", strict)
    if isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple):
            return f"{at}found {describe(found)}, expected a {type(expected).__name__} of {len(expected)}"
        if len(found) != len(expected):
            return f"{at}found {len(found)} of them, expected {len(expected)}"
        return _first([(f"[{i}]", f, e) for i, (f, e) in enumerate(zip(found, expected))], where, "{}{}", strict)
    same = type(found).__qualname__ == type(expected).__qualname__
    return "" if same else f"{at}found {describe(found)}, expected {describe(expected)}"


def _first(pairs: list[tuple[str, Any, Any]], where: str, form: str, strict: bool) -> str:
    for name, found, expected in pairs:
        inside = form.format(where, name) if name.startswith("[") or not where else f"{where}.{name}"
        if problem := difference(found, expected, inside, strict=strict):
            return problem
    return ""


def _of_arrays(found: Any, expected: Tensor | np.ndarray, strict: bool) -> str:
    wanted = Tensor if isinstance(expected, Tensor) else np.ndarray
    allowed = (Tensor, nn.Parameter) if wanted is Tensor else (np.ndarray,)
    if type(found) not in allowed:
        return f"found {describe(found)}, expected {describe(expected)}"
    if tuple(found.shape) != tuple(expected.shape):
        return f"found shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    found_t, expected_t = ((x.detach() if isinstance(x, Tensor) else torch.as_tensor(x)) for x in (found, expected))
    if _kind(found_t) != _kind(expected_t):
        return f"found {_kind(found_t)} numbers ({found_t.dtype}), expected {_kind(expected_t)} ones"
    if strict and (found_t.dtype, _differentiable(found)) != (expected_t.dtype, _differentiable(expected)):
        return (
            f"found {found_t.dtype} {_differentiable(found)}, expected {expected_t.dtype} {_differentiable(expected)}"
        )
    if not found_t.numel():
        return ""
    both = found_t.dtype == expected_t.dtype == torch.float64
    a, b = found_t.double(), expected_t.double()
    finite = b[b.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 1.0
    close = 1e-8 if both else 1e-4
    if strict:
        close = 100 * torch.finfo(expected_t.dtype).eps if expected_t.is_floating_point() else 0.0
    wrong = ~torch.isclose(a, b, rtol=0, atol=close * max(scale, 1e-12), equal_nan=True)
    if not wrong.any():
        return ""
    if a.isnan().any() and not b.isnan().any():
        return f"{int(a.isnan().sum())} of {a.numel()} values are NaN"
    index = tuple(wrong.nonzero()[0].tolist())
    count = f" ({int(wrong.sum())} of {a.numel()} values differ)" if a.numel() > 1 else ""
    place = f"at {list(index)} " if index else ""
    return f"{place}found {_number(a[index].item())}, expected {_number(b[index].item())}{count}"


def _differentiable(value: Any) -> str:
    return "with a gradient" if isinstance(value, Tensor) and value.requires_grad else "without a gradient"


def _kind(value: Tensor) -> str:
    if value.dtype == torch.bool:
        return "bool"
    return "floating" if value.is_floating_point() else "whole"


def distance(found: Tensor, expected: Tensor) -> float:
    """The largest gap between the distribution functions of two samples (Kolmogorov-Smirnov); 1 if one has a NaN."""
    a, b = (x.detach().double().reshape(-1).sort().values for x in (found, expected))
    if a.isnan().any() or b.isnan().any() or not len(a) or not len(b):
        return 1.0
    places = torch.cat([a, b])
    below = [torch.searchsorted(x, places, right=True) / len(x) for x in (a, b)]
    return float((below[0] - below[1]).abs().max())
