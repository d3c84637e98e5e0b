"""The gateway: the one door to the coordinator for artists, studios and workers. docs/node-protocol.md lists the calls.

`python -m coordinator.gateway` serves it.
"""

from coordinator.gateway.app import create_app

__all__ = ["create_app"]
