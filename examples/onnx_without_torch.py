"""Run a file of `s4 export` on a picture, with numpy, Pillow and onnxruntime alone: NETWORK.onnx PICTURE RESULT.png."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

network, source, target = sys.argv[1:]
session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
picture = np.asarray(Image.open(source).convert("RGB")).copy()  # [H, W, 3]
found = session.run(None, {"picture": picture.transpose(2, 0, 1)[None]})
if about["kind"] == "s4net":
    boxes, scores, masks = found
    for box, score in zip(boxes[scores >= 0.3], scores[scores >= 0.3], strict=True):
        print(f"{score:.2f} {box.round().astype(int).tolist()}")
    picture[~(masks[scores >= 0.3] > 0.5).any(axis=0)] //= 4  # what is not salient becomes dark
    Image.fromarray(picture).save(target)
else:
    label_map = found[1]
    names = dict(zip(json.loads(about["class_numbers"]), json.loads(about["classes"]), strict=True))
    print(", ".join(names[number] for number in np.unique(label_map).tolist()))
    Image.fromarray(label_map).save(target)
