"""Signing in by API key and by a wallet in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.typed_data import sign_text
from jobs.wire import CreateApiKey
from tests.web.conftest import Town, forgive

if TYPE_CHECKING:
    from playwright.sync_api import Page

_WALLET = """
window.ethereum = {
  async request({ method, params }) {
    if (method === "eth_requestAccounts") return [await window.walletAddress()];
    if (method === "personal_sign") return await window.walletSign(params[0]);
    throw new Error(method);
  },
};
"""


def test_with_an_api_key(page: Page, town: Town) -> None:
    """A wrong key gets one clear line; a right one opens the page, and signing out closes it."""
    with town.served.client(town.fair.owner) as client:
        made = client.create_api_key(CreateApiKey(name="laptop", spend_limit=0))
    page.goto(f"{town.url}/nodes")
    page.get_by_label("API key").fill("kilnet_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").get_by_text("not known here or was revoked").wait_for()
    page.get_by_label("API key").fill(made.key)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Nodes", exact=True).wait_for()
    page.goto(f"{town.url}/account")
    page.get_by_role("rowheader", name="laptop").first.wait_for()
    assert page.get_by_role("button", name="Revoke").count() == 0, "a key ends no keys"
    assert "kilnet" not in page.evaluate("document.cookie"), "no script can read the session"
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    forgive(page, "401", "503")


def test_with_a_wallet(page: Page, town: Town) -> None:
    """The wallet is asked for an account and for the signature of a text that names this page."""
    owner, asked = town.fair.owner, []

    def sign(message: str) -> str:
        asked.append(bytes.fromhex(message.removeprefix("0x")).decode())
        return sign_text(asked[-1], owner.key)

    page.expose_function("walletAddress", lambda: owner.address)
    page.expose_function("walletSign", sign)
    page.add_init_script(_WALLET)
    page.goto(f"{town.url}/sign-in")
    page.get_by_role("button", name="Sign a text with the wallet").click()
    page.get_by_role("link", name="harbour-at-dusk").wait_for()
    assert len(asked) == 1 and asked[0].startswith(f"{town.url} asks you to sign in")


def test_a_wallet_that_says_no(page: Page, town: Town) -> None:
    """Nothing happens, and the page says so."""
    page.add_init_script("window.ethereum = { request: () => Promise.reject(new Error('denied')) };")
    page.goto(f"{town.url}/sign-in")
    page.get_by_role("button", name="Sign a text with the wallet").click()
    page.get_by_role("alert").get_by_text("Allow this page to see your account").wait_for()
