import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import random_items, randomise
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from skiprec_lite import checkpoints
from skiprec_lite.backbones import Backbone, NextItNet, SASRec
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec

NUM_ITEMS = 20
SIZES = {"channels": 8, "dilations": (1, 4, 2), "kernel_size": 2, "dropout": 0.3, "embedding_dropout": 0.1}


def net(*, tied: bool = False, rezero: bool = True) -> NextItNet:
    return randomise(NextItNet(NUM_ITEMS, tied=tied, rezero=rezero, **SIZES))


def skiprec(*, tied: bool = False) -> SkipRec:
    policy = PolicyNetwork(NUM_ITEMS, 3, channels=6, dilations=(2,), keep_bias=1.5, embedding_channels=4)
    return SkipRec(net(tied=tied), randomise(policy, seed=1), tau=3.5)


def sasrec() -> SASRec:
    return randomise(SASRec(NUM_ITEMS, channels=8, num_blocks=3, heads=4, max_length=4, dropout=0.2))


def with_a_gru(backbone: Backbone) -> SkipRec:
    policy = PolicyNetwork(NUM_ITEMS, 3, channels=6, encoder="gru", keep_bias=-1.5, embedding_channels=4)
    return SkipRec(backbone, randomise(policy, seed=1), tau=0.5)


MODELS: dict[str, Callable[[], Backbone | SkipRec]] = {
    "NextItNet": net,
    "tied NextItNet": lambda: net(tied=True),
    "plain NextItNet": lambda: net(rezero=False),
    "SkipRec": skiprec,
    "tied SkipRec": lambda: skiprec(tied=True),
    "NextItNet without a block": lambda: randomise(NextItNet(NUM_ITEMS, channels=8, dilations=())),
    "SASRec": sasrec,
    "SkipRec with a GRU": lambda: with_a_gru(net()),
    "SkipRec on SASRec": lambda: with_a_gru(sasrec()),
}


def scores_of(model: nn.Module) -> Tensor:
    return model(random_items((6, 2, 5) * 4, 6, NUM_ITEMS))[:, -1]


def header_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


# --- round trip ---


@pytest.mark.parametrize("kind", MODELS)
def test_a_loaded_model_is_the_saved_one(kind: str, tmp_path: Path) -> None:
    model, path = MODELS[kind](), tmp_path / "model.safetensors"
    checkpoints.save(model, path)
    assert model.training  # saving leaves the mode alone
    loaded = checkpoints.load(str(path))
    assert type(loaded) is type(model)
    assert not any(part.training for part in loaded.modules())
    assert torch.equal(scores_of(loaded), scores_of(model.eval()))
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.parametrize(("kind", "tau"), [("SkipRec", 3.5), ("SkipRec on SASRec", 0.5)])
def test_what_is_no_weight_is_kept_too(kind: str, tau: float, tmp_path: Path) -> None:
    model = MODELS[kind]()
    checkpoints.save(model, tmp_path / "model.safetensors")
    loaded = checkpoints.load(tmp_path / "model.safetensors")
    assert loaded.tau == tau
    assert type(loaded.backbone) is type(model.backbone)
    assert loaded.backbone.sizes == model.backbone.sizes
    assert loaded.policy.sizes == model.policy.sizes
    assert [m.p for m in loaded.modules() if isinstance(m, nn.Dropout)] == [
        m.p for m in model.modules() if isinstance(m, nn.Dropout)
    ]


@pytest.mark.parametrize("kind", ["SASRec", "SkipRec on SASRec"])
def test_sasrec_stores_each_weight_once(kind: str, tmp_path: Path) -> None:
    model, path = MODELS[kind](), tmp_path / "model.safetensors"
    checkpoints.save(model, path)
    assert sum(t.numel() for t in load_file(path).values()) == sum(p.numel() for p in model.parameters())


SASREC_CHANGES: dict[str, Callable[[dict], object]] = {
    "another kind": lambda d: d.update(kind="NextItNet"),
    "fewer places": lambda d: d["sizes"].update(max_length=3),
    "more blocks": lambda d: d["sizes"].update(num_blocks=4),
    "heads that do not divide": lambda d: d["sizes"].update(heads=3),
    "no places": lambda d: d["sizes"].update(max_length=0),
    "dilations": lambda d: d["sizes"].update(dilations=[1, 2, 4]),
}


@pytest.mark.parametrize("change", SASREC_CHANGES)
def test_a_header_that_does_not_describe_sasrec_s_weights_is_refused(change: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoints.save(sasrec(), path)
    header, tensors = header_of(path), load_file(path)
    described = json.loads(header["model"])
    SASREC_CHANGES[change](described)
    save_file(tensors, path, metadata=header | {"model": json.dumps(described)})
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        checkpoints.load(path)


def test_a_tied_model_stays_tied_and_stores_its_weights_once(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for make in (lambda: net(tied=True), lambda: skiprec(tied=True)):
        checkpoints.save(make(), path)
        loaded = checkpoints.load(path)
        assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in make().parameters())
        assert sum(t.numel() for t in load_file(path).values()) == sum(p.numel() for p in make().parameters())


def test_notes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path, command="train --seed 3", seed=3, metric={"ndcg@10": 0.0624})
    assert checkpoints.notes(path) == {"command": "train --seed 3", "seed": 3, "metric": {"ndcg@10": 0.0624}}
    checkpoints.save(net(), path)
    assert checkpoints.notes(path) == {}


def test_saving_replaces_what_was_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path)
    checkpoints.save(skiprec(), path)
    assert isinstance(checkpoints.load(path), SkipRec)
    assert list(tmp_path.iterdir()) == [path]


def test_a_gradient_s_history_is_no_obstacle(tmp_path: Path) -> None:
    model = net()
    scores_of(model)[:, 1:].sum().backward()
    checkpoints.save(model, tmp_path / "model.safetensors")
    assert all(p.grad is None for p in checkpoints.load(tmp_path / "model.safetensors").parameters())


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was opened")

    for module, name in ((torch, "load"), (torch, "save"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, refuse)
    path = tmp_path / "model.safetensors"
    checkpoints.save(skiprec(), path)
    checkpoints.load(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert "__metadata__" in json.loads(content[8 : 8 + length])
    assert len(content) == 8 + length + 4 * sum(t.numel() for t in load_file(path).values())


# --- files that are not ours, or not any more ---


def saved_with(path: Path, change: Callable[[dict], object]) -> Path:
    """A saved SkipRec whose description in the header has been changed."""
    checkpoints.save(skiprec(), path)
    header, tensors = header_of(path), load_file(path)
    described = json.loads(header["model"])
    change(described)
    save_file(tensors, path, metadata=header | {"model": json.dumps(described)})
    return path


CHANGES: dict[str, Callable[[dict], object]] = {
    "more items": lambda d: (d["backbone"]["sizes"].update(num_items=21), d["policy"].update(num_items=21)),
    "another width": lambda d: d["backbone"]["sizes"].update(channels=9),
    "more blocks": lambda d: (d["backbone"]["sizes"]["dilations"].append(1), d["policy"].update(num_blocks=4)),
    "fewer blocks": lambda d: (d["backbone"]["sizes"]["dilations"].pop(), d["policy"].update(num_blocks=2)),
    "blocks that disagree": lambda d: d["policy"].update(num_blocks=2),
    "another kernel": lambda d: d["backbone"]["sizes"].update(kernel_size=3),
    "no ReZero": lambda d: d["backbone"]["sizes"].update(rezero=False),
    "tied": lambda d: d["backbone"]["sizes"].update(tied=True),
    "a width below 1": lambda d: d["backbone"]["sizes"].update(channels=-8),
    "a width that is no number": lambda d: d["backbone"]["sizes"].update(channels="eight"),
    "a size too many": lambda d: d["backbone"]["sizes"].update(heads=2),
    "a size too few": lambda d: d["policy"].pop("num_blocks"),
    "no tau": lambda d: d.pop("tau"),
    "a tau of 0": lambda d: d.update(tau=0.0),
    "an unknown kind": lambda d: d.update(kind="BERT4Rec"),
    "no kind": lambda d: d.pop("kind"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_header_that_does_not_describe_the_weights_is_refused(change: str, tmp_path: Path) -> None:
    path = saved_with(tmp_path / "model.safetensors", CHANGES[change])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        checkpoints.load(path)


def test_a_header_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path)
    header, tensors = header_of(path), load_file(path)
    for key in ("model", "notes"):
        save_file(tensors, path, metadata=header | {key: "{not json"})
        with pytest.raises(ValueError):
            checkpoints.load(path) if key == "model" else checkpoints.notes(path)


@pytest.mark.parametrize("read", [checkpoints.load, checkpoints.notes])
def test_another_program_s_safetensors_file_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}, {"format": "skiprec_lite 1"}):
        save_file({"weight": torch.ones(3)}, path, metadata=metadata)
        with pytest.raises(ValueError, match=r"foreign\.safetensors"):
            read(path)


@pytest.mark.parametrize("read", [checkpoints.load, checkpoints.notes])
def test_a_file_of_another_version_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path)
    save_file(load_file(path), path, metadata=header_of(path) | {"format": "skiprec_lite 99"})
    with pytest.raises(ValueError, match="99"):
        read(path)


@pytest.mark.parametrize("read", [checkpoints.load, checkpoints.notes])
def test_a_file_cut_short_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path)
    content = path.read_bytes()
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            read(path)


@pytest.mark.parametrize("content", [b"\x80\x04N.", b"user,item\n1,2\n", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"[" * 16])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        checkpoints.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for read in (checkpoints.load, checkpoints.notes):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read(tmp_path / "nowhere.safetensors")


# --- saving that fails ---


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoints.save(net(), tmp_path / "nowhere" / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Linear"):
        checkpoints.save(nn.Linear(2, 2), tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_folder_as_it_was(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_written(_: dict, filename: str | Path, **__: object) -> None:
        Path(filename).write_bytes(b"half")
        raise error

    path, old = tmp_path / "model.safetensors", tmp_path / "old.safetensors"
    checkpoints.save(net(), old)
    before = old.read_bytes()
    monkeypatch.setattr(checkpoints, "save_file", half_written)
    for target in (path, old):
        with pytest.raises(type(error)):
            checkpoints.save(skiprec(), target)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == before
