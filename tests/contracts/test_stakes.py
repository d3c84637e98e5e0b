"""Operators, co-stakers, proofs, challenges and prices over a real chain, and one clear line for each refusal."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from contracts.addresses import Addresses
from contracts.artifacts import abi, errors_abi
from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient, JobState
from contracts.deploy import KILN, DeployParams, deploy
from contracts.disputes import Outcome, ProvenReceipt, Sibling, SumClaim
from contracts.errors import NotDeployed, Reverted
from contracts.sentences import SENTENCES
from contracts.stakes import ALL
from contracts.typed_data import (
    Commitment,
    Receipt,
    commitment_data,
    node_key_data,
    receipt_data,
    receipt_leaf,
    reward_leaf,
    ruling_data,
    sign,
    sign_permit,
)

from .conftest import DAY, RULING, UNBONDING, WINDOW, Stack

pytestmark = pytest.mark.chain


def refusal(call: Callable[[], object], name: str) -> str:
    """The one line with which a contract's refusal is told."""
    with pytest.raises(Reverted) as caught:
        call()
    assert caught.value.name == name
    assert "\n" not in str(caught.value)
    return str(caught.value)


def account(stack: Stack, kiln: int) -> ChainClient:
    """A fresh account with KILN and coins for gas."""
    owner = stack.client_with(kiln)
    call_rpc(stack.chain.url, "anvil_setBalance", owner.address, hex(10**19))
    return ChainClient(stack.chain.url, stack.addresses, owner.key)


def address(client: ChainClient) -> str:
    return client.transactions.address


def operator(stack: Stack, own: int = 100 * KILN) -> tuple[ChainClient, LocalAccount]:
    """An operator with a node and stake of its own."""
    client, node = account(stack, own), Account.create()
    client.register(1_000)
    client.add_node(node.address, sign(node_key_data(node.address, address(client), stack.addresses), node))
    client.approve(own, stack.addresses.registry)
    client.stake(own)
    return client, node


def proposed(
    stack: Stack,
    job: bytes,
    prices: list[int],
    *,
    tiles: tuple[int, int] = (0, 1),
    price: int | None = None,
    signer: LocalAccount | None = None,
) -> list[ProvenReceipt]:
    """Proposes two receipts for a job and returns them with their paths."""  # fmt: skip
    keys = stack.chain.keys
    receipts = [
        Receipt(job, tile, 1, keys.treasury.address, bytes(32), price_)
        for tile, price_ in zip(tiles, prices, strict=True)
    ]
    signed = [
        sign(receipt_data(receipts[0], stack.addresses), signer or keys.signer),
        sign(receipt_data(receipts[1], stack.addresses), keys.signer),
    ]
    leaves = [receipt_leaf(one, signature) for one, signature in zip(receipts, signed, strict=True)]
    words = sorted(zip(leaves, prices, strict=True))
    root = keccak(b"".join(leaf + amount.to_bytes(32, "big") for leaf, amount in words))
    stack.coordinator.propose(job, sum(prices) if price is None else price, root, 2)
    return [ProvenReceipt(receipts[i], signed[i], (Sibling(leaves[1 - i], prices[1 - i]),)) for i in range(2)]


def test_stake_by_permit_unbond_and_withdraw(stack: Stack) -> None:
    """An operator's whole way, and what it is told on the way."""
    client = account(stack, 10 * KILN)
    me, owner = address(client), client.transactions.account
    assert owner is not None
    assert "register first" in refusal(lambda: client.stake(KILN), "NotRegistered")
    client.register(250)
    assert "already" in refusal(client.register, "AlreadyRegistered")
    permit = sign_permit(
        owner, value=10 * KILN, nonce=client.permit_nonce(me), deadline=client.time() + DAY,
        addresses=stack.addresses, spender=stack.addresses.registry,
    )  # fmt: skip
    client.stake(10 * KILN, permit=permit)
    assert client.stake_of(me).active == 10 * KILN
    assert client.operator(me).commission_bps == 250
    assert "have" not in refusal(lambda: client.unbond(11 * KILN), "StakeTooSmall")
    assert "unbond first" in refusal(client.withdraw, "NothingUnbonding")
    client.unbond(ALL)
    assert "it can be withdrawn in" in refusal(client.withdraw, "StillUnbonding")
    assert client.stake_of(me).unbonding == 10 * KILN
    stack.pass_time(client.unbonding_period())
    client.withdraw()
    assert client.balance_of(me) == 10 * KILN


def test_an_award_locks_until_the_end(stack: Stack) -> None:
    """Own stake alone, released by anybody when the job is over."""
    client, _ = operator(stack)
    me = address(client)
    job, _ = stack.opened()
    stack.coordinator.award(job, [me], 60 * KILN)
    assert client.lock_of(job, me) == client.operator(me).locked == 60 * KILN
    assert "locked for open jobs" in refusal(lambda: client.unbond(ALL), "StakeLocked")
    assert "is not over" in refusal(lambda: client.release(job, [me]), "JobNotFinal")
    other, _ = stack.opened()
    assert "asked for" in refusal(lambda: stack.coordinator.award(other, [me], 50 * KILN), "StakeTooSmall")
    stack.coordinator.cancel(job)
    stack.faucet.release(job, [me])
    client.unbond(ALL)


def test_equivocation_is_slashed(stack: Stack) -> None:
    """Two roots for one token cost half; co-stakers lose pro rata; evidence that is none is told so."""
    client, node = operator(stack)
    me = address(client)
    client.set_terms(True, 1_000)
    friend = account(stack, 50 * KILN)
    friend.approve(50 * KILN, stack.addresses.registry)
    friend.stake(50 * KILN, me)
    lease = secrets.token_bytes(32)
    made = [Commitment(lease, 1, bytes([i]) * 32, 64) for i in range(2)]
    signed = [sign(commitment_data(one, stack.addresses), node) for one in made]
    finder = account(stack, 0)
    same = lambda: finder.prove_equivocation(made[0], signed[0], made[0], signed[0])  # noqa: E731
    assert "no evidence" in refusal(same, "NoEquivocation")
    finder.prove_equivocation(made[0], signed[0], made[1], signed[1])
    assert client.stake_of(me).active == 50 * KILN
    assert client.stake_of(me, address(friend)).active == 25 * KILN
    assert finder.balance_of(address(finder)) == 15 * KILN
    again = lambda: finder.prove_equivocation(made[1], signed[1], made[0], signed[0])  # noqa: E731
    assert "shown before" in refusal(again, "AlreadyProven")
    stranger = Account.create()
    others = [sign(commitment_data(one, stack.addresses), stranger) for one in made]
    unknown = lambda: finder.prove_equivocation(made[0], others[0], made[1], others[1])  # noqa: E731
    assert "nobody can be slashed" in refusal(unknown, "UnknownNode")
    assert client.answers_for(node.address) == me and client.answers_for(stranger.address) is None


def test_faults_void_the_proposal(stack: Stack) -> None:
    """Each fault is shown once, and a right proposal can follow."""
    coordinator = stack.coordinator
    finder = account(stack, 0)
    job, _ = stack.opened()
    unsigned, fine = proposed(stack, job, [5 * KILN, 6 * KILN], signer=Account.create())
    assert "as it should be" in refusal(lambda: finder.prove_invalid_receipt(job, fine), "NoFault")
    finder.prove_invalid_receipt(job, unsigned)
    assert coordinator.escrow(job).state is JobState.OPEN and coordinator.escrow(job).voided == 1
    assert "fetch a fresh path" in refusal(lambda: finder.prove_invalid_receipt(job, unsigned), "NotUnderRoot")
    twice = proposed(stack, job, [5 * KILN, 6 * KILN], tiles=(3, 3))
    finder.prove_duplicate_tile(job, *twice)
    right = proposed(stack, job, [5 * KILN, 6 * KILN])
    stack.pass_time(WINDOW)
    assert coordinator.verify_receipt(right[0].receipt, right[0].signature, right[0].path)
    assert coordinator.finalize(job).burned == 11 * KILN * 95 // 100


def test_a_wrong_sum_and_too_many_faults(stack: Stack) -> None:
    """After three voidings the client gets everything back at once."""
    finder = account(stack, 0)
    job, client = stack.opened()
    for _ in range(3):
        leaf, _ = proposed(stack, job, [5 * KILN, 6 * KILN], price=12 * KILN)
        finder.prove_wrong_sum(job, leaf.receipt, leaf.signature, [SumClaim(5 * KILN, leaf.path[0])])
    late = lambda: stack.coordinator.propose(job, 1, b"r" * 32, 1)  # noqa: E731
    assert "can only be refunded" in refusal(late, "TooManyVoided")
    finder.refund(job)
    assert finder.balance_of(client.address) == 100 * KILN


def test_a_challenge_is_ruled(stack: Stack) -> None:
    """Bonded, decided by the auditor's signature; dismissed it burns the bond, undecided it lapses."""
    auditor = stack.chain.keys.auditor
    client, _ = operator(stack)
    me = address(client)
    challenger = account(stack, 10 * KILN)
    challenger.approve(10 * KILN, stack.addresses.disputes)
    assert challenger.bond() == KILN and challenger.is_auditor(auditor.address)
    assert "names a job" in refusal(lambda: challenger.challenge(None, None, bytes(32)), "NothingChallenged")
    job, _ = stack.opened()
    proposed(stack, job, [KILN, KILN])
    number = challenger.challenge(job, me, keccak(text="evidence"))
    kept = challenger.challenge_of(number)
    assert (kept.outcome, kept.operator, kept.job, kept.bond) == (Outcome.OPEN, me, job, KILN)
    assert challenger.open_challenge(job) == number
    stack.pass_time(WINDOW)
    assert "is disputed" in refusal(lambda: challenger.finalize(job), "WrongState")
    assert "another" in refusal(lambda: challenger.lapse(number), "RulingPending")
    foreign = sign(ruling_data(number, True, 1_000, stack.addresses), Account.create())
    assert "no auditor" in refusal(lambda: challenger.rule(number, True, 1_000, [foreign]), "InvalidAuditorSignature")
    assert "it takes 1" in refusal(lambda: challenger.rule(number, True, 1_000, []), "TooFewSignatures")
    challenger.rule(number, True, 1_000, [sign(ruling_data(number, True, 1_000, stack.addresses), auditor)])
    assert challenger.escrow(job).state is JobState.OPEN
    assert client.stake_of(me).active == 90 * KILN
    assert challenger.balance_of(address(challenger)) == 12 * KILN
    proposed(stack, job, [KILN, KILN])
    number = challenger.challenge(job, None, bytes(32))
    challenger.rule(number, False, 0, [sign(ruling_data(number, False, 0, stack.addresses), auditor)])
    assert challenger.challenge_of(number).outcome is Outcome.DISMISSED
    assert "before" in refusal(lambda: challenger.challenge(job, None, bytes(32)), "AlreadyChallenged")
    number = challenger.challenge(None, me, bytes(32))
    stack.pass_time(RULING + 1)
    challenger.lapse(number)
    assert challenger.challenge_of(number).outcome is Outcome.LAPSED
    challenger.finalize(job)


def test_rewards_of_an_open_operator_are_shared(stack: Stack) -> None:
    """A claim pays the commission to the operator and the rest into the pool."""
    client, _ = operator(stack)
    me = address(client)
    client.set_terms(True, 1_000)
    job, _ = stack.opened()
    stack.coordinator.propose(job, 100 * KILN, b"r" * 32, 1)
    stack.pass_time(WINDOW)
    stack.coordinator.finalize(job)
    total = stack.coordinator.active_epoch().total + 50 * KILN
    stack.coordinator.post_root(stack.coordinator.last_epoch() + 1, reward_leaf(me, 50 * KILN), total)
    stack.faucet.claim(me, 50 * KILN, [])
    assert client.balance_of(me) == 5 * KILN
    assert 145 * KILN - client.stake_of(me).active <= 1


def test_prices_are_bounded_and_go_stale(stack: Stack) -> None:
    """Moves by a limited share, not too often, and is refused when old."""
    reporter = stack.coordinator
    stack.pass_time(300)
    reporter.report_price(KILN // 10 * 11 // 10)
    assert reporter.price() == KILN * 11 // 100
    assert "can be reported in" in refusal(lambda: reporter.report_price(KILN // 10), "ReportTooSoon")
    stack.pass_time(300)
    assert "at once" in refusal(lambda: reporter.report_price(KILN), "PriceJumped")
    assert "role" in refusal(lambda: stack.faucet.report_price(KILN // 10), "AccessControlUnauthorizedAccount")


def test_a_stale_price_is_refused(stack: Stack, tmp_path: Path) -> None:
    """In a deployment whose prices grow old."""
    keys = stack.chain.keys
    params = DeployParams(price_max_age=60, unbonding_period=UNBONDING, ruling_period=RULING)
    addresses = deploy(
        stack.chain.url, keys.deployer.key, keys.coordinator.address, keys.treasury.address, keys.signer.address, params
    )
    reader = ChainClient(stack.chain.url, addresses)
    assert reader.price() == KILN // 10
    stack.pass_time(61)
    assert "wait for a fresh report" in refusal(reader.price, "StalePrice")


def test_the_deployment_is_wired(stack: Stack) -> None:
    """Registry, escrow, disputes and distributor know each other, and nobody has a role in the registry."""
    web3, addresses = stack.coordinator.web3, stack.addresses

    def read(name: str, at: str, field: str) -> str:
        return str(web3.eth.contract(address=web3.to_checksum_address(at), abi=abi(name)).functions[field]().call())

    assert read("NodeRegistry", addresses.registry, "escrow") == addresses.escrow
    assert read("NodeRegistry", addresses.registry, "disputes") == addresses.disputes
    assert read("NodeRegistry", addresses.registry, "distributor") == addresses.distributor
    assert read("JobEscrow", addresses.escrow, "registry") == addresses.registry
    assert read("JobEscrow", addresses.escrow, "disputes") == addresses.disputes
    assert read("RewardDistributor", addresses.distributor, "registry") == addresses.registry
    assert read("Disputes", addresses.disputes, "registry") == addresses.registry
    assert not any("role" in str(entry.get("name", "")).lower() for entry in abi("NodeRegistry"))


def test_an_unknown_address_is_said(stack: Stack) -> None:
    """Whoever was told only of the escrow can follow jobs, and hears what is missing for more."""
    known = stack.addresses
    few = ChainClient(stack.chain.url, Addresses(known.chain_id, known.token, known.escrow, known.distributor))
    few.check()
    with pytest.raises(NotDeployed, match="NodeRegistry is not known here"):
        few.operator(known.token)


def test_every_error_of_ours_has_its_sentence() -> None:
    """No error of the contracts reaches people as a bare name, but those that a deployment alone can meet."""
    ours = {entry["name"] for entry in errors_abi()}
    libraries = {name for name in ours if name.startswith(("ERC", "ECDSA", "AccessControl", "SafeERC20", "SafeCast"))}
    deployment = {"ZeroAddress", "FeeTooHigh", "CapTooLarge", "NoUnbondingPeriod", "UnbondingTooShort",
                  "InvalidBounds", "VetoWindowTooLong"}  # fmt: skip
    rest = {"ExpectedPause", "ReentrancyGuardReentrantCall", "InvalidShortString", "StringTooLong", "EmptyRoot",
            "NothingToVeto", "InvalidAccountNonce"}  # fmt: skip
    assert ours - libraries - deployment - rest <= set(SENTENCES)
