"""Models in safetensors files: the sizes stand in the header, so that `load` needs nothing but the file."""

import json
import os
import tempfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from skiprec_lite.backbones import Backbone, NextItNet, SASRec
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec

FORMAT = "skiprec_lite 1"
_BACKBONES: dict[str, type[Backbone]] = {"NextItNet": NextItNet, "SASRec": SASRec}


def save(model: nn.Module, path: Path | str, /, **notes: object) -> None:
    """Write a backbone or a SkipRec to a file, under a temporary name first: it is there whole or not at all.

    Args:
        model: what to save.
        path: where to; its folder must exist.
        notes: what else to keep in the header, such as command=…, seed=…; read it with `notes`.

    Raises:
        TypeError: if the model is of another kind.
        FileNotFoundError: if the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.parent}")
    header = {"format": FORMAT, "model": json.dumps(_describe(model)), "notes": json.dumps(notes)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    for shared in _shared(model):
        del tensors[shared]
    handle, part = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, part, metadata=header)
        os.chmod(part, 0o644)  # a temporary file is its owner's alone, a classroom's weights are everybody's
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def load(path: Path | str) -> Backbone | SkipRec:
    """Rebuild a model from its file, in eval mode.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or was not written by `save`.
    """
    header = _header(path)
    try:
        described = json.loads(header["model"])
        model = _build(described)
        tensors = load_file(path)
        if surplus := tensors.keys() & _shared(model).keys():
            raise ValueError(f"{', '.join(surplus)} should be another tensor's own")
        tensors |= {name: tensors[first] for name, first in _shared(model).items()}
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, SafetensorError) as error:
        raise ValueError(f"{path}: the header does not describe what the file holds ({error})") from error
    return model.eval()


def notes(path: Path | str) -> dict[str, object]:
    """Read what `save` was told to keep in the header.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or was not written by `save`.
    """
    return json.loads(_header(path)["notes"])


def _header(path: Path | str) -> dict[str, str]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    if header.get("format") != FORMAT or not {"model", "notes"} <= header.keys():
        raise ValueError(f"{path}: not written by skiprec_lite (its header says format {header.get('format')!r})")
    return header


def _describe(model: nn.Module) -> dict[str, object]:
    if isinstance(model, SkipRec):
        return {
            "kind": "SkipRec", "tau": model.tau, "backbone": _describe(model.backbone), "policy": model.policy.sizes
        }  # fmt: skip
    if isinstance(model, Backbone) and type(model).__name__ in _BACKBONES:
        return {"kind": type(model).__name__, "sizes": model.sizes}
    raise TypeError(f"only a {', a '.join(_BACKBONES)} or a SkipRec can be saved, got {type(model).__name__}")


def _build(described: dict) -> Backbone | SkipRec:
    if described["kind"] == "SkipRec":
        backbone = _build_backbone(described["backbone"])
        return SkipRec(backbone, PolicyNetwork(**described["policy"]), tau=described["tau"])
    return _build_backbone(described)


def _build_backbone(described: dict) -> Backbone:
    if described["kind"] not in _BACKBONES:
        raise ValueError(f"unknown kind of model {described['kind']!r}")
    return _BACKBONES[described["kind"]](**described["sizes"])


def _shared(model: nn.Module) -> dict[str, str]:
    """Names of tensors that are another one's own, and that one's name: safetensors keeps each only once."""
    backbone, prefix = (model.backbone, "backbone.") if isinstance(model, SkipRec) else (model, "")
    tied = bool(getattr(backbone, "sizes", {}).get("tied"))
    return {f"{prefix}output_weight": f"{prefix}embedding.weight"} if tied else {}
