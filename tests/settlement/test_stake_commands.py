"""`kilnet stake`: others stake with an operator, share its rewards and slashes in proportion, and leave again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from contracts.client import ChainClient
from contracts.deploy import KILN
from contracts.typed_data import Commitment, commitment_data, reward_leaf, sign
from coordinator.cli.endings import Ending
from tests.contracts.conftest import UNBONDING, WINDOW, Stack
from tests.contracts.test_stakes import account, address, operator
from tests.settlement.conftest import Program

pytestmark = pytest.mark.chain
Run = Callable[..., tuple[Ending, dict[str, Any]]]


@pytest.fixture
def stake(stack: Stack, program: Program) -> Run:
    """`kilnet stake ... --json` with the key of `who`: how it ended, and its object."""

    def run(who: ChainClient, *arguments: object, yes: bool = True) -> tuple[Ending, dict[str, Any]]:
        account = who.transactions.account
        assert account is not None
        key = "0x" + bytes(account.key).hex()
        at = ["--escrow", stack.addresses.escrow, "--key", key]
        return program("stake", *arguments, *at, *(["--yes"] if yes else []))

    return run


def reward(stack: Stack, who: str, kiln: int) -> None:
    """So much is earned by an operator, and claimed for it."""
    job, _ = stack.opened()
    stack.coordinator.propose(job, 100 * KILN, b"r" * 32, 1)
    stack.pass_time(WINDOW)
    stack.coordinator.finalize(job)
    total = stack.coordinator.active_epoch().total + kiln
    stack.coordinator.post_root(stack.coordinator.last_epoch() + 1, reward_leaf(who, kiln), total)
    stack.faucet.claim(who, kiln, [])


def test_from_the_terms_to_the_withdrawal(stack: Stack, stake: Run) -> None:
    """100 of the operator, 50 of another: a reward and a slash fall on both as 2 to 1, after the commission."""
    boss, node = operator(stack)
    me, friend = address(boss), account(stack, 60 * KILN)
    ending, _ = stake(friend, "add", me, 50)
    assert ending.code == 2 and "takes no stake of others" in ending.line, ending
    ending, _ = stake(boss, "terms", "--commission", 10)
    assert ending.code == 0, ending
    ending, _ = stake(friend, "add", me, 50, yes=False)
    assert ending.code == 2 and "add --yes" in ending.line and friend.balance_of(address(friend)) == 60 * KILN
    ending, said = stake(friend, "add", me, 50)
    assert (ending.code, said.get("staked")) == (0, str(50 * KILN)), ending
    assert friend.allowance(address(friend), stack.addresses.registry) == 0, "by a permit, which is used up"
    reward(stack, me, 30 * KILN)
    assert boss.balance_of(me) == 3 * KILN, "the commission"
    _, said = stake(friend, "show", me, yes=False)
    assert 0 <= 59 * KILN - int(said["yours"]["staked"]) <= 1 and 0 <= 177 * KILN - int(said["staked"]) <= 1, said
    lease = secrets.token_bytes(32)
    made = [Commitment(lease, 1, bytes([number]) * 32, 64) for number in (1, 2)]
    one, two = (sign(commitment_data(each, stack.addresses), node) for each in made)
    account(stack, 0).prove_equivocation(made[0], one, made[1], two)
    _, said = stake(friend, "show", me, yes=False)
    assert abs(int(said["yours"]["staked"]) - 59 * KILN // 2) <= 2, said
    (slash,) = said["slashes"]
    assert slash["why"] == f"node {node.address} signed two results for one lease"
    ending, said = stake(friend, "unbond", me, "all")
    assert ending.code == 0 and said["staked"] == "0" and abs(int(said["unbonding"]) - 59 * KILN // 2) <= 2, said
    ending, _ = stake(friend, "withdraw", me)
    assert ending.code == 2 and "can be withdrawn in" in ending.line, ending
    stack.pass_time(UNBONDING + 1)
    ending, _ = stake(friend, "withdraw", me)
    assert ending.code == 0 and abs(friend.balance_of(address(friend)) - 10 * KILN - 59 * KILN // 2) <= 2


def test_a_node_is_retired(stack: Stack, stake: Run) -> None:
    """Only by its operator, after the unbonding period, in which the operator still answers for it; and once."""
    boss, node = operator(stack)
    other, _ = operator(stack)
    ending, _ = stake(other, "retire", node.address)
    assert ending.code == 2 and "does not answer for node" in ending.line, ending
    ending, _ = stake(boss, "retire", node.address, yes=False)
    assert ending.code == 2 and "add --yes" in ending.line, ending
    ending, said = stake(boss, "retire", node.address)
    assert ending.code == 0 and said["transaction"].startswith("0x"), ending
    assert boss.answers_for(node.address) == address(boss)
    ending, _ = stake(boss, "retire", node.address)
    assert ending.code == 2 and "does not answer for node" in ending.line, ending
    stack.pass_time(UNBONDING + 1)
    assert boss.answers_for(node.address) is None
    ending, _ = stake(boss, "retire", "node")
    assert ending.code == 2 and "is no address" in ending.line, ending


def test_what_is_wrong_is_one_line(stack: Stack, stake: Run) -> None:
    boss, _ = operator(stack)
    me, poor = address(boss), account(stack, KILN)
    stake(boss, "terms", "--commission", 10)
    nobody = address(poor)
    for who, arguments, told in (
        (poor, ("add", me, 5), "holds 1.000000 KILN and 5.000000 are to be staked"),
        (poor, ("add", me, "much"), "write a number of KILN above 0"),
        (poor, ("add", "me", 1), "is no address"),
        (poor, ("add", nobody, 1), "is no operator"),
        (poor, ("unbond", me, 1), "are asked for"),
        (poor, ("withdraw", me), "unbond first"),
        (poor, ("terms", "--commission", 1), "is no operator"),
        (boss, ("terms", "--commission", 101), "--commission"),
    ):
        ending, _ = stake(who, *arguments)
        assert ending.code == 2 and told in ending.line, (told, ending)
    assert poor.balance_of(nobody) == KILN
