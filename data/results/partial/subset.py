"""subset.py experiment regex outdir : run a part of a plan into a folder of its own (weights shared under RUNS)"""
import re, sys
from dataclasses import replace
from pathlib import Path
from skiprec_lite.lab import plans, experiments
name, pattern, out = sys.argv[1:4]
e = plans.EXPERIMENTS[name]
if pattern.startswith("extra"):  # a control that stands in no plan
    h = {"channels": 32, "tied": True, "dropout": 0.5, "embedding_dropout": 0.4}
    extra = [plans.Run(f"extra {n} residual, rate 0.032, seed 0", "residual nfm", "last_n", 0, h | {"hidden_layers": n}, {}, plans.SHORT_TRAINING | {"learning_rate": 0.032}, plans.SHORT_WINDOWS) for n in (0, 1, 4)]
    if name == "depths":
        extra = [plans._short_run(f"extra {n} {kind}, rate {r}, seed 0", blocks=n, seed=0, backbone={"rezero": kind == "rezero"}, training={"learning_rate": r}) for n, kind, r in ((32, "plain", 0.032), (32, "plain", 0.064), (32, "rezero", 0.032), (32, "plain", 0.128))]
    e = replace(e, runs=lambda: extra)
runs = [r for r in e.runs() if re.search(pattern, r.name)]
print(len(runs), [r.name for r in runs], flush=True)
plans.EXPERIMENTS[name] = replace(e, runs=lambda: runs)
folder = Path(out) / "results"; folder.mkdir(parents=True, exist_ok=True)
link = Path(out) / "runs"
Path("SCRATCH/runs").mkdir(exist_ok=True)
if not link.exists(): link.symlink_to("SCRATCH/runs")
experiments.run_experiment(name, folder=folder, progress=False)
