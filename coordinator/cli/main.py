"""The program: its commands, and how every ending becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from coordinator.cli import (
    addon,
    bond,
    claiming,
    economics,
    epochs,
    jobs_commands,
    keys_commands,
    ledger,
    notify_commands,
    pipeline,
    plugins,
    settling,
    staking,
    submit_commands,
)
from coordinator.cli.audit import command as audit_command
from coordinator.cli.bridge import command as bridge_command
from coordinator.cli.dispute import command as dispute_command
from coordinator.cli.endings import Ending, ending_of
from coordinator.stack import cli as stack_cli

__all__ = ["app", "run", "run_command"]

app = typer.Typer(
    name="kilnet",
    help="Verifiable distributed rendering and inference on machines nobody has to trust.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"kilnet {installed('kilnet')}")
        raise typer.Exit


stack_cli.register(app)
submit_commands.register(app)
jobs_commands.register(app)
keys_commands.register(app)
notify_commands.register(app)
audit_command.register(app)
dispute_command.register(app)
economics.register(app)
ledger.register(app)
settling.register(app)
staking.register(app)
bond.register(app)
epochs.register(app)
claiming.register()
pipeline.register(app)
addon.register(app)
bridge_command.register(app)
plugins.register(app)


def run(arguments: list[str] | None = None) -> NoReturn:
    """Runs the program with the process's arguments; ends the process."""
    given = sys.argv[1:] if arguments is None else arguments
    ending = run_command(given)
    try:
        ending.tell(as_json="--json" in given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain about that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(ending.code)


def run_command(given: list[str]) -> Ending:
    """How a command ended; tells nobody and does not end the process."""
    try:
        code = app(args=given, prog_name="kilnet", standalone_mode=False)
    except BaseException as error:
        return ending_of(error)
    return Ending(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    run()
