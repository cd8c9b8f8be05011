"""The command line: python -m skiprec_lite VERB; --help lists the verbs."""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COURSE = Path(__file__).resolve().parent.parent
HOUR = "skiprec_in_an_hour"
PROTOCOLS = ("last_n", "leave_one_out")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a reader's mistake ends in one line on stderr and status 1 (2 for usage)."""
    options = _parser().parse_args(arguments)
    shown = io.StringIO() if options.json else sys.stdout
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch: threads that wait by spinning stop those that work
    try:
        with contextlib.redirect_stdout(shown):
            if options.verb == "open":
                found = _open(options)
            else:
                from skiprec_lite import verbs  # here: help, usage errors and `open` need no torch

                found = getattr(verbs, options.verb)(options)
    except (ValueError, TypeError, OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        said = " ".join(str(error).split())
        if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in said):  # torch's way
            said = "not enough memory; train needs less with --softmax sampled, smaller --channels or --batch-size"
        print(f"error: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if options.json and found:
        print(json.dumps(found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skiprec_lite",
        description="SkipRec from scratch: a recommender that chooses its depth per user.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text, formatter_class=_Defaults)
        added.add_argument("--json", action="store_true", help="print the result as one line of JSON, nothing else")
        return added

    added = verb("open", "Open JupyterLab in the course's folder, where links work; without a lesson, with the hour.")
    added.add_argument("lesson", nargs="?", default=HOUR, help="its number, a part of its name, or a notebook's path")
    added.add_argument("options", nargs=argparse.REMAINDER, help="handed on to JupyterLab, such as --no-browser")
    added = verb("data", "Fetch MovieLens if it is not there yet, or check your own file, and say what it holds.")
    _ask_for_data(added)
    what = "put in place an archive that was fetched by other means: ml-100k.zip, ml-1m.zip, ml-20m.zip"
    added.add_argument("--from", dest="source", type=Path, help=what)
    _ask_train(verb("train", "Train SkipRec, and show what it learnt to skip."))
    _ask_evaluate(verb("evaluate", "Judge trained weights on held-out items: ranked without and with those met."))
    _ask_recommend(verb("recommend", "Show a user's last films, what to watch next, and the blocks kept for them."))
    _ask_experiment(verb("experiment", "Run what is missing of one of the long experiments behind the lessons."))
    _ask_bench(verb("bench", "Time an epoch of training, and inference with all blocks against the kept ones."))
    added = verb("practice", "Write a copy of a lesson in which you build its parts yourself.")
    added.add_argument("lesson", help="its number or the beginning of its name, such as 02")
    added.add_argument("--folder", type=Path, default=Path("practice"), help="where to write it")
    added = verb("progress", "Check every exercise of the practice copies in a folder.")
    added.add_argument("folder", type=Path, nargs="?", default=Path("practice"), help="where the copies are")
    added = verb("figures", "Write every figure of the lessons into a folder, for slides.")
    added.add_argument("folder", type=Path, help="where to write them")
    return parser


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, True) else super()._get_help_string(action)


def _ask_for_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--data", default="100k", help="100k, 1m, 20m (MovieLens), or your own .inter, .csv or .txt file")


def _ask_for_model(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--model", type=Path, help="weights (default: the last ones trained here, else the course's)")


def _ask_for_device(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="auto: a GPU or the CPU")


def _ask_train(verb: argparse.ArgumentParser) -> None:
    from skiprec_lite.lab import plans  # here: to import this file does not load the lab

    _ask_for_data(verb)
    verb.add_argument("--full-depth", action="store_true", help="train the backbone alone, without a policy")
    verb.add_argument("--protocol", choices=PROTOCOLS, default="last_n", help="what is held out")
    verb.add_argument("--blocks", type=int, default=8, help="residual blocks; dilations 1 and 4 in turn")
    verb.add_argument("--channels", type=int, default=64, help="width of the backbone")
    verb.add_argument("--epochs", type=int, default=plans.CHOSEN_TRAINING["epochs"], help="at most so many epochs")
    verb.add_argument("--cost", type=float, default=plans.CHOSEN_TRAINING["cost"], help="of a kept block, in the loss")
    verb.add_argument("--tau", type=float, default=10.0, help="temperature of the gates' gradient")
    verb.add_argument("--softmax", choices=("full", "sampled"), default="full", help="score all items, or a sample")
    verb.add_argument("--negatives", type=int, default=2000, help="sampled items a step")
    verb.add_argument("--batch-size", type=int, default=plans.CHOSEN_TRAINING["batch_size"], help="windows a step")
    verb.add_argument("--seed", type=int, default=0, help="of weights, batches and gates")
    _ask_for_device(verb)
    verb.add_argument("--output", type=Path, help="where to write the weights (default: runs/ in the data folder)")


def _ask_evaluate(verb: argparse.ArgumentParser) -> None:
    _ask_for_data(verb)
    _ask_for_model(verb)
    verb.add_argument("--protocol", choices=PROTOCOLS, help="what is held out (default: what was so in training)")
    _ask_for_device(verb)


def _ask_recommend(verb: argparse.ArgumentParser) -> None:
    _ask_for_data(verb)
    _ask_for_model(verb)
    _ask_for_device(verb)
    verb.add_argument("--user", default="42", help="the user's id in the data")
    verb.add_argument("-k", type=int, default=10, help="how many items")
    verb.add_argument("--include-seen", action="store_true", help="also recommend what the user has met already")


def _ask_experiment(verb: argparse.ArgumentParser) -> None:
    from skiprec_lite.lab import plans

    verb.add_argument("name", choices=sorted(plans.EXPERIMENTS), help="which one")
    _ask_for_data(verb)
    verb.add_argument("--check", action="store_true", help="run its smallest row again and compare: up to minutes")
    verb.add_argument("--folder", type=Path, help="where the tables are (default: data/results)")
    verb.add_argument("--uncommitted", action="store_true", help="run although the package has uncommitted changes")


def _ask_bench(verb: argparse.ArgumentParser) -> None:
    _ask_for_data(verb)
    _ask_for_model(verb)
    _ask_for_device(verb)
    verb.add_argument("--threads", type=int, default=1, help="threads torch may use")
    verb.add_argument("--repeats", type=int, default=9, help="how often inference is timed")


# --- JupyterLab ---


def _open(options: argparse.Namespace) -> dict[str, Any]:
    notebook, root = _notebook(options.lesson)
    command = [sys.executable, "-m", "jupyter", "lab", str(notebook), f"--ServerApp.root_dir={root}", *options.options]
    if getattr(os, "geteuid", lambda: 1)() == 0 and "--allow-root" not in command:
        command.append("--allow-root")  # root was asked for when Python was started so
    status = subprocess.run(command, check=False).returncode
    if status:
        raise RuntimeError(f"JupyterLab ended with status {status}")
    return {"command": command}


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
