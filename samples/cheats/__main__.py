"""`python -m samples.cheats --cheat samples --data DIR --gateway URL`: a node that cheats."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from jobs.errors import KilnetError
from node.agent import AgentSettings, RunnerSettings, folder_of
from node.cli import run_agent
from node.hardware import probe
from samples.cheats import CHEATS, cheat_worker


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m samples.cheats", description="A node that cheats, to be caught.")
    parser.add_argument("--cheat", choices=sorted(CHEATS), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--gateway", required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--ask", type=float, default=0.1, help="USD per kiln-hour")
    parser.add_argument("--canary-cache", type=Path, default=None)
    parser.add_argument("--unsandboxed", action="store_true")
    parser.add_argument("--stake-as-needed", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = AgentSettings(
        data=folder_of(given.data),
        gateway=given.gateway,
        name=given.name or f"cheat-{given.cheat}",
        unsandboxed=given.unsandboxed,
        ask_usd_per_kiln_hour=given.ask,
        canary_folder=folder_of(given.canary_cache) if given.canary_cache else None,
        stake_as_needed=given.stake_as_needed,
        runner=RunnerSettings(threads=given.threads, memory_bytes=int(probe().memory_bytes * 0.8)),
    )
    try:
        return run_agent(settings, worker=cheat_worker(given.cheat))
    except KilnetError as error:
        print(f"kilnet: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
