"""What this machine is: asked of the system, never guessed."""

from node.hardware.devices import device_ids
from node.hardware.gpus import Gpu, find_gpus
from node.hardware.probe import Hardware, probe

__all__ = ["Gpu", "Hardware", "device_ids", "find_gpus", "probe"]
