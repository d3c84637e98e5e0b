"""``python -m contracts.invariants [--profile slow]``: plays everybody at random and checks what must always hold.

The default profile plays 8 runs of 64 calls, `slow` 256. A run in which calls fail proves nothing, so a player's call
that did not succeed once per run on average fails the whole.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import Any

from contracts.build import BuildFailed, run_forge
from contracts.errors import ChainError

__all__ = ["Campaign", "campaign_of", "play"]

_CONTRACT = "InvariantsTest"


@dataclass(frozen=True)
class Campaign:
    """What was played."""

    runs: int
    calls: int
    successes: dict[str, int]
    """Of each player's call, by name."""

    def check(self) -> None:
        """Raises BuildFailed where some call succeeded less than once per run."""
        rare = {name: count for name, count in self.successes.items() if count < self.runs}
        if rare or not self.successes:
            told = ", ".join(f"{name} {count} times" for name, count in sorted(rare.items())) or "no player at all"
            raise BuildFailed(f"the invariants were hardly tried: in {self.runs} runs {told} succeeded")


def campaign_of(report: dict[str, Any]) -> Campaign:
    """The campaign in ``forge test --json``'s report. Raises BuildFailed if there is none, or an invariant broke."""
    for suite in report.values():
        for result in suite["test_results"].values():
            played = result["kind"].get("Invariant")
            if played is None:
                continue
            if result["status"] != "Success":
                raise BuildFailed(f"an invariant broke: {result['reason']}")
            successes = {
                name.rpartition(".")[2]: metric["calls"] - metric["reverts"] - metric["discards"]
                for name, metric in played["metrics"].items()
            }
            return Campaign(played["runs"], played["calls"], successes)
    raise BuildFailed("no invariant was played")


def play(profile: str = "default") -> Campaign:
    """Plays a whole campaign and checks it. Raises BuildFailed, ToolMissing."""
    # A failure's report is megabytes of traces: its reason alone is told.
    said = run_forge(["test", "--match-contract", _CONTRACT, "--json"], profile=profile, must_pass=False)
    try:
        report = json.loads(said)
    except ValueError:
        raise BuildFailed(said) from None
    campaign = campaign_of(report)
    campaign.check()
    return campaign


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.invariants", description="Play the invariants.")
    parser.add_argument("--profile", choices=("default", "slow"), default="default")
    try:
        campaign = play(parser.parse_args().profile)
    except ChainError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{campaign.runs} runs, {campaign.calls} calls; successes:")
    for name, count in sorted(campaign.successes.items()):
        print(f"  {name:<20}{count:>7}")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
