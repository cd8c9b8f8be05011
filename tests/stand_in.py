"""A device that is not there: tests of one path through the code on all devices, on machines without a GPU."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

CPU = torch.device("cpu")
THERE = torch.device("privateuseone", 0)  # torch keeps the name for devices that it does not know


class StandIn(TorchFunctionMode):
    """A device for the while: its tensors are the CPU's with a mark, and where they meet the CPU's it raises.

    As on a GPU three things may meet: numbers (tensors without axes), indices, and the two ends of a copy; and to draw
    takes a generator that lies there, for the CPU's own stream would decide another way on a GPU. What is computed from
    marked tensors, or made with `device=`, is marked. `ran` names what was computed there (True) and here (False).
    Whoever goes round it, and asks torch itself for the device, gets torch's error: there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ran: dict[bool, set[str]] = {True: set(), False: set()}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function == Tensor.device.__get__ and is_there(args[0]):
            return THERE
        if function == Tensor.data.__set__:
            args[0].is_there = is_there(args[1])
        there = self.lies_there(function, args, kwargs)
        if function not in COPIES:
            self.check(function, args, kwargs, there)
        if function in MOVES and there != is_there(args[0]):
            args = (args[0].clone(), *args[1:])  # from CPU to CPU torch's own `to` would hand on the same tensor
        if function == Tensor.to:
            args = tuple(as_cpu(value) for value in args)
        if "device" in kwargs:
            kwargs["device"] = as_cpu(kwargs["device"])
        self.ran[there].add(function.__name__)
        if not there:
            return function(*args, **kwargs)
        stream = torch.get_rng_state()
        result = function(*args, **kwargs)
        if function.__name__ != "__get__":  # an attribute
            assert torch.equal(stream, torch.get_rng_state()), f"{function.__name__} draws there from the CPU's stream"
        for tensor in tensors_in([result]):
            tensor.is_there = True
        return result

    @staticmethod
    def lies_there(function: Any, args: Any, kwargs: Any) -> bool:
        """Whether the result does: where a call says so, else where its tensors are."""
        told = kwargs.get("device")
        if function == Tensor.cpu:
            told = CPU
        elif function == Tensor.to and len(args) > 1 and not isinstance(args[1], torch.dtype):
            told = args[1]
        elif function == Tensor.copy_:
            told = args[0]
        if told is None or isinstance(told, Tensor):
            return any(map(is_there, tensors_in([*args, *kwargs.values()] if told is None else [told])))
        return torch.device(told).type == THERE.type

    @staticmethod
    def check(function: Any, args: Any, kwargs: Any, there: bool) -> None:
        if function in INDEXING and is_there(args[0]):
            args = (args[0], *args[2:])
        tensors = list(tensors_in([*args, *kwargs.values()]))
        mixed = any(map(is_there, tensors)) and not all(is_there(tensor) or tensor.dim() == 0 for tensor in tensors)
        generator = kwargs.get("generator")
        foreign = generator is not None and is_there(generator) != there
        if mixed or foreign or (there and function in TO_NUMPY):
            raise RuntimeError(f"{function.__name__}: expected everything on the same device")


MOVES = (Tensor.to, Tensor.cpu)
COPIES = (*MOVES, Tensor.copy_, Tensor.data.__set__, torch._has_compatible_shallow_copy_type)
INDEXING = (Tensor.__getitem__, Tensor.__setitem__)
TO_NUMPY = (Tensor.numpy, Tensor.__array__)


class Generator(torch.Generator):
    """A generator that may say it is there; torch makes none for a device that it does not know."""

    def __new__(cls, device: torch.device | str = "cpu") -> "Generator":
        made = super().__new__(cls, as_cpu(device))
        made.is_there = torch.device(device).type == THERE.type
        return made


@contextlib.contextmanager
def stand_in() -> Iterator[dict[bool, set[str]]]:
    """Have the device for the while; yields what is computed there (True) and here (False)."""
    with pytest.MonkeyPatch.context() as patch, StandIn() as mode:
        patch.setattr(torch, "Generator", Generator)
        yield mode.ran


def is_there(value: object) -> bool:
    return getattr(value, "is_there", False)


def as_cpu(value: Any) -> Any:
    return CPU if isinstance(value, torch.device | str) and torch.device(value).type == THERE.type else value


def tensors_in(values: Iterable[object]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)


def at_home(model: nn.Module) -> bool:
    """Whether nothing of a model is there, its gradients included."""
    gradients = [weight.grad for weight in model.parameters()]
    return not any(map(is_there, [*model.parameters(), *model.buffers(), *gradients]))
