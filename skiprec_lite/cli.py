"""The command line: python -m skiprec_lite VERB; --help lists the verbs."""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from skiprec_lite import checkpoints, downloads, tables
from skiprec_lite.backbones import Backbone, MarkovChain, NextItemModel, NextItNet
from skiprec_lite.datasets import Interactions, load_movielens, read_interactions
from skiprec_lite.evaluation import evaluate, gates_of, mean_per_user, ndcg_per_user, rank_cases, summarise
from skiprec_lite.metrics import mean_and_error, ndcg, paired_difference
from skiprec_lite.skipping import inference_seconds
from skiprec_lite.skiprec import SkipRec, recommend
from skiprec_lite.splits import user_sequences
from skiprec_lite.stages import next_item_loss
from skiprec_lite.windows import Split, pad_left

COURSE = Path(__file__).resolve().parent.parent
HOUR = "skiprec_in_an_hour"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a reader's mistake ends in one line on stderr and status 1 (2 for usage)."""
    options = _parser().parse_args(arguments)
    try:
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


def _parser() -> argparse.ArgumentParser:
    from skiprec_lite.lab import plans, runs  # here: an import of this file does not load the lab, a command does

    parser = argparse.ArgumentParser(
        prog="python -m skiprec_lite",
        description="SkipRec from scratch: a recommender that chooses its depth per user.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text, formatter_class=_Defaults)
        added.set_defaults(run=run)
        added.add_argument("--json", action="store_true", help="print the result as one line of JSON, nothing else")
        return added

    def reads_data(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--data",
            default="100k",
            metavar="DATA",
            help="100k, 1m or 20m (MovieLens), or your own .inter, .csv or .txt file",
        )

    def reads_model(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--model", type=Path, help="weights to load (default: the last ones trained here, else those of the course)"
        )

    added = verb(
        "open",
        _open,
        "Open JupyterLab in the course's folder, so that all links work; without a lesson, with the hour.",
    )
    added.add_argument("lesson", nargs="?", default=HOUR, help="its number, a part of its name, or a notebook's path")
    added.add_argument("options", nargs=argparse.REMAINDER, help="handed on to JupyterLab, such as --no-browser")

    added = verb(
        "data", _data, "Fetch MovieLens if it is not there yet, or check your own file, and say what it holds."
    )
    reads_data(added)
    added.add_argument(
        "--from",
        dest="source",
        type=Path,
        help="put in place an archive that was fetched by other means: ml-100k.zip, ml-1m.zip, ml-20m.zip",
    )

    added = verb("train", _train, "Train SkipRec, and show what it learnt to skip.")
    reads_data(added)
    added.add_argument("--full-depth", action="store_true", help="train the backbone alone, without a policy")
    added.add_argument("--protocol", choices=sorted(runs.PROTOCOLS), default="last_n", help="what is held out")
    added.add_argument("--blocks", type=int, default=8, help="residual blocks; dilations 1 and 4 in turn")
    added.add_argument("--channels", type=int, default=64, help="width of the backbone")
    chosen = plans.CHOSEN_TRAINING
    added.add_argument("--epochs", type=int, default=chosen["epochs"], help="at most so many epochs")
    added.add_argument("--cost", type=float, default=chosen["cost"], help="weight of the mean gate in the loss")
    added.add_argument("--tau", type=float, default=10.0, help="temperature of the gates' gradient")
    added.add_argument("--softmax", choices=("full", "sampled"), default="full", help="score all items, or a sample")
    added.add_argument("--negatives", type=int, default=2000, help="sampled items a step")
    added.add_argument("--seed", type=int, default=0, help="of weights, batches and gates")
    added.add_argument("--output", type=Path, help="where to write the weights (default: runs/ in the data folder)")

    added = verb("evaluate", _evaluate, "Judge trained weights on held-out items.")
    reads_data(added)
    reads_model(added)
    added.add_argument(
        "--protocol", choices=sorted(runs.PROTOCOLS), help="what is held out (default: what was so in training)"
    )
    added.add_argument("--exclude-seen", action="store_true", help="take a user's own past out of the ranking")

    added = verb("recommend", _recommend, "Show a user's last films, what to watch next, and the blocks kept for them.")
    reads_data(added)
    reads_model(added)
    added.add_argument("--user", default="42", help="the user's id in the data")
    added.add_argument("-k", type=int, default=10, help="how many items")
    added.add_argument("--include-seen", action="store_true", help="also recommend what the user has met already")

    added = verb("experiment", _experiment, "Run what is missing of one of the long experiments behind the lessons.")
    added.add_argument("name", choices=sorted(plans.EXPERIMENTS), help="which one")
    reads_data(added)
    added.add_argument("--check", action="store_true", help="run its smallest row again and compare: 2 to 95 s")
    added.add_argument("--folder", type=Path, default=tables.RESULTS, help="where the tables are")
    added.add_argument("--uncommitted", action="store_true", help="run although the package has uncommitted changes")

    added = verb("bench", _bench, "Time an epoch of training, and inference with all blocks against the kept ones.")
    reads_data(added)
    reads_model(added)
    added.add_argument("--threads", type=int, default=1, help="threads torch may use")
    added.add_argument("--repeats", type=int, default=9, help="how often inference is timed")

    added = verb("practice", _practice, "Write a copy of a lesson in which you build its parts yourself.")
    added.add_argument("lesson", help="its number or the beginning of its name, such as 02")
    added.add_argument("--folder", type=Path, default=Path("practice"), help="where to write it")

    added = verb("progress", _progress, "Check every exercise of the practice copies in a folder.")
    added.add_argument("folder", type=Path, nargs="?", default=Path("practice"), help="where the copies are")

    added = verb("figures", _figures, "Write every figure of the lessons into a folder, for slides.")
    added.add_argument("folder", type=Path, help="where to write them")
    return parser


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, True) else super()._get_help_string(action)


def _open(options: argparse.Namespace) -> dict[str, Any]:
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


def _data(options: argparse.Namespace) -> dict[str, Any]:
    name = downloads.put(options.source) if options.source else options.data
    data = _interactions(name)
    if name in downloads.ARCHIVES:
        where = downloads.data_folder() / ("ml-100k" if name == "100k" else downloads.ARCHIVES[name].name)
    else:
        where = Path(name)
    lengths = data.table["user"].value_counts()
    found = {
        "folder": str(where),
        "interactions": len(data.table),
        "users": len(data.user_ids),
        "items": data.num_items,
        "shortest": int(lengths.min()),
        "median": float(lengths.median()),
        "longest": int(lengths.max()),
    }
    if not options.json:
        called = f"MovieLens-{name.upper()}" if name in downloads.ARCHIVES else data.name
        print(
            f"{called}: {len(data.table):,} interactions, {len(data.user_ids):,} users, {data.num_items:,} items; "
            f"{found['shortest']} to {found['longest']:,} a user, median {found['median']:g}: {where}"
        )
    return found


def _train(options: argparse.Namespace) -> dict[str, Any]:
    from skiprec_lite.lab import judging, plans, runs

    data = _interactions(options.data)
    split = runs.PROTOCOLS[options.protocol](data)
    sample = {"softmax": "sampled", "negatives": options.negatives} if options.softmax == "sampled" else {}
    run = plans.chosen_run(
        full_depth=options.full_depth, blocks=options.blocks, channels=options.channels, epochs=options.epochs,
        cost=options.cost, seed=options.seed, protocol=options.protocol, tau=options.tau, **sample,
    )  # fmt: skip
    model = runs.build(run, split)
    output = options.output or _runs() / "last.safetensors"
    if not output.parent.is_dir():
        if options.output:
            raise FileNotFoundError(f"no such folder: {output.parent}")
        output.parent.mkdir(parents=True)
    if output.is_dir():
        raise IsADirectoryError(f"--output must be a file, got the folder {output}")
    if not os.access(output.parent, os.W_OK):
        raise PermissionError(f"nothing can be written to the folder {output.parent}: name another file with --output")
    if not options.json:
        what = "NextItNet+" if options.full_depth else "SkipRec"
        rows, width = split.train.items.shape
        print(
            f"Training {what} on {rows:,} windows of {width} items, {options.epochs} epochs at most: minutes; the bar "
            f"says how many. Ctrl-C keeps the best so far.",
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
    behind_best = {e: [round(x, 5) for x in b] for e, b in list(history.behind_best.items())[-3:]}
    if not options.json:
        print(
            f"{'trained for':<26}{seconds:.0f} s, {len(history.epochs)} epochs, "
            f"epoch {history.chosen} kept ({history.stopped})"
        )
        if history.note:
            print(history.note)
        elif behind_best:
            behind = ", ".join(f"{below:.4f} ± {error:.4f}" for below, error in behind_best.values())
            print(f"{'last epochs':<26}{behind} behind the best one on validation")
        print(f"{'weights':<26}{output}")
    found = _judge(model, split) | {"protocol": options.protocol}
    checkpoints.save(model, output, **known, metric=found["ndcg@10"])
    found |= {
        "epochs": len(history.epochs), "chosen": history.chosen, "stopped": history.stopped,
        "behind_best": behind_best, "seconds": round(seconds, 1), "weights": str(output),
    }  # fmt: skip
    if not options.json:
        _print_quality(found)
        print()
        _show_user(model, data, data.user_ids[min(41, len(data.user_ids) - 1)], k=5)
        print(f"\nThe whole story, from Gumbel noise to these gates. Open the course with:\n  {_command('open')}")
    return found


def _evaluate(options: argparse.Namespace) -> dict[str, Any]:
    data = _interactions(options.data)
    model = _load(options.model, data)
    protocol, split = _held_out(_weights(options.model), options.protocol, data)
    found = _judge(model, split, exclude_seen=options.exclude_seen) | {"protocol": protocol}
    if not options.json:
        _print_quality(found, exclude_seen=options.exclude_seen)
    return found


def _held_out(path: Path, asked: str | None, data: Interactions) -> tuple[str, Split]:
    """The split that some weights were trained on: under any other they would be judged on what they have seen."""
    from skiprec_lite.lab import judging, runs

    known = checkpoints.notes(path)
    protocol = known.get("protocol", asked)
    if protocol is None:
        raise ValueError(
            f"{path.name}: nothing in it says what was held out when it was trained; "
            f"say so with --protocol {' or '.join(sorted(runs.PROTOCOLS))}"
        )
    if asked not in (None, protocol):
        raise ValueError(
            f"{path.name}: trained under the protocol {protocol}, which trains on some of what {asked} holds out, or "
            f"the reverse; leave --protocol out, or choose other weights with --model"
        )
    if protocol not in runs.PROTOCOLS:
        raise ValueError(
            f"{path.name}: trained under {protocol!r}, which holds nothing out of {data.name}; "
            f"choose other weights with --model"
        )
    split = runs.PROTOCOLS[protocol](data)
    here = judging.trained_on(split)
    if known.get("trained on", here) != here:
        raise ValueError(
            f"{path.name}: trained on other rows than those that {protocol} makes of {data.name} now, so what is held "
            f"out here may have been trained on; choose other weights with --model, or train again"
        )
    return protocol, split


def _judge(model: NextItemModel, split: Split, *, exclude_seen: bool = False) -> dict[str, Any]:
    """Test quality with its error, the paired difference to the Markov chain, blocks kept and speed gained."""
    ranks = rank_cases(model, split.test, exclude_seen=exclude_seen)
    found: dict[str, Any] = dict(summarise(ranks))
    if len(split.test) > 1:
        per_user = mean_per_user(ndcg(ranks, 10), split.test)
        of_markov = ndcg_per_user(MarkovChain(split), split.test, exclude_seen=exclude_seen)
        found["ndcg@10 error"] = mean_and_error(per_user).error
        found["markov ndcg@10"] = float(of_markov.mean())
        found["difference"], found["difference error"] = paired_difference(per_user, of_markov)
    if isinstance(model, SkipRec):
        gates, drawn = gates_of(model, split.test), gates_of(model, split.test, sample=True)
        found["sampled ndcg@10"] = evaluate(model, split.test, (10,), exclude_seen=exclude_seen, gates=drawn)["ndcg@10"]
        seconds = inference_seconds(model, split.test.items[:256])
        found |= {
            "blocks": float(gates.sum(dim=1).mean()), "of": gates.shape[1], "patterns": len(gates.unique(dim=0)),
            "speed-up": seconds["full"] / seconds["skipped"],
        }  # fmt: skip
    return found


def _print_quality(found: dict[str, Any], *, exclude_seen: bool = False) -> None:
    ranked = "items that the user has not met" if exclude_seen else "all items"
    print(f"\nOn held-out items ({found['protocol']}, {ranked} ranked):")
    for k in (5, 10, 20):
        print(
            f"{f'NDCG@{k} / HR@{k} / MRR@{k}':<26}"
            + " / ".join(f"{found[f'{m}@{k}']:.4f}" for m in ("ndcg", "hr", "mrr"))
        )
    if "difference" in found:
        print(f"{'one standard error':<26}{found['ndcg@10 error']:.4f} (NDCG@10, over users)")
        print(
            f"{'minus a Markov chain':<26}{found['difference']:+.4f} ± {found['difference error']:.4f} "
            f"(its NDCG@10: {found['markov ndcg@10']:.4f}; paired by user)"
        )
    if "blocks" in found:
        print(
            f"{'gates sampled':<26}{found['sampled ndcg@10']:.4f} "
            "(NDCG@10 as in the published code; the rest: the likelier choice)"
        )
        print(f"{'blocks kept':<26}{found['blocks']:.2f} of {found['of']}, {found['patterns']} different patterns")
        print(
            f"{'speed gained':<26}{found['speed-up']:.1f} times as fast as all blocks (batch of 256, policy included)"
        )


def _recommend(options: argparse.Namespace) -> dict[str, Any]:
    data = _interactions(options.data)
    model = _load(options.model, data)
    return _show_user(model, data, options.user, k=options.k, exclude_seen=not options.include_seen, quiet=options.json)


def _show_user(
    model: NextItemModel,
    data: Interactions,
    user_id: str,
    *,
    k: int,
    exclude_seen: bool = True,
    quiet: bool = False,
) -> dict[str, Any]:
    history = user_sequences(data)[data.user_index(user_id)]
    left = data.num_items - len(set(history)) if exclude_seen else data.num_items
    found: dict[str, Any] = {
        "user": str(user_id), "history": [data.title(int(i)) for i in history[-5:]], "recommended": []
    }  # fmt: skip
    if left:
        items, scores = recommend(model, [history], min(k, left), exclude_seen=exclude_seen)
        pairs = zip(items[0].tolist(), scores[0].tolist())
        found["recommended"] = [[data.title(item), round(score, 3)] for item, score in pairs]
    if isinstance(model, SkipRec):
        with torch.no_grad():
            gates = model.gates(pad_left([history], 50), sample=False)[0]
        found["blocks kept"] = [b + 1 for b, gate in enumerate(gates.tolist()) if gate]
    if quiet:
        return found
    print(f"User {user_id}, {len(history)} items so far, the last ones:")
    for title in found["history"]:
        print(f"    {title}")
    if isinstance(model, SkipRec):
        pattern = "".join("■" if gate else "·" for gate in gates.tolist())
        print(f"Blocks kept for this user: {pattern}  ({int(gates.sum())} of {len(gates)})")
    print("Next, perhaps (what the user has met is left out):" if exclude_seen else "Next, perhaps:")
    for title, score in found["recommended"]:
        print(f"    {score:7.2f}  {title}")
    if left < k:
        print(f"    ({left or 'nothing'} left of {data.num_items} items: {k} were asked for)")
    return found


def _experiment(options: argparse.Namespace) -> dict[str, Any]:
    from skiprec_lite.lab import experiments

    data = None if options.data == "100k" else _interactions(options.data)
    if options.check:
        if data:
            raise ValueError(f"--check compares with the course's tables, which are not about {data.name}")
        found = experiments.check(options.name, folder=options.folder, progress=not options.json)
        if not options.json:
            print(
                f"{found['run']}: validation NDCG@10 {found['found']:.5f}, in the table {found['in the table']:.5f}, "
                f"allowance {found['allowance']:.4f} ({found['why']}): "
                f"level with the table within the spread over seeds"
            )
        return found
    table = experiments.run_experiment(
        options.name,
        folder=options.folder,
        data=data,
        uncommitted=options.uncommitted,
        progress=not options.json,
    )
    if not options.json:
        print(
            table.drop(columns=["experiment", "settings", "stopped", "weights", "version", "date"]).to_string(
                index=False
            )
        )
    return {"table": str(options.folder / f"{options.name}.csv"), "rows": len(table)}


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    from skiprec_lite.lab import runs

    for name in ("threads", "repeats"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        data = _interactions(options.data)
        model = _load(options.model, data)
        if not isinstance(model, SkipRec):
            raise ValueError("these weights are a backbone without a policy: there is nothing to skip")
        split = runs.PROTOCOLS["last_n"](data)
        net = NextItNet(split.num_items, dropout=0.5)
        optimizer = torch.optim.AdamW(net.parameters())
        start = time.perf_counter()
        for rows in torch.arange(len(split.train)).split(32):
            optimizer.zero_grad()
            next_item_loss(net, split.train.rows(rows)).backward()
            optimizer.step()
        found: dict[str, Any] = {"threads": options.threads, "epoch seconds": round(time.perf_counter() - start, 2)}
        for batch in (1, 32, 256):
            timed = [
                inference_seconds(model, split.test.items[i : i + batch], repeats=options.repeats) for i in range(3)
            ]
            full, skipped = (statistics.median(t[name] for t in timed) for name in ("full", "skipped"))
            found[f"batch {batch}"] = {"full ms": 1e3 * full, "skipped ms": 1e3 * skipped, "speed-up": full / skipped}
    finally:
        torch.set_num_threads(threads)
    if not options.json:
        print(
            f"{options.threads} thread(s); an epoch of NextItNet+, 8 blocks, 64 channels, windows of 50: "
            f"{found['epoch seconds']} s"
        )
        print(f"{'batch':>7}{'all blocks':>14}{'kept blocks':>14}{'speed-up':>11}")
        for batch in (1, 32, 256):
            row: dict[str, float] = found[f"batch {batch}"]
            print(f"{batch:>7}{row['full ms']:>11.2f} ms{row['skipped ms']:>11.2f} ms{row['speed-up']:>11.2f}")
    return found


def _practice(options: argparse.Namespace) -> dict[str, Any]:
    from skiprec_lite import practice  # here: all checks and nbformat would slow down every other verb

    path = practice.write(options.lesson, options.folder)
    if not options.json:
        print(f"{path}\nOpen it with:\n  {_command('open')} {path}")
    return {"notebook": str(path)}


def _progress(options: argparse.Namespace) -> dict[str, Any]:
    from skiprec_lite import practice

    found = practice.progress(options.folder)
    if not options.json:
        for lesson, exercise, verdict in found:
            sign = {"passed": "✔", "failed": "✘", "raised": "⚡"}.get(verdict.outcome, "○")
            print(f"{lesson:<24}{exercise.split('.')[-1].lstrip('_'):<28}{sign} {verdict.outcome}")
        passed = sum(verdict.outcome == "passed" for _, _, verdict in found)
        print(f"{passed} of {len(found)} exercises pass")
    return {"exercises": [[lesson, exercise, *verdict] for lesson, exercise, verdict in found]}


def _figures(options: argparse.Namespace) -> dict[str, Any]:
    from skiprec_lite import figures

    written = figures.export(options.folder)
    if not options.json:
        print(f"{len(written)} figures, and figures.md with their descriptions: {options.folder}")
    return {"figures": [str(path) for path in written]}


def _interactions(name: str) -> Interactions:
    return load_movielens(name) if name in downloads.ARCHIVES else read_interactions(name)


def _runs() -> Path:
    return downloads.data_folder() / "runs"


def _weights(path: Path | None) -> Path:
    last = _runs() / "last.safetensors"
    return path or (last if last.exists() else tables.COURSE_WEIGHTS)


def _load(path: Path | None, data: Interactions) -> Backbone | SkipRec:
    """Load weights; those of other items would score the wrong ones without a word."""
    path = _weights(path)
    model, known = checkpoints.load(path), checkpoints.notes(path)
    backbone = model.backbone if isinstance(model, SkipRec) else model
    if backbone.sizes["num_items"] != data.num_items:
        raise ValueError(
            f"{path.name}: these weights know {backbone.sizes['num_items']} items, the data has {data.num_items}; "
            f"choose others with --model"
        )
    if "items" in known and known["items"] != _fingerprint(data):
        raise ValueError(
            f"{path.name}: trained on other items than those of {data.name}, on {known.get('data')}; "
            f"choose others with --model"
        )
    return model


def _fingerprint(data: Interactions) -> str:
    return hashlib.sha256("\n".join(data.item_ids).encode()).hexdigest()[:12]
