"""The node's key: made once, kept for itself."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jobs.errors import BadInput
from jobs.typed_data import Domain, commitment_message, recover, recover_text
from node.keys import NodeKey


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The second start finds the first one's key; its mode is 0600; nothing else is left in the folder."""
    first = NodeKey.load_or_create(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert NodeKey.load_or_create(tmp_path / "key").address == first.address
    assert [p.name for p in tmp_path.iterdir()] == ["key"]
    assert repr(first) == f"NodeKey({first.address})"


def test_signatures_are_the_addresss_own(tmp_path: Path) -> None:
    """What it signs is recovered to its address: sign-in texts and commitments."""
    key = NodeKey.load_or_create(tmp_path / "key")
    assert recover_text("hello", key.sign_text("hello")) == key.address
    domain = Domain(chain_id=31337, escrow="0x" + "22" * 20)
    signed = key.sign_commitment(domain, lease="l1", token=3, root=b"\1" * 32, cells=9)
    message = commitment_message(domain, lease="l1", token=3, root=b"\1" * 32, cells=9)
    assert recover(message, signed) == key.address


@pytest.mark.parametrize("text", ["", "0x12", "no key at all", "0x" + "00" * 32, "0x" + "ff" * 32])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    """A broken key file is an error that names the file and never quotes it."""
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadInput, match="not a private key") as caught:
        NodeKey.load_or_create(path)
    assert caught.value.__cause__ is None
    assert not text or text not in str(caught.value)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """Mode 0644: the message says how to mend it."""
    NodeKey.load_or_create(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        NodeKey.load_or_create(tmp_path / "key")
