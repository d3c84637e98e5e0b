"""A node as its operator set it up: one file that says for whom, on which devices, when and for how much."""

from node.setup.config import DeviceChoice, Hours, NodeConfig
from node.setup.service import container_text, unit_text
from node.setup.watch import keep_running

__all__ = ["DeviceChoice", "Hours", "NodeConfig", "container_text", "keep_running", "unit_text"]
