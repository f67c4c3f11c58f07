#!/usr/bin/env bash
# Draw nine label maps beside the true outlines. Print how much foreground is false, missed or misnamed.
# The pictures are in docs/results.md. LABELS is a folder of labels.sh. WEAK and UPPER are runs of deeplab.sh.
set -euo pipefail
if (($# != 5)); then
    echo "usage: experiments/failures.sh VOC LABELS WEAK UPPER OUT" >&2
    exit 2
fi
PYTHON=${PYTHON:-python}
voc=$1 labels=$2 weak=$3 upper=$4 out=$5
benchmarks=$(dirname "$0")/../benchmarks
ids=2010_001211,2010_004540,2010_002287,2009_004787,2008_001544,2010_005161,2007_001825,2010_002570,2009_002037

mkdir -p "$out"
"$PYTHON" "$benchmarks/label_failures.py" "$labels" --voc "$voc" --classes "$voc/classes.txt" --ids "$ids" \
    --out "$out/label_failures.png"
"$PYTHON" "$benchmarks/foreground_errors.py" "$labels" --voc "$voc" --split train_aug --classes "$voc/classes.txt"
"$PYTHON" "$benchmarks/foreground_errors.py" "$upper" "$weak" --voc "$voc" --split val --classes "$voc/classes.txt"
