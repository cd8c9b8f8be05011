"""A promise is made once: what a signature says is kept, and one line says so where it is not.

`@validated` reads the annotations of a function when it is defined, and holds each call to them: a wrong type raises
TypeError, a wrong shape or range ValueError, and the line names the argument, its value and what would be right. So a
docstring says only what a signature cannot. Axes of one name have one length in all arguments of a call, and in what
an object says of itself (`axis_lengths`): a backbone has so many blocks. What was left to its default is not looked at.
What two arguments promise together, `@together` asks, below `@validated`.
The guards do not hang on jaxtyping's switch, and `torch.compile` does not see them.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import partial, wraps
from types import UnionType
from typing import Annotated, Any, ParamSpec, TypeVar, Union, get_args, get_origin

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from skiprec_lite.inputs import (
    KINDS,
    check_callable,
    check_flag,
    check_has,
    check_number,
    check_rows,
    check_whole,
    described,
    whole_numbers,
)

P = ParamSpec("P")
R = TypeVar("R")
Check = Callable[[str, Any], None]  # (name of the argument, its value)
Rule = Callable[[str, Any, dict[str, Any]], None]  # knows also how long the axes are that were met so far

# What an int or a float may be besides; who needs more writes Annotated[…, a check of a name and a value].
Size = Annotated[int, check_whole]
Count = Annotated[int, partial(check_whole, least=0)]
Seed = Annotated[int, partial(check_whole, least=0, most=2**63 - 1)]  # what NumPy's generators and torch's take
Positive = Annotated[float, partial(check_number, above=0)]
NotNegative = Annotated[float, partial(check_number, least=0)]
Share = Annotated[float, partial(check_number, least=0, most=1)]
Shape = Annotated[Sequence[int], partial(whole_numbers, least=0)]
Rows = Annotated[Int[Tensor, "batch time"], check_rows]  # items, with at least one position


def validated(function: Callable[P, R]) -> Callable[P, R]:
    """Hold each call of a function or a method to its signature; what cannot be checked is left alone."""
    rules = []
    method = function.__name__ != "__init__" and "self" in inspect.signature(function).parameters
    for place, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        asked = parameter.annotation
        kinds = get_args(asked) if get_origin(asked) in (Union, UnionType) else (asked,)
        real = [kind for kind in kinds if kind is not type(None)]
        plain = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) and len(real) == 1
        if plain and (rule := _rule_of(real[0], len(kinds) > len(real))):
            by_name = parameter.kind is parameter.KEYWORD_ONLY
            rules.append((sys.maxsize if by_name else place, name, rule))

    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch.compiler.is_compiling():
            lengths: dict[str, Any] = _said_by(args[0]) if method and args else {}
            given = len(args)
            for place, name, rule in rules:
                if place < given:
                    rule(name, args[place], lengths)
                elif name in kwargs:
                    rule(name, kwargs[name], lengths)
        return function(*args, **kwargs)

    # A code object each: torch.compile counts recompilations by it, and a traceback names the function.
    guarded.__code__ = guarded.__code__.replace(co_name=function.__name__, co_qualname=function.__qualname__)
    return wraps(function)(guarded)


def together(check: Callable[..., None]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Hold each call to what several arguments promise together: the check takes those that it looks at, by name."""
    names = inspect.signature(check).parameters

    def guard(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if not torch.compiler.is_compiling():
                given = signature.bind(*args, **kwargs)
                given.apply_defaults()
                check(**{name: given.arguments[name] for name in names})
            return function(*args, **kwargs)

        return wraps(function)(guarded)

    return guard


def like(wanted: str, *attributes: str) -> Check:
    """What a class may call its `check_argument`: an argument has to have these attributes, whatever its class."""
    return lambda name, value: check_has(name, value, wanted, *attributes)


def _said_by(value: object) -> dict[str, int]:
    said = getattr(type(value), "axis_lengths", None)
    return said(value) if said else {}


def _rule_of(kind: Any, optional: bool) -> Rule | None:
    """What an annotation asks of an argument: None if nothing."""
    more = [mark for mark in getattr(kind, "__metadata__", ()) if callable(mark)]
    kind = get_args(kind)[0] if more else kind
    tensor = _tensor_rule(kind) if hasattr(kind, "dim_str") else None
    speaks = hasattr(kind, "check_argument")
    checks = more if tensor or (more and not speaks) else [*_checks_of(kind, optional), *more]
    if not (tensor or checks):
        return None

    def rule(name: str, value: Any, lengths: dict[str, Any]) -> None:
        if optional and value is None:
            return
        if tensor:
            tensor(name, value, lengths)
        for check in checks:
            check(name, value)
        if speaks:
            lengths.update(_said_by(value))

    return tensor if tensor and not (optional or checks) else rule


def _checks_of(kind: Any, optional: bool) -> list[Check]:
    """What a type asks: a class of ours may say so itself, in `check_argument`."""
    if kind in _PLAIN:
        return [_PLAIN[kind]]
    if get_origin(kind) is Callable or kind is Callable:
        return [check_callable]
    if hasattr(kind, "check_argument"):
        return [kind.check_argument]
    if isinstance(kind, type) and get_origin(kind) is None and kind not in (inspect.Parameter.empty, object, str):
        return [partial(_check_class, kind, " or None" if optional else "")]
    return []


_PLAIN: dict[Any, Check] = {bool: check_flag, int: partial(check_whole, least=None), float: check_number}
_NUMBERS: dict[Any, str] = {Float: "floating point numbers", Int: "whole numbers", Bool: "bools", Num: "numbers"}


def _check_class(kind: type, or_none: str, name: str, value: object) -> None:
    if not isinstance(value, kind):
        path = ".".join(part for part in f"{kind.__module__}.{kind.__qualname__}".split(".") if part[0] != "_")
        raise TypeError(f"{name} must be a {path}{or_none}, got {described(value)}")


def _tensor_rule(kind: Any) -> Rule:
    numbers = next(said for of, said in _NUMBERS.items() if kind.dtypes == of[Tensor, ""].dtypes)
    right = KINDS[numbers]
    axes: list[Any] = [int(axis) if axis.isdigit() else axis for axis in kind.dim_str.split()]
    many = axes.pop(0) if axes and str(axes[0]).startswith(("*", "...")) else None
    if odd := [axis for axis in axes if isinstance(axis, str) and not axis.isidentifier()]:
        raise TypeError(f"an axis is a name or a number here, got {odd[0]!r} in {kind.dim_str!r}")
    least = len(axes)

    def rule(name: str, value: Any, lengths: dict[str, Any]) -> None:
        if not isinstance(value, Tensor) or not right(value.dtype):
            raise TypeError(f"{name} must be a tensor of {numbers}, got {described(value)}")
        shape = value.shape
        first, known = len(shape) - least, len(lengths)
        fits = first == 0 or (many is not None and first > 0)
        if fits and many and many != "...":
            fits = lengths.setdefault(many, shape[:first]) == shape[:first]
        if fits:
            for axis, size in zip(axes, shape[first:]):
                if (axis if isinstance(axis, int) else lengths.setdefault(axis, size)) != size:
                    fits = False
        if not fits:
            before = dict(list(lengths.items())[:known])  # what this argument itself brought says nothing of it
            wanted = [*(before.get(many, ("...",)) if many else ()), *(before.get(axis, axis) for axis in axes)]
            said = ", ".join(map(str, wanted)) + ("," if len(wanted) == 1 else "")
            raise ValueError(f"{name} must be of shape ({said}), got shape {tuple(shape)}")

    return rule
