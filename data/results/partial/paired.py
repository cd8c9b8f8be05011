import pandas as pd, numpy as np, sys
def load(f):
    u=pd.read_csv(f); return u.set_index(["measure","run"])
def diff(u,m,a,b,seeds):
    get=lambda n,s: u.loc[(m, n.format(s=s) if "{s}" in n else n)].to_numpy(float)
    d=np.array([get(a,s)-get(b,s) for s in seeds])
    per=d.mean(0); per=per[~np.isnan(per)]
    sm=np.nanmean(d,axis=1)
    return f"{per.mean():+.4f} ± {per.std(ddof=1)/len(per)**.5:.4f} (users) ± {sm.std(ddof=1)/len(sm)**.5 if len(sm)>1 else float('nan'):.4f} (seeds)  " + " ".join(f"{x:+.4f}" for x in sm)
if __name__=="__main__":
    u=load("SCRATCH_users.csv"); seeds=range(int(sys.argv[1]))
    print(sorted(set(u.index.get_level_values(0))))
    S="SkipRec, seed {s}"
    for m in ("ndcg@10 unseen","ndcg@10 all","mrr@5 unseen","mrr@5 all"):
        print(m)
        for b in ("full depth, seed {s}","counter","counter, chosen for unseen","2 blocks, seed {s}","1 blocks, seed {s}","3 blocks, seed {s}","SkipRec, mean, seed {s}"):
            print("  SkipRec -",b,diff(u,m,S,b,seeds))
        for a,b in (("full depth, seed {s}","counter"),("full depth, seed {s}","counter, chosen for unseen"),("1 blocks, seed {s}","counter, chosen for unseen"),("full depth, seed {s}","1 blocks, seed {s}"),("1 blocks, seed {s}","0 blocks, seed {s}"),("2 blocks, seed {s}","1 blocks, seed {s}"),("full depth, seed {s}","markov")):
            print("  ",a,"-",b,diff(u,m,a,b,seeds))
