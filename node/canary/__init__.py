"""A small scene and a small model whose bits tell which numerics class a runtime is here, and how fast it is."""

from node.canary.cache import measured_class, measured_classes
from node.canary.measure import CanaryFailed, Measured, measure

__all__ = ["CanaryFailed", "Measured", "measure", "measured_class", "measured_classes"]
