"""The committed artifacts are what the sources compile to, and the Solidity tests pass."""

import json
import shutil
from pathlib import Path

import pytest

from contracts import build, forge_test
from contracts.errors import ToolMissing
from contracts.toolchain import PACKAGE

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    try:
        build.run_forge(["--version"])
    except ToolMissing as error:
        pytest.skip(str(error))


def test_artifacts_are_what_the_sources_compile_to(tmp_path: Path) -> None:
    """Byte by byte: no path, no time and no comment is in them."""
    build.write(build.build(), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in build.ARTIFACTS.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == (build.ARTIFACTS / name).read_bytes(), (
            f"{name} is stale: run `python -m contracts.build` and commit what it writes"
        )


def test_forge_tests_pass() -> None:
    """Unit, fuzz and invariant tests; forge fails on any failure."""
    report = json.loads(forge_test.run(["--json"]))
    outcomes = [test["status"] for suite in report.values() for test in suite["test_results"].values()]
    assert len(outcomes) >= 165
    assert set(outcomes) == {"Success"}


MUTANTS = {
    "nothing is burned": ("JobEscrow", "if (burned != 0) token.burn(burned);", ""),
    "a job is finalized twice": ("JobEscrow", "escrow.state = State.Finalized;", ""),
    "a cancelled job stays open": (
        "JobEscrow",
        "escrow.state = State.Refunded;\n        emit Cancelled",
        "emit Cancelled",
    ),
    "rewards above what was burned": ("RewardDistributor", "if (total > limit) revert", "if (total < 0) revert"),
    "a claim is not remembered": ("RewardDistributor", "claimed[account] = cumulative;", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_invariants_catch_mutants(mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invariant run that passes whatever the contracts do would prove nothing."""
    for name in ("src", "test", "tools", "foundry.toml"):
        source = PACKAGE / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path / name)
    (tmp_path / "node_modules").symlink_to(PACKAGE / "node_modules")
    contract, found, replacement = MUTANTS[mutant]
    file = tmp_path / "src" / f"{contract}.sol"
    text = file.read_text()
    assert text.count(found) == 1, "the mutant does not fit the source any more"
    file.write_text(text.replace(found, replacement))
    monkeypatch.setattr(build, "PACKAGE", tmp_path)
    with pytest.raises(build.BuildFailed, match="invariant_"):
        build.run_forge(["test", "--match-contract", "InvariantsTest"])
