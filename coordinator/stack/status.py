"""What `kilnet up` shows: a table that stays in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coordinator.stack.part import PartState, RunningPart
from coordinator.stack.plan import Plan
from coordinator.stack.supervisor import Supervisor

__all__ = ["StatusDisplay"]

_STYLES = {PartState.READY: "green", PartState.STARTING: "yellow", PartState.WAITING: "dim", PartState.STOPPED: "dim"}


class StatusDisplay:
    """Shows each change of a stack."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._said: dict[str, tuple[PartState, int]] = {}
        self._was_ready = False

    def __enter__(self) -> StatusDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, supervisor: Supervisor, plan: Plan) -> None:
        """Called by the supervisor after each change."""
        if self._live is not None:
            self._live.update(Group(*self._picture(supervisor, plan)), refresh=True)
            return
        for name, running in supervisor.parts.items():
            said = (running.state, running.restarts)
            if self._said.get(name) != said and running.state in (PartState.READY, PartState.WAITING):
                if running.state is PartState.READY or running.restarts:
                    self._line(f"{name}: {_words(running)}")
                self._said[name] = said
        if supervisor.was_ready and not self._was_ready:
            self._was_ready = True
            for line in _invitation(supervisor, plan):
                self._line(line)

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _picture(self, supervisor: Supervisor, plan: Plan) -> list[Table | Text]:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, running in supervisor.parts.items():
            if running.part.once and running.state is PartState.READY:
                continue
            table.add_row(name, Text(_words(running), _STYLES[running.state]), Text(running.part.title, "dim"))
        lines = _invitation(supervisor, plan) if supervisor.was_ready else ["starting ..."]
        return [table, *(Text(line) for line in lines)]


def _words(running: RunningPart) -> str:
    again = f", started again {running.restarts}x" if running.restarts else ""
    return f"{running.state.value}{again}"


def _invitation(supervisor: Supervisor, plan: Plan) -> list[str]:
    return [
        f"kilnet is up; data in {supervisor.layout.data}",
        f"The page: {plan.gateway_url} (in another terminal, `kilnet page` prints a link that signs you in)",
        "In another terminal: kilnet render SCENE.blend, kilnet infer MODEL.onnx INPUTS, kilnet jobs. Ctrl-C ends it.",
    ]
