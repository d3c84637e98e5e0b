"""`kilnet dispute`'s commands; without the name of one it bundles evidence, as in `kilnet dispute JOB TILE`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

__all__ = ["BUNDLE", "DisputeGroup"]

BUNDLE = "bundle"


class DisputeGroup(TyperGroup):
    """Takes what names no command for arguments of `bundle`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [BUNDLE, *args]
        return super().parse_args(ctx, args)
