"""The simulated economy as pictures."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from jobs.pricing import UNIT
from tests.economy.agents import Kind
from tests.economy.simulation import Economy

__all__ = ["draw"]

_COLOURS = dict(zip(Kind, ("#1a7f37", "#cf222e", "#bf8700", "#8250df", "#0969da", "#57606a", "#d4a5a5"), strict=True))


def draw(economy: Economy, folder: Path) -> list[Path]:
    """Writes economy-supply.png and economy-profit.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_supply(economy, folder / "economy-supply.png"), _profit(economy, folder / "economy-profit.png")]


def _supply(economy: Economy, path: Path) -> Path:
    epochs = range(1, len(economy.epochs) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(epochs, [one.burned / UNIT for one in economy.epochs], color="#cf222e", label="burned (stakes included)")
    left.plot(epochs, [one.minted / UNIT for one in economy.epochs], color="#1a7f37", label="minted as rewards")
    left.set(xlabel="epoch", ylabel="KILN", title="Burned and minted in each epoch", ylim=(0, None))
    left.legend(frameon=False)
    right.plot(epochs, [one.price for one in economy.epochs], color="#0969da")
    right.set(xlabel="epoch", ylabel="USD per kiln-hour", title="Mean price of the epoch's jobs", ylim=(0, None))
    return _save(figure, path)


def _profit(economy: Economy, path: Path) -> Path:
    epochs = range(1, len(economy.epochs) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 3.9), layout="constrained", sharex=True)
    for kind in Kind:
        profits = [one.profit[kind] / UNIT for one in economy.epochs]
        count = sum(node.kind is kind for node in economy.nodes)
        for axes in (left, right):
            axes.plot(
                epochs,
                profits,
                color=_COLOURS[kind],
                label=f"{kind} ({count})",
                linewidth=2 if kind is Kind.HONEST else 1.2,
            )
    best = max(one.profit[Kind.HONEST] for one in economy.epochs) / UNIT
    left.set(
        xlabel="epoch",
        ylabel="KILN for a machine of score 1",
        title="Cumulative profit",
    )
    right.set(xlabel="epoch", title="The same, near zero", ylim=(-best, best * 1.1))
    for axes in (left, right):
        axes.axhline(0, color="black", linewidth=0.6)
    right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> Path:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path
