"""A deployment found by its escrow: what it was wired to for ever, and what that was wired to."""

from contracts.addresses import Addresses
from contracts.artifacts import abi
from contracts.errors import NotDeployed, WrongChain
from contracts.reverts import translated
from contracts.transactions import connect

__all__ = ["discover"]


def discover(rpc_url: str, escrow: str, *, chain_id: int | None = None) -> Addresses:
    """The deployment that an escrow belongs to, as the chain behind an RPC says; the oracle, which nothing is wired to,
    is empty. Raises ChainUnavailable, WrongChain where it is not `chain_id`, NotDeployed."""
    web3 = connect(rpc_url)
    with translated(rpc_url):
        actual = int(web3.eth.chain_id)
        if chain_id is not None and actual != chain_id:
            raise WrongChain(rpc_url, chain_id, actual)
        address = web3.to_checksum_address(escrow)
        if not web3.eth.get_code(address):
            raise NotDeployed(f"there is no escrow at {address} on chain {actual}: name the right one, and its RPC")
        vault = web3.eth.contract(address=address, abi=abi("JobEscrow"))
        token, registry, disputes = (
            str(getattr(vault.functions, name)().call()) for name in ("token", "registry", "disputes")
        )
        stakes = web3.eth.contract(address=web3.to_checksum_address(registry), abi=abi("NodeRegistry"))
        distributor = str(stakes.functions.distributor().call())
    return Addresses(actual, token, address, distributor, registry, disputes)
