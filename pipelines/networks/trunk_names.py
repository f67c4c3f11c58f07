"""Names of trunks, the same for every command."""

import timm

from pipelines.errors import ConfigError
from s4net.build import TRUNKS, timm_name


def resolve_trunk(trunk: str) -> str:
    """Return timm's name of the network that `--trunk` names, for S4Net and the networks of `deeplab` alike.

    Args:
        trunk: A name of `s4net.build.TRUNKS`, or timm/<name> for any other network of timm.

    Raises:
        ConfigError: There is no such network [trunk-unusable].
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
