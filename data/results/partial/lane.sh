#!/bin/bash
# lane.sh queuefile : lines  experiment|regex|outname
export PYTHONPATH=SCRATCH SKIPREC_DATA=CLONE/data OMP_NUM_THREADS=1
cd SCRATCH
while true; do
  line=$(head -1 $1); [ -z "$line" ] && { sleep 5; continue; }
  IFS='|' read name re out <<< "$line"
  echo "$(date +%T) start $name $re" >> $1.log
  CLONE/.venv/bin/python SCRATCH/subset.py "$name" "$re" SCRATCH/out/$out >> $1.log.$out 2>&1
  echo "$(date +%T) end $name rc $?" >> $1.log
  sed -i 1d $1
done
