"""costs_users.csv with three digits: run it after build.py"""
import csv, sys
csv.field_size_limit(10**9)
path="SCRATCH/data/results/costs_users.csv"
rows=list(csv.reader(open(path,newline="")))
def short(x):
    t=f"{round(float(x),3):g}"; return t[1:] if t.startswith("0.") else t
with open(path,"w",newline="") as h:
    w=csv.writer(h,lineterminator="\n"); w.writerow(rows[0])
    for r in rows[1:]: w.writerow(r[:2]+[short(x) for x in r[2:]])
