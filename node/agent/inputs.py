"""Which input shards of a batch hold which items."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from jobs.contract import InferContract
from jobs.manifest import Asset
from node.agent.work import WorkFailed
from node.sandbox import JOB

__all__ = ["SHARD_ITEMS", "input_shards", "is_shard", "needed_assets", "shard_numbers"]

SHARD_ITEMS = "shard_items"
"""Key in `InferContract.extra`: how many items each shard holds, but for the last."""
_SHARD = re.compile(r"inputs/(\d{5,})\.npz(?:\.zst)?")


def is_shard(asset: Asset) -> bool:
    """Whether the asset is an input shard (`inputs/00000.npz` and so on, or `.npz.zst`)."""
    return _SHARD.fullmatch(asset.path) is not None


def shard_numbers(assets: Iterable[Asset]) -> dict[int, Asset]:
    """The input shards by their number."""
    matches = ((asset, _SHARD.fullmatch(asset.path)) for asset in assets)
    return {int(match[1]): asset for asset, match in matches if match}


def _shard_items(contract: InferContract) -> int:
    items = contract.extra.get(SHARD_ITEMS)
    if not isinstance(items, int) or isinstance(items, bool) or items < 1:
        raise WorkFailed(f"the contract does not say {SHARD_ITEMS}", code="bad_lease")
    return items


def _wanted(assets: Iterable[Asset], contract: InferContract, items: Sequence[int]) -> list[tuple[int, Asset]]:
    size, shards = _shard_items(contract), shard_numbers(assets)
    numbers = sorted({item // size for item in items}) if not isinstance(items, range) else _span(items, size)
    missing = [number for number in numbers if number not in shards]
    if missing:
        raise WorkFailed(f"the lease lacks input shard {missing[0]:05d} of its items", code="missing_asset")
    return [(number, shards[number]) for number in numbers]


def _span(items: range, size: int) -> list[int]:
    return list(range(items.start // size, (items.stop - 1) // size + 1)) if items else []


def input_shards(assets: Iterable[Asset], contract: InferContract, items: Sequence[int]) -> list[dict[str, object]]:
    """The shards with these items, as the runner takes them. Raises WorkFailed `bad_lease`, `missing_asset`."""
    size = _shard_items(contract)
    return [
        {"path": f"{JOB}/{asset.path}", "first": number * size} for number, asset in _wanted(assets, contract, items)
    ]


def needed_assets(assets: Sequence[Asset], contract: InferContract, items: Sequence[int]) -> list[Asset]:
    """The assets without the shards of other items. Raises as input_shards."""
    wanted = {asset.path for _, asset in _wanted(assets, contract, items)}
    return [asset for asset in assets if asset.path in wanted or not is_shard(asset)]
