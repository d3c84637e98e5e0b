"""Signing in: only a fresh text of this gateway, signed by just this account, opens a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.auth import Caller, forget_expired, issue_nonce, login, who
from coordinator.errors import NotSignedIn
from coordinator.store.database import Database
from coordinator.store.models import SignInSession
from jobs.typed_data import sign_text
from jobs.wire import Login
from tests.coordinator.conftest import Clock
from tests.coordinator.world import Person, World


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    return World(db, tmp_path)


def _signed(world: World, person: Person, signer: Person | None = None) -> Login:
    nonce = issue_nonce(world.db, world.settings, person.address.lower())
    signature = sign_text(nonce.message, (signer or person).key)
    return Login(address=person.address, message=nonce.message, signature=signature)


def test_a_signed_text_opens_a_session(world: World) -> None:
    """Who signed is who is signed in; only addresses in the settings are trusted; the table holds no token."""
    for person, trusted in ((Person(), False), (world.trusted, True)):
        session = login(world.db, world.settings, _signed(world, person))
        assert session.trusted is trusted
        assert who(world.db, world.settings, session.token) == Caller(person.address, trusted)
        with world.db.read() as rows:
            assert rows.get(SignInSession, session.token) is None


def test_a_text_is_good_once(world: World) -> None:
    """A recorded login is worth nothing."""
    body = _signed(world, Person())
    login(world.db, world.settings, body)
    with pytest.raises(NotSignedIn) as refused:
        login(world.db, world.settings, body)
    assert refused.value.code == "nonce_lapsed"


def test_another_key_does_not_sign_in(world: World) -> None:
    """A wrong signature is refused, and uses the text up."""
    person = Person()
    body = _signed(world, person, signer=Person())
    with pytest.raises(NotSignedIn) as refused:
        login(world.db, world.settings, body)
    assert refused.value.code == "bad_signature"
    right = body.model_copy(update={"signature": sign_text(body.message, person.key)})
    with pytest.raises(NotSignedIn) as refused:
        login(world.db, world.settings, right)
    assert refused.value.code == "nonce_lapsed"


def test_a_text_of_another_gateway_or_account_is_refused(world: World) -> None:
    """What was signed for another origin, for another account, or in other words, signs nobody in here."""
    person, other = Person(), Person()
    elsewhere = world.settings.model_copy(update={"origin": "http://evil.test"})
    nonce = issue_nonce(world.db, elsewhere, person.address)
    messages = [nonce.message]
    messages.append(issue_nonce(world.db, world.settings, other.address).message)
    messages.append(issue_nonce(world.db, world.settings, person.address).message + "\nand more")
    for message in messages:
        body = Login(address=person.address, message=message, signature=sign_text(message, person.key))
        with pytest.raises(NotSignedIn):
            login(world.db, world.settings, body)


def test_everything_ends(world: World, clock: Clock) -> None:
    """Texts lapse after minutes, sessions after a day, and both are forgotten then."""
    person = Person()
    late = _signed(world, person)
    clock.now += 301
    with pytest.raises(NotSignedIn):
        login(world.db, world.settings, late)
    session = login(world.db, world.settings, _signed(world, person))
    issue_nonce(world.db, world.settings, person.address)
    assert forget_expired(world.db) == 0
    clock.now = session.expires_at
    with pytest.raises(NotSignedIn):
        who(world.db, world.settings, session.token)
    assert forget_expired(world.db) == 2


@given(token=st.text(max_size=300))
def test_no_token_but_ours_opens_anything(tmp_path_factory: pytest.TempPathFactory, token: str) -> None:
    """Whatever is sent as a token, the answer is that nobody is signed in."""
    folder = tmp_path_factory.getbasetemp() / "hostile"
    folder.mkdir(exist_ok=True)
    db = Database(f"sqlite:///{folder / 'kilnet.sqlite'}")
    if not (folder / "addresses.json").exists():
        db.migrate()
        World(db, folder)
    with pytest.raises(NotSignedIn):
        who(db, None, token)  # type: ignore[arg-type]
    db.close()
