"""The command line: python -m skiprec_lite VERB; --help lists the verbs."""

import argparse
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from skiprec_lite import checkpoints, downloads, tables
from skiprec_lite.backbones import Backbone, NextItemModel
from skiprec_lite.choosing import History
from skiprec_lite.datasets import Interactions, load_movielens, read_interactions
from skiprec_lite.skiprec import SkipRec, recommend
from skiprec_lite.splits import last_n, user_sequences
from skiprec_lite.windows import Split, pad_left

COURSE = Path(__file__).resolve().parent.parent
HOUR = "skiprec_in_an_hour"
Found = dict[str, Any]  # what a verb found: --json shows it as one line, in place of what the verb prints


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a reader's mistake ends in one line on stderr and status 1 (2 for usage)."""
    options = _parser().parse_args(arguments)
    shown = io.StringIO() if options.json else sys.stdout
    try:
        with contextlib.redirect_stdout(shown):
            found = options.run(options)
    except (ValueError, TypeError, OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        # A RuntimeError is torch's way to say that memory is not enough; Python's says nothing.
        print(f"error: {' '.join(str(error).split()) or 'not enough memory'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(found))
    return 0


# --- what a verb may be told ---


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skiprec_lite",
        description="SkipRec from scratch: a recommender that chooses its depth per user.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(run: Callable[[argparse.Namespace], Found], text: str) -> argparse.ArgumentParser:
        name = run.__name__.removeprefix("_")
        added = verbs.add_parser(name, help=text, description=text, formatter_class=_Defaults)
        added.set_defaults(run=run)
        added.add_argument("--json", action="store_true", help="print the result as one line of JSON, nothing else")
        return added

    added = verb(_open, "Open JupyterLab in the course's folder, where links work; without a lesson, with the hour.")
    added.add_argument("lesson", nargs="?", default=HOUR, help="its number, a part of its name, or a notebook's path")
    added.add_argument("options", nargs=argparse.REMAINDER, help="handed on to JupyterLab, such as --no-browser")
    added = verb(_data, "Fetch MovieLens if it is not there yet, or check your own file, and say what it holds.")
    _ask_for_data(added)
    what = "put in place an archive that was fetched by other means: ml-100k.zip, ml-1m.zip, ml-20m.zip"
    added.add_argument("--from", dest="source", type=Path, help=what)
    _ask_train(verb(_train, "Train SkipRec, and show what it learnt to skip."))
    _ask_evaluate(verb(_evaluate, "Judge trained weights on held-out items."))
    _ask_recommend(verb(_recommend, "Show a user's last films, what to watch next, and the blocks kept for them."))
    _ask_experiment(verb(_experiment, "Run what is missing of one of the long experiments behind the lessons."))
    _ask_bench(verb(_bench, "Time an epoch of training, and inference with all blocks against the kept ones."))
    added = verb(_practice, "Write a copy of a lesson in which you build its parts yourself.")
    added.add_argument("lesson", help="its number or the beginning of its name, such as 02")
    added.add_argument("--folder", type=Path, default=Path("practice"), help="where to write it")
    added = verb(_progress, "Check every exercise of the practice copies in a folder.")
    added.add_argument("folder", type=Path, nargs="?", default=Path("practice"), help="where the copies are")
    added = verb(_figures, "Write every figure of the lessons into a folder, for slides.")
    added.add_argument("folder", type=Path, help="where to write them")
    return parser


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, True) else super()._get_help_string(action)


def _ask_for_data(verb: argparse.ArgumentParser) -> None:
    what = "100k, 1m or 20m (MovieLens), or your own .inter, .csv or .txt file"
    verb.add_argument("--data", default="100k", metavar="DATA", help=what)


def _ask_for_model(verb: argparse.ArgumentParser) -> None:
    what = "weights to load (default: the last ones trained here, else those of the course)"
    verb.add_argument("--model", type=Path, help=what)


def _ask_train(verb: argparse.ArgumentParser) -> None:
    from skiprec_lite.lab import plans, runs  # here and below: to import this file does not load the lab

    chosen = plans.CHOSEN_TRAINING
    _ask_for_data(verb)
    verb.add_argument("--full-depth", action="store_true", help="train the backbone alone, without a policy")
    verb.add_argument("--protocol", choices=sorted(runs.PROTOCOLS), default="last_n", help="what is held out")
    verb.add_argument("--blocks", type=int, default=8, help="residual blocks; dilations 1 and 4 in turn")
    verb.add_argument("--channels", type=int, default=64, help="width of the backbone")
    verb.add_argument("--epochs", type=int, default=chosen["epochs"], help="at most so many epochs")
    verb.add_argument("--cost", type=float, default=chosen["cost"], help="weight of the mean gate in the loss")
    verb.add_argument("--tau", type=float, default=10.0, help="temperature of the gates' gradient")
    verb.add_argument("--softmax", choices=("full", "sampled"), default="full", help="score all items, or a sample")
    verb.add_argument("--negatives", type=int, default=2000, help="sampled items a step")
    verb.add_argument("--seed", type=int, default=0, help="of weights, batches and gates")
    verb.add_argument("--output", type=Path, help="where to write the weights (default: runs/ in the data folder)")


def _ask_evaluate(verb: argparse.ArgumentParser) -> None:
    from skiprec_lite.lab import runs

    _ask_for_data(verb)
    _ask_for_model(verb)
    what = "what is held out (default: what was so in training)"
    verb.add_argument("--protocol", choices=sorted(runs.PROTOCOLS), help=what)
    verb.add_argument("--exclude-seen", action="store_true", help="take a user's own past out of the ranking")


def _ask_recommend(verb: argparse.ArgumentParser) -> None:
    _ask_for_data(verb)
    _ask_for_model(verb)
    verb.add_argument("--user", default="42", help="the user's id in the data")
    verb.add_argument("-k", type=int, default=10, help="how many items")
    verb.add_argument("--include-seen", action="store_true", help="also recommend what the user has met already")


def _ask_experiment(verb: argparse.ArgumentParser) -> None:
    from skiprec_lite.lab import plans

    verb.add_argument("name", choices=sorted(plans.EXPERIMENTS), help="which one")
    _ask_for_data(verb)
    verb.add_argument("--check", action="store_true", help="run its smallest row again and compare: up to minutes")
    verb.add_argument("--folder", type=Path, default=tables.RESULTS, help="where the tables are")
    verb.add_argument("--uncommitted", action="store_true", help="run although the package has uncommitted changes")


def _ask_bench(verb: argparse.ArgumentParser) -> None:
    _ask_for_data(verb)
    _ask_for_model(verb)
    verb.add_argument("--threads", type=int, default=1, help="threads torch may use")
    verb.add_argument("--repeats", type=int, default=9, help="how often inference is timed")


# --- what a verb does ---


def _open(options: argparse.Namespace) -> Found:
    notebook, root = _notebook(options.lesson)
    command = [sys.executable, "-m", "jupyter", "lab", str(notebook), f"--ServerApp.root_dir={root}", *options.options]
    if getattr(os, "geteuid", lambda: 1)() == 0 and "--allow-root" not in command:
        command.append("--allow-root")  # root was asked for when Python was started so
    status = subprocess.run(command, check=False).returncode
    if status:
        raise RuntimeError(f"JupyterLab ended with status {status}")
    return {"command": command}


def _command(verb: str) -> str:
    """How to run another verb with this Python, from the working directory: "python" may be another one, or none."""
    inside = Path(sys.executable).is_relative_to(Path.cwd())
    return f"{os.path.relpath(sys.executable) if inside else 'python'} -m skiprec_lite {verb}"


def _notebook(name: str) -> tuple[Path, Path]:
    """A notebook by its path, or a lesson by the beginning of its name, and the folder that links may lead to."""
    if Path(name).suffix == ".ipynb":
        path = Path(name).resolve()
        if not path.is_file():
            raise FileNotFoundError(f"no such notebook: {name}")
        return path, COURSE if path.is_relative_to(COURSE) else path.parent
    if not (COURSE / "notebooks" / f"{HOUR}.ipynb").is_file():
        raise FileNotFoundError(f"the lessons are not here ({COURSE / 'notebooks'}): they are in a clone")
    lessons = sorted(path.stem for path in (COURSE / "notebooks").glob("*.ipynb"))
    wanted = name.zfill(2) if name.isdigit() else name
    found = [x for x in lessons if x.startswith(wanted)] or [x for x in lessons if wanted in x]
    if not found:
        raise ValueError(f"no lesson is called {name!r}; choose one of {', '.join(lessons)}")
    return COURSE / "notebooks" / f"{found[0]}.ipynb", COURSE


def _data(options: argparse.Namespace) -> Found:
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


def _train(options: argparse.Namespace) -> Found:
    from skiprec_lite.lab import judging, plans, runs

    data = _interactions(options.data)
    split = runs.PROTOCOLS[options.protocol](data)
    sample = {"softmax": "sampled", "negatives": options.negatives} if options.softmax == "sampled" else {}
    run = plans.chosen_run(
        full_depth=options.full_depth, blocks=options.blocks, channels=options.channels, epochs=options.epochs,
        cost=options.cost, seed=options.seed, protocol=options.protocol, tau=options.tau, **sample,
    )  # fmt: skip
    model = runs.build(run, split)
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
    known = {
        "command": " ".join(sys.argv[1:]), "seed": options.seed, "data": data.name, "items": _fingerprint(data),
        "protocol": options.protocol, "trained on": judging.trained_on(split),
    }  # fmt: skip
    checkpoints.save(model, output, **known)  # before they are judged: that may be stopped, or memory not be enough
    found = _trained(history, seconds) | {"weights": str(output), "protocol": options.protocol}
    _line("weights", output)
    found |= judging.quality(model, split)
    checkpoints.save(model, output, **known, metric=found["ndcg@10"])
    _print_quality(found)
    print()
    _show_user(model, data, data.user_ids[min(41, len(data.user_ids) - 1)], k=5)
    print(f"\nThe whole story, from Gumbel noise to these gates. Open the course with:\n  {_command('open')}")
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


def _evaluate(options: argparse.Namespace) -> Found:
    from skiprec_lite.lab import judging

    data = _interactions(options.data)
    model = _load(options.model, data)
    protocol, split = _held_out(_weights(options.model), options.protocol, data)
    found = judging.quality(model, split, exclude_seen=options.exclude_seen) | {"protocol": protocol}
    _print_quality(found, exclude_seen=options.exclude_seen)
    return found


def _held_out(path: Path, asked: str | None, data: Interactions) -> tuple[str, Split]:
    """The split that some weights were trained on: under any other they would be judged on what they have seen."""
    from skiprec_lite.lab import judging, runs

    known = checkpoints.notes(path)
    protocol = known.get("protocol", asked)
    if protocol is None:
        choices = " or ".join(sorted(runs.PROTOCOLS))
        wrong = f"nothing in it says what was held out when it was trained; say so with --protocol {choices}"
    elif asked not in (None, protocol):
        wrong = (
            f"trained under the protocol {protocol}, which trains on some of what {asked} holds out, or the reverse; "
            "leave --protocol out, or choose other weights with --model"
        )
    elif protocol not in runs.PROTOCOLS:
        wrong = f"trained under {protocol!r}, which holds nothing out of {data.name}; choose other weights with --model"
    else:
        split = runs.PROTOCOLS[protocol](data)
        here = judging.trained_on(split)
        if known.get("trained on", here) == here:
            return protocol, split
        wrong = (
            f"trained on other rows than those that {protocol} makes of {data.name} now, so what is held out here may "
            "have been trained on; choose other weights with --model, or train again"
        )
    raise ValueError(f"{path.name}: {wrong}")


def _print_quality(found: Found, *, exclude_seen: bool = False) -> None:
    ranked = "items that the user has not met" if exclude_seen else "all items"
    print(f"\nOn held-out items ({found['protocol']}, {ranked} ranked):")
    for k in (5, 10, 20):
        values = [f"{found[f'{name}@{k}']:.4f}" for name in ("ndcg", "hr", "mrr")]
        _line(f"NDCG@{k} / HR@{k} / MRR@{k}", " / ".join(values))
    if "difference" in found:
        _line("one standard error", f"{found['ndcg@10 error']:.4f} (NDCG@10, over users)")
        minus = f"{found['difference']:+.4f} ± {found['difference error']:.4f}"
        _line("minus a Markov chain", f"{minus} (its NDCG@10: {found['markov ndcg@10']:.4f}; paired by user)")
    if "blocks" in found:
        ndcg = f"{found['sampled ndcg@10']:.4f}"
        _line("gates sampled", f"{ndcg} (NDCG@10 as in the published code; the rest: the likelier choice)")
        _line("blocks kept", f"{found['blocks']:.2f} of {found['of']}, {found['patterns']} different patterns")
        times = f"{found['speed-up']:.1f} times"
        _line("speed gained", f"{times} as fast as all blocks (batch of 256, policy included)")


def _line(name: str, text: object) -> None:
    print(f"{name:<26}{text}")


def _recommend(options: argparse.Namespace) -> Found:
    data = _interactions(options.data)
    model = _load(options.model, data)
    return _show_user(model, data, options.user, k=options.k, exclude_seen=not options.include_seen)


def _show_user(model: NextItemModel, data: Interactions, user: str, *, k: int, exclude_seen: bool = True) -> Found:
    history = user_sequences(data)[data.user_index(user)]
    found: Found = {"user": str(user), "history": [data.title(int(i)) for i in history[-5:]], "recommended": []}
    left = data.num_items - len(set(history)) if exclude_seen else data.num_items
    if left:
        items, scores = recommend(model, [history], min(k, left), exclude_seen=exclude_seen)
        pairs = zip(items[0].tolist(), scores[0].tolist())
        found["recommended"] = [[data.title(item), round(score, 3)] for item, score in pairs]
    print(f"User {user}, {len(history)} items so far, the last ones:")
    for title in found["history"]:
        print(f"    {title}")
    if isinstance(model, SkipRec):
        with torch.no_grad():
            gates = model.gates(pad_left([history], 50), sample=False)[0].tolist()
        found["blocks kept"] = [block + 1 for block, gate in enumerate(gates) if gate]
        pattern = "".join("■" if gate else "·" for gate in gates)
        print(f"Blocks kept for this user: {pattern}  ({len(found['blocks kept'])} of {len(gates)})")
    print("Next, perhaps (what the user has met is left out):" if exclude_seen else "Next, perhaps:")
    for title, score in found["recommended"]:
        print(f"    {score:7.2f}  {title}")
    if left < k:
        print(f"    ({left or 'nothing'} left of {data.num_items} items: {k} were asked for)")
    return found


def _experiment(options: argparse.Namespace) -> Found:
    from skiprec_lite.lab import experiments

    data = None if options.data == "100k" else _interactions(options.data)
    if options.check:
        return _check(options, data)
    table = experiments.run_experiment(
        options.name, folder=options.folder, data=data, uncommitted=options.uncommitted, progress=not options.json
    )
    aside = ["experiment", "settings", "stopped", "weights", "version", "date"]
    print(table.drop(columns=aside).to_string(index=False))
    return {"table": str(options.folder / f"{options.name}.csv"), "rows": len(table)}


def _check(options: argparse.Namespace, data: Interactions | None) -> Found:
    from skiprec_lite.lab import experiments

    if data:
        raise ValueError(f"--check compares with the course's tables, which are not about {data.name}")
    found = experiments.check(options.name, folder=options.folder, progress=not options.json)
    print(
        f"{found['run']}: validation NDCG@10 {found['found']:.5f}, in the table {found['in the table']:.5f}, "
        f"allowance {found['allowance']:.4f} ({found['why']}): level with the table within the spread over seeds"
    )
    return found


def _bench(options: argparse.Namespace) -> Found:
    from skiprec_lite.lab import timing

    for name in ("threads", "repeats"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
    data = _interactions(options.data)
    model = _load(options.model, data)
    if not isinstance(model, SkipRec):
        raise ValueError("these weights are a backbone without a policy: there is nothing to skip")
    found = timing.bench(model, last_n(data), threads=options.threads, repeats=options.repeats)
    epoch = f"{found['epoch seconds']} s"
    print(f"{options.threads} thread(s); an epoch of NextItNet+, 8 blocks, 64 channels, windows of 50: {epoch}")
    print(f"{'batch':>7}{'all blocks':>14}{'kept blocks':>14}{'speed-up':>11}")
    for batch in timing.BATCHES:
        row = found[f"batch {batch}"]
        print(f"{batch:>7}{row['full ms']:>11.2f} ms{row['skipped ms']:>11.2f} ms{row['speed-up']:>11.2f}")
    return found


def _practice(options: argparse.Namespace) -> Found:
    from skiprec_course import practice  # here: all checks and nbformat would slow down every other verb

    path = practice.write(options.lesson, options.folder)
    print(f"{path}\nOpen it with:\n  {_command('open')} {path}")
    return {"notebook": str(path)}


def _progress(options: argparse.Namespace) -> Found:
    from skiprec_course import practice

    found = practice.progress(options.folder)
    for lesson, exercise, verdict in found:
        sign = {"passed": "✔", "failed": "✘", "raised": "⚡"}.get(verdict.outcome, "○")
        print(f"{lesson:<24}{exercise.split('.')[-1].lstrip('_'):<28}{sign} {verdict.outcome}")
    passed = sum(verdict.outcome == "passed" for _, _, verdict in found)
    print(f"{passed} of {len(found)} exercises pass")
    return {"exercises": [[lesson, exercise, *verdict] for lesson, exercise, verdict in found]}


def _figures(options: argparse.Namespace) -> Found:
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


def _load(path: Path | None, data: Interactions) -> Backbone | SkipRec:
    """Load weights; those of other items would score the wrong ones without a word."""
    path = _weights(path)
    model, known = checkpoints.load(path), checkpoints.notes(path)
    backbone = model.backbone if isinstance(model, SkipRec) else model
    if (of := backbone.sizes["num_items"]) != data.num_items:
        wrong = f"these weights know {of} items, the data has {data.num_items}"
    elif known.get("items", _fingerprint(data)) != _fingerprint(data):
        wrong = f"trained on other items than those of {data.name}, on {known.get('data')}"
    else:
        return model
    raise ValueError(f"{path.name}: {wrong}; choose others with --model")


def _fingerprint(data: Interactions) -> str:
    return hashlib.sha256("\n".join(data.item_ids).encode()).hexdigest()[:12]
