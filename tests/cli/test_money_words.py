"""What an operator can get wrong about owners, stake and the faucet: one line, exit code 2 or 3, nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.cli.main import run_command
from coordinator.settlement.price import LOOK_SECONDS
from jobs.errors import BadInput
from jobs.pricing import UNIT
from node.keys import NodeKey
from node.stake.command import owner_of, units_of


@pytest.mark.parametrize("said", ["much", "0", "-3", "1e99", "", "NaN", "0x10"])
def test_a_stake_is_a_number_of_kiln(said: str) -> None:
    with pytest.raises(BadInput, match="--stake") as error:
        units_of(said)
    assert "\n" not in str(error.value)


def test_a_stake_is_taken_to_the_unit() -> None:
    assert units_of("0.000000000000000001") == 1 and units_of("62.5") == 62 * UNIT + UNIT // 2
    assert units_of(None) is None


def test_the_owner_is_whoever_has_the_key(tmp_path: Path) -> None:
    """Without a key the name is taken as it is; with one, both must mean the same account."""
    key = NodeKey.load_or_create(tmp_path / "owner")
    assert owner_of(None, tmp_path / "owner") == key.address == owner_of(key.address.lower(), tmp_path / "owner")
    other = "0x" + "11" * 20
    assert owner_of(other, None) == other
    with pytest.raises(BadInput, match="name one of the two"):
        owner_of(other, tmp_path / "owner")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["faucet", "somebody"], 2, "is no address"),
        (["faucet", "0x" + "11" * 20], 3, "no local stack has run in"),
        (["faucet", "0x" + "11" * 20, "--kiln", "-1"], 2, "kiln"),
    ],
)
def test_the_faucet_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    ending = run_command([*arguments, "--data", str(tmp_path / "nothing")])
    ending.tell(as_json=False)
    said = capsys.readouterr()
    assert ending.code == code and words in said.err + said.out
    assert not (tmp_path / "nothing").exists()


def test_the_price_is_looked_up_more_often_than_it_can_go_stale() -> None:
    from coordinator.stack.prepare import PRICE_MAX_AGE

    assert LOOK_SECONDS * 100 < PRICE_MAX_AGE
