"""Models in safetensors files: the sizes stand in the header, so that `load` needs nothing but the file."""

import inspect
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from skiprec_lite.backbones import Backbone, NextItNet, SASRec
from skiprec_lite.inputs import check_whole, described
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec

FORMAT = "skiprec_lite 1"
Shape = tuple[int, ...]
_BACKBONES: dict[str, type[Backbone]] = {"NextItNet": NextItNet, "SASRec": SASRec}
_WHOLE = ("num_items", "channels", "embedding_channels", "num_blocks", "kernel_size", "max_length", "heads")


def save(model: nn.Module, path: Path | str, /, **notes: object) -> None:
    """Write a backbone or a SkipRec to a file, under a temporary name first: it is there whole or not at all.

    What else is given is kept in the header, such as command=…, seed=…: read it with `notes`.

    Raises:
        TypeError: if the model is of another kind, or a note is nothing that JSON can hold.
        ValueError: if a weight is not finite or of another type than float32 or float64.
        ValueError, FileNotFoundError, PermissionError: see `check_place`.
    """
    path = Path(path)
    check_place(path)
    header = {"format": FORMAT, "model": _as_json(_describe(model)), "notes": _as_json(notes)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    for shared in _shared(model):
        del tensors[shared]
    _check_weights(tensors)
    handle, part = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, part, metadata=header)
        os.chmod(part, 0o644)  # a temporary file is its owner's alone, a classroom's weights are everybody's
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def check_place(path: Path) -> None:
    """Raise unless a file can be saved there: as `save` does, but before a training rather than after it."""
    if path.is_dir():
        raise ValueError(f"what is saved must be a file, got the folder {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"nothing can be written to the folder {path.parent}: choose another one")


def load(path: Path | str) -> Backbone | SkipRec:
    """Rebuild a model from its file, in eval mode.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if it may not be read.
        ValueError: if the file is damaged, or was not written by `save`.
    """
    header = _header(path)
    try:
        with safe_open(path, framework="pt") as file:
            held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        model = _build(json.loads(header["model"]), held)
        _check_shapes(model, held)
        tensors = load_file(path)
        _check_weights(tensors)
        tensors |= {name: tensors[first] for name, first in _shared(model).items()}
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError, SafetensorError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path}: the header does not describe what the file holds ({said})") from error
    return model.eval()


def notes(path: Path | str) -> dict[str, object]:
    """Read what `save` was told to keep in the header; a file that is not there or not ours is told as by `load`."""
    try:
        found = json.loads(_header(path)["notes"])
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: the notes in its header are no JSON ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: the notes in its header should be names and values, got {described(found)}")
    return found


def _header(path: Path | str) -> dict[str, str]:
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder, not a file that was saved")
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} may not be read")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    if header.get("format") != FORMAT or not {"model", "notes"} <= header.keys():
        found = header.get("format")
        raise ValueError(f"{path}: not written by skiprec_lite (its header says format {found!r}, not {FORMAT!r})")
    return header


def _describe(model: nn.Module) -> dict[str, object]:
    if isinstance(model, SkipRec):
        return {
            "kind": "SkipRec", "tau": model.tau, "backbone": _describe(model.backbone), "policy": model.policy.sizes
        }  # fmt: skip
    if isinstance(model, Backbone) and type(model).__name__ in _BACKBONES:
        return {"kind": type(model).__name__, "sizes": model.sizes}
    raise TypeError(f"only a {', a '.join(_BACKBONES)} or a SkipRec can be saved, got {type(model).__name__}")


def _build(model: Any, held: dict[str, Shape]) -> Backbone | SkipRec:
    if _part(model, "kind", str) != "SkipRec":
        return _build_backbone(model, held, "")
    backbone = _part(model, "backbone", dict)
    policy = {"pool": "mean"} | _part(model, "policy", dict)  # older files are of a time without that choice
    _check_sizes(PolicyNetwork, policy, held, "policy.")
    tau = _part(model, "tau", float)
    return SkipRec(_build_backbone(backbone, held, "backbone."), PolicyNetwork(**policy), tau=tau)


def _build_backbone(model: dict, held: dict[str, Shape], prefix: str) -> Backbone:
    kind = _part(model, "kind", str)
    if kind not in _BACKBONES:
        raise ValueError(f"unknown kind of model {kind!r}, known are {', '.join([*_BACKBONES, 'SkipRec'])}")
    sizes = _part(model, "sizes", dict)
    _check_sizes(_BACKBONES[kind], sizes, held, prefix)
    return _BACKBONES[kind](**sizes)


def _part(model: Any, name: str, kind: type) -> Any:
    if not isinstance(model, dict) or name not in model:
        raise ValueError(f"no {name} in the description of the model, {described(model)}")
    if not isinstance(model[name], (int, float) if kind is float else kind):
        raise ValueError(f"{name} should be a {kind.__name__}, got {described(model[name])}")
    return model[name]


def _check_sizes(kind: type, sizes: dict, held: dict[str, Shape], prefix: str) -> None:
    """Raise ValueError unless the sizes are all there and the telling ones are those of the weights in the file.

    Before anything is built: what a header says may ask for more memory than there is. A size that is missing would
    get its default, which may fit the weights and yet be another model's.
    """
    wanted = inspect.signature(kind).parameters
    if missing := [name for name in wanted if name not in sizes]:
        raise ValueError(f"{kind.__name__} without {', '.join(missing)}")
    if unknown := [name for name in sizes if name not in wanted]:
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}")
    for name in _WHOLE:
        if sizes.get(name) is not None:
            check_whole(name, sizes[name])
    for weight, shape in _telling(kind, sizes).items():
        _check_shape(prefix + weight, held.get(prefix + weight), shape)
    listed = sizes.get("dilations")
    blocks = len(listed) if isinstance(listed, list) else sizes["num_blocks"] if kind is SASRec else 0
    if blocks > len(held):  # a billion blocks would take hours
        raise ValueError(f"{blocks} blocks, but the file holds {len(held)} weights in all")


def _telling(kind: type, sizes: dict) -> dict[str, Shape]:
    """The weights whose shapes, together with the number of blocks, tell how large a model is."""
    rows, channels = sizes["num_items"] + 1, sizes["channels"]
    told = {"embedding.weight": (rows, sizes.get("embedding_channels") or channels)}  # a policy's may be another
    if kind is PolicyNetwork:
        return told | {"output.weight": (2 * sizes["num_blocks"], channels)}
    if kind is SASRec:
        return told | {"positions": (sizes["max_length"], channels)}
    return told | ({"blocks.0.conv1.weight": (channels, channels, sizes["kernel_size"])} if sizes["dilations"] else {})


def _check_shapes(model: nn.Module, held: dict[str, Shape]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in _shared(model)}
    for name in sorted(wanted.keys() | held.keys()):
        _check_shape(name, held.get(name), wanted.get(name))


def _check_shape(name: str, held: Shape | None, wanted: Shape | None) -> None:
    if held != wanted:
        raise ValueError(f"{name} is {held or 'missing'} in the file, it should be {wanted or 'left out'}")


def _check_weights(tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"{name} should be float32 or float64, got {str(tensor.dtype).removeprefix('torch.')}")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} should be finite, got NaN or infinity among its {tensor.numel()} numbers")


def _as_json(value: dict[str, object]) -> str:
    def plain(number: Any) -> object:
        if getattr(number, "ndim", None) != 0:
            raise TypeError(f"only what JSON can hold is kept in the header, got {described(number)}")
        return number.item()  # NumPy's numbers and tensors without axes

    return json.dumps(value, default=plain)


def _shared(model: nn.Module) -> dict[str, str]:
    """Names of tensors that are another one's own, and that one's name: safetensors keeps each only once."""
    backbone, prefix = (model.backbone, "backbone.") if isinstance(model, SkipRec) else (model, "")
    tied = bool(getattr(backbone, "sizes", {}).get("tied"))
    return {f"{prefix}output_weight": f"{prefix}embedding.weight"} if tied else {}
