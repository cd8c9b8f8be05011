"""build.py NAME DEST: rename old rows, put parts together in the plan's order into DEST"""
import sys, csv, re
from pathlib import Path
from skiprec_lite.lab import plans
csv.field_size_limit(10**9)
name,dest=sys.argv[1:3]
O=Path("SCRATCH/out"); MAIN=Path("SCRATCH/main_results")
def depths_old(r):
    if re.search(r"rate 0\.(001|002|008)",r): return None
    r=re.sub(r"^(\d+ rezero), seed",r"\1, rate 0.004, seed",r)
    return re.sub(r"100 epochs, seed",r"100 epochs, rate 0.004, seed",r)
same=lambda r:r
def rated(x): return lambda r: re.sub(r", seed",f", rate {x}, seed",r)
def hl(x): return lambda r: re.sub(r"residual, seed",f"residual, rate {x}, seed",r)
def P(*ns): return [O/n/"results" for n in ns]
PARTS={
 "depths":[(p,depths_old) for p in P("d0","d1","d2")]+[(p,same) for p in P("e0","e1","e2","p0","p1","p1b","p2","dm","h16","e128","h4")],
 "depth_by_data":[(p,rated("0.016")) for p in P("n0","n1")]+[(MAIN,rated("0.004")),(Path("SCRATCH"),rated("0.004"))],
 "hidden_layers":[(MAIN,hl("0.004"))]+[(p,hl("0.016")) for p in P("hl")],
 "costs":[(p,same) for p in P("cS","cS2","cS3","cS4","cT","cHalf")],
 "temperature":[(p,same) for p in P("t0","t1","t2")],
 "teachers":[(p,same) for p in P("te0","te1","te2")],
 "settings":[(MAIN,same)]+[(p,same) for p in P("s7a","s9","s10","s11a","s11b","s9b","s78")],
}
order=[r.name for r in plans.EXPERIMENTS[name].runs()]
settings={r.name:r.settings() for r in plans.EXPERIMENTS[name].runs()}
for side in ("","_users","_epochs","_groups"):
    rows=[];fields=None;seen=set()
    for p,f in PARTS[name]:
        file=p/f"{name}{side}.csv"
        if not file.exists(): continue
        with open(file,newline='') as h:
            rd=csv.DictReader(h); got=list(rd)
        fields=fields or rd.fieldnames
        if rd.fieldnames!=fields: print("fields differ",file,set(rd.fieldnames)^set(fields))
        new=set()
        for r in got:
            n=f(r["run"])
            if n is None or n in seen: continue
            r["run"]=n; new.add(n)
            if n not in order: print("not in plan",n); continue
            if not side and r["settings"]!=settings[n]: print("other settings",n,"\n",r["settings"],"\n",settings[n]); continue
            rows.append(r)
        seen|=new
    if not rows: continue
    rows.sort(key=lambda r:order.index(r["run"]))
    missing=[o for o in order if o not in {r["run"] for r in rows}]
    print(name+side,len(rows),"rows; missing",missing if side!="_epochs" else "")
    with open(Path(dest)/f"{name}{side}.csv","w",newline='') as h:
        w=csv.DictWriter(h,fields,lineterminator="\n"); w.writeheader(); w.writerows(rows)
