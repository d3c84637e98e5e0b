"""Everything that the rest of kilnet does on chain, typed.

Units are those of ``contracts.reader``. Whatever changes the chain exists twice: ``prepare_x`` returns a signed
transaction that can be kept before it is sent (``send``, ``wait``); ``x`` does all of it and returns when it is mined.

Beyond what reading raises: Reverted with the contract's custom error, already when preparing; NotEnoughGasMoney;
NonceUsed; BadSigningKey; TransactionPending.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.bonds import BondActions
from contracts.disputes import DisputeActions
from contracts.errors import ChainError, Reverted
from contracts.reader import (
    ChainReader,
    EscrowState,
    EscrowTerms,
    JobState,
    RewardEpoch,
    SettlementAmounts,
)
from contracts.reverts import translated
from contracts.stakes import StakeActions
from contracts.transactions import PreparedTx, TxResult
from contracts.typed_data import JobOrder, Permit

__all__ = [
    "ChainClient",
    "EscrowState",
    "EscrowTerms",
    "JobState",
    "PreparedTx",
    "RewardClaim",
    "RewardEpoch",
    "SettlementAmounts",
    "TxResult",
]


@dataclass(frozen=True)
class RewardClaim:
    """What an account has ever earned, with the proof that the active root says so."""

    account: str
    cumulative: int
    proof: tuple[bytes, ...]


class ChainClient(StakeActions, DisputeActions, BondActions, ChainReader):
    """One account at one deployment: reading, and all that can be sent."""

    def prepare_open_for(
        self, order: JobOrder, signature: bytes, permit: Permit | None = None, **options: int
    ) -> PreparedTx:
        """Opens an escrow by a client's signed order. If it is the permit that fails, its own reason is raised.

        Args (of every ``prepare_x``):
            options: ``nonce`` and ``gas_limit``; with a limit the call is not tried on the present state first.
        """
        permit = permit or Permit.none()
        arguments = (
            (order.job, order.client, order.cap, order.deadline),
            signature,
            (permit.value, permit.deadline, permit.v, permit.r, permit.s),
        )
        try:
            return self._prepare(self._escrow, "openFor", arguments, options)
        except Reverted as error:
            if error.name == "InsufficientAllowance" and permit.deadline:
                self._try_permit(order.client, permit)
            raise

    def open_for(self, order: JobOrder, signature: bytes, permit: Permit | None = None) -> TxResult:
        """Opens an escrow by a client's signed order and permit; this account pays the gas."""
        return self._run(self.prepare_open_for(order, signature, permit))

    def prepare_open(self, job: bytes, cap: int, deadline: int, **options: int) -> PreparedTx:
        """Opens an escrow of this account's own money; needs ``approve`` first."""
        return self._prepare(self._escrow, "open", (job, cap, deadline), options)

    def open(self, job: bytes, cap: int, deadline: int) -> TxResult:
        """Opens an escrow of this account's own money; needs ``approve`` first."""
        return self._run(self.prepare_open(job, cap, deadline))

    def prepare_award(self, job: bytes, operators: Sequence[str], stake: int, **options: int) -> PreparedTx:
        """Gives an open job to operators and locks ``stake`` of each until it is final (the coordinator's)."""
        return self._prepare(self._escrow, "award", (job, list(operators), stake), options)

    def award(self, job: bytes, operators: Sequence[str], stake: int) -> TxResult:
        """Gives an open job to operators and locks ``stake`` of each until it is final (the coordinator's)."""
        return self._run(self.prepare_award(job, operators, stake))

    def prepare_propose(
        self, job: bytes, price: int, receipt_root: bytes, receipt_count: int, **options: int
    ) -> PreparedTx:
        """Proposes a job's price, the sum of the receipts under ``receipt_root`` (32 zero bytes for none)."""
        return self._prepare(self._escrow, "propose", (job, price, receipt_root, receipt_count), options)

    def propose(self, job: bytes, price: int, receipt_root: bytes, receipt_count: int) -> TxResult:
        """Proposes a job's price, the sum of the receipts under ``receipt_root`` (32 zero bytes for none)."""
        return self._run(self.prepare_propose(job, price, receipt_root, receipt_count))

    def prepare_finalize(self, job: bytes, **options: int) -> PreparedTx:
        """Pays a proposed job after its challenge window."""
        return self._prepare(self._escrow, "finalize", (job,), options)

    def finalize(self, job: bytes) -> SettlementAmounts:
        """Pays a proposed job after its challenge window and returns what went where."""
        result = self._run(self.prepare_finalize(job))
        return self.settlement_of(result, job)

    def settlement_of(self, result: TxResult, job: bytes) -> SettlementAmounts:
        """The amounts in a mined ``finalize``. Raises ChainError if the transaction did not finalize this job."""
        amounts = SettlementAmounts.from_logs(result.checked().logs, job=job, escrow=self.addresses.escrow)
        if amounts is None:
            raise ChainError(f"transaction {result.hash} did not finalize job 0x{job.hex()}")
        return amounts

    def prepare_cancel(self, job: bytes, **options: int) -> PreparedTx:
        """Gives an open job up: all of the cap returns to the client."""
        return self._prepare(self._escrow, "cancel", (job,), options)

    def cancel(self, job: bytes) -> TxResult:
        """Gives an open job up: all of the cap returns to the client."""
        return self._run(self.prepare_cancel(job))

    def prepare_refund(self, job: bytes, **options: int) -> PreparedTx:
        """Returns the cap of a job for which nothing was proposed until deadline + grace."""
        return self._prepare(self._escrow, "refund", (job,), options)

    def refund(self, job: bytes) -> TxResult:
        """Returns the cap of a job for which nothing was proposed until deadline + grace."""
        return self._run(self.prepare_refund(job))

    # Intake switch (the guardian's)

    def prepare_pause(self, **options: int) -> PreparedTx:
        """Stops the intake of new jobs; what is locked goes its way."""
        return self._prepare(self._escrow, "pause", (), options)

    def pause(self) -> TxResult:
        """Stops the intake of new jobs; what is locked goes its way."""
        return self._run(self.prepare_pause())

    def prepare_unpause(self, **options: int) -> PreparedTx:
        """Resumes the intake."""
        return self._prepare(self._escrow, "unpause", (), options)

    def unpause(self) -> TxResult:
        """Resumes the intake."""
        return self._run(self.prepare_unpause())

    # Rewards

    def prepare_post_root(self, epoch: int, root: bytes, total: int, **options: int) -> PreparedTx:
        """Posts the cumulative rewards of an epoch; ``epoch`` is ``last_epoch() + 1``."""
        return self._prepare(self._distributor, "postRoot", (epoch, root, total), options)

    def post_root(self, epoch: int, root: bytes, total: int) -> TxResult:
        """Posts the cumulative rewards of an epoch; ``epoch`` is ``last_epoch() + 1``."""
        return self._run(self.prepare_post_root(epoch, root, total))

    def prepare_veto(self, **options: int) -> PreparedTx:
        """Withdraws the pending root (the guardian's)."""
        return self._prepare(self._distributor, "veto", (), options)

    def veto(self) -> TxResult:
        """Withdraws the pending root (the guardian's)."""
        return self._run(self.prepare_veto())

    def prepare_claim(self, account: str, cumulative: int, proof: Sequence[bytes], **options: int) -> PreparedTx:
        """Mints to ``account`` what it has earned and not claimed."""
        return self._prepare(self._distributor, "claim", (account, cumulative, list(proof)), options)

    def claim(self, account: str, cumulative: int, proof: Sequence[bytes]) -> TxResult:
        """Mints to ``account`` what it has earned and not claimed."""
        return self._run(self.prepare_claim(account, cumulative, proof))

    def prepare_claim_many(self, claims: Sequence[RewardClaim], **options: int) -> PreparedTx:
        """Claims for many accounts; those with nothing left are skipped."""
        tuples = [(one.account, one.cumulative, list(one.proof)) for one in claims]
        return self._prepare(self._distributor, "claimMany", (tuples,), options)

    def claim_many(self, claims: Sequence[RewardClaim]) -> TxResult:
        """Claims for many accounts; those with nothing left are skipped."""
        return self._run(self.prepare_claim_many(claims))

    # Tokens

    def prepare_transfer(self, to: str, amount: int, **options: int) -> PreparedTx:
        """Sends KILN of this account."""
        return self._prepare(self._token, "transfer", (to, amount), options)

    def transfer(self, to: str, amount: int) -> TxResult:
        """Sends KILN of this account."""
        return self._run(self.prepare_transfer(to, amount))

    def prepare_approve(self, amount: int, spender: str | None = None, **options: int) -> PreparedTx:
        """Allows ``spender`` (the escrow by default) to take KILN of this account."""
        return self._prepare(self._token, "approve", (spender or self.addresses.escrow, amount), options)

    def approve(self, amount: int, spender: str | None = None) -> TxResult:
        """Allows ``spender`` (the escrow by default) to take KILN of this account."""
        return self._run(self.prepare_approve(amount, spender))

    def _try_permit(self, owner: str, permit: Permit) -> None:
        """Raises the token's own reason for refusing a permit, which the escrow does not pass on."""
        arguments = (owner, self.addresses.escrow, permit.value, permit.deadline, permit.v, permit.r, permit.s)
        with translated(self.url):
            self._token.get_function_by_name("permit")(*arguments).call()
