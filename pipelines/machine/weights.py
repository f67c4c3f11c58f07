"""Weights at hand: the network that ships, and the trunks that need no download."""

from collections.abc import Callable
from dataclasses import replace

from pipelines.config.trunks import TRUNK_NAMES
from pipelines.config.usual_places import builtin_file
from pipelines.machine.advice import Advice, advice
from pipelines.networks.trunk_names import resolve_trunk
from pipelines.networks.trunk_places import TrunkPlace, find_trunk, trunk_here

Finder = Callable[[str, str], TrunkPlace]


def weights(offline: bool, find: Finder = find_trunk) -> dict[str, str]:
    """Return in words where the weights of each network are.

    The hub is asked at most once, for the first trunk that is not here.

    Args:
        offline: Whether the hub is not asked at all.
        find: Finds a trunk by timm's name and `imagenet`.
    """
    shipped = builtin_file()
    found = {"builtin": "not in this installation" if shipped is None else "here, in the package"}
    absent = "not here" if offline else ""
    for trunk in TRUNK_NAMES:
        name = resolve_trunk(trunk)
        here = trunk_here(name)
        if here is None and not absent:
            asked = find(name, "imagenet")
            absent = replace(asked, megabytes=None).in_words  # the size is that of this trunk alone
        found[trunk] = absent if here is None else here.in_words
    return found


def weights_advice(found: dict[str, str]) -> list[Advice]:
    """Return what is wrong with the weights: `found` is as `weights` returns it."""
    told = []
    if not found["builtin"].startswith("here"):
        remedy = "install s4 from its package, or train one with s4 train"
        told.append(advice("weights-absent", "weights: the network that ships is not here", "one", remedy))
    gone = [trunk for trunk, where in found.items() if "no connection" in where]
    if gone:
        what = f"weights: {', '.join(gone)} not here, and the hub does not answer"
        remedy = "connect, give a file with --trunk-weights, or take efficientnet_lite0"
        told.append(advice("hub-silent", what, "a connection", remedy))
    return told
