#!/usr/bin/env bash
# Give the same instances their keywords by every strategy. Print how good the labels are.
# The figures are in docs/experiments/strategies.md. NETWORKS is the OUT of s4net.sh.
set -euo pipefail
if (($# < 3 || $# > 4)); then
    echo "usage: experiments/keywords.sh VOC NETWORKS OUT [SEED]" >&2
    exit 2
fi
S4=${S4:-s4} PYTHON=${PYTHON:-python}
voc=$1 networks=$2 out=$3 seed=${4:-0}
controls=$(dirname "$0")/../benchmarks/label_controls.py

"$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --assign graph --cells off \
    --recognise off --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/graph"
"$S4" pseudo-label --images "$voc/JPEGImages" --instances "$out/graph/instances.json" --assign attention \
    --cells off --recognise off --out "$out/attention" \
    --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt"
"$S4" pseudo-label --images "$voc/JPEGImages" --instances "$out/graph/instances.json" --assign random \
    --cells off --recognise off --out "$out/random" \
    --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt"
"$S4" pseudo-label --images "$voc/JPEGImages" --instances "$out/graph/instances.json" --assign single \
    --cells off --recognise off --out "$out/single" \
    --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt"
"$PYTHON" "$controls" union "$out/graph/instances.json" --out "$out/union.json"
"$S4" pseudo-label --images "$voc/JPEGImages" --instances "$out/union.json" --assign attention --cells off \
    --recognise off --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/union"
for labels in graph attention random single union; do
    "$S4" evaluate --voc "$voc" --split train_aug --labels "$out/$labels" --classes "$voc/classes.txt"
done
"$PYTHON" "$controls" oracle "$out/graph/instances.json" --voc "$voc" --split train_aug \
    --classes "$voc/classes.txt" --keywords "$voc/keywords_train_aug.csv" --out "$out/oracle"
"$S4" evaluate --voc "$voc" --split train_aug --predictions "$out/oracle" --classes "$voc/classes.txt"
