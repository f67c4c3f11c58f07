"""S4Net, the salient-instance network: tensors in, tensors out."""

from .build import PRESETS, build_s4net
from .instances import Instances
from .network import S4Net

__all__ = ["PRESETS", "Instances", "S4Net", "build_s4net"]
