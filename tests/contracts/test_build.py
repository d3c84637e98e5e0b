"""The committed artifacts are what the sources compile to, and the Solidity tests pass."""

import json
import shutil
from pathlib import Path

import pytest

from contracts import build, coverage, forge_test, gas, invariants
from contracts.errors import ToolMissing
from contracts.toolchain import PACKAGE

from .mutants import MUTANTS

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
    assert len(outcomes) >= 155
    assert set(outcomes) == {"Success"}
    invariants.campaign_of(report).check()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contracts, compiled with their tests, where they may be changed."""
    folder = tmp_path_factory.mktemp("contracts")
    for name in ("src", "test", "tools"):
        shutil.copytree(PACKAGE / name, folder / name)
    shutil.copy(PACKAGE / "foundry.toml", folder)
    (folder / "node_modules").symlink_to(PACKAGE / "node_modules")
    (folder / "out").mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_caught(mutant: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that pass whatever the contracts do would prove nothing."""
    contract, found, replacement = MUTANTS[mutant]
    file = copy / "src" / f"{contract}.sol"
    text = file.read_text()
    assert text.count(found) == 1, "the mutant does not fit the source any more"
    monkeypatch.setattr(build, "PACKAGE", copy)
    try:
        file.write_text(text.replace(found, replacement))
        build.run_forge(["build"])
        with pytest.raises(build.BuildFailed, match=r"\[FAIL"):
            build.run_forge(["test", "--fail-fast"])
    finally:
        file.write_text(text)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_invariants_over_many_runs() -> None:
    """256 runs of 64 calls, in which each player's call succeeded at least as often as there were runs."""
    campaign = invariants.play("slow")
    assert (campaign.runs, campaign.calls) == (256, 256 * 64)
    assert len(campaign.successes) >= 20


def test_a_campaign_of_failures_is_refused() -> None:
    """A player that hardly ever succeeds fails the run, and so does a report without invariants."""
    with pytest.raises(build.BuildFailed, match="claim 3 times"):
        invariants.Campaign(8, 512, {"open": 8, "claim": 3}).check()
    with pytest.raises(build.BuildFailed, match="no invariant"):
        invariants.campaign_of({})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_coverage() -> None:
    """95% of the lines, and every branch of settlement and claims."""
    found = coverage.measure()
    assert set(coverage.FULL) <= set(found)


def test_gas_stays_where_it_was() -> None:
    """At most 5% above the snapshot; a settlement within 330 gas a tile for 1,000 and 4 for 100,000."""
    spent = gas.measure()
    assert gas.compare(spent) == []
    small, large = gas.settlements(spent)
    assert small.per_tile <= 330 and large.per_tile <= 4
    assert spent["claim, of 1000"] <= 65_000
