#!/usr/bin/env bash
# The network that ships: modern on EfficientNet-Lite0, trained on two sets of salient instances.
# Usage: experiments/shipped.sh SALIENT MORE VOC OUT    (the folders of the data, and one for what is made)
set -euo pipefail
if (($# != 4)); then
    echo "usage: experiments/shipped.sh SALIENT MORE VOC OUT" >&2
    exit 2
fi
join=$(dirname "$0")/join_coco.py
salient=$1 more=$2 voc=$3 out=$4
S4=${S4:-s4} PYTHON=${PYTHON:-python}

# The 500 pictures with several instances come three times, so that touching objects stay apart.
"$PYTHON" "$join" "$out/joined" "several=$salient/images:$salient/train.json:3" "more=$more/images:$more/train.json:1"
"$PYTHON" "$join" "$out/joined" --name val.json "several=$salient/images:$salient/val.json:1"

# Two processes of one thread each, four pictures a step in each.
OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -- "$(command -v "$S4")" train --images "$out/joined/images" \
    --annotations "$out/joined/annotations.json" --val-annotations "$out/joined/val.json" --evaluate-every 1000 \
    --trunk efficientnet_lite0 --image-size 384 --batch-size 4 --steps 6000 --workers 1 \
    --run "$out/s4net"
"$S4" evaluate --images "$salient/images" --annotations "$salient/val.json" --weights "$out/s4net"
"$S4" evaluate --images "$salient/images" --annotations "$salient/test.json" --weights "$out/s4net"
"$S4" evaluate --voc "$voc" --split val --foreground --weights "$out/s4net"
