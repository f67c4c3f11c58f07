"""Names of trunks, known without the library that builds them."""

from pipelines.config.setting import nearest
from pipelines.errors import ConfigError

TRUNK_NAMES = ("resnet50", "resnet101", "vgg16", "mobilenet_v1", "efficientnet_lite0")
"""The keys of `s4net.build.TRUNKS`."""
TRUNK_WORDS = f"One of {', '.join(TRUNK_NAMES)}, or timm/<name> for any other of the timm library."
"""The names, for help."""
TIMM = "timm/"
"""What the name of any other network of the timm library begins with."""


def require_trunks(names: str, flag: str = "--trunk") -> None:
    """Refuse names that mean no trunk, as far as that can be told without the timm library.

    Args:
        names: A trunk, or several with commas.
        flag: The flag that gives them.

    Raises:
        ConfigError: A name is neither one of `TRUNK_NAMES` nor begins with `timm/` [trunk-unusable].
    """
    for name in names.split(","):
        if name not in TRUNK_NAMES and not name.startswith(TIMM):
            raise unknown_trunk(name, nearest(name, TRUNK_NAMES), flag)


def unknown_trunk(name: str, hint: str, flag: str = "--trunk") -> ConfigError:
    """Return the error of a name that means no trunk."""
    return ConfigError(
        f"{flag} {name}: no such network, one of {', '.join(TRUNK_NAMES)}, or timm/<name> with a name of the timm "
        f"library expected; {hint}",
        "trunk-unusable",
    )
