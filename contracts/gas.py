"""``python -m contracts.gas``: what each call costs on a fresh chain, through the bindings; fails at more than 5% above
what ``gas.json`` remembers. ``--write`` remembers anew.

The transaction's base cost is included. Only deployment and the calls themselves are measured: a settlement costs the
same for one tile and for 100,000.
"""

import argparse
import json
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from eth_utils.crypto import keccak

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient, RewardClaim
from contracts.deploy import KILN, DeployParams, deploy
from contracts.embedded import EmbeddedChain
from contracts.errors import ChainError
from contracts.typed_data import (
    Acknowledgement,
    Commitment,
    acknowledgement_data,
    commitment_data,
    node_key_data,
    reward_leaf,
    sign,
)

__all__ = ["SNAPSHOT", "TOLERANCE", "Settled", "compare", "measure", "settlements"]

SNAPSHOT = Path(__file__).parent / "gas.json"
TOLERANCE = 1.05
_DAY = 24 * 3600
_ACCOUNTS = 1_000


@dataclass(frozen=True)
class Settled:
    """What a job's settlement costs: propose, finalize and the root of its rewards."""

    tiles: int
    gas: int
    alone: int
    """What paying each tile by a transfer of its own would cost."""

    @property
    def per_tile(self) -> float:
        return self.gas / self.tiles


def _tree(leaves: list[bytes]) -> list[list[bytes]]:
    levels = [leaves]
    while len(level := levels[-1]) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        levels.append([keccak(min(pair) + max(pair)) if len(pair) == 2 else pair[0] for pair in pairs])
    return levels


def _proof(levels: list[list[bytes]], index: int) -> tuple[bytes, ...]:
    path = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        index //= 2
    return tuple(path)


class _Bench:
    def __init__(self, chain: EmbeddedChain) -> None:
        keys = chain.keys
        params = DeployParams(faucet=keys.faucet.address, guardian=keys.guardian.address, challenge_window=0, grace=60)
        names = (keys.coordinator.address, keys.treasury.address, keys.signer.address)
        self.chain = chain
        self.addresses = deploy(chain.url, keys.deployer.key, *names, params)
        self.coordinator = ChainClient(chain.url, self.addresses, keys.coordinator.key)
        self.gas: dict[str, int] = {}

    def client(self, kiln: int) -> ChainClient:
        """A fresh account with KILN, coins for gas, and an allowance for escrow and registry."""
        account = Account.create()
        call_rpc(self.chain.url, "anvil_setBalance", account.address, hex(10**20))
        ChainClient(self.chain.url, self.addresses, self.chain.keys.faucet.key).transfer(account.address, kiln)
        client = ChainClient(self.chain.url, self.addresses, account.key)
        for spender in (self.addresses.escrow, self.addresses.registry):
            client.approve(2**256 - 1, spender)
        return client

    def pass_time(self, seconds: int) -> None:
        call_rpc(self.chain.url, "evm_increaseTime", seconds)
        call_rpc(self.chain.url, "evm_mine")

    def jobs(self) -> None:
        client, gas = self.client(1_000 * KILN), self.gas
        jobs = [secrets.token_bytes(32) for _ in range(4)]
        for job in jobs:
            gas["open"] = client.open(job, 100 * KILN, client.time() + _DAY).gas_used
        root = b"r" * 32
        for first, job in ((" first", jobs[0]), ("", jobs[1])):
            gas["propose" + first] = self.coordinator.propose(job, 50 * KILN, root, 1_000).gas_used
            done = self.coordinator.receipt(self.coordinator.finalize(job).tx_hash)
            gas["finalize" + first] = done.gas_used if done else 0
        gas["cancel"] = self.coordinator.cancel(jobs[2]).gas_used
        gas["transfer to a fresh account"] = client.transfer(Account.create().address, KILN).gas_used
        self.pass_time(_DAY + 120)
        gas["refund"] = client.refund(jobs[3]).gas_used

    def bonds(self) -> None:
        giver, anybody, gas = self.client(1_000 * KILN), self.client(0), self.gas
        signer, node = Account.create(), Account.create()
        giver.approve(2**256 - 1, self.addresses.bond)
        gas["deposit, into a bond"] = giver.deposit_bond(signer.address, 100 * KILN).gas_used
        job = secrets.token_bytes(32)
        giver.open(job, KILN, giver.time() + _DAY)
        self.coordinator.cancel(job)
        for tile, first in ((0, " first"), (1, "")):
            told = Acknowledgement(job, tile, secrets.token_bytes(32), node.address, b"r" * 32, KILN)
            signed = sign(acknowledgement_data(told, self.addresses), signer)
            gas["claim, from a bond" + first] = anybody.claim_bond(told, signed).gas_used

    def rewards(self) -> None:
        accounts = sorted(Account.create().address for _ in range(_ACCOUNTS))
        anybody = self.client(0)
        for first, each in ((" first", KILN // 1_000), ("", KILN // 500)):
            levels = _tree([reward_leaf(account, each) for account in accounts])
            epoch = self.coordinator.last_epoch() + 1
            self.gas["postRoot" + first] = self.coordinator.post_root(epoch, levels[-1][0], each * _ACCOUNTS).gas_used
            self.gas[f"claim{first}, of {_ACCOUNTS}"] = anybody.claim(accounts[0], each, _proof(levels, 0)).gas_used
            many = [RewardClaim(accounts[i], each, _proof(levels, i)) for i in range(1, 21)]
            self.gas[f"claimMany{first}, each of 20"] = anybody.claim_many(many).gas_used // 20

    def stakes(self) -> None:
        operator, node, finder = self.client(1_000 * KILN), Account.create(), self.client(0)
        me = operator.transactions.address
        self.gas["register"] = operator.register(1_000).gas_used
        signed = sign(node_key_data(node.address, me, self.addresses), node)
        self.gas["addNode"] = operator.add_node(node.address, signed).gas_used
        self.gas["stake first"] = operator.stake(100 * KILN).gas_used
        self.gas["stake"] = operator.stake(100 * KILN).gas_used
        job = secrets.token_bytes(32)
        operator.open(job, KILN, operator.time() + _DAY)
        self.gas["award, to one"] = self.coordinator.award(job, [me], KILN).gas_used
        self.coordinator.cancel(job)
        self.gas["release, of one"] = operator.release(job, [me]).gas_used
        self.gas["unbond"] = operator.unbond(KILN).gas_used
        made = [Commitment(b"l" * 32, 1, bytes([i]) * 32, 64) for i in range(2)]
        one, two = (sign(commitment_data(each, self.addresses), node) for each in made)
        self.gas["proveEquivocation"] = finder.prove_equivocation(made[0], one, made[1], two).gas_used
        self.pass_time(operator.unbonding_period())
        self.gas["withdraw"] = operator.withdraw().gas_used


def measure() -> dict[str, int]:
    """Gas of each call. Raises ToolMissing, ChainError."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedChain(Path(folder) / "chain.json") as chain:
        bench = _Bench(chain)
        bench.jobs()
        bench.bonds()
        bench.rewards()
        bench.stakes()
        return bench.gas


def settlements(gas: dict[str, int]) -> list[Settled]:
    """Settlement and reward root of a small and a large job, at what they cost the first time."""
    whole = gas["propose first"] + gas["finalize first"] + gas["postRoot first"]
    return [Settled(tiles, whole, tiles * gas["transfer to a fresh account"]) for tiles in (1_000, 100_000)]


def compare(gas: dict[str, int]) -> list[str]:
    """One line for each call that costs more than 5% above the snapshot, or is not in it."""
    known: dict[str, int] = json.loads(SNAPSHOT.read_text())
    return [
        f"{name} costs {used:,} gas, {known.get(name, 0):,} before"
        for name, used in gas.items()
        if used > TOLERANCE * known.get(name, 0)
    ]


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.gas", description="Measure the contracts' gas.")
    parser.add_argument("--write", action="store_true", help="remember what was measured")
    write = parser.parse_args().write
    try:
        gas = measure()
    except ChainError as error:
        print(error, file=sys.stderr)
        return 1
    for name, used in gas.items():
        print(f"{name:<32}{used:>10,}")
    for settled in settlements(gas):
        print(
            f"settlement of {settled.tiles:,} tiles: {settled.gas:,} gas, {settled.per_tile:.2f} a tile; "
            f"paying each tile by itself: {settled.alone:,}"
        )
    if write:
        SNAPSHOT.write_text(json.dumps(gas, indent=1) + "\n")
        return 0
    worse = compare(gas)
    print("\n".join(worse), file=sys.stderr, end="\n" if worse else "")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(_main())
