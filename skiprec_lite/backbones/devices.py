"""Where a model computes: on the CPU, or on a GPU for the while. What decides anything is drawn on the CPU."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from torch import nn

from skiprec_lite.inputs import described
from skiprec_lite.promises import validated


def check_device(name: str, device: str) -> None:
    """Raise ValueError for a device that torch does not know, or that is not here."""
    if not isinstance(device, str):
        raise TypeError(f"{name} must be a string such as 'auto' or 'cpu', got {described(device)}")
    try:
        kind = "cpu" if device == "auto" else torch.device(device).type
    except RuntimeError:
        raise ValueError(f"{name} must be 'auto', 'cpu', 'cuda' or 'mps', got {device!r}") from None
    here: dict[str, Callable[[], bool]] = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if kind in here and not here[kind]():
        raise ValueError(f"{name} is {device!r}, of which torch finds none here; 'auto' takes what there is")


Device = Annotated[str, check_device]


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are; a model without any, which only counts, is on the CPU."""
    return next((weight.device for weight in model.parameters()), torch.device("cpu"))


@validated
def chosen_device(model: nn.Module, device: Device) -> torch.device:
    """The device that is meant: "auto" leaves a model where it is, but takes one from the CPU to a GPU (CUDA).

    The environment variable SKIPREC_DEVICE says where to instead, such as "cpu". "mps" is never tried, so it has to be
    asked for.
    """
    if device != "auto":
        return torch.device(device)
    here, counts = device_of(model), not any(True for _ in model.parameters())
    if here.type != "cpu" or counts:
        return here
    asked = os.environ.get("SKIPREC_DEVICE", "auto")
    check_device("SKIPREC_DEVICE", asked)
    gpu_or_cpu = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(gpu_or_cpu if asked == "auto" else asked)


@contextmanager
def on_device(model: nn.Module, device: Device) -> Iterator[torch.device]:
    """Move a model to the chosen device for the while, and back to where it was, whatever happens."""
    home, there = device_of(model), chosen_device(model, device)
    model.to(there)
    try:
        yield there
    finally:
        model.to(home)
