"""Predictions as they are wanted: Parquet, Arrow, or a folder of pictures, in the items' order and by their names."""

from jobs.outputs.convert import FORMATS, Format, convert

__all__ = ["FORMATS", "Format", "convert"]
