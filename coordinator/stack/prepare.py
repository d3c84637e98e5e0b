"""What a local chain needs before jobs can be paid: `python -m coordinator.stack.prepare`, a short process.

It may be repeated: what is done already stays as it is.
"""

from __future__ import annotations

import sys

from contracts.errors import ChainError
from coordinator.config import Settings
from coordinator.stack.layout import Layout
from jobs.errors import KilnetError
from jobs.pricing import UNIT

__all__ = ["deploy_contracts"]

WALLET_KILN = 10_000
"""What the client's wallet is filled up to, on a chain whose tokens are worth nothing."""


def deploy_contracts(settings: Settings) -> None:
    """Deploys what is missing on the local chain and fills the client's wallet."""
    from contracts.client import ChainClient
    from contracts.deploy import DeployParams, deploy
    from contracts.keys import LocalKeys, account_from_key

    layout = Layout(settings.data)
    keys = LocalKeys.load(layout.chain_keys)
    addresses = deploy(
        settings.chain.rpc_url,
        bytes(keys.deployer.key),
        coordinator=keys.coordinator.address,
        treasury=keys.treasury.address,
        signer=keys.coordinator.address,
        params=DeployParams(
            grace=int(settings.grace_seconds), guardian=keys.guardian.address, faucet=keys.faucet.address
        ),
        addresses_file=settings.chain.addresses_file,
    )
    wallet = account_from_key(layout.client_key.read_text(encoding="ascii").strip()).address
    faucet = ChainClient(settings.chain.rpc_url, addresses, bytes(keys.faucet.key))
    missing = WALLET_KILN * UNIT - faucet.balance_of(wallet)
    if missing > 0:
        faucet.transfer(wallet, missing)


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
