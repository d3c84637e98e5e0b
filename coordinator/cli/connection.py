"""Which gateway, with which key: what was named, or the local stack, or one that is started for a while."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from jobs.client import Client

__all__ = ["API_KEY_VARIABLE", "GATEWAY_VARIABLE", "KEY_VARIABLE", "Access", "connect"]

GATEWAY_VARIABLE = "KILNET_GATEWAY"
KEY_VARIABLE = "KILNET_KEY"
API_KEY_VARIABLE = "KILNET_API_KEY"


class Access:
    """How to reach a gateway: from options, else from the environment, else whatever runs on this machine."""

    def __init__(self, gateway: str | None, key: str | None, *, unsandboxed: bool = False) -> None:
        self.gateway = gateway or os.environ.get(GATEWAY_VARIABLE) or None
        self.key = key or os.environ.get(KEY_VARIABLE) or None
        self.api_key = os.environ.get(API_KEY_VARIABLE) or None
        self.unsandboxed = unsandboxed
        if self.gateway and not (self.key or self.api_key):
            raise BadInput(
                f"--gateway {self.gateway} needs a key: name the wallet's or its file with --key or {KEY_VARIABLE}, or "
                f"an API key with {API_KEY_VARIABLE}"
            )
        if self.gateway:
            # Said before anything is packed or started.
            from jobs.client.calls import origin_of
            from jobs.client.key import Credentials

            Credentials.of(self.key, self.api_key)
            origin_of(self.gateway)


@contextmanager
def connect(access: Access, *, nodes: int | None, step: Callable[[str], None] = lambda _: None) -> Iterator[Client]:
    """A client of the gateway that `access` means.

    Where none is named and none runs here, a local stack with `nodes` nodes is started and stopped at the end; with
    `nodes` None only where this machine had one before. Raises Unavailable where there is no gateway.
    """
    from jobs.client import Client

    with ExitStack() as stack:
        gateway, key = access.gateway, access.key
        if gateway is None:
            gateway, own_key = _local(stack, access, nodes, step)
            key = key or str(own_key)
        yield stack.enter_context(Client(gateway, key, api_key=access.api_key))


def _local(stack: ExitStack, access: Access, nodes: int | None, step: Callable[[str], None]) -> tuple[str, Path]:
    from coordinator.stack import Layout, find_running, temporary_stack

    running = find_running()
    if running is None:
        if nodes is None and not Layout.at(None).settings.exists():
            raise Unavailable(
                f"no gateway: start one with `kilnet up`, or name one with --gateway or {GATEWAY_VARIABLE}"
            )
        step("starting a local stack for this command (kilnet up keeps one running)")
        count = 1 if nodes is None else nodes
        running = stack.enter_context(temporary_stack(nodes=count, unsandboxed=access.unsandboxed))
    return running.gateway_url, running.key_file
