"""The books of the simulated economy: integer units of KILN, and not one of them lost."""

from __future__ import annotations

from collections import defaultdict

__all__ = ["Ledger", "Short"]


class Short(Exception):
    """Somebody was to pay what he has not: this must never happen."""


class Ledger:
    """Balances by account. Supply changes by burning and minting alone."""

    def __init__(self, endowment: dict[str, int]) -> None:
        self.balances: defaultdict[str, int] = defaultdict(int, endowment)
        self.initial = sum(endowment.values())
        self.burned = self.minted = 0

    def move(self, source: str, target: str, units: int) -> None:
        """Raises Short where `source` has less, by one unit or more."""
        if units < 0 or self.balances[source] < units:
            raise Short(f"{source} holds {self.balances[source]} and was to pay {units}")
        self.balances[source] -= units
        self.balances[target] += units

    def burn(self, source: str, units: int) -> None:
        self.move(source, "fire", units)
        self.balances["fire"] -= units
        self.burned += units

    def mint(self, target: str, units: int) -> None:
        self.balances[target] += units
        self.minted += units

    @property
    def supply(self) -> int:
        return self.initial + self.minted - self.burned

    def check(self) -> None:
        """Every unit is somewhere, and nobody owes one."""
        assert sum(self.balances.values()) == self.supply, "units were lost or made"
        short = [account for account, units in self.balances.items() if units < 0]
        assert not short, f"short: {short}"
