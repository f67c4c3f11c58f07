"""What experiments/model_card.sh needs beside the commands: files by source, tables, and the picture.

python experiments/model_card.py split FILE.json OUT     # OUT/<source>.json for each source of the pictures
python experiments/model_card.py tables OUT              # prints tables in Markdown
python experiments/model_card.py picture FILE.jpg        # draws photographs of scikit-image with their instances
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

Json = dict[str, Any]

_LEAST_SCORE = 0.3
# Rows of the picture: names in `skimage.data` and what they show. All are public domain or CC0, as scikit-image says.
_ROWS = (
    {"chelsea": "cat", "astronaut": "astronaut", "camera": "cameraman"},
    {"coffee": "coffee", "rocket": "rocket", "coins": "coins"},
)
_WIDTH, _GAP = 1200, 8  # pixels of a row, and between its photographs
_MOST_BYTES = 400_000


def split(annotations: Path, out: Path) -> None:
    """Write one annotation file for each source: the field `source`, or else what stands before `_` in the name."""
    content = json.loads(annotations.read_text())
    source_of = {image["id"]: image.get("source") or image["file_name"].split("_")[0] for image in content["images"]}
    out.mkdir(parents=True, exist_ok=True)
    for source in sorted(set(source_of.values())):
        part = dict(content)
        part["images"] = [image for image in content["images"] if source_of[image["id"]] == source]
        part["annotations"] = [each for each in content["annotations"] if source_of[each["image_id"]] == source]
        (out / f"{source}.json").write_text(json.dumps(part))


def tables(out: Path) -> str:
    """Return the tables of what the commands wrote: instances-<source>.json, saliency.json and foreground.json."""
    lines = [
        "| source | pictures | AP | AP50 | AP70 | with overlapping boxes | their AP50 |",
        "|---|---|---|---|---|---|---|",
    ]
    files = sorted(out.glob("instances-*.json"), key=lambda file: (file.stem != "instances-all", file.stem))
    for file in files:
        found = json.loads(file.read_text())
        shown = [_percent(found[key]) for key in ("ap", "ap50", "ap70")]
        if "all" in file.stem:
            low, high = found["ci95"]["ap50"]
            shown[1] += f" ({_percent(low)} to {_percent(high)})"
        overlapping = found["occluded"]
        cells = [file.stem.partition("-")[2], str(found["images"]), *shown]
        lines.append(_row([*cells, str(overlapping["images"]), _percent(overlapping["ap50"])]))
    lines += [
        "",
        "| source | pictures | IoU | U-2-Net-p | F | U-2-Net-p | error | U-2-Net-p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for source, row in json.loads((out / "saliency.json").read_text()).items():
        pairs = [_percent(row[name][key]) for key in ("iou", "f", "mae") for name in ("s4net", "u2netp")]
        lines.append(_row([source, str(row["images"]), *pairs]))
    foreground = json.loads((out / "foreground.json").read_text())
    iou, pooled = (_percent(foreground[key]) for key in ("foreground_iou", "foreground_iou_pooled"))
    lines += [
        "",
        f"Foreground on {foreground['images']} pictures of {foreground['split']}: mean IoU {iou}, pooled {pooled}.",
    ]
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def picture(file: Path, weights: str) -> None:
    """Draw what a network finds on photographs of scikit-image."""
    from pipelines.data.photographs import bundled_photograph, in_colour
    from pipelines.networks.load import load_s4net
    from pipelines.report.overlays import side_by_side
    from pipelines.studies.demo_photographs import counted, drawn

    network = load_s4net(weights)
    rows = []
    for titles in _ROWS:
        photographs = [Image.fromarray(in_colour(bundled_photograph(name))) for name in titles]
        # One height for the whole row, so that the row has the full width.
        height = int((_WIDTH - _GAP * (len(titles) - 1)) / sum(each.width / each.height for each in photographs))
        tiles, captions = [], []
        for photograph, title in zip(photographs, titles.values(), strict=True):
            width = int(photograph.width * height / photograph.height)
            pixels = np.array(photograph.resize((width, height), Image.Resampling.LANCZOS))
            found = network(pixels).above(_LEAST_SCORE)
            tiles.append(drawn(pixels, found))
            captions.append(f"{title}: {counted(found.scores.tolist())}")
        rows.append(side_by_side(tiles, captions))
    padded = [np.pad(row, ((0, 10), (0, _WIDTH - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    Image.fromarray(np.concatenate(padded)).save(file, quality=85, subsampling=0)
    if file.stat().st_size > _MOST_BYTES:
        raise SystemExit(f"{file}: {file.stat().st_size} bytes, at most {_MOST_BYTES} expected; lower the quality")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, dest="part")
    splitting = parts.add_parser("split", help="write an annotation file for each source")
    splitting.add_argument("annotations", type=Path)
    splitting.add_argument("out", type=Path)
    parts.add_parser("tables", help="print the tables").add_argument("out", type=Path)
    drawing = parts.add_parser("picture", help="draw the picture")
    drawing.add_argument("file", type=Path)
    drawing.add_argument("--weights", default="builtin", help="S4Net: run folder, checkpoint or builtin")
    arguments = parser.parse_args()
    if arguments.part == "split":
        split(arguments.annotations, arguments.out)
    elif arguments.part == "tables":
        print(tables(arguments.out))
    else:
        picture(arguments.file, arguments.weights)


if __name__ == "__main__":
    main()
