"""A share of a set of pictures, for several processes or machines that work at the same time, and who shares it out."""

import importlib.util
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

from pipelines.errors import ConfigError
from pipelines.stores.paths import in_memory

Item = TypeVar("Item")
Engine = Literal["local", "ray"]
"""Who shares out the pictures."""

ENGINE = (
    "Where the processes run that work on the pictures. local: on this machine. ray: on all machines of a running Ray "
    "cluster. Each GPU of the cluster gets a process, or each core if there is no GPU."
)
RAY_ADDRESS = "With --engine ray: the cluster. auto: the one that runs on this machine, or the one in RAY_ADDRESS."
SHARD_FORM = (r"[1-9][0-9]{0,5}/[1-9][0-9]{0,5}", "I/N, such as 1/4")
"""Form of a shard, and a description of the form."""
ADDRESS_FORM = (r"auto|[^\s:/]+:\d{1,5}", "auto, or the HOST:PORT that `ray start --head` tells")
"""Form of the address of a Ray cluster, and a description of the form."""

_NEEDED = ("ray", "pandas", "pyarrow")  # what Ray Data consists of


class Shard(NamedTuple):
    """One share of the work.

    Attributes:
        number: Which share this is, from 1 to `of`.
        of: How many shares there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str | None) -> "Shard":
        """Read `I/N`, two whole numbers; None is all the work.

        Raises:
            ConfigError: There are fewer parts than I [setting-value].
        """
        if text is None:
            return cls()
        number, of = map(int, text.split("/"))
        if number > of:
            message = f"--shard: part {number} of {of} given, a part from 1 to {of} expected; change it"
            raise ConfigError(message, "setting-value")
        return cls(number, of)

    def own(self, items: Sequence[Item]) -> list[Item]:
        """Return the items of this share: every `of`-th item, from number `number` on."""
        return list(items[self.number - 1 :: self.of])


def require_engine(engine: Engine, ray_address: str, device: str, values: Iterable[object]) -> None:
    """Check that an engine can be had, and that the settings of the other one are left out.

    Args:
        engine: The engine.
        ray_address: Value of `--ray-address`.
        device: Value of `--device`.
        values: Values of all settings, with the addresses among them.

    Raises:
        ConfigError: A setting does not fit the engine [setting-value], Ray is not installed [extra-missing], or the
            other processes cannot see an address [address-unsupported].
    """
    if engine == "local":
        if ray_address != "auto":
            message = f"--ray-address {ray_address}: given with --engine local, expected with --engine ray alone"
            raise ConfigError(f"{message}; add --engine ray, or leave it out", "setting-value")
        return
    if ":" in device:
        message = f"--device {device}: given with --engine ray, expected without a number: Ray gives out the GPUs"
        raise ConfigError(f"{message}; take --device cuda", "setting-value")
    require_seen("--engine ray", values)
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        found = f"--engine ray: {', '.join(missing)} not installed, Ray Data expected"
        raise ConfigError(f"{found}; install it: pip install 's4-segmentation[ray]'", "extra-missing")


def require_seen(flag: str, values: Iterable[object]) -> None:
    """Refuse addresses that other processes cannot see.

    Args:
        flag: The flag that asks for other processes, for the message.
        values: Values of settings.

    Raises:
        ConfigError: One of them leads into the memory of this process [address-unsupported].
    """
    unseen = in_memory(values)
    if unseen:
        message = f"{flag}: {unseen[0]} is seen by this process alone, a place that all processes see expected"
        raise ConfigError(f"{message}; leave out {flag}, or take another address", "address-unsupported")


def _is_installed(name: str) -> bool:
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None  # a folder of that name has no origin
