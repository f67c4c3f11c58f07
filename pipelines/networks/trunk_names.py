"""Names of trunks, the same for every command."""

import timm

from pipelines.config.setting import nearest
from pipelines.config.trunks import TIMM, require_trunks, unknown_trunk
from s4net.build import timm_name


def resolve_trunk(trunk: str) -> str:
    """Return timm's name of the network that `--trunk` names, for S4Net and the networks of `deeplab` alike.

    Args:
        trunk: A name of `s4net.build.TRUNKS`, or timm/<name> for any other network of timm.

    Raises:
        ConfigError: There is no such network [trunk-unusable].
    """
    require_trunks(trunk)
    name = timm_name(trunk)
    if not timm.is_model(name):
        raise unknown_trunk(trunk, nearest(trunk, [TIMM + known for known in timm.list_models()]))
    return name
