"""From an escrowed job to tiles, and from finished tiles to delivered files and settlement."""

from coordinator.planning.finishing import complete_frame
from coordinator.planning.tiles import lay_out, plan

__all__ = ["complete_frame", "lay_out", "plan"]
