"""Every refusal is typed, one line, and says what to do."""

import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from contracts.artifacts import abi
from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient, JobState, RewardClaim
from contracts.deploy import KILN, Addresses, DeployParams, deploy
from contracts.errors import (
    BadSigningKey,
    ChainError,
    ChainUnavailable,
    NonceUsed,
    NotDeployed,
    NotEnoughGasMoney,
    Reverted,
    TransactionPending,
    WrongChain,
)
from contracts.typed_data import job_order_data, reward_leaf, sign

from .conftest import DAY, GRACE, Stack

pytestmark = pytest.mark.chain


def refusal(call: Callable[[], object], name: str) -> str:
    """The one line with which a contract's refusal is told."""
    with pytest.raises(Reverted) as caught:
        call()
    assert caught.value.name == name
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_wrong_chain(stack: Stack) -> None:
    """The RPC serves another chain than the addresses belong to."""
    client = ChainClient(stack.chain.url, replace(stack.addresses, chain_id=1))
    with pytest.raises(WrongChain, match="serves chain 31337, but these contracts live on chain 1:"):
        client.check()


def test_no_rpc(stack: Stack) -> None:
    """Nothing answers: at once, and for reading and sending alike."""
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{idle.getsockname()[1]}"
        client = ChainClient(url, stack.addresses, stack.chain.keys.coordinator.key)
        started = time.monotonic()
        for call in (client.check, client.total_burned, client.next_nonce, lambda: client.cancel(b"j" * 32)):
            with pytest.raises(ChainUnavailable, match=f"no answer from the chain at {url}"):
                call()
        assert time.monotonic() - started < 3


def test_no_contracts(stack: Stack) -> None:
    """The addresses have no code: a chain that was begun anew."""
    nowhere = Addresses(31337, *("0x" + "11" * 20,) * 3)
    client = ChainClient(stack.chain.url, nowhere)
    with pytest.raises(NotDeployed, match="deploy again"):
        client.check()
    with pytest.raises(NotDeployed, match="deploy again"):
        client.total_burned()


def test_no_key(stack: Stack) -> None:
    """A connection without a key looks and does not send; a bad key is not repeated."""
    with pytest.raises(BadSigningKey, match="can look, not send"):
        ChainClient(stack.chain.url, stack.addresses).cancel(b"j" * 32)
    with pytest.raises(BadSigningKey) as caught:
        ChainClient(stack.chain.url, stack.addresses, "0xsecret")
    assert "secret" not in str(caught.value)


def test_no_coins_for_gas(stack: Stack) -> None:
    """An account that has KILN but none of the chain's own coin."""
    account = stack.client_with(KILN)
    client = ChainClient(stack.chain.url, stack.addresses, account.key)
    with pytest.raises(NotEnoughGasMoney, match="for gas"):
        client.transfer(stack.chain.keys.treasury.address, 1)


def test_not_enough_tokens(stack: Stack) -> None:
    """The cap is more than the client owns."""
    order, signature, permit = stack.signed_order(stack.client_with(3 * KILN), 5 * KILN)
    message = refusal(lambda: stack.coordinator.open_for(order, signature, permit), "ERC20InsufficientBalance")
    assert "has 3 KILN and needs 5 KILN" in message


def test_expired_permit(stack: Stack) -> None:
    """The permit's own reason, though the escrow tolerates its failure."""
    client = stack.client_with(5 * KILN)
    order, signature, permit = stack.signed_order(client, 5 * KILN, permit_deadline=stack.coordinator.time() - 1)
    message = refusal(lambda: stack.coordinator.open_for(order, signature, permit), "ERC2612ExpiredSignature")
    assert "the permit expired at" in message
    message = refusal(lambda: stack.coordinator.open_for(order, signature), "InsufficientAllowance")
    assert "allows the escrow 0 KILN and the cap is 5 KILN: sign a new permit" in message
    assert stack.coordinator.escrow(order.job).state is JobState.NONE


def test_foreign_signature(stack: Stack) -> None:
    """An order that somebody else signed, and one signed for another chain."""
    client = stack.client_with(KILN)
    order, _, permit = stack.signed_order(client, KILN)
    elsewhere = sign(job_order_data(order, replace(stack.addresses, chain_id=1)), client)
    for signature in (sign(job_order_data(order, stack.addresses), Account.create()), elsewhere):
        message = refusal(lambda s=signature: stack.coordinator.open_for(order, s, permit), "InvalidOrderSignature")
        assert client.address in message


def test_each_state_says_what_it_is(stack: Stack) -> None:
    """Opened twice, finalized early, refunded early, cancelled late."""
    coordinator = stack.coordinator
    job, client = stack.opened()
    again = stack.signed_order(client, KILN, job=job)
    assert "opened before" in refusal(lambda: coordinator.open_for(*again), "JobExists")
    assert "another" in refusal(lambda: coordinator.refund(job), "RefundTooEarly")
    assert "is open, and this needs one that is proposed" in refusal(lambda: coordinator.finalize(job), "WrongState")
    assert "above the cap 100 KILN" in refusal(
        lambda: coordinator.propose(job, 101 * KILN, b"r" * 32, 1), "PriceAboveCap"
    )
    coordinator.propose(job, KILN, b"r" * 32, 1)
    assert "is open for another" in refusal(lambda: coordinator.finalize(job), "WindowOpen")
    assert "is proposed, and this needs one that is open" in refusal(lambda: coordinator.cancel(job), "WrongState")
    unknown = secrets.token_bytes(32)
    assert "is never opened" in refusal(lambda: coordinator.finalize(unknown), "WrongState")
    assert coordinator.settlement(job) is None


def test_role_is_missing(stack: Stack) -> None:
    """The faucet is no coordinator."""
    job, _ = stack.opened()
    assert "does not have the role" in refusal(lambda: stack.faucet.cancel(job), "AccessControlUnauthorizedAccount")


def test_refund_after_grace(stack: Stack) -> None:
    """The coordinator stayed away: anybody returns the cap, and a late proposal is refused."""
    job, client = stack.opened()
    stack.pass_time(DAY + GRACE + 60)
    assert "can only be refunded" in refusal(
        lambda: stack.coordinator.propose(job, KILN, b"r" * 32, 1), "ProposalTooLate"
    )
    stack.faucet.refund(job)
    assert stack.coordinator.balance_of(client.address) == 100 * KILN


def test_double_claim_and_wrong_epoch(stack: Stack) -> None:
    """A claim pays once; in a batch it is skipped; a root is posted once and never above 95% of what was burned."""
    coordinator = stack.coordinator
    job, _ = stack.opened()
    coordinator.propose(job, 100 * KILN, b"r" * 32, 1)
    stack.pass_time(60)
    coordinator.finalize(job)
    node = Account.create().address
    total = coordinator.active_epoch().total + 90 * KILN
    epoch = coordinator.last_epoch() + 1
    coordinator.post_root(epoch, reward_leaf(node, 90 * KILN), total)
    coordinator.claim(node, 90 * KILN, [])
    assert "has claimed all it has earned so far: 90 KILN" in refusal(
        lambda: coordinator.claim(node, 90 * KILN, []), "NothingToClaim"
    )
    coordinator.claim_many([RewardClaim(node, 90 * KILN, ())])
    assert coordinator.balance_of(node) == 90 * KILN
    assert "fetch a fresh proof" in refusal(lambda: coordinator.claim(node, 91 * KILN, []), "InvalidProof")
    assert "the next one is" in refusal(lambda: coordinator.post_root(epoch, b"r" * 32, total), "WrongEpoch")
    assert "95%" in refusal(lambda: coordinator.post_root(epoch + 1, b"r" * 32, 10**27), "TotalAboveBurned")


def test_sending_twice_and_nonces(stack: Stack) -> None:
    """The same bytes twice are one transaction; other bytes with a used nonce are told apart."""
    coordinator = stack.coordinator
    first, second = stack.opened()[0], stack.opened()[0]
    prepared = coordinator.prepare_cancel(first)
    rival = coordinator.prepare_cancel(second, nonce=prepared.nonce)
    assert coordinator.receipt(prepared.hash) is None
    assert coordinator.send(prepared.raw) == coordinator.send(prepared.raw) == prepared.hash
    coordinator.wait(prepared.hash).checked()
    with pytest.raises(NonceUsed):
        coordinator.send(rival.raw)
    with pytest.raises(TransactionPending, match="send the same bytes again"):
        coordinator.wait(rival.hash, 0.05)


def test_a_failed_transaction_says_why(stack: Stack) -> None:
    """Mined and refused: it was fine when prepared."""
    job, _ = stack.opened()
    nonce = stack.coordinator.next_nonce()
    doomed = stack.coordinator.prepare_cancel(job, nonce=nonce + 1)
    stack.coordinator.wait(stack.coordinator.send(stack.coordinator.prepare_cancel(job, nonce=nonce).raw))
    result = stack.coordinator.wait(stack.coordinator.send(doomed.raw))
    assert not result.succeeded
    assert result.error is not None
    assert result.error.name == "WrongState"
    with pytest.raises(Reverted, match="is refunded, and this needs one that is open"):
        result.checked()


def test_pause(stack: Stack) -> None:
    """Intake stops, and the sentence says so."""
    guardian = ChainClient(stack.chain.url, stack.addresses, stack.chain.keys.guardian.key)
    client = stack.client_with(KILN)
    order, signature, permit = stack.signed_order(client, KILN)
    guardian.pause()
    try:
        assert stack.coordinator.paused()
        assert "is paused" in refusal(lambda: stack.coordinator.open_for(order, signature, permit), "EnforcedPause")
    finally:
        guardian.unpause()
    stack.coordinator.open_for(order, signature, permit)


def test_own_money(stack: Stack) -> None:
    """A client with coins for gas needs no coordinator to open."""
    client = stack.client_with(KILN)
    call_rpc(stack.chain.url, "anvil_setBalance", client.address, hex(10**18))
    own = ChainClient(stack.chain.url, stack.addresses, client.key)
    own.approve(KILN)
    assert own.allowance(client.address) == KILN
    job = secrets.token_bytes(32)
    own.open(job, KILN, own.time() + DAY)
    assert own.escrow(job).client == client.address


def test_genesis_is_for_local_chains(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No faucet where the chain does not say that it is anvil."""
    monkeypatch.setattr("web3.eth.Eth.client_version", "geth", raising=False)
    monkeypatch.setattr("web3.main.Web3.client_version", "geth/v1")
    keys = stack.chain.keys
    params = DeployParams(faucet=keys.faucet.address)
    with pytest.raises(ChainError, match="is no local chain"):
        deploy(stack.chain.url, keys.deployer.key, *(keys.coordinator.address,) * 3, params)


def test_only_the_distributor_mints(stack: Stack) -> None:
    """Once deployed, the deployer cannot."""
    token = stack.coordinator.web3.eth.contract(address=stack.addresses.token, abi=abi("KilnToken"))
    role = token.functions.MINTER_ROLE().call()
    assert token.functions.hasRole(role, stack.addresses.distributor).call()
    assert not token.functions.hasRole(role, stack.chain.keys.deployer.address).call()


def test_addresses_file(tmp_path: Path, stack: Stack) -> None:
    """Round trip; what is missing or damaged is said."""
    file = tmp_path / "addresses.json"
    with pytest.raises(NotDeployed, match="deploy first"):
        Addresses.load(file)
    stack.addresses.save(file)
    assert Addresses.load(file) == stack.addresses
    file.write_text("{}")
    with pytest.raises(NotDeployed, match="deploy again"):
        Addresses.load(file)
