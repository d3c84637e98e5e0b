"""The owner's side of a node: what it offers, and his word that it is his."""

from __future__ import annotations

from pathlib import Path

from jobs.addresses import is_address
from jobs.errors import BadInput, Unavailable
from jobs.typed_data import Domain
from jobs.wire import NodeView
from node.gateway import GatewayClient, Transport
from node.keys import NodeKey

__all__ = ["offer_lines", "sign_for"]

_PATIENCE = 10.0


def sign_for(gateway: str, node: str, key_file: Path) -> tuple[str, str]:
    """The signature (0x-hex, EIP-712) of the owner whose key `key_file` holds for a node, and the owner's address.

    Raises BadInput (address, key), Unavailable where the gateway names no chain to sign for."""
    if not is_address(node):
        raise BadInput(f"{node[:60]!r} is no address of a node; write 0x and 40 hexadecimal digits")
    key = NodeKey.load(key_file.expanduser())
    info = GatewayClient(Transport(gateway, key)).info(patience=_PATIENCE)
    if info.chain is None:
        raise Unavailable("the gateway reaches no chain at the moment, and what is signed names it: try again later")
    domain = Domain(chain_id=info.chain.chain_id, escrow=info.chain.escrow)
    return key.sign_owned(domain, node=node), key.address


def offer_lines(view: NodeView) -> list[str]:
    """What a node offers, as the auction sees it, in lines for people."""
    owner = "its own" if view.owner == view.address else view.owner
    proof = "" if view.owner_proven else " (not signed for: kilnet node own)"
    region = view.region or "says no region"
    lines = [
        f"asks {view.ask_usd_per_kiln_hour:g} USD per kiln-hour, {region}, {view.memory_bytes / (1 << 30):.1f} GiB",
        f"reputation {view.reputation:.2f}, owner {owner}{proof}",
    ]
    for runtime in view.runtimes:
        lane = view.lanes.get(runtime.numerics_class)
        judged = f"lane {lane}" if lane else "nobody can judge it" if view.lanes else "lane not known"
        vram = f", {runtime.vram_bytes / (1 << 30):.1f} GiB of its own" if runtime.vram_bytes else ""
        lines.append(f"{runtime.numerics_class}, score {runtime.score:.2f}, {judged}{vram}")
    return lines
