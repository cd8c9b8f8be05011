import pandas as pd,numpy as np,sys
m=pd.read_csv('CLONE/data/results/models_users.csv').set_index(["measure","run"])
g=pd.concat([pd.read_csv(f) for f in sys.argv[1:]]).set_index(["measure","run"])
def diff(u,v,me,a,b,seeds):
    d=np.array([u.loc[(me,a.format(s=s))].to_numpy(float)-v.loc[(me,b.format(s=s))].to_numpy(float) for s in seeds]); per=d.mean(0); sm=d.mean(1)
    return f"{per.mean():+.4f} ± {per.std(ddof=1)/len(per)**.5:.4f} ± {sm.std(ddof=1)/len(sm)**.5:.4f}"
names=sorted({r.rsplit(', seed',1)[0] for r in g.index.get_level_values(1)})
for n in names:
    for b in ("SkipRec, seed {s}","full depth, seed {s}"):
        print(n,'-',b,*(diff(g,m,me,n+", seed {s}",b,range(3)) for me in ("ndcg@10 unseen","ndcg@10 all")),sep=' | ')
