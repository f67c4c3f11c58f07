"""Join COCO JSON files into one, each as often as wanted: pictures with several instances may come more often.

    python experiments/join_coco.py OUT few=DIR:FILE.json:3 many=DIR:FILE.json:1

writes OUT/annotations.json, and links OUT/images/few-1, few-2, few-3 and many-1 to the folders of the pictures.
"""

import argparse
import json
from pathlib import Path
from typing import Any


def join(out: Path, name: str, sources: list[str]) -> int:
    """Write the joined file and the links; return how many pictures are in it."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    joined: dict[str, Any] = {"images": [], "annotations": [], "categories": None}
    for source in sources:
        prefix, _, rest = source.partition("=")
        images, annotations, times = rest.split(":")
        content = json.loads(Path(annotations).read_text())
        joined["categories"] = content["categories"]
        for number in range(1, int(times) + 1):
            folder = f"{prefix}-{number}"
            link = out / "images" / folder
            if not link.exists():
                link.symlink_to(Path(images).resolve(), target_is_directory=True)
            ids = {}
            for image in content["images"]:
                ids[image["id"]] = len(joined["images"]) + 1
                own = {"id": ids[image["id"]], "file_name": f"{folder}/{image['file_name']}"}
                joined["images"].append({**image, **own})
            for annotation in content["annotations"]:
                own = {"id": len(joined["annotations"]) + 1, "image_id": ids[annotation["image_id"]]}
                joined["annotations"].append({**annotation, **own})
    (out / name).write_text(json.dumps(joined))
    return len(joined["images"])


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", default="annotations.json", help="name of the joined file")
    parser.add_argument("sources", nargs="+", help="NAME=IMAGES:FILE.json:TIMES")
    arguments = parser.parse_args()
    print(f"{join(arguments.out, arguments.name, arguments.sources)} pictures in {arguments.out / arguments.name}")


if __name__ == "__main__":
    main()
