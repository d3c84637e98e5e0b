"""`kilnet dispute prove | equivocation | challenge | sign | rule | lapse` against a real chain: each kind of fault is
found in what is shown, proven by the one command that is named, and each refusal is one line."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as Key
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from contracts.chain_keeper import call_rpc
from contracts.client import JobState
from contracts.deploy import KILN
from contracts.disputes import Outcome
from coordinator.cli.audit.checks import read_bundle
from coordinator.cli.audit.onchain import SOUND, check_chain
from coordinator.cli.main import run_command
from jobs.typed_data import Domain, chain_job_id, commitment_message, receipt_message, sign
from jobs.wire import ChainInfo
from tests.cli.test_audit_checks import honest
from tests.contracts.conftest import RULING, Stack
from tests.contracts.test_stakes import account, operator
from tests.settlement.conftest import Program
from verification.receipts import ReceiptTree, Step, receipt_leaf

pytestmark = pytest.mark.chain
Shown = dict[str, Any]


@pytest.fixture
def kilnet(program: Program) -> Program:
    """`kilnet dispute ... --json` against the chain alone: how it ended, and its object."""
    return functools.partial(program, "dispute")


@pytest.fixture
def key(stack: Stack) -> str:
    """Of somebody who has coins for gas and no KILN."""
    return gassed(stack, Key.create())


def gassed(stack: Stack, owner: LocalAccount) -> str:
    call_rpc(stack.chain.url, "anvil_setBalance", owner.address, hex(10**19))
    return "0x" + bytes(owner.key).hex()


def domain(stack: Stack) -> Domain:
    return Domain(chain_id=stack.addresses.chain_id, escrow=stack.addresses.escrow)


def receipt(stack: Stack, job: str, tile: int, price: int, *, attempt: int = 1, by: bytes | None = None) -> Shown:
    """A receipt as the gateway hands it out."""
    one: Shown = {
        "job": job, "tile": tile, "attempt": attempt, "node": stack.chain.keys.treasury.address, "price": price,
        "commitment": "0x" + "11" * 32,
    }  # fmt: skip
    one["signature"] = sign(message(stack, one), by or bytes(stack.chain.keys.signer.key))
    return one


def message(stack: Stack, one: Shown) -> dict[str, Any]:
    fields = {name: one[name] for name in ("job", "tile", "attempt", "node", "price")}
    return receipt_message(domain(stack), commitment=bytes.fromhex(one["commitment"][2:]), **fields)


def leaf(stack: Stack, one: Shown) -> Step:
    return receipt_leaf(message(stack, one), bytes.fromhex(one["signature"][2:])), one["price"]


def opened(stack: Stack) -> str:
    """A job that is open."""
    job = "j" + secrets.token_hex(6)
    client = stack.client_with(100 * KILN)
    order, signature, permit = stack.signed_order(client, 100 * KILN, job=chain_job_id(job))
    stack.coordinator.open_for(order, signature, permit)
    return job


def propose(stack: Stack, job: str, receipts: list[Shown], *, price: int | None = None, root: bytes = b"") -> None:
    """What a coordinator would: the root over these, in their order."""
    tree = ReceiptTree([leaf(stack, one) for one in receipts])
    stack.coordinator.propose(
        chain_job_id(job), tree.total if price is None else price, root or tree.root, len(receipts)
    )


def kept(stack: Stack, path: Path, receipts: list[Shown], paths: dict[int, list[Step]] | None = None) -> Path:
    """What `kilnet audit --save` keeps of them."""
    shown = [dict(one, price=str(one["price"])) for one in receipts]
    for place, steps in (paths or {}).items():
        words = [word for node, total in steps for word in (node, total.to_bytes(32, "big"))]
        shown[place]["proof"] = ["0x" + word.hex() for word in words]
    path.write_text(json.dumps({"job": "j", "domain": dict(domain(stack)), "receipts": shown}))
    return path


Made = tuple[list[Shown], dict[int, list[Step]] | None]


def unsigned(stack: Stack, job: str) -> Made:
    receipts = [receipt(stack, job, 0, KILN), receipt(stack, job, 1, 2 * KILN, by=secrets.token_bytes(32))]
    propose(stack, job, receipts)
    return receipts, None


def malleable(stack: Stack, job: str) -> Made:
    """The signer's own signature with the other s: it recovers to him, and the contracts take it for none."""
    receipts = [receipt(stack, job, 0, KILN)]
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    raw = bytes.fromhex(receipts[0]["signature"][2:])
    other = raw[:32] + (order - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big") + bytes([55 - raw[64]])
    receipts[0]["signature"] = "0x" + other.hex()
    propose(stack, job, receipts)
    return receipts, None


def foreign(stack: Stack, job: str) -> Made:
    receipts = [receipt(stack, job, 0, KILN), receipt(stack, "j" + secrets.token_hex(6), 1, 2 * KILN)]
    propose(stack, job, receipts)
    return receipts, None


def two_receipts(stack: Stack, job: str) -> Made:
    receipts = [receipt(stack, job, 0, KILN), receipt(stack, job, 1, KILN), receipt(stack, job, 1, KILN, attempt=2)]
    propose(stack, job, receipts)
    return receipts, None


def one_receipt_in_two_places(stack: Stack, job: str) -> Made:
    receipts = [receipt(stack, job, 0, KILN)] * 2
    propose(stack, job, receipts)
    return receipts, None


def price_above_the_sum(stack: Stack, job: str) -> Made:
    receipts = [receipt(stack, job, 0, KILN), receipt(stack, job, 1, 2 * KILN), receipt(stack, job, 2, KILN)]
    propose(stack, job, receipts, price=7 * KILN)
    return receipts, None


def inner_sum(stack: Stack, job: str) -> Made:
    """The root was told that the left half comes to 9 KILN, and the price agrees: only paths show it."""
    receipts = [receipt(stack, job, tile, KILN) for tile in range(4)]
    leaves = [leaf(stack, one) for one in receipts]
    halves = [ReceiptTree(leaves[:2]), ReceiptTree(leaves[2:])]
    told: list[Step] = [(halves[0].root, 9 * KILN), (halves[1].root, 2 * KILN)]
    root = keccak(b"".join(node + total.to_bytes(32, "big") for node, total in sorted(told)))
    propose(stack, job, receipts, price=11 * KILN, root=root)
    return receipts, {place: [leaves[place ^ 1], told[1 - place // 2]] for place in range(4)}


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (unsigned, "unsigned receipt"),
        (malleable, "unsigned receipt"),
        (foreign, "receipt of another job"),
        (two_receipts, "tile paid twice"),
        (one_receipt_in_two_places, "tile paid twice"),
        (price_above_the_sum, "wrong sum"),
        (inner_sum, "wrong sum"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_each_fault_is_proven(
    stack: Stack, kilnet: Program, key: str, tmp_path: Path, make: Callable[[Stack, str], Made], kind: str
) -> None:
    """Found in the receipts, sent once, and the proposal is void; nothing is sent without a word; a second time there
    is nothing to prove."""
    job = opened(stack)
    shown = kept(stack, tmp_path / "shown.json", *make(stack, job))
    arguments = ("prove", job, "--receipts", shown, "--key", key)
    ending, _ = kilnet(*arguments)
    assert ending.code == 2 and "add --yes" in ending.line, ending
    assert stack.coordinator.escrow(chain_job_id(job)).state is JobState.PROPOSED
    ending, said = kilnet(*arguments, "--yes")
    assert (ending.code, said.get("proven")) == (0, kind), ending
    found = stack.coordinator.escrow(chain_job_id(job))
    assert (found.state, found.voided) == (JobState.OPEN, 1)
    ending, _ = kilnet(*arguments, "--yes")
    assert ending.code == 2 and "only a proposal that stands" in ending.line, ending


def test_what_it_costs_is_said_first(
    stack: Stack, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, the bond and the gas, before anything is sent."""
    job = opened(stack)
    shown = kept(stack, tmp_path / "shown.json", *unsigned(stack, job))
    run_command(["dispute", "prove", job, "--receipts", str(shown), "--rpc", stack.chain.url, "--key", key])
    said = capsys.readouterr().err
    assert "the receipt of tile 1 is signed by 0x" in said and "Bond: none. Gas: 0.0" in said, said


def test_what_cannot_be_proven_is_said(stack: Stack, kilnet: Program, key: str, tmp_path: Path) -> None:
    """A sound proposal, leaves that nobody shows, another escrow or chain, no RPC, no coins for gas, no file."""
    job = opened(stack)
    receipts = [receipt(stack, job, 0, KILN), receipt(stack, job, 1, KILN)]
    propose(stack, job, receipts)
    whole = kept(stack, tmp_path / "whole.json", receipts)
    part = kept(stack, tmp_path / "part.json", receipts[:1])
    other = kept(stack, tmp_path / "other.json", receipts)
    data = json.loads(other.read_text())
    data["domain"]["chain_id"] = 1
    other.write_text(json.dumps(data))
    (tmp_path / "broken.json").write_text('{"domain": 3, "receipts": []}')
    (tmp_path / "list.json").write_text("[]")
    bad = opened(stack)
    wrong = kept(stack, tmp_path / "wrong.json", *unsigned(stack, bad))
    poor = "0x" + secrets.token_bytes(32).hex()
    for named, shown, code, told, options in (
        (job, whole, 4, "there is nothing to prove", {}),
        (job, part, 4, f"kilnet dispute challenge {job} --evidence FILE", {}),
        (job, other, 2, "serves chain 31337", {}),
        (job, tmp_path / "broken.json", 2, "domain", {}),
        (job, tmp_path / "list.json", 2, "holds no receipts", {}),
        (job, tmp_path / "gone.json", 2, "cannot be read", {}),
        (job, whole, 3, "no answer from the chain", {"rpc": "http://127.0.0.1:1"}),
        ("jnever", whole, 2, "is none on chain", {}),
        (bad, wrong, 2, "coins for gas", {"key": poor}),
    ):
        rpc = options.get("rpc")
        ending, _ = kilnet("prove", named, "--receipts", shown, "--key", options.get("key", key), "--yes", rpc=rpc)
        assert ending.code == code and told in ending.line, (told, ending)


def test_a_node_that_signed_twice_is_slashed(stack: Stack, kilnet: Program, key: str, tmp_path: Path) -> None:
    """Two results for one lease and token: half of the stake, by one command; what is no evidence is told so."""
    client, node = operator(stack)
    me = client.transactions.address
    lease = "l" + secrets.token_hex(6)

    def signed(number: int, by: LocalAccount = node, token: int = 1) -> Shown:
        root = bytes([number]) * 32
        made = commitment_message(domain(stack), lease=lease, token=token, root=root, cells=64)
        return {
            **domain(stack), "lease": lease, "token": token, "root": "0x" + root.hex(), "cells": 64,
            "signature": sign(made, bytes(by.key)),
        }  # fmt: skip

    stranger: LocalAccount = Key.create()
    for name, commitments in (
        ("two", [signed(1), signed(2)]),
        ("same", [signed(1), signed(1)]),
        ("tokens", [signed(1), signed(2, token=2)]),
        ("nobody", [signed(1, stranger), signed(2, stranger)]),
    ):
        (tmp_path / name).write_text(json.dumps(commitments))
    (tmp_path / "one").write_text(json.dumps(signed(1)))
    for name, told in (
        ("same", "that is no evidence"), ("tokens", "that is no evidence"), ("one", "that is no evidence"),
        ("nobody", "nobody can be slashed"), ("gone", "cannot be read"),
    ):  # fmt: skip
        ending, _ = kilnet("equivocation", tmp_path / name, "--key", key, "--yes")
        assert ending.code == 2 and told in ending.line, (name, ending)
    assert client.stake_of(me).active == 100 * KILN
    ending, said = kilnet("equivocation", tmp_path / "two", "--key", key, "--yes")
    assert (ending.code, said.get("proven")) == (0, "equivocation"), ending
    assert client.stake_of(me).active == 50 * KILN
    ending, _ = kilnet("equivocation", tmp_path / "two", "--key", key, "--yes")
    assert ending.code == 2 and "shown before" in ending.line, ending


def test_a_challenge_is_bonded_and_ruled(stack: Stack, kilnet: Program, tmp_path: Path) -> None:
    """From the bond to the slash, by commands alone; what each of them refuses is one line."""
    client, _ = operator(stack)
    me = client.transactions.address
    auditor = "0x" + bytes(stack.chain.keys.auditor.key).hex()
    rich = account(stack, 3 * KILN)
    mine = "0x" + bytes(rich.transactions._signer().key).hex()
    at = ("--escrow", stack.addresses.escrow)
    evidence = tmp_path / "evidence.zip"
    evidence.write_bytes(b"what the auditors are shown")
    job = opened(stack)
    propose(stack, job, [receipt(stack, job, 0, KILN)])
    named = ("challenge", job, "--operator", me, "--evidence", evidence, *at, "--yes", "--key")
    ending, _ = kilnet(*named, gassed(stack, Key.create()))
    assert ending.code == 2 and "the bond is 1.000000" in ending.line, ending
    ending, said = kilnet(*named, mine)
    assert ending.code == 0, ending
    number = said["challenge"]
    assert stack.coordinator.escrow(chain_job_id(job)).state is JobState.DISPUTED
    assert rich.balance_of(rich.transactions.address) == 2 * KILN
    ending, _ = kilnet(*named, mine)
    assert ending.code == 2 and "challenged before" in ending.line, ending
    ending, shown = kilnet("show", number, *at)
    assert (shown["state"], shown["operator"], shown["bond"]) == ("open", me, str(KILN))
    ruling = ("--uphold", "--slash", "10", *at)
    ending, _ = kilnet("sign", number, *ruling, "--key", mine)
    assert ending.code == 2 and "no auditor in office" in ending.line, ending
    ending, _ = kilnet("sign", number, "--dismiss", "--slash", "10", *at, "--key", auditor)
    assert ending.code == 2 and "a dismissal slashes nobody" in ending.line, ending
    ending, _ = kilnet("sign", number, *at, "--key", auditor)
    assert ending.code == 2 and "--uphold or --dismiss" in ending.line, ending
    ending, signed = kilnet("sign", number, *ruling, "--key", auditor)
    assert ending.code == 0, ending
    ending, _ = kilnet("rule", number, "--dismiss", "--signature", signed["signature"], *at, "--key", mine, "--yes")
    assert ending.code == 2 and "no auditor in office" in ending.line, ending
    ending, _ = kilnet("rule", number, "--uphold", "--signature", "0x12", *at, "--key", mine, "--yes")
    assert ending.code == 2 and "prints one" in ending.line, ending
    ending, ruled = kilnet("rule", number, *ruling, "--signature", signed["signature"], "--key", mine, "--yes")
    assert (ending.code, ruled.get("state")) == (0, "upheld"), ending
    assert client.stake_of(me).active == 90 * KILN
    assert rich.balance_of(rich.transactions.address) == 5 * KILN, "the bond and a fifth of the slash"
    assert stack.coordinator.escrow(chain_job_id(job)).state is JobState.OPEN
    ending, _ = kilnet("rule", number, *ruling, "--signature", signed["signature"], "--key", mine, "--yes")
    assert ending.code == 2 and "nothing to rule" in ending.line, ending


def test_a_challenge_is_dismissed_or_lapses(stack: Stack, kilnet: Program, tmp_path: Path) -> None:
    """Dismissed the bond is burned, undecided it comes back; what was never challenged is said."""
    rich = account(stack, 3 * KILN)
    mine = "0x" + bytes(rich.transactions._signer().key).hex()
    auditor = "0x" + bytes(stack.chain.keys.auditor.key).hex()
    at = ("--escrow", stack.addresses.escrow)
    (tmp_path / "e").write_bytes(b"e")
    numbers = []
    for _ in range(2):
        job = opened(stack)
        propose(stack, job, [receipt(stack, job, 0, KILN)])
        ending, said = kilnet("challenge", job, "--evidence", tmp_path / "e", *at, "--key", mine, "--yes")
        assert ending.code == 0, ending
        numbers.append(said["challenge"])
    _, signed = kilnet("sign", numbers[0], "--dismiss", *at, "--key", auditor)
    ending, said = kilnet("rule", numbers[0], "--dismiss", "--signature", signed["signature"], *at, "--key", mine, "-y")
    assert (ending.code, said.get("state")) == (0, "dismissed"), ending
    ending, _ = kilnet("lapse", numbers[1], *at, "--key", mine, "--yes")
    assert ending.code == 2 and "it can lapse after that" in ending.line, ending
    late = opened(stack)
    propose(stack, late, [receipt(stack, late, 0, KILN)])
    stack.pass_time(RULING + 1)
    ending, said = kilnet("lapse", numbers[1], *at, "--key", mine, "--yes")
    assert (ending.code, said.get("state")) == (0, "lapsed"), ending
    assert rich.challenge_of(numbers[0]).outcome is Outcome.DISMISSED
    assert rich.balance_of(rich.transactions.address) == 2 * KILN
    for arguments, told in (
        (("challenge", late, "--evidence", tmp_path / "e", "--key", mine), "window is over"),
        (("challenge", "--evidence", tmp_path / "e", "--key", mine), "is of a job, an operator"),
        (("challenge", late, "--evidence", tmp_path / "gone", "--key", mine), "cannot be read"),
        (("show", 999), "there is no challenge 999"),
    ):
        ending, _ = kilnet(*arguments, *at)
        assert ending.code == 2 and told in ending.line, (told, ending)
    ending, _ = kilnet("show", 1, "--escrow", Key.create().address)
    assert ending.code == 2 and "there is no escrow at" in ending.line, ending


def test_an_audit_names_the_command(stack: Stack, tmp_path: Path) -> None:
    """While a proposal stands: a fault names `kilnet dispute prove`, leaves that are not shown name the challenge, and
    a sound one holds."""
    chain = ChainInfo(
        chain_id=stack.addresses.chain_id, token=stack.addresses.token, token_name="Kiln",
        escrow=stack.addresses.escrow, distributor=stack.addresses.distributor, rpc_url=stack.chain.url,
    )  # fmt: skip
    template = honest()

    def sound(job: str, receipts: list[Shown]) -> tuple[bool, str]:
        shown = [
            {**template["receipts"][0], **one, "price": str(one["price"]), "proof": None, "secret": None}
            for one in receipts
        ]
        data = {**template, "job": job, "state": "settling", "domain": dict(domain(stack)), "receipts": shown}
        bundle = read_bundle({**data, "receipt_root": None, "settlement": None})
        [check] = [one for one in check_chain(bundle, chain) if one.name == SOUND]
        return check.ok, check.detail

    job = opened(stack)
    receipts, _ = two_receipts(stack, job)
    assert sound(job, receipts) == (
        False, f"tile 1 is paid by two receipts, attempts 1 and 2; now: kilnet dispute prove {job}",
    )  # fmt: skip
    held = opened(stack)
    receipts = [receipt(stack, held, 0, KILN), receipt(stack, held, 1, KILN)]
    propose(stack, held, receipts)
    assert sound(held, receipts) == (True, "")
    ok, told = sound(held, receipts[:1])
    assert not ok and told.endswith(f"now: kilnet dispute challenge {held} --evidence FILE"), told


def test_an_epoch_names_the_command(
    stack: Stack, kilnet: Program, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an epoch that pays a job whose proposal still stands and is wrong; the command that it names voids it."""
    job = opened(stack)
    receipts, _ = unsigned(stack, job)
    where = stack.addresses
    shown = [dict(one, price=str(one["price"]), account=one["node"]) for one in receipts]
    other = opened(stack)
    propose(stack, other, [receipt(stack, other, 0, KILN)])
    shown.append(dict(receipt(stack, other, 0, KILN), price=str(KILN), account=receipts[0]["node"]))
    leaves = [{"account": receipts[0]["node"], "cumulative": "1"}]
    epoch = {
        "number": 1, "chain_id": where.chain_id, "token": where.token, "escrow": where.escrow,
        "distributor": where.distributor, "before": [], "accounts": leaves, "receipts": shown,
    }  # fmt: skip
    file = tmp_path / "epoch.json"
    file.write_text(json.dumps({"epochs": [epoch]}))
    ending = run_command(["epoch", "verify", str(file), "--rpc", stack.chain.url, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert ending.code == 1 and report["commands"] == [f"kilnet dispute prove {job} --receipts {file}"], report
    ending, said = kilnet(*report["commands"][0].split()[2:], "--key", key, "--yes")
    assert (ending.code, said.get("proven")) == (0, "unsigned receipt"), ending
