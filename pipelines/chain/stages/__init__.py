"""The stages of the chain, a module for each. A new stage is a new module and an entry in `STAGES`."""

from pipelines.chain.stages.deeplab_train import DeepLabTrainStep
from pipelines.chain.stages.evaluate import EvaluateStep
from pipelines.chain.stages.pseudo_label import PseudoLabelStep
from pipelines.chain.stages.train import TrainStep
from pipelines.chain.step import Step

STAGES: tuple[type[Step], ...] = (TrainStep, PseudoLabelStep, DeepLabTrainStep, EvaluateStep)
"""All stages, in the order in which they are done."""
