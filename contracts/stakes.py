"""Operators, their nodes and stake, typed: ``NodeRegistry`` and ``PriceOracle`` from Python.

Units are those of ``contracts.reader``. Errors are those of ``contracts.client``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.connection import Connection, Sender
from contracts.transactions import PreparedTx, TxResult
from contracts.typed_data import Permit

__all__ = ["ALL", "OperatorState", "OracleState", "Stake", "StakeActions", "StakeViews"]

ALL = 2**256 - 1
"""The amount that unbonds all there is."""


@dataclass(frozen=True)
class OperatorState:
    """All that the registry keeps of an operator."""

    registered: bool
    open: bool
    """Whether others may stake with it."""
    pooled: bool
    """Whether its rewards are shared with co-stakers: from the first opening on."""
    commission_bps: int
    locked: int
    """Own stake that is locked for open jobs."""
    active: int
    """All that is staked with it."""
    unbonding: int
    """All that is leaving."""


@dataclass(frozen=True)
class Stake:
    """What somebody has with an operator."""

    active: int
    unbonding: int
    ready_at: int
    """When what is leaving may be withdrawn; 0 if nothing ever was."""


@dataclass(frozen=True)
class OracleState:
    """The last price that was reported, however old."""

    price: int
    """USD per KILN with 18 decimals."""
    reported_at: int
    max_age: int
    """Seconds after which it is too old to be used; 0: never."""


class StakeViews(Connection):
    """What stands in the registry and the oracle."""

    def operator(self, account: str) -> OperatorState:
        """What is kept of an operator; ``registered`` is false for anybody else."""
        registered, is_open, pooled, commission, locked, active, unbonding = self._call(
            self._registry, "operatorOf", account
        )
        return OperatorState(registered, is_open, pooled, commission, locked, active[0], unbonding[0])

    def answers_for(self, node: str) -> str | None:
        """The operator that answers for a node's key now."""
        found = str(self._call(self._registry, "answersFor", node))
        return found if int(found, 16) else None

    def stake_of(self, operator: str, staker: str | None = None) -> Stake:
        """What ``staker`` (the operator itself if None) has with an operator."""
        return Stake(*self._call(self._registry, "stakeOf", operator, staker or operator))

    def lock_of(self, job: bytes, operator: str) -> int:
        """What an operator has locked for a job."""
        return int(self._call(self._registry, "lockOf", job, operator))

    def unbonding_period(self) -> int:
        """Seconds between unbonding and withdrawing."""
        return int(self._call(self._registry, "unbondingPeriod"))

    def price(self) -> int:
        """USD per KILN with 18 decimals. Raises Reverted (``StalePrice``) if the last report is too old."""
        return int(self._call(self._oracle, "price"))

    def oracle(self) -> OracleState:
        """The last price with its age and bounds, stale or not."""
        _, _, _, _, max_age = self._call(self._oracle, "bounds")
        return OracleState(
            int(self._call(self._oracle, "lastPrice")), int(self._call(self._oracle, "reportedAt")), int(max_age)
        )


class StakeActions(StakeViews, Sender):
    """What operators, co-stakers and the price's reporter send."""

    def prepare_register(self, commission_bps: int = 0, **options: int) -> PreparedTx:
        """Makes this account an operator; the commission is in 1/10000."""
        return self._prepare(self._registry, "register", (commission_bps,), options)

    def register(self, commission_bps: int = 0) -> TxResult:
        """Makes this account an operator; the commission is in 1/10000."""
        return self._run(self.prepare_register(commission_bps))

    def prepare_set_terms(self, is_open: bool, commission_bps: int, **options: int) -> PreparedTx:
        """Opens this operator to stake of others (its rewards are shared from then on), or closes it to more."""
        return self._prepare(self._registry, "setTerms", (is_open, commission_bps), options)

    def set_terms(self, is_open: bool, commission_bps: int) -> TxResult:
        """Opens this operator to stake of others (its rewards are shared from then on), or closes it to more."""
        return self._run(self.prepare_set_terms(is_open, commission_bps))

    def add_node(self, node: str, signature: bytes) -> TxResult:
        """Makes this account answer for a node, whose key signed ``node_key_data``."""
        return self._run(self._prepare(self._registry, "addNode", (node, signature), {}))

    def prepare_retire_node(self, node: str, **options: int) -> PreparedTx:
        """Ends that, ``unbonding_period()`` from now."""
        return self._prepare(self._registry, "retireNode", (node,), options)

    def retire_node(self, node: str) -> TxResult:
        """Ends that, ``unbonding_period()`` from now."""
        return self._run(self.prepare_retire_node(node))

    def prepare_stake(
        self, amount: int, operator: str | None = None, permit: Permit | None = None, **options: int
    ) -> PreparedTx:
        """Stakes with an operator (this account if None), by a permit for the registry or after ``approve``."""
        target = operator or self._me()
        if permit is None:
            return self._prepare(self._registry, "stake", (target, amount), options)
        arguments = (target, amount, permit.deadline, permit.v, permit.r, permit.s)
        return self._prepare(self._registry, "stakeWithPermit", arguments, options)

    def stake(self, amount: int, operator: str | None = None, permit: Permit | None = None) -> TxResult:
        """Stakes with an operator (this account if None), by a permit for the registry or after ``approve``."""
        return self._run(self.prepare_stake(amount, operator, permit))

    def prepare_unbond(self, amount: int, operator: str | None = None, **options: int) -> PreparedTx:
        """Begins to leave with an amount, or with ``ALL``."""
        return self._prepare(self._registry, "unbond", (operator or self._me(), amount), options)

    def unbond(self, amount: int, operator: str | None = None) -> TxResult:
        """Begins to leave with an amount, or with ``ALL``."""
        return self._run(self.prepare_unbond(amount, operator))

    def prepare_withdraw(self, operator: str | None = None, **options: int) -> PreparedTx:
        """Takes what has been leaving for long enough."""
        return self._prepare(self._registry, "withdraw", (operator or self._me(),), options)

    def withdraw(self, operator: str | None = None) -> TxResult:
        """Takes what has been leaving for long enough."""
        return self._run(self.prepare_withdraw(operator))

    def prepare_release(self, job: bytes, operators: Sequence[str], **options: int) -> PreparedTx:
        """Ends the locks of a job that is finalized or refunded; anybody may."""
        return self._prepare(self._registry, "release", (job, list(operators)), options)

    def release(self, job: bytes, operators: Sequence[str]) -> TxResult:
        """Ends the locks of a job that is finalized or refunded; anybody may."""
        return self._run(self.prepare_release(job, operators))

    def prepare_report_price(self, usd_per_kiln: int, **options: int) -> PreparedTx:
        """Reports USD per KILN with 18 decimals (the reporter's)."""
        return self._prepare(self._oracle, "report", (usd_per_kiln,), options)

    def report_price(self, usd_per_kiln: int) -> TxResult:
        """Reports USD per KILN with 18 decimals (the reporter's)."""
        return self._run(self.prepare_report_price(usd_per_kiln))

    def _me(self) -> str:
        return self.transactions.address
