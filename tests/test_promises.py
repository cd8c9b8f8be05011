"""What a signature promises is kept: by `validated`, whoever calls and however, with a line that says what is wrong."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from skiprec_lite.gumbel import gumbel_max, gumbel_softmax
from skiprec_lite.inputs import check_no_nan
from skiprec_lite.promises import Count, NotNegative, Positive, Seed, Shape, Share, Size, together, validated
from skiprec_lite.skipping import within_budget

TWO, THREE = torch.zeros(2), torch.zeros(3)
PAIRS, GATES = torch.zeros(4, 3, 2), torch.zeros(4, 3)
NAN = float("nan")


class Kept:
    """Says itself what an argument of its kind must be."""

    @staticmethod
    def check_argument(name: str, value: object) -> None:
        if not hasattr(value, "kept"):
            raise TypeError(f"{name} must have something kept, got {value}")


def taking(annotation: Any, default: Any = inspect.Parameter.empty) -> Callable[..., Any]:
    """A function of one argument with this annotation, which gives it back."""

    def given(value):  # noqa: ANN001, ANN202
        return value

    given.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("value", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation, default=default)]
    )
    return validated(given)


RIGHT: list[tuple[Any, list[Any]]] = [
    (bool, [True, False, np.True_]),
    (int, [3, -3, 0, np.int64(3)]),
    (float, [0.5, -3, 0, np.float32(0.5), torch.tensor(0.5)]),
    (Size, [1, 10**9, np.int32(1)]),
    (Count, [0, 1]),
    (Seed, [0, 2**63 - 1]),
    (Positive, [1e-9, 1, torch.tensor(2.0)]),
    (NotNegative, [0, 0.5]),
    (Share, [0, 0.5, 1]),
    (Shape, [(), (0,), [2, 3], torch.Size([2])]),
    (torch.Generator, [torch.Generator()]),
    (torch.Generator | None, [torch.Generator(), None]),
    (Float[Tensor, ""], [torch.tensor(0.5)]),
    (Float[Tensor, " users"], [TWO, TWO.double(), TWO.half(), TWO[:0], nn.Parameter(TWO)]),
    (Float[Tensor, "*batch classes"], [TWO, GATES, PAIRS]),
    (Float[Tensor, "..."], [torch.tensor(0.5), TWO, PAIRS]),
    (Float[Tensor, "batch block 2"], [PAIRS, PAIRS[:0]]),
    (Float[Tensor, "square square"], [torch.eye(3)]),
    (Int[Tensor, " row"], [TWO.long(), TWO.int()]),
    (Bool[Tensor, " row"], [TWO.bool()]),
    (Num[Tensor, " row"], [TWO, TWO.long(), TWO.bool()]),
    (Float[Tensor, " users"] | None, [TWO, None]),
    (Annotated[Float[Tensor, " users"], check_no_nan], [TWO]),
    (Callable[[int], int], [abs, lambda n: n]),
    (Kept, [taking]),  # below
    (torch.dtype, [torch.int8]),
    (Literal["conv", "gru"], ["lstm"]),  # by hand
    (int | str, [None]),  # by hand
    (inspect.Parameter.empty, ["anything"]),
]  # fmt: skip
taking.kept = True  # type: ignore[attr-defined]

T, V = TypeError, ValueError
WRONG: list[tuple[Any, Any, type[Exception], str]] = [
    (bool, 1, T, "value must be True or False, got int 1"),
    (bool, None, T, "value must be True or False, got None"),
    (bool | None, "no", T, "value must be True or False, got str 'no'"),
    (int, 2.0, T, "value must be a whole number, got float 2.0"),
    (int, True, T, "value must be a whole number, got bool True"),
    (float, "1", T, "value must be a number, got str '1'"),
    (float, NAN, V, "value must be a finite number, got nan"),
    (float, TWO, T, "value must be a number, got a tensor of float32, shape (2,)"),
    (Size, 0, V, "value must be at least 1, got 0"),
    (Size, 2.5, T, "value must be a whole number, got float 2.5"),
    (Size | None, 0, V, "value must be at least 1, got 0"),
    (Count, -1, V, "value must be at least 0, got -1"),
    (Seed, 2**63, V, f"value must lie in 0 ... {2**63 - 1}, got {2**63}"),
    (Seed, "first", T, "value must be a whole number, got str 'first'"),
    (Positive, 0, V, "value must be a finite number above 0, got 0"),
    (Positive, None, T, "value must be a number, got None"),
    (NotNegative, -0.5, V, "value must be a finite number of at least 0, got -0.5"),
    (Share, 1.5, V, "value must lie in 0 ... 1, got 1.5"),
    (Shape, 5, T, "value must be a row of whole numbers, such as (1, 4), got int 5"),
    (Shape, (2, -1), V, "each of value must be at least 0, got -1"),
    (torch.Generator, None, T, "value must be a torch.Generator, got None"),
    (torch.Generator | None, 3, T, "value must be a torch.Generator or None, got int 3"),
    (np.random.Generator, 3, T, "value must be a numpy.random.Generator, got int 3"),
    (Float[Tensor, " users"], [0.5], T, "value must be a tensor of floating point numbers, got list [0.5]"),
    (Float[Tensor, " users"], None, T, "value must be a tensor of floating point numbers, got None"),
    (Float[Tensor, " u"], TWO.long(), T,
     "value must be a tensor of floating point numbers, got a tensor of int64, shape (2,)"),
    (Int[Tensor, " u"], TWO.short(), T, "value must be a tensor of whole numbers, got a tensor of int16, shape (2,)"),
    (Bool[Tensor, " u"], TWO, T, "value must be a tensor of bools, got a tensor of float32, shape (2,)"),
    (Num[Tensor, " u"], TWO + 1j, T, "value must be a tensor of numbers, got a tensor of complex64, shape (2,)"),
    (Float[Tensor, ""], TWO, V, "value must be of shape (), got shape (2,)"),
    (Float[Tensor, " users"], GATES, V, "value must be of shape (users,), got shape (4, 3)"),
    (Float[Tensor, " users"], TWO[0], V, "value must be of shape (users,), got shape ()"),
    (Float[Tensor, "row block 2"], PAIRS[..., :1], V, "value must be of shape (row, block, 2), got shape (4, 3, 1)"),
    (Float[Tensor, "*batch classes"], TWO[0], V, "value must be of shape (..., classes), got shape ()"),
    (Float[Tensor, "n n"], GATES, V, "value must be of shape (n, n), got shape (4, 3)"),
    (Float[Tensor, " users"] | None, GATES, V, "value must be of shape (users,), got shape (4, 3)"),
    (Annotated[Float[Tensor, " u"], check_no_nan], TWO * NAN, V, "value must not hold NaN, got 2 among 2"),
    (Annotated[Float[Tensor, " u"], check_no_nan], GATES * NAN, V, "value must be of shape (u,), got shape (4, 3)"),
    (Callable[[int], int], 0.3, T, "value must be a function, got float 0.3"),
    (Kept, 3, T, "value must have something kept, got 3"),
    (Annotated[Kept, check_no_nan], 3, T, "value must have something kept, got 3"),
    (Kept | None, 3, T, "value must have something kept, got 3"),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "values"), RIGHT, ids=[f"right {n}" for n in range(len(RIGHT))])
def test_what_is_right_is_passed_on(annotation: Any, values: list[Any]) -> None:
    for value in values:
        assert taking(annotation)(value) is value
        assert taking(annotation)(value=value) is value


@pytest.mark.parametrize(
    ("annotation", "value", "error", "line"), WRONG, ids=[f"{n}: {row[3]}" for n, row in enumerate(WRONG)]
)
def test_what_is_wrong_is_named_with_what_would_be_right(
    annotation: Any, value: Any, error: type[Exception], line: str
) -> None:
    for call in (lambda: taking(annotation)(value), lambda: taking(annotation)(value=value)):
        with pytest.raises(error) as raised:
            call()
        assert type(raised.value) is error
        assert str(raised.value) == line


@validated
def several(
    logits: Float[Tensor, "*batch 2"],
    gates: Float[Tensor, "*batch"],
    weights: Float[Tensor, "block block"] | None = None,
    *more: int,
    k: Size = 0,
    flag: bool = False,
    **settings: float,
) -> str:
    """What it does.

    In two sentences.
    """
    return "done"


@pytest.mark.parametrize(
    ("given", "settings", "line"),
    [
        ((PAIRS, GATES[0]), {}, "gates must be of shape (4, 3), got shape (3,)"),
        ((PAIRS[0], GATES), {}, "gates must be of shape (3,), got shape (4, 3)"),
        ((PAIRS[0, 0], TWO), {}, "gates must be of shape (), got shape (2,)"),
        ((PAIRS, GATES, GATES), {}, "weights must be of shape (block, block), got shape (4, 3)"),
        ((PAIRS,), {"gates": GATES[:2], "k": 3}, "gates must be of shape (4, 3), got shape (2, 3)"),
        ((PAIRS, GATES), {"k": 0}, "k must be at least 1, got 0"),
        ((PAIRS, GATES, None), {"k": 1, "flag": 1}, "flag must be True or False, got int 1"),
    ],
)
def test_axes_of_one_name_have_one_length_in_a_call(
    given: tuple[Any, ...], settings: dict[str, Any], line: str
) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        several(*given, **settings)
    assert str(raised.value) == line


def test_axes_are_forgotten_after_the_call_and_defaults_are_not_looked_at() -> None:
    assert several(PAIRS, GATES) == several(PAIRS[:2], GATES[:2]) == several(logits=PAIRS[0], gates=GATES[0]) == "done"
    assert several(PAIRS, GATES, torch.eye(3), "more", "of it", k=1, other="x") == "done"  # type: ignore[arg-type]


def test_an_axis_of_another_argument_is_said_as_its_length() -> None:
    @validated
    def pair(first: Float[Tensor, "row time"], second: Float[Tensor, "row channel"]) -> None: ...

    with pytest.raises(ValueError, match=r"second must be of shape \(4, channel\), got shape \(2,\)"):
        pair(GATES, TWO)


class Stack(nn.Module):
    """Says how many blocks it has."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = blocks

    @staticmethod
    def check_argument(name: str, value: object) -> None:
        """Take everything."""

    def axis_lengths(self) -> dict[str, int]:
        return {"block": self.blocks}

    @validated
    def forward(self, gates: Float[Tensor, "batch block"]) -> Tensor:
        return gates


@validated
def walk(stack: Stack | None, gates: Float[Tensor, "batch block"]) -> Tensor:
    return gates


def test_what_an_object_says_of_its_axes_holds_in_its_methods_and_beside_it() -> None:
    assert walk(None, GATES) is walk(Stack(3), GATES) is Stack(3)(GATES) is GATES
    assert walk(stack=Stack(3), gates=GATES) is Stack(3)(gates=GATES) is GATES
    for call in (
        lambda: walk(Stack(5), GATES), lambda: Stack(5)(GATES), lambda: Stack.forward(Stack(5), GATES),
        lambda: walk(stack=Stack(5), gates=GATES),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"gates must be of shape \((batch|4), 5\), got shape \(4, 3\)"):
            call()


def test_python_itself_says_what_is_missing_or_too_much() -> None:
    for call in (lambda: several(), lambda: several(PAIRS), lambda: gumbel_max(TWO, TWO), lambda: gumbel_max(x=TWO)):
        with pytest.raises(TypeError, match="argument"):
            call()


def test_name_signature_and_docstring_stay() -> None:
    assert several.__name__ == several.__qualname__ == several.__code__.co_name == "several"  # type: ignore[attr-defined]
    assert inspect.getdoc(several) == "What it does.\n\nIn two sentences."
    assert [*inspect.signature(several).parameters][-3:] == ["k", "flag", "settings"]
    assert inspect.getsource(several).startswith("@validated\ndef several(")


def test_an_axis_that_is_neither_a_name_nor_a_number_is_refused_when_it_is_written() -> None:
    with pytest.raises(TypeError, match="a name or a number here, got '#batch'"):
        taking(Float[Tensor, "#batch 2"])


class Layer(nn.Module):
    @validated
    def __init__(self, channels: Size) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    @validated
    def forward(self, hidden: Float[Tensor, "batch channel"], mask: Bool[Tensor, " batch"] | None = None) -> Tensor:
        return self.linear(hidden)

    @staticmethod
    @validated
    def static(share: Share) -> float:
        return share

    @classmethod
    @validated
    def of(cls, channels: Size) -> "Layer":
        return cls(channels)


def test_methods_and_modules_are_guarded() -> None:
    layer = Layer.of(3)
    assert layer(GATES, torch.ones(4, dtype=torch.bool)).shape == layer(hidden=GATES).shape == (4, 3)
    assert Layer.static(0.5) == 0.5
    for call, line in (
        (lambda: Layer(0), "channels must be at least 1"),
        (lambda: Layer.of(2.5), "channels must be a whole number"),
        (lambda: Layer.static(2), "share must lie in 0 ... 1"),
        (lambda: layer(TWO), r"hidden must be of shape \(batch, channel\)"),
        (lambda: layer(GATES, mask=TWO > 0), r"mask must be of shape \(4,\), got shape \(2,\)"),
    ):
        with pytest.raises((TypeError, ValueError), match=line):
            call()


def check_divides(heads: int, channels: int) -> None:
    if channels % heads:
        raise ValueError(f"heads must divide channels, got {heads} and {channels}")


@validated
@together(check_divides)
def width(channels: Size, tensor: Float[Tensor, " any"], *, heads: Size = 2) -> Tensor:
    """Width of a head."""
    return tensor + channels // heads


def test_what_two_arguments_promise_together_is_kept() -> None:
    assert width(6, TWO).tolist() == width(channels=6, tensor=TWO, heads=2).tolist() == [3, 3]
    assert width.__doc__ == "Width of a head."
    for call, error, line in (
        (lambda: width(5, TWO), ValueError, "heads must divide channels, got 2 and 5"),
        (lambda: width(6, TWO, heads=4), ValueError, "heads must divide channels, got 4 and 6"),
        (lambda: width(6, TWO, heads=0), ValueError, "heads must be at least 1"),  # each by itself comes first
        (lambda: width(6), TypeError, "tensor"),
    ):
        with pytest.raises(error, match=line):
            call()


@pytest.mark.usefixtures("untyped")
def test_torch_compile_goes_through_in_one_graph() -> None:
    torch.compiler.reset()
    layer = Layer(3)
    calls = [
        (gumbel_max, GATES), (gumbel_softmax, GATES), (lambda x: gumbel_softmax(x, 2.0, hard=True), GATES),
        (within_budget, PAIRS, 2), (layer, GATES), *[(taking(Size), n) for n in range(1, 12)],
        (lambda x: width(6, x), TWO),
    ]  # fmt: skip
    for function, *given in calls:
        torch.manual_seed(0)
        expected = function(*given)
        torch.manual_seed(0)
        found = torch.compile(function, fullgraph=True, backend="eager")(*given)
        assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))


SWITCHED_OFF = """
import torch
from skiprec_lite.gumbel import gumbel_softmax
for logits, tau in (([1.0], 1.0), (torch.tensor(1.0), 1.0), (torch.ones(2), 0.0)):
    try:
        gumbel_softmax(logits, tau)
    except (TypeError, ValueError) as error:
        print(error)
"""


def test_the_guards_stay_on_when_jaxtyping_is_switched_off() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SWITCHED_OFF],
        capture_output=True, text=True, check=True, env={**os.environ, "JAXTYPING_DISABLE": "1"},
    ).stdout  # fmt: skip
    assert said.splitlines() == [
        "logits must be a tensor of floating point numbers, got list [1.0]",
        "logits must be of shape (..., classes), got shape ()",
        "tau must be a finite number above 0, got 0.0",
    ]
