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
def asked_device(device: Device) -> torch.device:
    """The device that a name means; "auto" is what the variable SKIPREC_DEVICE says, else a CUDA GPU or the CPU."""
    if device == "auto":
        device = os.environ.get("SKIPREC_DEVICE", "auto")
        check_device("SKIPREC_DEVICE", device)
    found = "cuda" if torch.cuda.is_available() else "cpu"  # "mps" is never tried, so it has to be asked for
    return torch.device(found if device == "auto" else device)


@validated
def chosen_device(model: nn.Module, device: Device) -> torch.device:
    """Where this model is to compute: "auto" leaves it where it is, but takes weights from the CPU to a GPU."""
    here, counts = device_of(model), not any(True for _ in model.parameters())
    if device == "auto" and (here.type != "cpu" or counts):
        return here
    return asked_device(device)


@contextmanager
def on_device(model: nn.Module, device: Device) -> Iterator[torch.device]:
    """Move a model to the chosen device for the while, and back to where it was, whatever happens."""
    home, there = device_of(model), chosen_device(model, device)
    model.to(there)
    try:
        yield there
    finally:
        model.to(home)
