"""`kilnet epoch verify` against a real chain and a real gateway: what is right verifies, and every kind of tampering is
caught and named."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from eth_account import Account as Key

from contracts.deploy import KILN
from contracts.embedded import EmbeddedChain
from coordinator.cli import answer
from coordinator.cli.main import run_command
from coordinator.cli.public import PublicGateway
from coordinator.gateway import create_app
from coordinator.settlement import close_epoch, domain, open_escrow, settle
from coordinator.store.database import Database
from coordinator.views import epoch_accounts, epoch_receipts
from jobs.pricing import reward_units
from jobs.typed_data import receipt_message, sign
from jobs.wire import EpochAccounts, EpochReceipts
from tests.coordinator.gateway.conftest import running_broker
from tests.settlement.test_settlement import Bank

pytestmark = pytest.mark.chain

FIRST, SECOND = (7 * KILN + 1, 11 * KILN + 3, 5), (3 * KILN, 2 * KILN + 7)
Proof = dict[str, Any]


def paid(bank: Bank, *jobs: tuple[int, ...]) -> int:
    """Jobs settled for these prices, each by a node of its own; the epoch that pays them."""
    for prices in jobs:
        bank.node = Key.create().address
        job_id = bank.job(prices=prices)
        open_escrow(bank.db, bank.settings, job_id)
        bank.to_settling(job_id)
        assert settle(bank.db, bank.settings, job_id)
    number = close_epoch(bank.db, bank.settings)
    assert number is not None
    return number


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A chain with two epochs: two jobs in the first, two in the second."""
    folder = tmp_path_factory.mktemp("epochs")
    with EmbeddedChain(folder / "chain.json") as chain:
        bank = Bank(folder, chain)
        assert [paid(bank, FIRST, (KILN,)), paid(bank, SECOND, (9,))] == [1, 2]
        yield bank
        bank.db.close()


@pytest.fixture(scope="module")
def gateway(bank: Bank) -> Iterator[str]:
    """A gateway over it; its URL."""
    with running_broker() as broker, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        chain = bank.settings.chain.model_copy(update={"public_rpc_url": bank.chain.url})
        settings = bank.settings.model_copy(update={"origin": url, "broker_url": broker.url, "chain": chain})
        db = Database(settings.database_url)
        app = create_app(settings, db=db)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield url
        server.should_exit = True
        thread.join(20)
        db.close()


@pytest.fixture
def kilnet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Proof]]:
    """The program with --json: exit code and its object."""

    def run(*arguments: object) -> tuple[int, Proof]:
        monkeypatch.setattr(answer, "_answers", [])
        ending = run_command(["epoch", *map(str, arguments), "--json"])
        out = capsys.readouterr().out
        assert out, ending
        return ending.code, json.loads(out.splitlines()[-1])  # the gateway of this process logs above it

    return run


@pytest.fixture(scope="module")
def kept() -> dict[int, str]:
    return {}


@pytest.fixture
def saved(
    gateway: str, tmp_path: Path, kilnet: Callable[..., tuple[int, Proof]], kept: dict[int, str]
) -> Callable[[int], Proof]:
    """What --save keeps of an epoch; asked for once."""

    def save(number: int) -> Proof:
        if number not in kept:
            code, report = kilnet(
                "verify", number, "--from", number, "--gateway", gateway, "--save", tmp_path / "epoch.json"
            )
            assert (code, report["findings"]) == (0, [])
            kept[number] = (tmp_path / "epoch.json").read_text()
        proof: Proof = json.loads(kept[number])["epochs"][0]
        return proof

    return save


@pytest.mark.parametrize(("number", "jobs", "prices"), [(1, 2, (*FIRST, KILN)), (2, 2, (*SECOND, 9))])
def test_a_right_epoch_verifies(
    bank: Bank, gateway: str, kilnet: Callable[..., tuple[int, Proof]], number: int, jobs: int, prices: tuple[int, ...]
) -> None:
    """By its number through the gateway: exit code 0, the root is the chain's, the rewards are those of the prices."""
    code, report = kilnet("verify", number, "--gateway", gateway)
    assert (code, report["ok"], report["findings"]) == (0, True, [])
    assert (report["receipts"], report["jobs"]) == (len(prices), jobs)
    assert report["rewards"] == str(sum(map(reward_units, prices)))
    _, listed = kilnet("list", "--gateway", gateway)
    assert report["root"] in [epoch["root"] for epoch in listed["epochs"]]


def test_pages_hold_everything_once(bank: Bank, gateway: str) -> None:
    """Two at a time come to the same as all at once; an epoch that is not there is said."""
    with bank.db.read() as session:
        whole = epoch_receipts(session, 1, after=0, limit=1000)
        seen, after = [], 0
        while True:
            page = epoch_receipts(session, 1, after=after, limit=2)
            seen += page.receipts
            if page.next is None:
                break
            after = page.next
        assert tuple(seen) == whole.receipts and len(seen) == 4 and whole.next is None
        accounts = [
            epoch_accounts(session, 2, after=after, limit=1).accounts[0]
            for after in ["", *[one.account for one in epoch_accounts(session, 2, after="", limit=9).accounts[:-1]]]
        ]
        assert tuple(accounts) == epoch_accounts(session, 2, after="", limit=9).accounts and len(accounts) == 4
    public = PublicGateway(gateway)
    assert public.read(EpochReceipts, "/v1/ledger/epochs/1/receipts").receipts == whole.receipts
    assert public.read(EpochAccounts, "/v1/ledger/epochs/2/accounts?limit=2").next == accounts[1].account
    ending = run_command(["epoch", "verify", "77", "--gateway", gateway])
    assert ending.code == 2 and "there is no epoch 77" in ending.line


def resigned(bank: Bank, receipt: Proof, key: bytes, **change: Any) -> Proof:
    """A receipt with other content, signed anew."""
    other = receipt | change
    message = receipt_message(
        domain(bank.settings), job=other["job"], tile=other["tile"], attempt=other["attempt"], node=other["node"],
        commitment=bytes.fromhex(other["commitment"][2:]), price=int(other["price"]),
    )  # fmt: skip
    return other | {"signature": sign(message, key)}


def _price(bank: Bank, proof: Proof) -> str:
    one = proof["receipts"][1]
    one["price"] = str(int(one["price"]) + 1)
    return f"receipt of job {one['job']}, tile {one['tile']}, attempt 1: is not signed as it stands"


def _node(bank: Bank, proof: Proof) -> str:
    one = proof["receipts"][2]
    one["node"] = Key.create().address
    return f"receipt of job {one['job']}, tile {one['tile']}, attempt 1: is not signed as it stands"


def _added_by_a_stranger(bank: Bank, proof: Proof) -> str:
    one = resigned(bank, proof["receipts"][0], bytes(Key.create().key), tile=99)
    proof["receipts"].append(one)
    return f"receipt of job {one['job']}, tile 99, attempt 1: is not signed as it stands"


def _added_by_the_signer(bank: Bank, proof: Proof) -> str:
    """Even the coordinator cannot pay a receipt that the job was not settled by."""
    key = bytes(bank.chain.keys.coordinator.key)
    proof["receipts"].append(resigned(bank, proof["receipts"][0], key, tile=99))
    job = proof["receipts"][0]["job"]
    count = sum(one["job"] == job for one in proof["receipts"])
    return f"job {job}: was settled by {count - 1} receipts; {count} are given here"


def _twice(bank: Bank, proof: Proof) -> str:
    one = proof["receipts"][0]
    proof["receipts"].append(dict(one))
    return f"receipt of job {one['job']}, tile {one['tile']}, attempt 1: its tile is paid more than once"


def _dropped(bank: Bank, proof: Proof) -> str:
    gone = proof["receipts"].pop(0)
    count = sum(one["job"] == gone["job"] for one in proof["receipts"])
    return f"job {gone['job']}: was settled by {count + 1} receipts; {count} are given here"


def _exchanged(bank: Bank, proof: Proof) -> str:
    """As many receipts, one of them for another attempt, and well signed."""
    key = bytes(bank.chain.keys.coordinator.key)
    proof["receipts"][0] = resigned(bank, proof["receipts"][0], key, attempt=2)
    return f"job {proof['receipts'][0]['job']}: its receipts do not make the root that the escrow settled it by"


def _signer(bank: Bank, proof: Proof) -> str:
    one = proof["receipts"][0] = resigned(bank, proof["receipts"][0], bytes(Key.create().key))
    return f"receipt of job {one['job']}, tile {one['tile']}, attempt 1: is not signed as it stands"


def _unsigned(bank: Bank, proof: Proof) -> str:
    one = proof["receipts"][0]
    one["signature"] = "0x" + "00" * 65
    return f"receipt of job {one['job']}, tile {one['tile']}, attempt 1: its signature is none"


def _account(bank: Bank, proof: Proof) -> str:
    """The reward of a tile to somebody else."""
    account = proof["receipts"][0]["account"] = Key.create().address
    return f"account {account.lower()}: the epoch's leaf says 0 units"


def _leaf(bank: Bank, proof: Proof) -> str:
    leaf = proof["accounts"][0]
    leaf["cumulative"] = str(int(leaf["cumulative"]) + 1)
    return f"account {leaf['account'].lower()}: the epoch's leaf says {leaf['cumulative']} units"


def _before(bank: Bank, proof: Proof) -> str:
    leaf = proof["before"][0]
    leaf["cumulative"] = str(int(leaf["cumulative"]) - 1)
    return "leaves of the epoch before: do not make the root"


def _number(bank: Bank, proof: Proof) -> str:
    proof["number"] = 9
    return "root of epoch 9: was never posted on this chain"


TAMPERINGS = (
    _price, _node, _added_by_a_stranger, _added_by_the_signer, _twice, _dropped, _exchanged, _signer, _unsigned,
    _account, _leaf, _before, _number,
)  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda one: one.__name__.strip("_"))
def test_tampering_is_named(
    bank: Bank,
    saved: Callable[[int], Proof],
    tmp_path: Path,
    kilnet: Callable[..., tuple[int, Proof]],
    tamper: Callable[[Bank, Proof], str],
) -> None:
    """From a file, against the chain alone: exit code 1, and a finding that names the receipt, job or account."""
    proof = saved(2)
    told = tamper(bank, proof)
    (tmp_path / "epoch.json").write_text(json.dumps({"epochs": [proof]}))
    code, report = kilnet("verify", tmp_path / "epoch.json", "--rpc", bank.chain.url)
    lines = [f"{one['where']}: {one['what']}" for one in report["findings"]]
    assert code == 1 and not report["ok"]
    assert any(line.startswith(told) for line in lines), (told, lines)


def _whole(gateway: str, tmp_path: Path, kilnet: Callable[..., tuple[int, Proof]]) -> list[Proof]:
    code, report = kilnet("verify", 2, "--gateway", gateway, "--save", tmp_path / "all.json")
    assert (code, report["from"], report["receipts_in_all"]) == (0, 1, len(FIRST) + 1 + len(SECOND) + 1), report
    epochs: list[Proof] = json.loads((tmp_path / "all.json").read_text())["epochs"]
    return epochs


def test_the_chain_of_epochs_is_verified_from_the_first(
    bank: Bank, gateway: str, tmp_path: Path, kilnet: Callable[..., tuple[int, Proof]]
) -> None:
    """What an earlier epoch paid wrongly is found from the later one; a job that two epochs pay; leaves that the next
    epoch does not begin with; epochs with a gap between them."""
    epochs = _whole(gateway, tmp_path, kilnet)

    def lines(changed: list[Proof]) -> tuple[int, list[str]]:
        (tmp_path / "all.json").write_text(json.dumps({"epochs": changed}))
        code, report = kilnet("verify", tmp_path / "all.json", "--rpc", bank.chain.url)
        return code, [f"{one['where']}: {one['what']}" for one in report["findings"]]

    assert lines(epochs) == (0, [])
    early = json.loads(json.dumps(epochs))
    gone = early[0]["receipts"].pop(0)
    code, said = lines(early)
    assert code == 1 and any(one.startswith(f"epoch 1: job {gone['job']}: was settled by") for one in said), said
    again = json.loads(json.dumps(epochs))
    job = epochs[0]["receipts"][0]["job"]
    again[1]["receipts"] += [one for one in epochs[0]["receipts"] if one["job"] == job]
    code, said = lines(again)
    assert code == 1 and any(one.startswith(f"job {job}: is paid a second time: epoch 1") for one in said), said
    apart = json.loads(json.dumps(epochs))
    apart[1]["before"][0]["cumulative"] = str(int(apart[1]["before"][0]["cumulative"]) + 1)
    code, said = lines(apart)
    assert code == 1 and any("are not those that the epoch before" in one for one in said), said
    (tmp_path / "gap.json").write_text(json.dumps({"epochs": [epochs[1], epochs[0]]}))
    ending = run_command(["epoch", "verify", str(tmp_path / "gap.json"), "--rpc", bank.chain.url])
    assert ending.code == 2 and "do not follow each other" in ending.line
    ending = run_command(["epoch", "verify", "1", "--from", "2", "--gateway", gateway])
    assert ending.code == 2 and "comes after epoch 1" in ending.line


def test_another_chain_is_named(
    saved: Callable[[int], Proof], tmp_path: Path, bank: Bank, kilnet: Callable[..., tuple[int, Proof]]
) -> None:
    """Another chain behind the RPC, another escrow in the file, and receipts said to be of another chain."""
    proof = saved(1)
    path = tmp_path / "epoch.json"
    for change, told in (
        ({"chain_id": 1}, "chain: "),
        ({"escrow": Key.create().address}, "chain: there is no contract at"),
    ):
        path.write_text(json.dumps({"epochs": [proof | change]}))
        code, report = kilnet("verify", path, "--rpc", bank.chain.url)
        [finding] = report["findings"]
        assert code == 1 and f"{finding['where']}: {finding['what']}".startswith(told), finding


def test_what_cannot_be_checked_is_said(saved: Callable[[int], Proof], tmp_path: Path, bank: Bank) -> None:
    """One line, exit code 2 (or 3 where it may work later), nothing on stdout."""
    proof = saved(1)
    (tmp_path / "epoch.json").write_text(json.dumps({"epochs": [proof]}))
    (tmp_path / "broken.json").write_text("{}")
    for arguments, code, told in (
        ([tmp_path / "epoch.json"], 2, "name an RPC with --rpc"),
        ([tmp_path / "gone.json", "--rpc", bank.chain.url], 2, "is neither the number of an epoch nor a file"),
        ([tmp_path / "broken.json", "--rpc", bank.chain.url], 2, "epochs: Field required"),
        (["0", "--gateway", "http://127.0.0.1:1"], 2, "epochs count from 1"),
        ([tmp_path / "epoch.json", "--rpc", "http://127.0.0.1:1"], None, "127.0.0.1:1"),
        (["1", "--gateway", "http://127.0.0.1:1"], None, "does not answer"),
    ):
        ending = run_command(["epoch", "verify", *map(str, arguments)])
        assert told in ending.line and "\n" not in ending.line, ending
        assert ending.code == code if code is not None else ending.code not in (0, 1), ending


def test_rewards_are_claimed_for_many(
    bank: Bank, gateway: str, kilnet: Callable[..., tuple[int, Proof]], tmp_path: Path
) -> None:
    """One account by name; then all that are left, from a saved file and without a gateway, each to the unit; then
    nothing. Leaves that do not make the root on chain, and an account that earned nothing, are one line."""
    with bank.db.read() as session:
        earned = {one.account: one.cumulative for one in epoch_accounts(session, 2, after="", limit=1000).accounts}
    assert len(earned) == 4
    payer = bank.chain.keys.faucet
    alone = (
        "--rpc",
        bank.chain.url,
        "--escrow",
        bank.addresses.escrow,
        "--key",
        "0x" + bytes(payer.key).hex(),
        "--yes",
    )
    first, *others = earned
    code, said = kilnet("claim", first.lower(), "--gateway", gateway, *alone)
    assert code == 0 and said["claimed"] == [{"account": first, "claimed": str(earned[first])}]
    assert bank.view.balance_of(first) == earned[first] and not any(map(bank.view.balance_of, others))
    code, _ = kilnet("verify", 2, "--gateway", gateway, "--save", tmp_path / "two.json")
    assert code == 0
    code, said = kilnet("claim", "--leaves", tmp_path / "two.json", *alone)
    assert code == 0 and len(said["transactions"]) == 1
    assert {one["account"]: int(one["claimed"]) for one in said["claimed"]} == {one: earned[one] for one in others}
    assert all(bank.view.balance_of(one) == units for one, units in earned.items())
    code, said = kilnet("claim", "--leaves", tmp_path / "two.json", *alone)
    assert (code, said) == (0, {"claimed": [], "transactions": []})
    changed = json.loads((tmp_path / "two.json").read_text())
    changed["epochs"][-1]["accounts"][0]["cumulative"] = str(KILN)
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    (tmp_path / "one.json").write_text(json.dumps({"epochs": changed["epochs"][:1]}))
    for arguments, why in (
        (("--leaves", tmp_path / "changed.json"), "does not make the root on chain"),
        (("--leaves", tmp_path / "one.json"), "has no epoch 2"),
        ((Key.create().address, "--leaves", tmp_path / "two.json"), "has earned nothing"),
        (("me", "--leaves", tmp_path / "two.json"), "is no address"),
    ):
        ending = run_command(["epoch", "claim", *map(str, arguments), *map(str, alone)])
        assert ending.code == 2 and why in ending.line and "\n" not in ending.line, ending
