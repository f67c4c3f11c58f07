#!/usr/bin/env bash
# Train a short DeepLab on the labels of every strategy, as in the S4Net paper's Table 5.
# The figures are in docs/experiments/strategies.md. NETWORKS is the OUT of s4net.sh.
set -euo pipefail
if (($# < 3 || $# > 4)); then
    echo "usage: experiments/strategies.sh VOC NETWORKS OUT [SEED]" >&2
    exit 2
fi
S4=${S4:-s4} PYTHON=${PYTHON:-python}
voc=$1 networks=$2 out=$3 seed=${4:-2}
controls=$(dirname "$0")/../benchmarks/label_controls.py

pair() { OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -- "$(command -v "$1")" "${@:2}"; }

"$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --recognise off \
    --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/cells"
"$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --assign graph --cells off \
    --recognise off --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/graph"
"$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --assign attention --cells off \
    --recognise off --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/attention"
"$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --assign random --cells off \
    --recognise off --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/random"
"$S4" pseudo-label --images "$voc/JPEGImages" --weights "$networks/seed$seed" --assign single --cells off \
    --recognise off --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/single"
"$PYTHON" "$controls" union "$out/cells/instances.json" --out "$out/union.json"
"$S4" pseudo-label --images "$voc/JPEGImages" --instances "$out/union.json" --assign attention --cells off \
    --recognise off --keywords "$voc/keywords_train_aug.csv" --classes "$voc/classes.txt" --out "$out/union"
"$PYTHON" "$controls" oracle "$out/cells/instances.json" --voc "$voc" --split train_aug \
    --classes "$voc/classes.txt" --keywords "$voc/keywords_train_aug.csv" --out "$out/oracle"

for labels in cells graph attention random single union; do
    "$S4" evaluate --voc "$voc" --split train_aug --labels "$out/$labels" --classes "$voc/classes.txt"
    pair "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/$labels" --network efficientnet_lite0 \
        --loss plain --steps 300 --batch-size 4 --seed "$seed" --run "$out/runs/$labels"
done
"$S4" evaluate --voc "$voc" --split train_aug --predictions "$out/oracle" --classes "$voc/classes.txt"
pair "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$out/oracle" --labels-are ground-truth \
    --classes "$voc/classes.txt" --network efficientnet_lite0 --steps 300 --batch-size 4 --seed "$seed" \
    --run "$out/runs/oracle"
pair "$S4" deeplab-train --images "$voc/JPEGImages" --labels "$voc/SegmentationClass" --labels-are ground-truth \
    --classes "$voc/classes.txt" --list "$voc/ImageSets/Segmentation/train_aug.txt" --network efficientnet_lite0 \
    --steps 300 --batch-size 4 --seed "$seed" --run "$out/runs/masks"
for labels in cells graph attention random single union oracle masks; do
    "$S4" evaluate --voc "$voc" --split val --weights "$out/runs/$labels" --classes "$voc/classes.txt"
done
