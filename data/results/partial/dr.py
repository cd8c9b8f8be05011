import sys, numpy as np, pandas as pd
d="SCRATCH/b"; seeds=[0,1,2]
t=pd.read_csv(f"{d}/depths.csv").set_index("run"); u=pd.read_csv(f"{d}/depths_users.csv").set_index(["measure","run"])
m=pd.read_csv("CLONE/data/results/models_users.csv").set_index(["measure","run"])
M=["ndcg@10 unseen","ndcg@10 all","mrr@5 unseen","mrr@5 all"]
def of(run,meas): return np.array([u.loc[(meas,f"{run}, seed {s}")].to_numpy(float) for s in seeds])
def diff(a,b,meas,tb=None):
    x=of(a,meas)-(of(b,meas) if tb is None else tb); per=x.mean(0); sm=x.mean(1)
    return f"{per.mean():+.4f} ± {per.std(ddof=1)/len(per)**.5:.4f} ± {sm.std(ddof=1)/len(sm)**.5:.4f}"
def mean(run,col): return t.loc[[f"{run}, seed {s}" for s in seeds],col].mean()
for rate in (.016,.004):
    print(rate)
    for n in (0,1,2,4,8,16,32,64):
        r=f"{n} rezero, rate {rate}"; print(f"| {n} | "+" | ".join(f"{mean(r,c):.4f}" for c in M)+f" | val {mean(r,'validation ndcg@10 unseen'):.4f} {mean(r,'validation ndcg@10 all'):.4f} | {mean(r,'cpu seconds'):.0f}")
    for n in (2,8,32):
        try: r=f"{n} plain, rate {rate}"; print(r, [round(mean(r,c),4) for c in M], "val", round(mean(r,'validation ndcg@10 unseen'),4), t.loc[[f"{r}, seed {s}" for s in seeds],'ndcg@10 unseen'].round(4).tolist(), diff(r,f"{n} rezero, rate {rate}",M[0]), diff(r,f"{n} rezero, rate {rate}",M[1]))
        except KeyError as e: print("no",e)
    for n in (0,2,4,8,16,32,64): print(f"{n} − 1", *[f"{c}: {diff(f'{n} rezero, rate {rate}',f'1 rezero, rate {rate}',c)}" for c in M], sep=" | ")
    try:
        r=f"2 rezero for 100 epochs, rate {rate}"; print(r,[round(mean(r,c),4) for c in M],"val", round(mean(r,'validation ndcg@10 unseen'),4),mean(r,"cpu seconds"))
        for b in (f"32 rezero, rate {rate}",f"2 rezero, rate {rate}"): print(r,"-",b,*[f"{c}: {diff(r,b,c)}" for c in M], sep=" | ")
    except KeyError as e: print("no",e)
for r in ("128 rezero, rate 0.016, seed 0","markov","counter"):
    if r in t.index: print(r,[round(t.loc[r,c],4) for c in M], t.loc[r,"cpu seconds"])
