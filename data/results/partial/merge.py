"""merge.py NAME out.. : put the parts of a table together in the plan's order into CLONE/data/results (main csv + side tables wanted)"""
import sys, csv
from pathlib import Path
from skiprec_lite.lab import plans
name, dest, *parts = sys.argv[1:]
order=[r.name for r in plans.EXPERIMENTS[name].runs()]
settings={r.name:r.settings() for r in plans.EXPERIMENTS[name].runs()}
for side in ("","_users","_epochs","_groups"):
    rows=[];fields=None
    for p in parts:
        f=Path(p)/f"{name}{side}.csv"
        if f.exists():
            with open(f,newline='') as h:
                rd=csv.DictReader(h); got=list(rd); 
                if fields is None: fields=rd.fieldnames
                elif rd.fieldnames!=fields: print("fields differ", f, set(rd.fieldnames)^set(fields))
                rows+=got
    if not rows: continue
    done={r["run"] for r in rows}
    if not side:
        seen=set(); uniq=[]
        for r in rows:
            if r["run"] in seen: continue
            if r["run"] in settings and r["settings"]!=settings[r["run"]]: print("other settings:", r["run"]); continue
            seen.add(r["run"]); uniq.append(r)
        rows=[r for r in uniq if r["run"] in order]
        print(name, len(rows), "of", len(order), "missing", [o for o in order if o not in done])
    rows=[r for r in rows if r["run"] in order]
    rows.sort(key=lambda r: order.index(r["run"]))
    with open(Path(dest)/f"{name}{side}.csv","w",newline='') as h:
        w=csv.DictWriter(h,fields,lineterminator="\n"); w.writeheader(); w.writerows(rows)
