"""`kilnet settle`: a client's money comes back by a command of its own, whatever became of the coordinator."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account as Key

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient, JobState
from contracts.deploy import KILN
from jobs.typed_data import chain_job_id
from tests.contracts.conftest import DAY, GRACE, WINDOW, Stack
from tests.contracts.test_stakes import account
from tests.settlement.conftest import Program

pytestmark = pytest.mark.chain
Settle = Callable[..., tuple[int, str, dict[str, Any]]]


@pytest.fixture
def settle(stack: Stack, program: Program) -> Settle:
    """The command with a key that has coins for gas and nothing else: its exit code, its line and its object."""
    somebody = Key.create()
    call_rpc(stack.chain.url, "anvil_setBalance", somebody.address, hex(10**18))

    def run(job: str, *, yes: bool = True) -> tuple[int, str, dict[str, Any]]:
        at = ("--escrow", stack.addresses.escrow, "--key", "0x" + bytes(somebody.key).hex())
        ending, told = program("settle", job, *at, *(["--yes"] if yes else []))
        return ending.code, ending.line, told

    return run


def opened(stack: Stack) -> tuple[str, str]:
    """A job with 100 KILN in escrow, and its client."""
    job, client = "j" + secrets.token_hex(6), stack.client_with(100 * KILN)
    stack.coordinator.open_for(*stack.signed_order(client, 100 * KILN, job=chain_job_id(job)))
    return job, client.address


def test_all_of_it_comes_back_where_the_coordinator_vanished(stack: Stack, settle: Settle) -> None:
    """Not before deadline and grace; then by anybody, once, while the intake is paused."""
    job, client = opened(stack)
    code, said, _ = settle(job)
    assert code == 2 and "the coordinator has another" in said and "refund after that" in said, said
    guardian = ChainClient(stack.chain.url, stack.addresses, stack.chain.keys.guardian.key)
    stack.pass_time(DAY + GRACE + 60)
    guardian.pause()
    try:
        code, said, _ = settle(job, yes=False)
        assert code == 2 and "add --yes" in said and stack.coordinator.balance_of(client) == 0
        code, said, told = settle(job)
    finally:
        guardian.unpause()
    assert code == 0, said
    assert (told["state"], told["refund"]) == ("refunded", str(100 * KILN))
    assert stack.coordinator.balance_of(client) == 100 * KILN
    code, said, _ = settle(job)
    assert code == 2 and "is refunded already" in said and stack.coordinator.balance_of(client) == 100 * KILN


def test_what_was_proposed_is_paid_and_the_rest_returns(stack: Stack, settle: Settle) -> None:
    """Not while it can be challenged, nor while auditors decide."""
    job, client = opened(stack)
    stack.coordinator.propose(chain_job_id(job), 40 * KILN, b"r" * 32, 1)
    code, said, _ = settle(job)
    assert code == 2 and "the challenge window is open for another" in said, said
    rich = account(stack, KILN)
    rich.approve(KILN, stack.addresses.disputes)
    number = rich.challenge(chain_job_id(job), None, bytes(32))
    code, said, _ = settle(job)
    assert code == 2 and f"challenge {number} first" in said, said
    stack.pass_time(3 * DAY)
    rich.lapse(number)
    stack.pass_time(WINDOW)
    code, said, told = settle(job)
    assert code == 0 and told["refund"] == str(60 * KILN), said
    assert stack.coordinator.escrow(chain_job_id(job)).state is JobState.FINALIZED
    assert stack.coordinator.balance_of(client) == 60 * KILN
    assert "is finalized already" in settle(job)[1]


def test_a_job_that_is_none(settle: Settle) -> None:
    code, said, _ = settle("jnever")
    assert code == 2 and "there is no escrow of it" in said, said
