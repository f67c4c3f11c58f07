"""Stage `s4 export`: a trained network as one ONNX file, for programs without torch."""

import importlib.util
import json
import time
from typing import Any

from pipelines.config import ExportConfig
from pipelines.config.outputs import alone
from pipelines.errors import ConfigError
from pipelines.events import Events

_NEEDED = ("onnx", "onnxscript")


@alone
def export(config: ExportConfig, events: Events) -> dict[str, Any]:
    """Write the network as ONNX.

    Args:
        config: See `ExportConfig`.
        events: Receives the name of the network where none was given.

    Returns:
        `out`, `kind`, `classes`, `input`, `outputs`, `weights_sha256`, `opset`, `bytes` and `seconds`.

    Raises:
        InputError: The weights cannot be used, or have no such form [export-roi].
        ConfigError: The extra `export` is not installed [extra-missing].
        MachineError: The file cannot be written.
    """
    start = time.monotonic()
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        message = f"s4 export: {' and '.join(missing)} not installed, the extra export expected"
        raise ConfigError(f"{message}; install it: pip install 's4-segmentation[export]'", "extra-missing")
    from pipelines.networks.onnx_file import export_network

    config = config.located(events.info)
    metadata = export_network(config.weights, config.out, config.opset)
    shown = ("kind", "input", "outputs", "weights_sha256")
    return {
        "out": str(config.out),
        **{key: metadata[key] for key in shown},
        "classes": json.loads(metadata["classes"]),
        "opset": config.opset,
        "bytes": config.out.stat().st_size,
        "seconds": time.monotonic() - start,
    }
