"""Semantic segmentation by DeepLab: tensors in, tensors out; no files, no processes.

`build_deeplab` makes the published variants, `build_attention` the classifier whose maps locate keywords.
"""

from deeplab.attention import AttentionNet
from deeplab.build import NETWORKS, PRETRAINED_HEADS, build_attention, build_deeplab
from deeplab.inference import predict_probabilities
from deeplab.losses import pixel_loss, presence_loss, sharpened, soft_loss
from deeplab.multi_scale import MultiScale
from deeplab.network import DeepLab

__all__ = [
    "NETWORKS",
    "PRETRAINED_HEADS",
    "AttentionNet",
    "DeepLab",
    "MultiScale",
    "build_attention",
    "build_deeplab",
    "pixel_loss",
    "predict_probabilities",
    "presence_loss",
    "sharpened",
    "soft_loss",
]
