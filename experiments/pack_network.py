r"""Pack the best network of a training for others, and write the record that lies beside it.

    python experiments/pack_network.py RUN OUT.safetensors --command SCRIPT \
        --list "WHAT=train.json" --figures "WHAT=evaluation.json"

The weights are in half precision. Paths in the settings are replaced by
usual names. The record OUT.json has the hash of the file, of each list of pictures, the settings, and the figures.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from pipelines.engine.checkpoint import load_checkpoint, pack_checkpoint, weights_file
from pipelines.files import sha256_file, write_json

_PATHS = {"images": "images", "annotations": "annotations.json", "val_annotations": None, "run": "s4net"}
_SETTINGS = ("preset", "trunk", "image_size", "batch_size", "steps", "seed", "start_from")


def pack(run: Path, out: Path) -> dict[str, Any]:
    """Write the file; return what the record tells of it and of its training."""
    content = load_checkpoint(weights_file(run))
    content["config"] |= _PATHS
    pack_checkpoint(content, out)
    environment = json.loads((run / "environment.json").read_text())
    return {
        "name": out.stem,
        "sha256": sha256_file(out),
        "bytes": out.stat().st_size,
        **{name: content["config"][name] for name in _SETTINGS if content["config"].get(name) is not None},
        "step": content["step"],
        **{name: environment[name] for name in ("s4", "torch", "start") if name in environment},
    }


def listed(annotations: Path) -> dict[str, Any]:
    """Return the hash and the number of the pictures of a COCO file."""
    names = [image["file_name"] for image in json.loads(annotations.read_text())["images"]]
    return {"list_sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(), "pictures": len(names)}


def figures(evaluation: Path) -> dict[str, Any]:
    """Return the figures of what `s4 evaluate --json` printed."""
    result = json.loads(evaluation.read_text())
    if "ap50" not in result:
        return {name: round(result[name], 4) for name in ("foreground_iou", "foreground_iou_pooled", "images")}
    own = {name: round(result[name], 4) for name in ("ap", "ap50", "ap70", "ap75")}
    overlapping = {"ap50_boxes_share_area": round(result["occluded"]["ap50"], 4)}
    return {**own, **overlapping, "images": result["images"]}


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--list", action="append", default=[], help="WHAT=annotations.json")
    parser.add_argument("--figures", action="append", default=[], help="WHAT=evaluation.json")
    parser.add_argument("--command", required=True, help="the script that trained the network")
    arguments = parser.parse_args()
    record = {**pack(arguments.run, arguments.out), "command": arguments.command}
    pairs = [one.rpartition("=") for one in arguments.list]
    record["pictures"] = {what: listed(Path(file)) for what, _, file in pairs}
    pairs = [one.rpartition("=") for one in arguments.figures]
    record["figures"] = {what: figures(Path(file)) for what, _, file in pairs}
    write_json(arguments.out.with_suffix(".json"), record)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
