import sys,csv
from pathlib import Path
import torch; torch.set_num_threads(1)
from skiprec_lite import checkpoints
from skiprec_lite.datasets import load_movielens
from skiprec_lite import splits
from skiprec_lite.lab import plans, experiments, runs, judging
from skiprec_lite.tables import read_table
name, folder = sys.argv[1:3]
f=Path(folder)/f"{name}_users.csv"
table=read_table(Path(folder)/f"{name}.csv").set_index("run"); defined={r.name:r for r in plans.EXPERIMENTS[name].runs()}
rows=list(csv.reader(open(f))); head,body=rows[0],rows[1:]
coarse={}
for r in body: coarse[r[0]]=max(coarse.get(r[0],0),max(len(x.split('.')[1]) if '.' in x else 0 for x in r[2:]))
todo=[n for n,k in coarse.items() if k<4]; print(todo)
films=load_movielens(); fresh={}
for n in todo:
    run=defined[n]; split=(splits.leave_one_out if run.protocol=="leave_one_out" else splits.last_n)(films)
    model=runs.build(run,split) if run.model in runs.COUNTING else checkpoints.load(Path("RUNS")/name/f"{n}.safetensors")
    found,per=judging.on_movielens(model,split.test,None)
    row=table.loc[n]
    assert all(abs(found[c]-row[c])<1e-9 for c in found),(n,found)
    assert run.model in runs.COUNTING or str(judging.fingerprint(model,None))==str(row["weights"]),(n,judging.fingerprint(model,None),row["weights"])
    tmp=Path("SCRATCH.csv"); tmp.unlink(missing_ok=True)
    experiments.append_rows(tmp,[experiments._of_users(run,m,v) for m,v in per.items()])
    fresh[n]=list(csv.reader(open(tmp)))
    assert fresh[n][0]==head
    print(n,"ok",flush=True)
out=[]; done=set()
for r in body:
    if r[0] in fresh:
        if r[0] not in done: out+=fresh[r[0]][1:]; done.add(r[0])
    else: out.append(r)
with open(f,"w",newline="") as h: csv.writer(h,lineterminator="\n").writerows([head]+out)
