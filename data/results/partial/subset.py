"""subset.py experiment regex outdir : run a part of a plan into a folder of its own (weights shared under RUNS)"""
import re, sys
from dataclasses import replace
from pathlib import Path
from skiprec_lite.lab import plans, experiments
name, pattern, out = sys.argv[1:4]
e = plans.EXPERIMENTS[name]
runs = [r for r in e.runs() if re.search(pattern, r.name)]
print(len(runs), [r.name for r in runs], flush=True)
plans.EXPERIMENTS[name] = replace(e, runs=lambda: runs)
folder = Path(out) / "results"; folder.mkdir(parents=True, exist_ok=True)
link = Path(out) / "runs"
Path("RUNS").mkdir(exist_ok=True)
if not link.exists(): link.symlink_to("RUNS")
experiments.run_experiment(name, folder=folder, progress=False)
