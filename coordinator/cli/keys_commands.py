"""`kilnet keys create|list|revoke`, and `kilnet page`: how programs and browsers act as your account."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Gateway, Json, Key, parse_usd
from jobs.errors import BadInput

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    keys = typer.Typer(help="API keys: act as your account without its wallet.", no_args_is_help=True)
    keys.command("create")(_create)
    keys.command("list")(_list)
    keys.command("revoke")(_revoke)
    app.add_typer(keys, name="keys")
    app.command("page")(_page)


def _create(
    name: Annotated[str, typer.Argument(help="What it is for, such as `nightly` or `laptop`.")],
    spend_limit: Annotated[
        str | None,
        typer.Option("--spend-limit", metavar="KILN", help="What all its jobs may cost together; `none`: no limit."),
    ] = None,
    usd_total: Annotated[
        str | None, typer.Option("--usd-total", metavar="USD", help="The same in USD, at the rates of the quotes.")
    ] = None,
    usd_per_day: Annotated[
        str | None, typer.Option("--usd-per-day", metavar="USD", help="What its jobs of 24 hours may cost together.")
    ] = None,
    jobs_per_day: Annotated[
        int | None, typer.Option("--jobs-per-day", min=1, max=100_000, help="Quotes it may ask for within 24 hours.")
    ] = None,
    calls: Annotated[float, typer.Option("--calls-per-second", min=0.1, max=300, help="How often it may call.")] = 20,
    calls_per_minute: Annotated[
        int | None, typer.Option("--calls-per-minute", min=1, max=100_000, help="A quota over a longer time.")
    ] = None,
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once; without a limit of what it may spend it can look but not order."""
    from coordinator.cli.connection import Access, connect
    from jobs.wire import CreateApiKey

    if not 1 <= len(name) <= 100:
        raise BadInput("NAME: write 1 to 100 characters")
    usd = {"usd_total": parse_usd("--usd-total", usd_total), "usd_per_day": parse_usd("--usd-per-day", usd_per_day)}
    if spend_limit is None:
        spend_limit = "0" if all(one is None for one in usd.values()) else "none"
    body = CreateApiKey(
        name=name, spend_limit=_units(spend_limit), calls_per_second=calls, calls_per_minute=calls_per_minute,
        jobs_per_day=jobs_per_day, **usd,
    )  # fmt: skip
    with connect(Access(gateway, key), nodes=None) as client:
        created = client.create_api_key(body)
    if as_json:
        answer(created.model_dump(mode="json"))
    else:
        print(f"{created.key}\nThis is {created.info.id}. Keep it now: it is not shown again.")


def _units(text: str) -> int | None:
    """Units of KILN, or None for `none`. Raises BadInput."""
    from jobs.pricing import kiln_units

    if text.strip().lower() == "none":
        return None
    units = kiln_units(text)
    if units is None:
        raise BadInput(f"--spend-limit {text!r}: write an amount of KILN, such as 25, or none")
    return units


def _list(gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Your keys, with what each has spent."""
    from coordinator.cli.connection import Access, connect

    with connect(Access(gateway, key), nodes=None) as client:
        found = client.api_keys()
    if as_json:
        answer({"keys": [one.model_dump(mode="json") for one in found]})
        return
    if not found:
        print("no keys yet; `kilnet keys create NAME` makes one")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from jobs.pricing import display_kiln

    table = Table("key", "name", "KILN", "USD", "USD today", "jobs today", "calls", "", box=None)
    for one in found:
        pace = f"{one.calls_per_second:g}/s" + (f", {one.calls_per_minute}/min" if one.calls_per_minute else "")
        table.add_row(
            one.id, Text(one.name),
            _of(display_kiln(one.spent), None if one.spend_limit is None else display_kiln(one.spend_limit)),
            _of(f"{one.usd_spent:.2f}", None if one.usd_total is None else f"{one.usd_total:.2f}"),
            _of(f"{one.usd_today:.2f}", None if one.usd_per_day is None else f"{one.usd_per_day:.2f}"),
            _of(str(one.jobs_today), None if one.jobs_per_day is None else str(one.jobs_per_day)),
            pace, Text("revoked" if one.revoked_at else "", "red"),
        )  # fmt: skip
    Console().print(table)


def _of(used: str, limit: str | None) -> str:
    return used if limit is None else f"{used} of {limit}"


def _revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `kilnet keys list` shows it.")],
    gateway: Gateway = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """End a key, and every session that it opened."""
    import re

    from coordinator.cli.connection import Access, connect

    if not re.fullmatch(r"[0-9A-Za-z]{1,24}", key_id):
        raise BadInput(f"KEY {key_id[:40]!r}: write its id, such as k0123456789ab; `kilnet keys list` shows them")
    with connect(Access(gateway, key), nodes=None) as client:
        ended = client.revoke_api_key(key_id)
    if as_json:
        answer(ended.model_dump(mode="json"))
    else:
        print(f"{ended.id} ({ended.name}) is revoked")


def _page(gateway: Gateway = None, key: Key = None, as_json: Json = False) -> None:
    """Print the page's address, with a code that signs you in once."""
    from coordinator.cli.connection import Access, connect

    with connect(Access(gateway, key), nodes=None) as client:
        url = client.page_url()
    if as_json:
        answer({"url": url})
    else:
        print(f"{url}\nOpen it within five minutes; it signs you in once.")
