"""What people can get wrong about money, each by the command that they would have typed, against a whole stack with its
real chain: wrong chain id, no such RPC, not enough tokens, permit expired, price feed stale, a claim with a wrong
proof, a double claim, a slash without evidence. One line that says what to do, and nobody has a unit less than before.

The last two scenes move the chain's clock, which does not go back: they stand at the end."""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eth_account import Account as Key

from contracts.addresses import Addresses
from contracts.artifacts import abi
from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient
from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from contracts.keys import LocalKeys
from coordinator.stack import Layout, temporary_stack
from jobs.typed_data import Domain, commitment_message, sign
from tests.cli.test_with_stack import Shell
from tests.settlement.faulty import FaultyRpc
from tests.unit.test_inputs import items, model

pytestmark = [pytest.mark.stack, pytest.mark.chain, pytest.mark.slow, pytest.mark.timeout(600)]


class Town:
    """A stack whose node has earned something, and accounts beside it."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.layout = shell, Layout.at(shell.stack.data)
        settings = json.loads(self.layout.settings.read_text())
        self.rpc: str = settings["chain"]["rpc_url"]
        self.addresses = Addresses.load(self.layout.addresses)
        self.keys = LocalKeys.load(self.layout.chain_keys)
        self.chain = ChainClient(self.rpc, self.addresses, self.keys.faucet.key)
        trusted = settings["trusted"]
        (self.node,) = (one for one in self.layout.node("").iterdir() if address(one / "key") not in trusted)
        self.watched = [address(self.node / "key"), address(self.layout.client_key)]

    def money(self) -> dict[str, Any]:
        """All that could get lost: KILN, stake and number of transactions of everybody who takes part, what the
        contracts hold, and the supply."""
        who = [*self.watched, self.addresses.escrow, self.addresses.registry or "", self.keys.treasury.address]
        held = {one: self.chain.balance_of(one) for one in who}
        staked = {one: self.chain.stake_of(one).active for one in self.watched}
        sent = {one: int(call_rpc(self.rpc, "eth_getTransactionCount", one, "latest"), 16) for one in self.watched}
        return {"held": held, "staked": staked, "sent": sent, "burned": self.chain.total_burned()}

    def refused(self, *arguments: object, code: int, told: str, key: Path | None = None) -> None:
        """The command ends with `code` and one line that has `told`; nobody has more or less, nothing was sent."""
        if key is not None:
            self.shell.environment["KILNET_KEY"] = str(key)
        before = self.money()
        try:
            out, err = self.shell.run(*arguments, code=code)
        finally:
            self.shell.environment.pop("KILNET_KEY", None)
        one_line(out, err, told)
        assert self.money() == before

    def account(self, name: str, *, kiln: int = 0, gas: bool = True) -> Path:
        """The folder of a node that nobody knows yet, its key in it."""
        folder, owner = self.shell.folder / name, Key.create()
        folder.mkdir()
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_text("0x" + bytes(owner.key).hex())
        if gas:
            call_rpc(self.rpc, "anvil_setBalance", owner.address, hex(10**18))
        if kiln:
            self.chain.transfer(owner.address, kiln * KILN)
        self.watched.append(owner.address)
        return folder

    def register(self, folder: Path, *arguments: object) -> tuple[object, ...]:
        """The command with which a node joins."""
        where = ("--gateway", self.shell.stack.gateway_url, "--data", folder, "--canary-cache", self.layout.canary)
        sandbox = () if shutil.which("bwrap") else ("--unsandboxed",)
        return ("node", "register", *where, *sandbox, *arguments)

    def claim(self, *arguments: object) -> tuple[object, ...]:
        where = ("--gateway", self.shell.stack.gateway_url, "--data", self.node)
        return ("node", "claim", *where, *arguments)

    def infer(self, *arguments: object) -> tuple[object, ...]:
        return ("infer", "m.onnx", "x.npy", "--yes", "--out", secrets.token_hex(4), *arguments)

    @contextmanager
    def rows(self) -> Iterator[sqlite3.Connection]:
        """The gateway's own rows."""
        with closing(sqlite3.connect(self.layout.database, timeout=20)) as rows, rows:
            yield rows

    def pass_time(self, seconds: int) -> None:
        call_rpc(self.rpc, "evm_increaseTime", seconds)
        call_rpc(self.rpc, "evm_mine")


def one_line(out: str, err: str, told: str) -> None:
    """The program's last word is the only one of its kind; before it there may be the quote that it is about."""
    lines = err.splitlines()
    assert out == "" and "Traceback" not in err, (out, err)
    assert [line for line in lines if line.startswith("kilnet: ")] == lines[-1:] and told in lines[-1], err


def address(key: Path) -> str:
    return str(Key.from_key(key.read_text().strip()).address)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A stack with one node, which has done a job that an epoch pays."""
    folder = tmp_path_factory.mktemp("town")
    model(folder / "m.onnx")
    np.save(folder / "x.npy", items(5))
    with temporary_stack(nodes=1, data=folder / "data", unsandboxed=shutil.which("bwrap") is None) as stack:
        shell = Shell(folder, stack)
        town = Town(shell)
        shell.run(*town.infer())
        until = time.monotonic() + 60
        while town.chain.active_epoch().number == 0:
            assert time.monotonic() < until, "no epoch was closed"
            time.sleep(0.3)
        yield town


def test_wrong_chain_id(town: Town, tmp_path: Path) -> None:
    """An RPC of another chain, for who claims, who stakes and who looks."""
    with EmbeddedChain(tmp_path / "chain.json", chain_id=31338) as other:
        told = "serves chain 31338"
        town.refused(*town.claim("--rpc", other.url), code=2, told=told)
        town.refused(*town.register(town.account("lost", kiln=100), "--rpc", other.url), code=2, told=told)
        town.refused("ledger", "--rpc", other.url, code=2, told=told)


def test_no_such_rpc(town: Town) -> None:
    """Nothing answers there, or something that is no chain."""
    nowhere = "http://127.0.0.1:1"
    town.refused(*town.claim("--rpc", nowhere), code=3, told="no RPC of a chain answers at http://127.0.0.1:1")
    town.refused(*town.claim("--rpc", town.shell.stack.gateway_url), code=3, told="name one with --rpc")
    town.refused("ledger", "--rpc", nowhere, code=3, told="no answer from the chain")


def test_not_enough_tokens(town: Town, tmp_path: Path) -> None:
    """To order, to stake, for a challenge's bond."""
    poor = town.account("poor", kiln=1)
    town.refused(*town.register(poor, "--stake", 5), code=2, told="holds 1.000000 KILN and 5.000000 are to be staked")
    empty = town.account("empty")
    there = ("--gateway", town.shell.stack.gateway_url)
    town.refused(*town.infer(*there), code=2, told="holds 0.000000 KILN and the order needs", key=empty / "key")
    (tmp_path / "e").write_bytes(b"evidence")
    node = address(town.node / "key")
    challenge = ("dispute", "challenge", "--operator", node, "--evidence", tmp_path / "e", *there)
    town.refused(*challenge, "--yes", "--key", empty / "key", code=2, told="the bond is 100.000000")


def test_permit_expired(town: Town) -> None:
    """The chain takes a quarter of an hour to look at a permit that is good for ten minutes. What does not depend on
    it has happened by then; run again, it stakes."""
    folder = town.account("late", kiln=100)
    owner = address(folder / "key")
    with FaultyRpc(town.rpc) as slow:
        signed: list[str] = []

        def before(method: str) -> None:
            signed.append(method)
            if signed.count("eth_estimateGas") == 3 and method == "eth_estimateGas":
                town.pass_time(900)

        slow.before = before
        out, err = town.shell.run(*town.register(folder, "--rpc", slow.url), code=2)
    one_line(out, err, "the permit to stake 62.500000 KILN expired at")
    assert "run the command again" in err, err
    assert town.chain.balance_of(owner) == 100 * KILN and town.chain.stake_of(owner).active == 0
    town.shell.run(*town.register(folder))
    assert town.chain.stake_of(owner).active == 62 * KILN + KILN // 2


def test_claim_with_a_wrong_proof(town: Town) -> None:
    """A gateway whose rows are not what it posted: it hands out proofs that fit no root."""
    with town.rows() as rows:
        kept = rows.execute("SELECT rowid, cumulative FROM rewards").fetchall()
        for row, units in kept:
            wrong = str(int(units) + KILN).zfill(len(units)) if isinstance(units, str) else units + KILN
            rows.execute("UPDATE rewards SET cumulative = ? WHERE rowid = ?", (wrong, row))
    try:
        town.refused(*town.claim(), code=4, told="proof does not fit the root on chain")
    finally:
        with town.rows() as rows:
            rows.executemany("UPDATE rewards SET cumulative = ? WHERE rowid = ?", [(units, row) for row, units in kept])


def test_double_claim(town: Town) -> None:
    """Twice at once: the second is told so, before or after it was sent. Once more, there is nothing to claim."""
    owner = address(town.node / "key")
    rich = town.account("payer")
    held = town.chain.balance_of(owner)
    with FaultyRpc(town.rpc) as between:
        first: list[dict[str, Any]] = []

        def before(method: str) -> None:
            if method == "eth_estimateGas" and not first:
                first.append(town.shell.json(*town.claim("--operator-key", rich / "key")))

        between.before = before
        out, err = town.shell.run(*town.claim("--rpc", between.url), code=4)
    (paid,) = first
    one_line(out, err, "nothing is left to claim")
    assert int(paid["claimed"]) > 0 and town.chain.balance_of(owner) == held + int(paid["claimed"])
    before_again = town.money()
    out, err = town.shell.run(*town.claim())
    assert out.startswith("nothing to claim: ") and len(out.splitlines()) == 1 and err == "", (out, err)
    assert town.money() == before_again


def test_slash_without_evidence(town: Town, tmp_path: Path) -> None:
    """One commitment, the same one twice, two of different leases, signatures of somebody else: nobody is slashed."""
    node, key = Key.from_key((town.node / "key").read_text().strip()), town.account("accuser")
    domain = Domain(chain_id=town.addresses.chain_id, escrow=town.addresses.escrow)

    def signed(root: int, lease: str = "l1", by: bytes = bytes(node.key)) -> dict[str, Any]:
        made = {"lease": lease, "token": 1, "root": "0x" + bytes([root]).hex() * 32, "cells": 64}
        message = commitment_message(domain, lease=lease, token=1, root=bytes([root]) * 32, cells=64)
        return {**domain, **made, "signature": sign(message, by)}

    stranger = secrets.token_bytes(32)
    for shown, told in (
        ([signed(1)], "that is no evidence"),
        ([signed(1), signed(1)], "that is no evidence"),
        ([signed(1), signed(2, lease="l2")], "that is no evidence"),
        ([signed(1, by=stranger), signed(2, by=stranger)], "nobody can be slashed"),
    ):
        (tmp_path / "shown.json").write_text(json.dumps(shown))
        at = ("--rpc", town.rpc, "--key", key / "key", "--yes")
        town.refused("dispute", "equivocation", tmp_path / "shown.json", *at, code=2, told=told)


def test_price_feed_stale(town: Town) -> None:
    """Whoever reports the price has lost that role, and a day goes by: no quote, nothing charged, no job that waits."""
    oracle = town.addresses.oracle
    assert oracle is not None
    admin = ChainClient(town.rpc, town.addresses, town.keys.deployer.key)
    contract = admin.web3.eth.contract(address=admin.web3.to_checksum_address(oracle), abi=abi("PriceOracle"))
    role = contract.functions.REPORTER_ROLE().call()
    revoke = contract.encode_abi("revokeRole", [role, town.keys.coordinator.address])
    admin.transactions.run(admin.transactions.prepare("revokeRole", oracle, revoke))
    town.pass_time(25 * 3600)
    looked_at = time.time()
    until = time.monotonic() + 60
    while town_looked(town) < looked_at:
        assert time.monotonic() < until, "the price was not looked up again"
        time.sleep(0.3)
    town.refused(*town.infer(), code=2, told="too old to be used; nothing was charged: submit the job again when")
    town.refused("quote", "m.onnx", "x.npy", code=2, told="too old to be used")
    states = {job["state"] for job in town.shell.json("jobs")["jobs"]}
    assert not states & {"quoted", "admitting"}
    grant = contract.encode_abi("grantRole", [role, town.keys.coordinator.address])
    admin.transactions.run(admin.transactions.prepare("grantRole", oracle, grant))


def town_looked(town: Town) -> float:
    """When the coordinator looked the price up last."""
    with town.rows() as rows:
        ((value,),) = rows.execute("SELECT value FROM settings WHERE name = 'price'").fetchall()
    return float(json.loads(value)["looked_at"])


def test_an_order_whose_time_is_over(town: Town) -> None:
    """The chain's clock is a day ahead of this machine's by now: the order and its permit, good for an hour, come too
    late. Nothing is escrowed."""
    until = time.monotonic() + 60
    while town.chain.oracle().reported_at < town.chain.time() - 3600:
        assert time.monotonic() < until, "the price was not reported again"
        time.sleep(0.3)
    looked_at = time.time()
    while town_looked(town) < looked_at:
        assert time.monotonic() < until + 60, "the price was not looked up again"
        time.sleep(0.3)
    before = town.money()
    report, err = town.shell.run(*town.infer("--deadline", "1h"), code=2)
    one_line("", err, "the escrow could not be opened: the deadline")
    assert err.endswith("; nothing was charged\n") and town.money() == before, err
    assert "failed" in report and "escrow  " not in report, report
