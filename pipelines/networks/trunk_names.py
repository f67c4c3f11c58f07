"""The name of a trunk as every command understands it."""

import timm

from pipelines.errors import ConfigError
from s4net.build import TRUNKS, timm_name


def resolve_trunk(trunk: str) -> str:
    """Return timm's name of the network that `--trunk` means, for S4Net and for the networks of `deeplab` alike.

    Args:
        trunk: a name of `s4net.build.TRUNKS`, or timm/<name> for any other network of timm.

    Raises:
        ConfigError: there is no such network [trunk-unusable].
    """
    try:
        name = timm_name(trunk)
    except ValueError:
        name = ""
    if not timm.is_model(name):
        raise ConfigError(
            f"--trunk {trunk}: no such network, one of {', '.join(TRUNKS)}, or timm/<name> with a name of the timm "
            "library expected; take another",
            "trunk-unusable",
        )
    return name
