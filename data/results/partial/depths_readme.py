"""depths_readme.py FOLDER [seeds]: the numbers of data/results/README.md, "depths"."""
import sys, numpy as np, pandas as pd
d=sys.argv[1]; seeds=[int(s) for s in (sys.argv[2] if len(sys.argv)>2 else "012")]
t=pd.read_csv(f"{d}/depths.csv").set_index("run"); u=pd.read_csv(f"{d}/depths_users.csv").set_index(["measure","run"])
m=pd.read_csv("CLONE/data/results/models_users.csv").set_index(["measure","run"])
def of(run,meas):
    return np.array([u.loc[(meas,f"{run}, seed {s}")].to_numpy(float) for s in seeds])
def diff(a,b,meas,tb=None):
    x=of(a,meas)-(of(b,meas) if tb is None else tb); per=x.mean(0); sm=x.mean(1)
    return f"{per.mean():+.4f} ± {per.std(ddof=1)/len(per)**.5:.4f} ± {(sm.std(ddof=1)/len(sm)**.5 if len(sm)>1 else float('nan')):.4f}"
M=["ndcg@10 unseen","ndcg@10 all","mrr@5 unseen","mrr@5 all"]
def mean(run,col): return t.loc[[f"{run}, seed {s}" for s in seeds],col].mean()
print("| blocks | "+" | ".join(M)+" | valid | cpu")
for n in (0,1,2,4,8,16,32,64):
    r=f"{n} rezero"; print(f"| {n} | "+" | ".join(f"{mean(r,c):.4f}" for c in M)+f" | {mean(r,'validation ndcg@10 unseen'):.4f} | {mean(r,'cpu seconds'):.0f}")
r="2 rezero for 100 epochs"; print(f"| {r} | "+" | ".join(f"{mean(r,c):.4f}" for c in M)+f" | {mean(r,'validation ndcg@10 unseen'):.4f} | {mean(r,'cpu seconds'):.0f}")
if "128 rezero, seed 0" in t.index: x=t.loc["128 rezero, seed 0"]; print("128:", [round(x[c],4) for c in M], x["cpu seconds"], x["seconds"])
for n in (2,8,32):
    for rate in ("0.004","0.008","0.016"):
        r=f"{n} plain, rate {rate}"
        if all(f"{r}, seed {s}" in t.index for s in seeds):
            print(r, [round(mean(r,c),4) for c in M], "val", round(mean(r,'validation ndcg@10 unseen'),4), "seeds", t.loc[[f"{r}, seed {s}" for s in seeds],'ndcg@10 unseen'].round(4).tolist(), "minus ReZero", diff(r,f"{n} rezero",M[0]), diff(r,f"{n} rezero",M[1]))
for n in (0,2,4,8,16,32,64):
    print(f"{n} − 1", *[f"{c}: {diff(f'{n} rezero','1 rezero',c)}" for c in M], sep=" | ")
for a,b in (("2 rezero for 100 epochs","32 rezero"),("2 rezero for 100 epochs","64 rezero"),("2 rezero for 100 epochs","2 rezero")):
    print(a,"−",b,*[f"{c}: {diff(a,b,c)}" for c in M], sep=" | ")
cu={"unseen":"counter, chosen for unseen","all":"counter"}
