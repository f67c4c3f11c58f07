"""A trained network as one ONNX file, with all that a program without s4 needs to know in its metadata."""

import json
import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from torch import nn

from deeplab import build_deeplab
from pipelines.engine.checkpoint import weights_file, weights_sha256
from pipelines.engine.version import __version__
from pipelines.errors import InputError
from pipelines.files import atomic_write
from pipelines.networks.build import new_s4net
from pipelines.networks.network_file import (
    deeplab_checkpoint,
    kind_of_network,
    load_weights,
    require_buildable,
    s4net_checkpoint,
)
from pipelines.networks.picture_graphs import LabelGraph, SalientGraph
from s4net.roi_masking import RoIMasking

Metadata = dict[str, str]

_SIDES = {2: "height", 3: "width"}
_INPUT = "uint8 RGB [1, 3, H, W], of any height and width; pictures of more than 2 megapixels are best reduced first"
# Height and width differ, so that no graph takes one for the other.
_EXAMPLE = (1, 3, 97, 130)


def export_network(weights: Path, out: Path, opset: int) -> Metadata:
    """Write the network of a run or checkpoint as ONNX.

    Args:
        weights: Run folder, checkpoint, or `builtin`.
        out: The file; an existing one is replaced.
        opset: Version of ONNX's operators.

    Returns:
        The metadata of the file: kind, input, outputs, classes, sizes and hash.

    Raises:
        InputError: The weights cannot be used, or are of a network that has no such form [export-roi] [export-scales].
        MachineError: The file cannot be written.
    """
    path = weights_file(weights)
    make = _salient if kind_of_network(path) == "s4net" else _semantic
    graph, outputs, described = make(path)
    metadata = {
        "s4_version": __version__,
        "weights_sha256": weights_sha256(path),
        "input": _INPUT,
        **{key: value if isinstance(value, str) else json.dumps(value) for key, value in described.items()},
    }
    write_onnx(graph, outputs, metadata, out, opset)
    return metadata


def write_onnx(graph: nn.Module, outputs: dict[str, dict[int, str]], metadata: Metadata, out: Path, opset: int) -> None:
    """Write a graph that takes a picture [1, 3, H, W] uint8.

    Args:
        graph: The module.
        outputs: Name of each output, with the axes that depend on the picture.
        metadata: Texts by key.
        out: The file.
        opset: Version of ONNX's operators.
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        # The exporters warn of their own future, and of each size that they trace.
        warnings.simplefilter("ignore")
        written = Path(folder) / "network.onnx"
        _export(graph, outputs, written, opset)
        model = onnx.load(str(written))
    onnx.helper.set_model_props(model, metadata)
    model.producer_name, model.producer_version = "s4", __version__
    onnx.checker.check_model(model)
    atomic_write(out, lambda file: file.write(model.SerializeToString()))


def _export(graph: nn.Module, outputs: dict[str, dict[int, str]], out: Path, opset: int) -> None:
    """Write the operators with the exporter that can do it.

    The newer exporter keeps whole numbers exact. It takes minutes for a network that sees maps of unknown size.
    """
    picture = torch.zeros(_EXAMPLE, dtype=torch.uint8)
    of_fixed_size = isinstance(graph, SalientGraph)
    arguments: dict[str, Any] = {"dynamic_axes": {"picture": _SIDES, **outputs}}
    if of_fixed_size:
        sides = {axis: torch.export.Dim(name, min=2, max=65535) for axis, name in _SIDES.items()}
        arguments = {"dynamic_shapes": (sides,), "verbose": False, "external_data": False}
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    torch.onnx.export(
        graph.eval(),
        (picture,),
        str(out),
        input_names=["picture"],
        output_names=list(outputs),
        opset_version=opset,
        dynamo=of_fixed_size,
        **arguments,
    )


def _salient(path: Path) -> tuple[nn.Module, dict[str, dict[int, str]], dict[str, Any]]:
    """Return the graph of an S4Net, the outputs with the axes that depend on the picture, and what describes it."""
    config, content = s4net_checkpoint(path)
    require_buildable(path, content["model"], lambda: new_s4net(config, pretrained=False))
    net = new_s4net(config, pretrained=False)
    load_weights(net, content["model"], path)
    if not isinstance(net.mask_branch.roi_layer, RoIMasking):
        message = f"{path}: a network with --roi {config.roi}, ternary, expanded or binary expected"
        raise InputError(f"{message}; train one with RoIMasking", "export-roi")
    described = {
        "kind": "s4net",
        "outputs": "boxes [P, 4] x0 y0 x1 y1 in pixels; scores [P], best first, 0 for no instance; masks [P, H, W] in "
        "0..1, the instance is above 0.5",
        "classes": ["salient"],
        "preset": config.preset,
        "trunk": config.trunk,
        "image_size": config.image_size,
        "proposals": config.proposals,
    }
    outputs: dict[str, dict[int, str]] = {"boxes": {}, "scores": {}, "masks": {1: "height", 2: "width"}}
    return SalientGraph(net, config.image_size), outputs, described


def _semantic(path: Path) -> tuple[nn.Module, dict[str, dict[int, str]], dict[str, Any]]:
    """Return the graph of a DeepLab, the outputs with the axes that depend on the picture, and what describes it."""
    classes, content = deeplab_checkpoint(path)
    if content["multi_scale"]:
        message = f"{path}: a network that reads its pictures at several scales, one at one scale expected"
        raise InputError(f"{message}; train one with another --recipe", "export-scales")
    net = build_deeplab(content["network"], classes.n_outputs)
    load_weights(net, content["model"], path)
    described = {
        "kind": "deeplab",
        "outputs": "probabilities [n, H, W] of background and classes; label_map [H, W] uint8 of class_numbers",
        "classes": ["background", *classes.names],
        "class_numbers": [0, *classes.indices],
        "network": content["network"],
        "longest_side": content["longest_side"],
    }
    sides = {"probabilities": {1: "height", 2: "width"}, "label_map": {0: "height", 1: "width"}}
    return LabelGraph(net, classes.indices, content["longest_side"]), sides, described
