import numpy as np, pandas as pd
d="SCRATCH/b"
t=pd.read_csv(f"{d}/depth_by_data.csv").set_index("run"); u=pd.read_csv(f"{d}/depth_by_data_users.csv").set_index(["measure","run"])
def name(b,s,r,seed): return f"{b} blocks, {s:g} of the users, rate {r}, seed {seed}"
def best(b,s,rk): return max((.016,.004),key=lambda r: np.mean([t.loc[name(b,s,r,k),f"validation ndcg@10 {rk}"] for k in (0,1)]))
for rk in ("unseen","all"):
    for how in (.016,.004,"best"):
        print(rk,how)
        R={(b,s):(how if how!="best" else best(b,s,rk)) for b in (0,1,2,8) for s in (.125,.25,.5,1)}
        for b in (0,1,2,8): print(b,[f"{np.mean([t.loc[name(b,s,R[b,s],k),f'ndcg@10 {rk}'] for k in (0,1)]):.4f}@{R[b,s]}" for s in (.125,.25,.5,1)])
        out=[]
        for s in (.125,.25,.5,1):
            x=np.array([u.loc[(f"ndcg@10 {rk}",name(8,s,R[8,s],k))].to_numpy(float)-u.loc[(f"ndcg@10 {rk}",name(1,s,R[1,s],k))].to_numpy(float) for k in (0,1)])
            p=x.mean(0); out.append(f"{p.mean():+.4f} ± {p.std(ddof=1)/len(p)**.5:.4f} ± {x.mean(1).std(ddof=1)/2**.5:.4f}")
        print("8-1",out)
