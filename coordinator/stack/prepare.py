"""What a local chain needs before jobs can be paid: `python -m coordinator.stack.prepare`, a short process.

It may be repeated: what is done already stays as it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from contracts.addresses import Addresses
from contracts.errors import ChainError, NotDeployed
from coordinator.config import Settings
from coordinator.stack.layout import Layout
from jobs.errors import KilnetError

__all__ = ["deploy_contracts"]

PRICE_MAX_AGE = 24 * 3600
"""Seconds. The price is the same for ever and reported again and again, so that a local chain works as another does."""


def deploy_contracts(settings: Settings) -> None:
    """Deploys what is missing on the local chain, fills the wallets of the client and of the stack's own nodes, and
    looks the price up, which nobody waits for then."""
    from contracts.deploy import DeployParams, deploy
    from contracts.keys import LocalKeys, account_from_key

    layout = Layout(settings.data)
    keys = LocalKeys.load(layout.chain_keys)
    older = _without_bond(settings.chain.addresses_file)
    known = deploy(
        settings.chain.rpc_url,
        bytes(keys.deployer.key),
        coordinator=keys.coordinator.address,
        treasury=keys.treasury.address,
        signer=keys.coordinator.address,
        params=DeployParams(
            grace=int(settings.grace_seconds),
            guardian=keys.guardian.address,
            faucet=keys.faucet.address,
            price_max_age=PRICE_MAX_AGE,
        ),
        addresses_file=settings.chain.addresses_file,
    )
    if older:
        print(f"the deployment had no bond for acknowledged tiles: it has one now, at {known.bond}", flush=True)
    from coordinator.settlement import refresh_price
    from coordinator.stack.faucet import NODE_KILN, WALLET_KILN, fill_bond, fill_up
    from coordinator.store.database import Database

    def address(key: Path) -> str:
        return str(account_from_key(key.read_text(encoding="ascii").strip()).address)

    fill_up(settings, [address(layout.client_key)], WALLET_KILN)
    nodes = [address(key) for key in sorted(layout.node("").glob("*/key"))]
    fill_up(settings, [node for node in nodes if node not in settings.trusted], NODE_KILN)
    fill_bond(settings, keys.coordinator.address)
    db = Database(settings.database_url)
    db.migrate()
    refresh_price(db, settings)
    db.close()


def _without_bond(file: Path) -> bool:
    """Whether there is a deployment from before there were bonds."""
    try:
        return not Addresses.load(file).bond
    except NotDeployed:
        return False


def main() -> int:
    """1 with one line on stderr where it fails."""
    try:
        deploy_contracts(Settings.load())
    except (KilnetError, ChainError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
