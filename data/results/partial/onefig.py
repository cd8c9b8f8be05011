"""onefig.py LESSON CELL : run the lesson, take over this cell's picture alone (all other texts must be the same)"""
import json,subprocess,sys,os
lesson,cell=sys.argv[1:]
root="CLONE/notebooks/"
subprocess.run(["CLONE/.venv/bin/python","-m","jupyter","nbconvert","--to","notebook","--execute","--ExecutePreprocessor.record_timing=False","--output",f"SCRATCH/run_{lesson}",f"{lesson}.ipynb"],cwd=root,check=True,capture_output=True)
a=json.load(open(root+lesson+".ipynb")); b=json.load(open(f"SCRATCH/run_{lesson}.ipynb"))
for x,y in zip(a["cells"],b["cells"]):
    t=lambda c:"".join("".join(o["text"]) for o in c.get("outputs",[]) if o["output_type"]=="stream")
    if t(x)!=t(y): print("TEXT differs",x["id"])
    for o,q in zip([o for o in x.get("outputs",[]) if o["output_type"]!="stream"],[o for o in y.get("outputs",[]) if o["output_type"]!="stream"]):
        d,e=o.get("data",{}),q.get("data",{})
        if "image/png" in d and d["image/png"].strip()!=e["image/png"].strip():
            print("PNG differs",x["id"])
            if x["id"]==cell: d["image/png"]=e["image/png"]; print("taken")
open(root+lesson+".ipynb","w").write(json.dumps(a,ensure_ascii=False,indent=1,sort_keys=True)+"\n")
