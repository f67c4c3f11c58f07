#!/usr/bin/env bash
# All that needs a GPU, in one run of under ten minutes. Needs no data; generated scenes are drawn.
#
# Tests marked gpu; images/s of every trunk of the paper's Table 3 at batch 1 and at the best batch, beside Mask R-CNN
# and YOLO11-seg in the same run, with the share of the arithmetic limit; a training of 1,000 steps; labels of 500
# pictures. OUT receives the results as JSON, and times.txt with the seconds of each part.
#
# SMALL=1 tries every part with tiny sizes, also without a GPU. DEVICE, S4 and PYTHON may be set.
set -euo pipefail
if (($# != 1)); then
    echo "usage: experiments/gpu.sh OUT" >&2
    exit 2
fi
S4=${S4:-s4} PYTHON=${PYTHON:-python} DEVICE=${DEVICE:-cuda} SMALL=${SMALL:-}
out=$1
root=$(cd "$(dirname "$0")/.." && pwd)
scenes=$out/scenes
common=(--no-config --device "$DEVICE")
instances=600 keyworded=500 val=20 side=256 steps=1000 batch=16 size=320 repeats=6 trunk=efficientnet_lite0
bench=(trunks)
if [[ -n $SMALL ]]; then
    instances=8 keyworded=8 val=2 side=96 steps=2 batch=2 size=96 repeats=1 trunk=timm/mobilenetv3_small_050
    bench=(branch)
fi
mkdir -p "$out"
: > "$out/times.txt"

timed() { # NAME COMMAND...: run a command, and note its seconds; a part that fails does not stop the others
    local name=$1 start=$SECONDS code=0
    shift
    "$@" || code=$?
    echo "$name $((SECONDS - start)) s, exit code $code" >> "$out/times.txt"
    ((code == 0)) || failed=1
}
failed=0

if [[ -z $SMALL ]]; then
    timed tests "$PYTHON" -m pytest -q -n 0 -m gpu --rootdir "$root" "$root/tests"
fi
for what in "${bench[@]}"; do
    timed "bench $what" "$S4" bench "${common[@]}" --what "$what" --repeats "$repeats" --image-size "$size" --out "$out"
done
timed scenes "$PYTHON" -c "
import sys
from pathlib import Path
from pipelines.data.shapes import write_instances, write_voc
folder, instances, keyworded, val, side = Path(sys.argv[1]), *map(int, sys.argv[2:])
write_instances(folder / 'instances', instances, 'train', 0, side)
write_voc(folder / 'voc', keyworded, val, 1, side)
" "$scenes" "$instances" "$keyworded" "$val" "$side"
timed train "$S4" train "${common[@]}" --images "$scenes/instances/images" --annotations "$scenes/instances/train.json" \
    --trunk "$trunk" --trunk-weights none --steps "$steps" --batch-size "$batch" --image-size "$size" \
    --run "$out/s4net" --json > "$out/train.json"
timed labels "$S4" pseudo-label "${common[@]}" --images "$scenes/voc/JPEGImages" --weights "$out/s4net" \
    --keywords "$scenes/voc/keywords_train.csv" --classes "$scenes/voc/classes.txt" --min-score 0 \
    --trunk "$trunk" --trunk-weights none --out "$out/labels" --json > "$out/labels.json"
cat "$out/times.txt"
exit "$failed"
