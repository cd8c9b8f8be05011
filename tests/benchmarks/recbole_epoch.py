"""How long is an epoch of NextItNet, RecBole's against ours?

RecBole 1.2.1 needs an environment of its own (pip chooses torch's build as README says):

    python3 -m venv RECBOLE
    RECBOLE/bin/python -m pip install recbole==1.2.1 torch==2.13.0 'numpy<2' 'pandas<3' 'scipy<1.14'
    python tests/benchmarks/recbole_epoch.py --recbole-python RECBOLE/bin/python

MovieLens-100K, leave one out, the training parts of the same 943 histories; 10 residual blocks of 64 channels
(dilations 1 and 4, five times over, kernel 3), 50 items read, cross-entropy over all items, float32, CPU, one thread
each.

An epoch predicts each item of a training part but the first, 97,171 predictions, in both. RecBole makes a sample of its
own for each ("data augmentation": the 50 items before it, scored at the last position only); our rows are windows of
50, all positions of which are scored in one pass. So RecBole's net walks over 40 times as many positions, and that is
where the ratio comes from. No faster convolution is claimed, and nothing about quality: an epoch is another number of
steps in each (48 batches of 2,048 samples, 76 of 32 windows).

RecBole: its own dataset, loader, model and `Trainer._train_epoch`, in a process of its own, with its own defaults
(batches of 2,048, Adam at 0.001, its L2 terms in the loss) but for two settings: no negative samples, as its
cross-entropy demands, and no GPU. Ours: `next_item_loss`, batches of 32, AdamW at 0.001, what `fit` does in a step.
RecBole's NextItNet knows no dropout, so ours has none here, though the course trains with some: `--dropout 0.5` makes
ours slower, by a fifth when this was written. Figures with and without are not to be compared. Validation is in
neither.

RecBole's epoch takes minutes, so the two take turns: a round is two batches of RecBole (4 % of an epoch), then an epoch
of ours, and gives a ratio. Seconds an epoch are seconds a sample times samples (a last, smaller batch counts as what it
is). `--whole` times whole epochs of both instead.

The ratio is one of wall-clock times: other work on the machine moves it, and not on both sides alike, for RecBole's
batches (26 MB a tensor) live in memory and ours in the cache. RecBole's first batches take more than twice as long,
while the kernel hands out that memory: hence five batches that warm up, and the kernel's CPU seconds said apart. Once
warm they are 0 to 3 % of either side's; where they are more, or wall-clock and CPU seconds differ, the figures are
rough, and the ratio of the CPU seconds outside the kernel, the last line on stderr, is the steadier one. On stdout
there is one CSV row: what, ratio (median, smallest, largest), our and RecBole's seconds an epoch (medians), rounds,
command.
"""

import argparse
import contextlib
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import torch

# What is ours and what is RecBole's live in different environments: each is imported where it is used.

LENGTH, CHANNELS, REPEATS = 50, 64, 5
DILATIONS = (1, 4) * REPEATS
BATCH = 32
WARM_UP_BATCHES, ROUND_BATCHES = 5, 2  # of RecBole; two of them take about as long as an epoch of ours
RECBOLE_SETTINGS = {
    "embedding_size": CHANNELS, "block_num": REPEATS, "dilations": [1, 4], "MAX_ITEM_LIST_LENGTH": LENGTH,  # defaults
    "train_neg_sample_args": None, "gpu_id": "", "use_gpu": False,
}  # fmt: skip


class Turn(NamedTuple):
    """What one side did in one go: wall-clock seconds, those of the CPU in and outside the kernel, samples trained."""

    seconds: float
    kernel: float
    user: float
    samples: int

    def for_samples(self, samples: int) -> "Turn":
        """Return the same speed for so many samples."""
        factor = samples / self.samples
        return Turn(self.seconds * factor, self.kernel * factor, self.user * factor, samples)

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s (kernel {self.kernel:.2f}, user {self.user:.2f})"


class Clock:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self.cpu, self.wall = os.times(), time.perf_counter()

    def turn(self, samples: int) -> Turn:
        """Say what has passed, in which so many samples were trained on."""
        seconds, cpu = time.perf_counter() - self.wall, os.times()
        return Turn(seconds, cpu.system - self.cpu.system, cpu.user - self.cpu.user, samples)


# --- RecBole's side: a process in the other environment ---


def serve(commands: TextIO, answers: TextIO) -> None:
    """Set RecBole up, say what it trains on, then train as many batches as each line asks for, 0 = an epoch."""
    torch.set_num_threads(1)
    import recbole
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.sequential_recommender import NextItNet
    from recbole.trainer import Trainer
    from recbole.utils import init_seed

    config = Config(model="NextItNet", dataset="ml-100k", config_dict=RECBOLE_SETTINGS)
    init_seed(config["seed"], config["reproducibility"])
    data = data_preparation(config, create_dataset(config))[0]
    model = NextItNet(config, data._dataset).to(config["device"])
    trainer = Trainer(config, model)
    samples = data._dataset.inter_feat
    print(json.dumps({
        "recbole": recbole.__version__, "torch": torch.__version__, "histories": recbole_histories(data._dataset),
        "samples": len(samples), "batches": len(data), "batch": data.step, "blocks": len(model.residual_blocks),
        "positions": samples["item_id_list"].numel(), "parameters": sum(p.numel() for p in model.parameters()),
    }), file=answers, flush=True)  # fmt: skip

    def endless() -> Iterator[Any]:
        while True:
            yield from data

    def asked_for() -> Iterator[Any]:
        """Hand out batches, wait for the next turn in between."""
        batches = endless()
        for line in commands:
            clock, trained = Clock(), 0
            for batch in islice(batches, count) if (count := int(line)) else data:
                trained += len(batch)
                yield batch
            print(json.dumps(clock.turn(trained)), file=answers, flush=True)

    # The loop that RecBole's users run, entered once and held between batches. Entered for each turn it gave its memory
    # back at the end of each, and took 15 to 60 % longer for page faults that a whole epoch does not have.
    trainer._train_epoch(asked_for(), 0, show_progress=False)


def recbole_histories(dataset: Any) -> dict[str, list[str]]:
    """The file's ids of the items in each user's training part: what the first sample has read, then all targets."""
    samples = dataset.inter_feat
    columns = (samples[name].tolist() for name in ("user_id", "item_id", "item_length", "item_id_list"))
    found: dict[int, list[int]] = {}
    for user, target, _, read in sorted(zip(*columns), key=lambda sample: sample[2]):  # shortest first, else in order
        found.setdefault(user, read[:1]).append(target)
    return {
        str(dataset.id2token("user_id", user)): [str(item) for item in dataset.id2token("item_id", history)]
        for user, history in found.items()
    }


class RecBole:
    """The process in the other environment, from this side: `facts`, and turns of so many batches."""

    def __init__(self, python: str) -> None:
        self.folder = tempfile.TemporaryDirectory()  # for RecBole's logs and folders
        self.errors = Path(self.folder.name) / "errors.txt"
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with self.errors.open("w") as errors:
            try:
                self.process = subprocess.Popen(
                    [os.path.abspath(python), os.path.abspath(__file__), "--serve"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                    cwd=self.folder.name, env=environment,
                )  # fmt: skip
            except OSError as error:
                self.folder.cleanup()
                raise RuntimeError(f"--recbole-python: {python} is no Python that runs: {error.strerror}") from error
        try:
            self.facts: dict[str, Any] = self._answer()
        except BaseException:
            self.close()
            raise

    def train(self, batches: int) -> Turn:
        """Train on so many batches, 0 = an epoch."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            print(batches, file=self.process.stdin, flush=True)
        return Turn(*self._answer())

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return json.loads(line)
        said = self.errors.read_text().strip().splitlines() or ["it said nothing"]
        raise RuntimeError(
            f"--recbole-python: that Python cannot run RecBole ({said[-1]}); how to make its environment: --help"
        )

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


# --- ours ---


class Ours:
    """A NextItNet of the same sizes on the same histories: `facts`, and turns of so many batches."""

    def __init__(self, dropout: float) -> None:
        from skiprec_lite.backbones import NextItNet
        from skiprec_lite.datasets import load_movielens
        from skiprec_lite.splits import leave_one_out

        data = load_movielens()
        split = leave_one_out(data, length=LENGTH)
        self.windows = split.train
        self.model = NextItNet(split.num_items, channels=CHANNELS, dilations=DILATIONS, dropout=dropout).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
        self.facts: dict[str, Any] = {
            "torch": torch.__version__, "samples": len(self.windows), "batch": BATCH,
            "batches": -(-len(self.windows) // BATCH), "blocks": len(self.model.blocks),
            "positions": self.windows.items.numel(), "predictions": int(self.windows.scored().sum()),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "histories": {
                user: [data.item_ids[item - 1] for item in items] for user, items in zip(data.user_ids, split.sequences)
            },
        }  # fmt: skip

    def train(self, batches: int) -> Turn:
        """Train on so many batches of a new order, 0 = an epoch."""
        from skiprec_lite.stages import next_item_loss

        clock, trained = Clock(), 0
        for rows in torch.randperm(len(self.windows)).split(BATCH)[: batches or None]:
            self.optimizer.zero_grad()
            loss = next_item_loss(self.model, self.windows.rows(rows))
            loss.item()  # `fit` looks at every loss, and so does RecBole
            loss.backward()
            self.optimizer.step()
            trained += len(rows)
        return clock.turn(trained)


# --- both in turn ---


def what_both_train_on(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Describe both sides' data and net, and say where their histories differ."""
    lines = []
    for name, facts in ((f"RecBole {theirs['recbole']}", theirs), ("ours", ours)):
        interactions = sum(len(history) for history in facts["histories"].values())
        lines.append(
            f"{name}: {len(facts['histories'])} histories, {interactions:,} interactions, "
            f"{facts.get('predictions', facts['samples']):,} predictions an epoch from {facts['samples']:,} samples "
            f"({facts['positions']:,} positions) in {facts['batches']} batches of {facts['batch']:,}; "
            f"{facts['blocks']} blocks, {facts['parameters']:,} parameters, torch {facts['torch']}"
        )
    users = theirs["histories"].keys() & ours["histories"].keys()
    pairs = [(theirs["histories"][user], ours["histories"][user]) for user in users]
    same = sum(a == b for a, b in pairs)
    moved = sum(a != b and sorted(a) == sorted(b) for a, b in pairs)
    lines.append(
        f"users in both: {len(users)}; training part the same: {same}, the same items in another order: {moved}, "
        f"as long but with another item: {sum(len(a) == len(b) for a, b in pairs) - same - moved}, "
        f"of another length: {sum(len(a) != len(b) for a, b in pairs)} (RecBole keeps time stamps as float32, steps of "
        "64 seconds, and leaves what is then tied in the file's order)"
    )
    return "\n".join(lines)


def measure(
    recbole_python: str,
    rounds: int,
    *,
    whole: bool = False,
    dropout: float = 0.0,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> dict[str, float | int | str]:
    """Return a row for a table of results: the ratio of seconds an epoch, RecBole / ours, with its spread over rounds.

    Args:
        recbole_python: the Python of an environment with RecBole 1.2.1.
        rounds: so many turns of each.
        whole: a round is a whole epoch of each.
        dropout: on our residual branches; RecBole's have none.
        say: what takes the lines that tell how it goes.

    Returns:
        what; ratio, low and high (median, smallest, largest over rounds); ours_seconds and recbole_seconds, an epoch's
        (medians); rounds; command.

    Raises:
        ValueError: if rounds is no positive number.
        RuntimeError: if that Python cannot run RecBole; the line says why.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with contextlib.closing(RecBole(recbole_python)) as theirs, torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            ours = Ours(dropout)
            version = theirs.facts["recbole"]
            say(what_both_train_on(theirs.facts, ours.facts))
            theirs.train(WARM_UP_BATCHES)
            ours.train(0)
            pairs: list[tuple[Turn, Turn]] = []  # an epoch's seconds, RecBole's and ours
            for number in range(1, rounds + 1):
                pair = (
                    theirs.train(0 if whole else ROUND_BATCHES).for_samples(theirs.facts["samples"]),
                    ours.train(0).for_samples(ours.facts["samples"]),
                )
                pairs.append(pair)
                say(f"round {number}: RecBole {pair[0]}, ours {pair[1]}, ratio {pair[0].seconds / pair[1].seconds:.1f}")
    finally:
        torch.set_num_threads(threads)
    ratios = [theirs.seconds / ours.seconds for theirs, ours in pairs]
    outside = [theirs.user / ours.user for theirs, ours in pairs]
    middle, low, high = statistics.median(outside), min(outside), max(outside)
    say(f"CPU seconds outside the kernel: ratio {middle:.1f} ({low:.1f} to {high:.1f})")
    net = f"dropout {dropout} in ours only" if dropout else "no dropout"
    options = f" --rounds {rounds}{' --whole' if whole else ''}{f' --dropout {dropout}' if dropout else ''}"
    return {
        "what": f"epoch of NextItNet, 10 blocks, length 50, ML-100K, {net}, one thread each: RecBole {version} / ours",
        "ratio": round(statistics.median(ratios), 2),
        "low": round(min(ratios), 2),
        "high": round(max(ratios), 2),
        "ours_seconds": round(statistics.median(ours.seconds for _, ours in pairs), 3),
        "recbole_seconds": round(statistics.median(theirs.seconds for theirs, _ in pairs), 2),
        "rounds": rounds,
        "command": f"python tests/benchmarks/recbole_epoch.py --recbole-python RECBOLE/bin/python{options}",
    }


def main() -> None:
    """Measure, tell how it goes on stderr, and end with a CSV row on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recbole-python", metavar="PATH", help="the Python of an environment with RecBole (required)")
    parser.add_argument("--rounds", type=int, help="turns of each side (10; with --whole 1)")
    parser.add_argument("--whole", action="store_true", help="a round is a whole epoch of each: minutes")
    parser.add_argument("--dropout", type=float, default=0.0, help="on our residual branches (0, as in RecBole)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)  # RecBole's side, started by this file
    options = parser.parse_args()
    if options.serve:
        del sys.argv[1:]  # RecBole would read them as settings
        answers = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):  # the answers alone go to stdout
            serve(sys.stdin, answers)
        return
    if options.recbole_python is None:
        parser.error("--recbole-python PATH is required: the Python of an environment with RecBole 1.2.1 (see --help)")
    rounds = options.rounds if options.rounds is not None else (1 if options.whole else 10)
    try:
        row = measure(options.recbole_python, rounds, whole=options.whole, dropout=options.dropout)
    except (RuntimeError, ValueError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error
    csv.writer(sys.stdout).writerow(row.values())


if __name__ == "__main__":
    main()
