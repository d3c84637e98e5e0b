"""`kilnet notify add|list|confirm|remove`: who tells you when a job is done, has failed, or waits for your word."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key
from jobs.errors import BadInput

__all__ = ["register"]

_EVENTS = ("done", "failed", "preview")
Target = Annotated[str, typer.Argument(metavar="TARGET", help="Its id, as `kilnet notify list` shows it.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    notify = typer.Typer(help="Be told of your jobs by webhook or e-mail.", no_args_is_help=True)
    notify.command("add")(_add)
    notify.command("list")(_list)
    notify.command("confirm")(_confirm)
    notify.command("remove")(_remove)
    app.add_typer(notify, name="notify")


def _add(
    address: Annotated[str, typer.Argument(help="https://HOST/PATH, or an e-mail address.")],
    on: Annotated[str, typer.Option("--on", help="Of which news, with commas: done, failed, preview.")] = ",".join(
        _EVENTS
    ),
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Have notices sent there. A webhook's secret is shown once; an e-mail address gets a code to be confirmed."""
    from pydantic import ValidationError

    from coordinator.cli.connection import Access, connect
    from jobs.spec import explain
    from jobs.wire import AddTarget

    events = [one.strip() for one in on.split(",") if one.strip()]
    if not events or not set(events) <= set(_EVENTS):
        raise BadInput(f"--on {on!r}: write some of {', '.join(_EVENTS)}, with commas between")
    try:
        body = AddTarget.model_validate({"address": address, "events": sorted(set(events))})
    except ValidationError as error:
        raise BadInput(explain(error)) from error
    with connect(Access(gateway, key), nodes=None) as client:
        added = client.add_notify_target(body)
    if as_json:
        answer(added.model_dump(mode="json"))
    elif added.secret is not None:
        print(f"{added.secret}\nThis signs the notices of {added.target.id}. Keep it now: it is not shown again.")
    else:
        print(f"a code was mailed to {address}; then: kilnet notify confirm {added.target.id} CODE")


def _list(gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Where notices go, and what became of them."""
    from coordinator.cli.connection import Access, connect

    with connect(Access(gateway, key), nodes=None) as client:
        found = client.notify_targets()
    if as_json:
        answer({"targets": [one.model_dump(mode="json") for one in found]})
        return
    if not found:
        print("nobody is told anything yet; `kilnet notify add URL|E-MAIL` changes that")
    for one in found:
        state = "" if one.confirmed else ", waits for its code"
        trouble = f"; last error: {one.last_error}" if one.last_error else ""
        counts = f"{one.sent} sent, {one.waiting} waiting, {one.given_up} given up"
        print(f"{one.id}  {one.address}  on {', '.join(one.events)}  {counts}{state}{trouble}")


def _confirm(
    target: Target,
    code: Annotated[str, typer.Argument(help="What was mailed to the address.")],
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Show that you read the address."""
    from coordinator.cli.connection import Access, connect

    _check(target)
    with connect(Access(gateway, key), nodes=None) as client:
        view = client.confirm_notify_target(target, code)
    if as_json:
        answer(view.model_dump(mode="json"))
    else:
        print(f"{view.address} is told from now on")


def _remove(target: Target, gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Send nothing more there."""
    from coordinator.cli.connection import Access, connect

    _check(target)
    with connect(Access(gateway, key), nodes=None) as client:
        client.remove_notify_target(target)
    if as_json:
        answer({"removed": target})
    else:
        print(f"{target} is told nothing more")


def _check(target: str) -> None:
    import re

    if not re.fullmatch(r"[0-9A-Za-z]{1,24}", target):
        raise BadInput(f"TARGET {target[:40]!r}: write its id, such as t0123456789ab; `kilnet notify list` shows them")
