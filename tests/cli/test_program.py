"""The program itself: quick to answer, and complete."""

from __future__ import annotations

import subprocess
import sys

COMMANDS = ("up", "demo", "doctor", "render", "infer", "quote", "jobs", "job", "cancel", "pause", "resume", "watch",
            "audit", "node")  # fmt: skip


def test_help_names_every_command() -> None:
    """Each command that the design names is there."""
    done = subprocess.run([sys.executable, "-m", "coordinator.cli.main", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line.strip()}
    assert set(COMMANDS) <= listed


def test_help_imports_nothing_heavy() -> None:
    """`kilnet --help` answers at once because what a command needs is imported when it is called."""
    program = (
        "import sys\n"
        "from coordinator.cli import main\n"
        "try:\n    main.run(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'web3', 'celery', 'fastapi', 'sqlalchemy', 'numpy', 'onnx', 'bpy', 'httpx', 'eth_account', 'node'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "HEAVY []" in done.stdout, done.stdout[-300:] + done.stderr


def test_a_client_needs_no_coordinator_packages() -> None:
    """The SDK and the commands' own modules import neither Celery nor a chain library nor a web framework."""
    program = (
        "import sys\n"
        "import jobs.client, jobs.packing, jobs.inputs, coordinator.cli.flow, coordinator.cli.submit\n"
        "heavy = {'web3', 'celery', 'fastapi', 'sqlalchemy', 'bpy', 'onnx', 'node'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "HEAVY []" in done.stdout, done.stdout[-300:] + done.stderr


def test_the_nodes_commands_are_found() -> None:
    """`kilnet node --help` is the node's own program, found through its entry point."""
    done = subprocess.run(
        [sys.executable, "-m", "coordinator.cli.main", "node", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and all(word in done.stdout for word in ("run", "register", "bench")), done.stderr
