"""Commands that other packages add: entry points in the group `kilnet.commands`, loaded when they are called.

So the coordinator never imports the node, and a machine without the node's packages still has the rest.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import typer

from jobs.errors import Unavailable

__all__ = ["GROUP", "register"]

GROUP = "kilnet.commands"
_HELP = {
    "node": "Run, register or measure a node: kilnet node --help.",
    "calibrate": "Measure two numerics classes, honest and cheating, and write the limits between them.",
}


def register(app: typer.Typer) -> None:
    """Adds a command for each entry point, without loading it."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        _add(app, point)


def _add(app: typer.Typer, point: EntryPoint) -> None:
    def call(context: typer.Context) -> None:
        try:
            loaded = point.load()
        except ImportError as error:
            raise Unavailable(
                f"`kilnet {point.name}` needs packages that are not here ({error}); "
                f"`pip install 'kilnet[{point.name}]'`"
            ) from error
        command = typer.main.get_command(loaded)
        code = command.main(args=list(context.args), prog_name=f"kilnet {point.name}", standalone_mode=False)
        raise typer.Exit(code if isinstance(code, int) else 0)

    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
    help_text = _HELP.get(point.name, f"Commands of {point.value.split(':')[0]}.")
    app.command(point.name, help=help_text, add_help_option=False, context_settings=settings)(call)
