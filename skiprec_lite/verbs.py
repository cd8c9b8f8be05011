"""What the verbs of the command line do; each returns what it found."""

import hashlib
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any, TypeVar

import torch

from skiprec_lite import checkpoints, downloads, skiprec, tables
from skiprec_lite.backbones import Backbone, NextItemModel, chosen_device, device_of
from skiprec_lite.choosing import History
from skiprec_lite.datasets import Interactions, load_movielens, read_interactions
from skiprec_lite.lab import experiments, judging, plans, processes, runs, timing
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import last_n, user_sequences
from skiprec_lite.windows import pad_left

Model = TypeVar("Model", bound=NextItemModel)
Found = dict[str, Any]  # --json shows it as one line, in place of what the verb prints


def data(options: Namespace) -> Found:
    """Fetch MovieLens, or check a file, and say what it holds."""
    name = downloads.put(options.source) if options.source else options.data
    data = _interactions(name)
    called, where = data.name, Path(name)
    if name in downloads.ARCHIVES:
        called = f"MovieLens-{name.upper()}"
        where = downloads.data_folder() / ("ml-100k" if name == "100k" else downloads.ARCHIVES[name].name)
    lengths = data.table["user"].value_counts()
    found = {
        "folder": str(where), "interactions": len(data.table), "users": len(data.user_ids), "items": data.num_items,
        "shortest": int(lengths.min()), "median": float(lengths.median()), "longest": int(lengths.max()),
    }  # fmt: skip
    print(
        f"{called}: {len(data.table):,} interactions, {len(data.user_ids):,} users, {data.num_items:,} items; "
        f"{found['shortest']} to {found['longest']:,} a user, median {found['median']:g}: {where}"
    )
    return found


def train(options: Namespace) -> Found:
    """Train, save the weights, judge them; of the processes that torchrun starts the first alone reports and writes."""
    with processes.joined(options.device) as (device, writes):
        return _train(options, device, writes)


def _train(options: Namespace, device: str, writes: bool) -> Found:
    data = _interactions(options.data)
    split = runs.PROTOCOLS[options.protocol](data)
    sample = {"softmax": "sampled", "negatives": options.negatives} if options.softmax == "sampled" else {}
    told = ("full_depth", "blocks", "channels", "epochs", "cost", "seed", "protocol", "tau", "batch_size")
    run = plans.chosen_run(**{name: getattr(options, name) for name in told}, **sample)
    model = _placed(runs.build(run, split), device)
    output = options.output or _last()
    if not options.output:
        output.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.check_place(output)
    rows, width = split.train.items.shape
    print(
        f"Training {'NextItNet+' if options.full_depth else 'SkipRec'} on {rows:,} windows of {width} items, "
        f"{options.epochs} epochs at most: minutes; the bar says how many. Ctrl-C keeps the best so far.",
        flush=True,
    )
    start = time.perf_counter()
    history = runs.train(model, split, run, progress=not options.json)
    seconds = time.perf_counter() - start
    if not writes:
        return {}
    known = {
        "command": " ".join(sys.argv[1:]), "seed": options.seed, "data": data.name, "items": _fingerprint(data),
        "protocol": options.protocol, "trained on": judging.trained_on(split),
    }  # fmt: skip
    checkpoints.save(model, output, **known)  # before they are judged: that may be stopped, or memory not be enough
    found = _trained(history, seconds) | {"weights": str(output), "protocol": options.protocol}
    _line("weights", output)
    found |= judging.quality(model, split)
    checkpoints.save(model, output, **known, metric=found["ndcg@10 unseen"])
    _print_quality(found)
    print()
    _show_user(model, data, data.user_ids[min(41, len(data.user_ids) - 1)], k=5)
    print(f"\nThe whole story, from Gumbel noise to these gates. Open the course with:\n  {_command_line('open')}")
    return found


def _trained(history: History, seconds: float) -> Found:
    """How the training went."""
    last = list(history.behind_best.items())[-3:]
    kept = f"epoch {history.chosen} kept ({history.stopped})"
    _line("trained for", f"{seconds:.0f} s, {len(history.epochs)} epochs, {kept}")
    if history.note:
        print(history.note)
    elif last:
        behind = ", ".join(f"{below:.4f} ± {error:.4f}" for _, (below, error) in last)
        _line("last epochs", f"{behind} behind the best one on validation")
    return {
        "epochs": len(history.epochs), "chosen": history.chosen, "stopped": history.stopped,
        "behind_best": {epoch: [round(x, 5) for x in behind] for epoch, behind in last}, "seconds": round(seconds, 1),
    }  # fmt: skip


def evaluate(options: Namespace) -> Found:
    """Judge trained weights on held-out items."""
    data = _interactions(options.data)
    model = _load(options, data)
    protocol, split = runs.held_out(_weights(options.model), options.protocol, data)
    found = judging.quality(model, split) | {"protocol": protocol}
    _print_quality(found)
    return found


def _print_quality(found: Found) -> None:
    print(f"\nOn held-out items ({found['protocol']}), ranked among:\n{'':<26}{'items not met before':<34}all items")
    for k in (5, 10, 20):
        _both(found, f"NDCG@{k} / HR@{k} / MRR@{k}", "{:.4f} / {:.4f} / {:.4f}", f"ndcg@{k}", f"hr@{k}", f"mrr@{k}")
    _both(found, "one standard error", "{:.4f} (NDCG@10, over users)", "ndcg@10 error")
    for name in ("Markov chain", "window counter"):
        form = "{:+.4f} ± {:.4f} (it has {:.4f})"  # paired by user
        _both(found, f"minus a {name}", form, f"minus {name}", f"minus {name} error", f"{name} ndcg@10")
    if "blocks" in found:
        _both(found, "NDCG@10, gates sampled", "{:.4f} (as published)", "sampled ndcg@10")
        _line("blocks kept", f"{found['blocks']:.2f} of {found['of']}, patterns of gates: {found['patterns']}")
        _line("speed gained", f"{found['speed-up']:.1f} times as fast as all blocks (batch of 256, policy included)")


def _both(found: Found, title: str, form: str, *names: str) -> None:
    """Print what has these names under each ranking, if it was found, side by side."""
    if f"{names[0]} unseen" in found:
        unseen, everything = (form.format(*(found[f"{name} {r}"] for name in names)) for r in judging.RANKINGS)
        _line(title, f"{unseen:<34}{everything}")


def _line(name: str, text: object) -> None:
    print(f"{name:<26}{text}")


def recommend(options: Namespace) -> Found:
    """Show a user's last items and what comes next."""
    data = _interactions(options.data)
    model = _load(options, data)
    return _show_user(model, data, options.user, k=options.k, exclude_seen=not options.include_seen)


def _show_user(model: NextItemModel, data: Interactions, user: str, *, k: int, exclude_seen: bool = True) -> Found:
    history = user_sequences(data)[data.user_index(user)]
    found: Found = {"user": str(user), "history": [data.title(int(i)) for i in history[-5:]], "recommended": []}
    left = data.num_items - len(set(history)) if exclude_seen else data.num_items
    if left:
        items, scores = skiprec.recommend(model, [history], min(k, left), exclude_seen=exclude_seen)
        pairs = zip(items[0].tolist(), scores[0].tolist())
        found["recommended"] = [[data.title(item), round(score, 3)] for item, score in pairs]
    print(f"User {user}, {len(history)} items so far, the last ones:")
    for title in found["history"]:
        print(f"    {title}")
    if isinstance(model, SkipRec):
        with torch.no_grad():
            gates = model.gates(pad_left([history], 50).to(device_of(model)), sample=False)[0].tolist()
        found["blocks kept"] = [block + 1 for block, gate in enumerate(gates) if gate]
        pattern = "".join("■" if gate else "·" for gate in gates)
        print(f"Blocks kept for this user: {pattern}  ({len(found['blocks kept'])} of {len(gates)})")
    print("Next, perhaps (what the user has met is left out):" if exclude_seen else "Next, perhaps:")
    for title, score in found["recommended"]:
        print(f"    {score:7.2f}  {title}")
    if left < k:
        print(f"    ({left or 'nothing'} left of {data.num_items} items: {k} were asked for)")
    return found


def experiment(options: Namespace) -> Found:
    """Run what is missing of a long experiment, or its smallest row again."""
    data = None if options.data == "100k" else _interactions(options.data)
    if options.check:
        return _check(options, data)
    folder = options.folder or tables.RESULTS
    table = experiments.run_experiment(
        options.name, folder=folder, data=data, uncommitted=options.uncommitted, progress=not options.json
    )
    aside = ["experiment", "settings", "stopped", "weights", "version", "date"]
    print(table.drop(columns=aside).to_string(index=False))
    return {"table": str(folder / f"{options.name}.csv"), "rows": len(table)}


def _check(options: Namespace, data: Interactions | None) -> Found:
    if data:
        raise ValueError(f"--check compares with the course's tables, which are not about {data.name}")
    found = experiments.check(options.name, folder=options.folder or tables.RESULTS, progress=not options.json)
    print(
        f"{found['run']}: validation NDCG@10 {found['found']:.5f}, in the table {found['in the table']:.5f}, "
        f"allowance {found['allowance']:.4f} ({found['why']}): level with the table within the spread over seeds"
    )
    return found


def bench(options: Namespace) -> Found:
    """Time an epoch of training, and inference."""
    for name in ("threads", "repeats"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
    data = _interactions(options.data)
    model = _load(options, data)
    if not isinstance(model, SkipRec):
        raise ValueError("these weights are a backbone without a policy: there is nothing to skip")
    found = timing.bench(model, last_n(data), threads=options.threads, repeats=options.repeats)
    epoch = f"{found['epoch seconds']} s"
    print(f"{options.threads} thread(s); an epoch of NextItNet+, 8 blocks, 64 channels, windows of 50: {epoch}")
    print(f"{'batch':>7}{'all blocks':>14}{'kept blocks':>14}{'speed-up':>11}  (of three batches)")
    for batch in timing.BATCHES:
        row = found[f"batch {batch}"]
        print(f"{batch:>7}{row['full ms']:>11.2f} ms{row['skipped ms']:>11.2f} ms{row['speed-up']:>11.2f}", end="")
        print(f"  ({row['low']:.2f} to {row['high']:.2f})")
    return found


def practice(options: Namespace) -> Found:
    """Write a practice copy of a lesson."""
    from skiprec_course import practice  # here: all checks and nbformat would slow down every other verb

    path = practice.write(options.lesson, options.folder)
    print(f"{path}\nOpen it with:\n  {_command_line('open')} {path}")
    return {"notebook": str(path)}


def progress(options: Namespace) -> Found:
    """Check every exercise of the practice copies in a folder."""
    from skiprec_course import practice

    found = practice.progress(options.folder)
    for lesson, exercise, verdict in found:
        sign = {"passed": "✔", "failed": "✘", "raised": "⚡"}.get(verdict.outcome, "○")
        print(f"{lesson:<24}{exercise.split('.')[-1].lstrip('_'):<28}{sign} {verdict.outcome}")
    passed = sum(verdict.outcome == "passed" for _, _, verdict in found)
    print(f"{passed} of {len(found)} exercises pass")
    return {"exercises": [[lesson, exercise, *verdict] for lesson, exercise, verdict in found]}


def figures(options: Namespace) -> Found:
    """Write every figure of the lessons into a folder."""
    from skiprec_course import slides

    written = slides.export(options.folder)
    print(f"{len(written)} figures, and figures.md with their descriptions: {options.folder}")
    return {"figures": [str(path) for path in written]}


# --- data and weights ---


def _interactions(name: str) -> Interactions:
    return load_movielens(name) if name in downloads.ARCHIVES else read_interactions(name)


def _last() -> Path:
    return downloads.data_folder() / "runs" / "last.safetensors"


def _weights(path: Path | None) -> Path:
    return path or (_last() if _last().exists() else tables.COURSE_WEIGHTS)


def _load(options: Namespace, data: Interactions) -> Backbone | SkipRec:
    """Load weights to where they compute; those of other items would score the wrong ones without a word."""
    path = _weights(options.model)
    model, known = checkpoints.load(path), checkpoints.notes(path)
    backbone = model.backbone if isinstance(model, SkipRec) else model
    if (of := backbone.sizes["num_items"]) != data.num_items:
        wrong = f"these weights know {of} items, the data has {data.num_items}"
    elif known.get("items", _fingerprint(data)) != _fingerprint(data):
        wrong = f"trained on other items than those of {data.name}, on {known.get('data')}"
    else:
        return _placed(model, options.device)
    raise ValueError(f"{path.name}: {wrong}; choose others with --model")


def _placed(model: Model, device: str) -> Model:
    """Move a model to a device, to stay there: all that follows computes where it is."""
    os.environ["SKIPREC_DEVICE"] = str(chosen_device(model, device))  # or "auto" would take it from the CPU to a GPU
    return model.to(os.environ["SKIPREC_DEVICE"])


def _fingerprint(data: Interactions) -> str:
    return hashlib.sha256("\n".join(data.item_ids).encode()).hexdigest()[:12]


def _command_line(verb: str) -> str:
    """Return how to run a verb with this Python, from the working directory: "python" may be another, or none."""
    inside = Path(sys.executable).is_relative_to(Path.cwd())
    return f"{os.path.relpath(sys.executable) if inside else 'python'} -m skiprec_lite {verb}"
