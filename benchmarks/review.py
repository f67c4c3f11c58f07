"""Times the page of `s4 review` on a generated label folder, 50,000 pictures unless told otherwise.

python benchmarks/review.py [OUT] [--pictures 50000] [--reviewed 5000]

OUT gets the folder; a later call takes it as it is. All records and keywords differ. The files of the pictures and of
the label maps are links to a hundred that differ: the page reads one at a time. The times are those of the server's
answers through HTTP, the median and the slowest of 40, in milliseconds. No median may be above 100 ms. Doubts are
random: to find them takes `doubt_ms_per_picture` once for each picture, when the page of a folder is first opened.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.data.classes import VOC_CLASSES, ClassList
from pipelines.data.label_folder import LabelFolder, open_labels
from pipelines.data.picture_folders import find_pictures
from pipelines.data.review_maps import OriginalMaps
from pipelines.data.rle import encode_masks
from pipelines.web.doubt import Doubt, doubt_of
from pipelines.web.paging import RecordFile
from pipelines.web.workbench import Workbench

SIZE = (300, 400)
KINDS, REPEATS, MOST_MS = 100, 40, 100.0
DOUBTED = 200  # pictures whose doubt is timed: that is done once for each picture, when the page is first opened
ADDRESS = "http://127.0.0.1:81/token/api/"


def instance(generator: np.random.Generator, keyword: str, sure: bool) -> tuple[dict[str, Any], np.ndarray]:
    """Return an ellipse as an instance, and its mask."""
    rows, columns = np.indices(SIZE)
    centre, radii = generator.uniform(0.3, 0.7, 2) * SIZE, generator.uniform(0.1, 0.3, 2) * SIZE
    mask = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 < 1
    facts = {
        "box": [0, 0, 1, 1], "score": round(float(generator.uniform(0.3, 1)), 6), "keyword": keyword,
        "margin": round(float(generator.uniform()), 6), "rule": "graph", "recognised": 1.0, "sure": sure,
        "doubt": None if sure else "low-score", "area": int(mask.sum()), "segmentation": encode_masks(mask[None])[0],
    }  # fmt: skip
    return facts, mask


def make(root: Path, pictures: int) -> None:
    """Write the folder."""
    generator = np.random.default_rng(0)
    classes = ClassList.from_names(VOC_CLASSES)
    folder, kinds = LabelFolder(root / "labels", classes), LabelFolder(root / "kinds", classes)
    for place in (root / "images", root / "labels/labels", root / "labels/confidence"):
        place.mkdir(parents=True)
    instances = []
    for kind in range(KINDS):
        keyword = VOC_CLASSES[kind % len(VOC_CLASSES)]
        made = [instance(generator, keyword, sure=number < 2) for number in range(3)]
        label_map = np.zeros(SIZE, np.uint8)
        for _, mask in made[:2]:
            label_map[mask] = classes.position(keyword)
        instances.append((keyword, [facts for facts, _ in made]))
        kinds.write_label(f"{kind}", label_map)
        kinds.write_confidence(f"{kind}", generator.integers(0, 256, SIZE).astype(np.uint8) | 128)
        pixels = generator.integers(0, 256, (30, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize(SIZE[::-1]).save(root / "kinds" / f"{kind}.jpg", quality=90)
    with (root / "labels/records.jsonl").open("w") as file:
        for number in range(pictures):
            kind, image_id = number % KINDS, f"picture-{number:06d}"
            keyword, own = instances[kind]
            own = [{**facts, "margin": round(float(generator.uniform()), 6)} for facts in own]
            size = {"height": SIZE[0], "width": SIZE[1]}
            found = {"keywords": [keyword], "missing": [], "filled": [], "rejected": None, "instances": own}
            file.write(json.dumps({"image_id": image_id, "file_name": f"{image_id}.jpg", **size, **found}) + "\n")
            os.link(root / "kinds" / f"{kind}.jpg", root / "images" / f"{image_id}.jpg")
            os.link(kinds.label_path(f"{kind}"), folder.label_path(image_id))
            os.link(kinds.confidence_path(f"{kind}"), folder.confidence_path(image_id))
    folder.write_manifest(counts={})


def timed(work: Callable[[int], Any]) -> dict[str, float]:
    """Return median and largest time of an answer, and its processor time, in ms; the first does not count."""
    work(0)
    times, cpu = [], []
    for number in range(1, REPEATS + 1):
        start, busy = time.perf_counter(), time.process_time()
        answer = work(number)
        times.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - busy))
        assert answer.status_code == 200, answer.text
    return {"median_ms": statistics.median(times), "slowest_ms": max(times), "cpu_ms": statistics.median(cpu)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the folder where it is missing, time the answers, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path("review-benchmark"))
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--reviewed", type=int, default=5_000)
    args = parser.parse_args(arguments)
    from starlette.testclient import TestClient

    from pipelines.web.app import make_app

    if not args.out.exists():
        make(args.out, args.pictures)
    journal = args.out / "labels/review.jsonl"
    if not journal.exists():
        who = {"time": "made", "reviewer": "made", "session": "made", "do": "accept"}
        lines = [{"id": str(n), "image_id": f"picture-{n:06d}", **who} for n in range(args.reviewed)]
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    start = time.perf_counter()
    folder, records = open_labels(args.out / "labels", "pseudo", None), RecordFile(args.out / "labels")
    generator = np.random.default_rng(0)
    doubts = {image_id: Doubt(*generator.uniform(size=4).tolist()) for image_id in records.keywords}
    bench = Workbench(folder, records, doubts, find_pictures([args.out / "images"]), "benchmark")
    opened = time.perf_counter() - start
    maps, some = OriginalMaps(folder), [records.read(image_id) for image_id in list(doubts)[:DOUBTED]]
    start = time.perf_counter()
    for record in some:
        doubt_of(record, *maps.read(record["image_id"]))
    each = 1000 * (time.perf_counter() - start) / len(some)
    key = bench.picture("picture-000000")["instances"][0]["key"]
    rows = {
        "pictures": args.pictures, "reviewed": args.reviewed, "seconds_to_open": opened, "doubt_ms_per_picture": each,
    }  # fmt: skip
    with TestClient(make_app(bench, "token", 81), base_url="http://127.0.0.1:81") as client:

        def get(path: str) -> Callable[[int], Any]:
            return lambda number: client.get(ADDRESS + path.format(name=f"picture-{number * 100:06d}", number=number))

        def act(**asked: Any) -> Callable[[int], Any]:
            body = {"session": "benchmark", **asked}
            return lambda number: client.post(
                ADDRESS + body.get("to", "act"), json={"id": f"picture-{number * 100:06d}", **body}
            )

        stroke = {"points": [[0.1, 0.1], [0.9, 0.9]], "radius": 0.05, "keyword": "cat"}
        answers = {
            "page": get("pictures?start={number}000"),
            "filtered page": get("pictures?shown=open&keyword=cat&text=9"),
            "picture": get("picture?id={name}"),
            "next picture": get("neighbour?id={name}&step=1&shown=open"),
            "thumbnail": get("thumbnail?id={name}"),
            "labels": get("labels?id={name}&small=true"),
            "poll": get("changed?since=5000"),
            "accept": act(do="accept"),
            "keyword": act(do="assign", instance=key, keyword="dog"),
            "paint": act(do="paint", **stroke),
            "undo": act(to="undo"),
        }
        rows["answers"] = {name: timed(work) for name, work in answers.items()}
    slow = [name for name, row in rows["answers"].items() if row["median_ms"] > MOST_MS]
    print(json.dumps({**rows, "slower_than_100_ms": slow}, indent=2))
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
