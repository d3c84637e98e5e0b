"""The files of jobs on this machine, by content."""

from node.cache.assets import AssetCache, AssetsTooLarge, BadAssets, Fetch

__all__ = ["AssetCache", "AssetsTooLarge", "BadAssets", "Fetch"]
