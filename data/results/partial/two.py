import pandas as pd, numpy as np
u=pd.read_csv('out/cT/results/costs_users.csv').set_index(["measure","run"]); m=pd.read_csv('CLONE/data/results/models_users.csv').set_index(["measure","run"]); t=pd.read_csv('out/cT/results/costs.csv').set_index('run')
def diff(m1,a,b):
    d=np.array([u.loc[(m1,a.format(s=s))].to_numpy(float)-m.loc[(m1,b.format(s=s))].to_numpy(float) for s in range(3)])
    per=d.mean(0); sm=d.mean(1); return f"{per.mean():+.4f} ± {per.std(ddof=1)/943**.5:.4f} ± {sm.std(ddof=1)/3**.5:.4f}"
for c in (0.1,0.2,0.3,0.5,1.0):
    n="cost %s, two stages, seed {s}"%c
    print(c, t.loc[[n.format(s=s) for s in range(3)],'blocks'].round(2).tolist(), t.loc[[n.format(s=s) for s in range(3)],['ndcg@10 unseen','ndcg@10 all']].mean().round(4).tolist(), 'val', t.loc[[n.format(s=s) for s in range(3)],'validation ndcg@10 unseen'].mean().round(4))
    for b in ("full depth, seed {s}","SkipRec, seed {s}","1 blocks, seed {s}","2 blocks, seed {s}"):
        print("   minus",b,diff("ndcg@10 unseen",n,b),"|",diff("ndcg@10 all",n,b))
