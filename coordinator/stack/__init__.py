"""The local stack: broker, database, chain, gateway, tasks, trusted worker and nodes as processes of one machine.

`local.find_running` and `local.temporary_stack` are how the command line gets at one; `kilnet up` keeps one running.
"""

from coordinator.stack.layout import Layout, default_data
from coordinator.stack.local import LocalStack, find_running, temporary_stack

__all__ = ["Layout", "LocalStack", "default_data", "find_running", "temporary_stack"]
