"""Real sandboxes around a small scripted runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.runner_process import RunnerProcess
from node.sandbox import GIB, MIB, Bind, Launcher, Limits, SandboxSpec, find_runtime, sandbox_available

RUNNER = Path(__file__).parent / "scripted_runner.py"
SMALL = Limits(memory_bytes=256 * MIB, processes=64, file_bytes=32 * MIB, scratch_bytes=64 * MIB)

MakeRunner = Callable[..., RunnerProcess]


@pytest.fixture(scope="session", autouse=True)
def _sandbox_works() -> None:
    report = sandbox_available()
    if not report.available:
        pytest.skip(f"{report.detail}; {report.remedy}")


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    runtime = find_runtime()
    return SandboxSpec(
        argv=(*runtime.command, "/runner/run.py"),
        binds=(*runtime.binds, Bind(RUNNER, "/runner/run.py")),
        scratch=scratch,
        limits=SMALL,
    )


@pytest.fixture
def make_runner(spec: SandboxSpec) -> Iterator[MakeRunner]:
    """Start the scripted runner, with changes to its spec; it is stopped at the end of the test."""
    made: list[RunnerProcess] = []

    def make(*arguments: str, launcher: Launcher | None = None, start: bool = True, **changes: object) -> RunnerProcess:
        changed = replace(spec, argv=(*spec.argv, *arguments), **changes)
        runner = RunnerProcess(changed, launcher=launcher)
        made.append(runner)
        if start:
            runner.start(timeout=20)
        return runner

    yield make
    for runner in made:
        runner.stop(grace=0)


__all__ = ["GIB", "SMALL", "MakeRunner"]
