"""Does a GPU compute what the CPU does, and how fast? Run it with: python tests/benchmarks/device.py.

It has never been run on a GPU yet; `--device cpu` sets the CPU against itself, which shows that the script runs. Meant
to take 4 minutes at most; MovieLens-100K has to be there (`python -m skiprec_lite data`).

1. The same training from the same seed on the CPU and on the device, two epochs of last_n's windows, float32, without
   dropout: NextItNet with 8 blocks, and SkipRec's joint stage. Orders and cuts have to be equal, each step's loss equal
   but for rounding, gates but for those that stand on an edge. Seconds are the second epoch's, without its validation.
2. The kept blocks against full depth: 32 blocks, each kept with probability .3, gates given (no policy), medians.
3. The GPU's peak memory for the gradient of a batch of 32. 4. Two processes (torchrun), where there are two GPUs.
Exit status 1 says that what has to agree does not, or that there is no such device.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import torch
from figures import in_turn
from torch import Tensor

from skiprec_lite.backbones import NextItNet
from skiprec_lite.backbones.devices import check_device
from skiprec_lite.datasets import load_movielens
from skiprec_lite.gate_losses import from_a_cut, straight_through_loss
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skipping import encode_kept
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import last_n
from skiprec_lite.stages import Stage, next_item_loss
from skiprec_lite.training import fit
from skiprec_lite.windows import Split, Windows

ITEMS = 1682
# At most: difference of the first loss, of any, share of gates. Weights 2e-7 apart: 0, 5e-4, 3e-5; a lost block: 8e-3.
FIRST, ALL, EDGE = 1e-5, 2e-3, 1e-3


def net(blocks: int) -> NextItNet:
    return NextItNet(ITEMS, channels=64, dilations=(1, 4) * (blocks // 2))


def follow(stage: Stage, split: Split, batch_size: int, device: str) -> dict[str, list]:
    """Train from the same start on a device; what is remembered stays there, so as not to wait for it."""
    torch.manual_seed(0)
    model = SkipRec(net(8), PolicyNetwork(ITEMS, 8)) if stage.reads else net(8)
    seen: dict[str, list] = {"losses": [], "at": [], "drawn": [], "gates": []}
    if isinstance(model, SkipRec):
        decide = model.decide

        def remembered(logits: Tensor, *, sample: bool) -> Tensor:
            gates = decide(logits, sample=sample)
            seen["gates"].append(gates.detach())
            return gates

        model.decide = remembered  # type: ignore[method-assign]

    def followed(part: NextItNet | SkipRec, batch: Windows, *cost: float) -> Tensor:
        loss = stage.loss(part, batch, *cost)
        seen["losses"].append(loss.item())
        seen["at"].append(time.perf_counter())
        seen["drawn"].append(torch.stack([batch.users, batch.cut]))
        return loss

    fit(model, split, stages=[replace(stage, loss=followed)], batch_size=batch_size, progress=False, device=device)
    return seen


def compare(name: str, stage: Stage, split: Split, batch_size: int, device: str) -> bool:
    """Print how far two trainings are apart and what they take; say whether that is rounding."""
    cpu, there = follow(stage, split, batch_size, "cpu"), follow(stage, split, batch_size, device)
    apart = [abs(a - b) / abs(a) for a, b in zip(cpu["losses"], there["losses"], strict=True)]
    same = all(torch.equal(a, b.cpu()) for a, b in zip(cpu["drawn"], there["drawn"], strict=True))
    pairs = list(zip(cpu["gates"], there["gates"], strict=True))
    gates, differ = sum(a.numel() for a, _ in pairs), sum(int((a != b.cpu()).sum()) for a, b in pairs)
    steps = math.ceil(len(split.train) / batch_size)
    here, other = ((run["at"][-1] - run["at"][-steps]) / (steps - 1) * steps for run in (cpu, there))
    agree = same and apart[0] <= FIRST and max(apart) <= ALL and differ <= EDGE * gates
    said = "agree" if agree else "DO NOT AGREE" if same else "ORDERS OR CUTS DIFFER"
    apart_by = f"{apart[0]:.1e} {max(apart):.1e} {differ:>5} of {gates:>6}"
    print(f"{name:<9} {batch_size:>5}  {apart_by}  {here:>6.2f} {other:>6.2f} {here / other:>6.1f}  {said}", flush=True)
    return agree


@torch.no_grad()
def skip_blocks(device: str, repeats: int, *, blocks: int = 32, keep_rate: float = 0.3) -> None:
    """Print the time of the kept blocks against that of all; a number is there only when all before it is done."""
    deep = net(blocks).eval().to(device)
    for batch in (1, 32, 256, 2048):
        x = torch.randint(1, ITEMS + 1, (batch, 50)).to(device)
        gates = (torch.rand(batch, blocks) < keep_rate).float().to(device)
        ways = {
            "all": lambda x=x: deep.encode(x).sum().item(),
            "kept": lambda x=x, gates=gates: encode_kept(deep, x, gates).sum().item(),
        }
        full, kept = (1e3 * statistics.median(found) for found in in_turn(ways, repeats).values())
        print(f"skip_blocks batch {batch:>4}: all {full:.2f} ms, kept {kept:.2f} ms: {full / kept:.2f} times as fast")


def memory(split: Split) -> None:
    """Print the GPU's largest memory for one gradient."""
    for blocks in (8, 32, 128):
        torch.cuda.reset_peak_memory_stats()
        next_item_loss(net(blocks).to("cuda"), split.train.rows(slice(0, 32)).to("cuda")).backward()
        print(f"peak memory {blocks:>3} blocks: {torch.cuda.max_memory_allocated() / 2**20:.0f} MB")


def together(device: str) -> bool:
    """Train in two processes by the command line, and print how long it took; say whether it ended well."""
    command = f"-m torch.distributed.run --standalone --nproc-per-node=2 -m skiprec_lite train --device {device}"
    with tempfile.TemporaryDirectory() as folder:
        told = ["--full-depth", "--epochs", "2", "--json", "--output", f"{folder}/weights.safetensors"]
        run = subprocess.run([sys.executable, *command.split(), *told], capture_output=True, text=True, check=False)
    print("two processes:", run.stderr if run.returncode else f"2 epochs in {json.loads(run.stdout)['seconds']} s")
    return run.returncode == 0


def main() -> None:
    """Compare and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "mps", "cpu"), default="cuda")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    try:
        check_device("--device", options.device)
        split = last_n(load_movielens())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    torch.backends.cudnn.allow_tf32 = False  # it would round a convolution's inputs to ten bits: this is float32
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads of the CPU, {options.device}", flush=True)
    print("model     batch  first step/any step, gates apart  CPU s/device s/ratio, an epoch")
    stages = {"NextItNet": Stage(2), "SkipRec": Stage(2, straight_through_loss, from_a_cut, cost=0.5)}
    well = [compare(*named, split, size, options.device) for named in stages.items() for size in (32, 256)]
    skip_blocks(options.device, options.repeats)
    if options.device == "cuda":
        memory(split)
    if options.device == "cpu" or torch.cuda.device_count() > 1:
        well.append(together(options.device))
    sys.exit(not all(well))


if __name__ == "__main__":
    main()
