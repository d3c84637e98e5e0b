"""Connections to addresses that strangers name: never into the operator's own network.

What counts is the address that is really connected to: a name is resolved once, every answer is looked at, and the
connection goes to one of those answers, so that a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import httpcore

from jobs.errors import Refused

__all__ = ["GuardedBackend", "resolve"]


def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """An address of `host` that may be connected to. Raises Refused `private_address` where one of its addresses is not
    of the open Internet, OSError where it has none."""
    found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not allow_private:
        for address in found:
            plain = ipaddress.ip_address(address.partition("%")[0])
            inner = _inside(plain)
            if not plain.is_global or plain.is_multicast or any(not one.is_global for one in inner):
                raise Refused(
                    f"{host} is {address}, an address of a private network; name one that the Internet reaches",
                    code="private_address",
                )
    return found[0]


def _inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """IPv4 addresses that an IPv6 address stands for, by mapping, 6to4, Teredo or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in ipaddress.ip_network("64:ff9b::/96"):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in inner if one is not None]


class GuardedBackend(httpcore.NetworkBackend):
    """httpcore's connections, each to an address that was looked at."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            address = resolve(host, port, allow_private=self._allow_private)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not found") from error
        return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
