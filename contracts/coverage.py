"""``python -m contracts.coverage``: which lines and branches of the contracts the Solidity tests reach; offline.

Fails below 95% of all lines, or below all branches of settlement and claims (``FULL``).
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from contracts.build import BuildFailed, run_forge
from contracts.errors import ChainError

__all__ = ["FULL", "LEAST_LINES", "Reached", "measure"]

LEAST_LINES = 0.95
FULL = ("JobEscrow", "RewardDistributor", "ReceiptTree", "CoordinatorBond")
"""Settlement and claims: every branch of these."""


@dataclass(frozen=True)
class Reached:
    """Of one contract: how many there are, and how many were reached."""

    lines: int
    lines_reached: int
    branches: int
    branches_reached: int
    missed: tuple[int, ...]
    """Lines that were not reached, or a branch at which was not."""


def _parse(lcov: str) -> dict[str, Reached]:
    found: dict[str, Reached] = {}
    for record in lcov.split("end_of_record"):
        entries = [line.partition(":")[::2] for line in record.strip().splitlines()]
        path = next((value for key, value in entries if key == "SF"), "")
        if not path.startswith("src/"):
            continue
        lines = [value.split(",") for key, value in entries if key == "DA"]
        branches = [value.split(",") for key, value in entries if key == "BRDA"]
        missed = {int(line) for line, count, *_ in lines if count == "0"}
        missed |= {int(line) for line, _, _, taken in branches if taken in ("0", "-")}
        found[Path(path).stem] = Reached(
            len(lines),
            sum(count != "0" for _, count, *_ in lines),
            len(branches),
            sum(taken not in ("0", "-") for *_, taken in branches),
            tuple(sorted(missed)),
        )
    return found


def measure() -> dict[str, Reached]:
    """Runs the tests without the optimizer, counting. Raises BuildFailed if too little is reached, ToolMissing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lcov.info"
        run_forge(
            ["coverage", "--report", "lcov", "--report-file", str(file), "--no-match-coverage", "test|node_modules"]
        )
        found = _parse(file.read_text())
    lines = sum(one.lines for one in found.values())
    reached = sum(one.lines_reached for one in found.values())
    if not lines or reached < LEAST_LINES * lines:
        raise BuildFailed(f"{reached} of {lines} lines are reached, fewer than {LEAST_LINES:.0%}")
    for name in FULL:
        if found[name].branches_reached < found[name].branches:
            raise BuildFailed(f"not every branch of {name} is reached: see lines {found[name].missed}")
    return found


def _main() -> int:
    try:
        found = measure()
    except ChainError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'contract':<20}{'lines':>12}{'branches':>12}  missed at")
    for name, one in sorted(found.items()):
        lines = f"{one.lines_reached}/{one.lines}"
        branches = f"{one.branches_reached}/{one.branches}"
        print(f"{name:<20}{lines:>12}{branches:>12}  {', '.join(map(str, one.missed))}")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
