import numpy as np, pandas as pd
d="SCRATCH/b"
t=pd.read_csv(f"{d}/hidden_layers.csv").set_index("run"); u=pd.read_csv(f"{d}/hidden_layers_users.csv").set_index(["measure","run"])
M=("ndcg@10 unseen","ndcg@10 all")
kinds={"plain":"{} plain","res .016":"{} residual, rate 0.016","res .004":"{} residual, rate 0.004"}
of=lambda r,m: np.array([u.loc[(m,f"{r}, seed {s}")].to_numpy(float) for s in (0,1,2)])
def diff(a,b,m):
    x=of(a,m)-of(b,m);p=x.mean(0);return f"{p.mean():+.4f} ± {p.std(ddof=1)/len(p)**.5:.4f} ± {x.mean(1).std(ddof=1)/3**.5:.4f}"
for k,f in kinds.items():
    try:
        print(k,[f"{np.mean([t.loc[f.format(n)+f', seed {s}',M[0]] for s in (0,1,2)]):.4f} ({np.mean([t.loc[f.format(n)+f', seed {s}',M[1]] for s in (0,1,2)]):.4f}) val {np.mean([t.loc[f.format(n)+f', seed {s}','validation ndcg@10 unseen'] for s in (0,1,2)]):.4f}/{np.mean([t.loc[f.format(n)+f', seed {s}','validation ndcg@10 all'] for s in (0,1,2)]):.4f}" for n in (0,1,2,4)])
        for a,b in ((1,0),(2,1),(4,1),(4,0)): print(a,"-",b,diff(f.format(a),f.format(b),M[0]),"|",diff(f.format(a),f.format(b),M[1]))
        if k!="plain": print("4 -best plain",diff(f.format(4),"0 plain",M[0]),diff(f.format(4),"1 plain",M[1]),diff(f.format(2),"0 plain",M[0]))
    except KeyError as e: print(k,"no",e)
