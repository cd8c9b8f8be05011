import numpy as np, pandas as pd
d="SCRATCH/b"
t=pd.read_csv(f"{d}/costs.csv").set_index("run"); u=pd.read_csv(f"{d}/costs_users.csv").set_index(["measure","run"])
m=pd.read_csv("CLONE/data/results/models_users.csv").set_index(["measure","run"])
M=("ndcg@10 unseen","ndcg@10 all")
for k in ("cost {}, seed {}","cost {}, two stages, seed {}"):
    for c in (.1,.2,.3,.5,1.0):
        S=[s for s in (0,1,2) if k.format(c,s) in t.index]
        row=t.loc[[k.format(c,s) for s in S]]
        out=[]
        for mm in M:
            x=np.array([u.loc[(mm,k.format(c,s))].to_numpy(float)-m.loc[(mm,f"full depth, seed {s}")].to_numpy(float) for s in S]); p=x.mean(0)
            out.append(f"{p.mean():+.4f} ± {p.std(ddof=1)/len(p)**.5:.4f} ± {x.mean(1).std(ddof=1)/len(S)**.5:.4f}")
        print(k.format(c,S), row["blocks"].round(1).tolist(), row["patterns"].tolist(), f"{row[M[0]].mean():.4f} ({row[M[1]].mean():.4f})", out, "cpu",round(row["cpu seconds"].mean()), "val", round(row["validation ndcg@10 unseen"].mean(),4))
