"""One plain sentence for each of the contracts' errors: what was wrong and what to do."""

from collections.abc import Callable
from typing import Any

__all__ = ["SENTENCES"]

_KILN = 10**18
_STATES = ("never opened", "open", "proposed", "disputed", "finalized", "refunded")


_CLAIMABLE = (
    "check its id",
    "after deadline and grace `kilnet settle JOB` refunds it, and then it can be claimed",
    "it is paid by its receipts once it is final, and the bond owes nothing",
    "its challenge is decided first",
    "it was paid by its receipts, and the bond owes nothing",
    "it can be claimed",
)


def _kiln(amount: int) -> str:
    return f"{amount / _KILN:.6f}".rstrip("0").rstrip(".") + " KILN"


def _job(arguments: dict[str, Any]) -> str:
    return f"job 0x{arguments['job'].hex()}"


SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "WrongState": lambda a: f"{_job(a)} is {_STATES[a['actual']]}, and this needs one that is {_STATES[a['expected']]}",
    "JobExists": lambda a: f"{_job(a)} was opened before: ask for a new quote",
    "InvalidCap": lambda a: f"a cap of {_kiln(a['cap'])} cannot be escrowed: it has to be above 0",
    "InvalidDeadline": lambda a: (
        f"the deadline {a['deadline']} is not between now ({a['time']}) and 366 days from now: ask for a new quote, "
        "with a deadline in between"
    ),
    "InvalidOrderSignature": lambda a: (
        f"the order is not signed by {a['client']} for this contract on this chain: sign it again"
    ),
    "InsufficientAllowance": lambda a: (
        f"{a['client']} allows the escrow {_kiln(a['allowed'])} and the cap is {_kiln(a['cap'])}: sign a new permit"
    ),
    "PriceAboveCap": lambda a: f"the price {_kiln(a['price'])} is above the cap {_kiln(a['cap'])}",
    "ReceiptsMissing": lambda _: "a root comes with receipts, receipts with a root, and a price with both",
    "ProposalTooLate": lambda _: "deadline and grace are over: the job can only be refunded",
    "WindowOpen": lambda a: f"the challenge window is open for another {a['end'] - a['time']} s: finalize after that",
    "RefundTooEarly": lambda a: f"the coordinator has another {a['last'] - a['time']} s: refund after that",
    "EnforcedPause": lambda _: "the intake of new jobs is paused: try again later",
    "ERC20InsufficientBalance": lambda a: (
        f"{a['sender']} has {_kiln(a['balance'])} and needs {_kiln(a['needed'])}: get more KILN, or lower the cap"
    ),
    "ERC20InsufficientAllowance": lambda a: (
        f"{a['spender']} is allowed {_kiln(a['allowance'])}, not {_kiln(a['needed'])}"
    ),
    "ERC20ExceededCap": lambda a: f"minting would take the supply above its cap of {_kiln(a['cap'])}",
    "ERC2612ExpiredSignature": lambda a: f"the permit expired at {a['deadline']} (unix time): sign a new one",
    "ERC2612InvalidSigner": lambda a: (
        f"the permit is not signed by {a['owner']} with its present nonce for this chain: sign a new one"
    ),
    "AccessControlUnauthorizedAccount": lambda a: f"{a['account']} does not have the role that this call needs",
    "WrongEpoch": lambda a: f"epoch {a['epoch']} cannot be posted: the next one is {a['expected']}",
    "RootStillPending": lambda a: (
        f"the root of epoch {a['epoch']} can still be vetoed, until {a['activeAt']} (unix time)"
    ),
    "TotalDecreased": lambda a: f"rewards never shrink: {_kiln(a['total'])} after {_kiln(a['previous'])}",
    "TotalAboveBurned": lambda a: (
        f"rewards of {_kiln(a['total'])} are above {_kiln(a['limit'])}, which is 95% of what jobs have burned"
    ),
    "InvalidProof": lambda a: f"{a['account']} has no {_kiln(a['cumulative'])} in the active root: fetch a fresh proof",
    "NothingToClaim": lambda a: f"{a['account']} has claimed all it has earned so far: {_kiln(a['claimed'])}",
    "ClaimsAboveTotal": lambda a: f"the root's claims exceed its total of {_kiln(a['total'])}: tell the coordinator",
    "WindowOver": lambda _: "the challenge window is over: until it is finalized, only a proof can void the proposal",
    "TooManyReceipts": lambda a: f"{a['receiptCount']} receipts are more than a job can have: split the job",
    "TooManyVoided": lambda a: f"too many proposals of {_job(a)} were wrong: it can only be refunded, and at once",
    "NotDisputes": lambda a: f"only the Disputes contract may do that, and {a['caller']} is not it",
    "NotAllowed": lambda a: f"only a contract of the deployment may do that, and {a['caller']} is none",
    "NotRegistry": lambda a: f"only the registry may do that, and {a['caller']} is not it",
    "AlreadyRegistered": lambda a: f"{a['operator']} is registered already",
    "NotRegistered": lambda a: f"{a['operator']} is no operator: register first",
    "ShareTooHigh": lambda a: f"a share of {a['bps'] / 100:g}% is above the most allowed, {a['most'] / 100:g}%",
    "NodeTaken": lambda a: f"node {a['node']} answers to an operator already, or did: use a fresh key",
    "InvalidNodeSignature": lambda a: (
        f"the key of node {a['node']} did not sign that {a['operator']} answers for it on this chain: sign it again"
    ),
    "NotNodesOperator": lambda a: f"{a['caller']} does not answer for node {a['node']}, or not any longer",
    "NotOpen": lambda a: f"operator {a['operator']} takes no stake of others: choose another one",
    "CommissionRaised": lambda a: (
        f"the commission can rise from {a['present'] / 100:g}% to {a['asked'] / 100:g}% only when nobody else stakes"
    ),
    "StakeTooSmall": lambda a: f"{a['staker']} has {_kiln(a['has'])} at stake and {_kiln(a['needed'])} are asked for",
    "StakeLocked": lambda a: (
        f"{_kiln(a['remaining'])} would remain and {_kiln(a['locked'])} are locked for open jobs: wait for their end"
    ),
    "DepositTooSmall": lambda a: f"{_kiln(a['amount'])} are too little to stake",
    "NothingUnbonding": lambda a: f"nothing of {a['staker']} is leaving {a['operator']}: unbond first",
    "StillUnbonding": lambda a: f"it can be withdrawn in {a['readyAt'] - a['time']} s",
    "AlreadyLocked": lambda a: f"{_job(a)} was awarded to {a['operator']} before",
    "JobNotFinal": lambda a: f"{_job(a)} is not over: its locks end when it is finalized or refunded",
    "NoEquivocation": lambda _: (
        "that is no evidence: it takes two different commitments for one lease and token, signed by one node"
    ),
    "AlreadyProven": lambda a: f"that contradiction of {a['node']} was shown before",
    "UnknownNode": lambda a: f"no operator answers for node {a['node']}: nobody can be slashed",
    "NotUnderRoot": lambda a: f"what was shown does not hang on the root proposed for {_job(a)}: fetch a fresh path",
    "NoFault": lambda a: f"what was shown of {_job(a)} is as it should be",
    "NothingChallenged": lambda _: "a challenge names a job, an operator, or both",
    "AlreadyChallenged": lambda a: f"that proposal of {_job(a)} was challenged before",
    "ChallengeNotOpen": lambda a: f"there is no open challenge number {a['challenge']}",
    "RulingTooLate": lambda _: "the auditors' time is over: the challenge can only lapse",
    "RulingPending": lambda a: f"the auditors have another {a['end'] - a['time']} s: it can lapse after that",
    "NobodyToSlash": lambda _: "a dismissal slashes nobody, nor does a ruling on a challenge without an operator",
    "TooFewSignatures": lambda a: f"{a['signatures']} signatures, and it takes {a['threshold']}",
    "InvalidAuditorSignature": lambda a: (
        f"signature {a['index']} is of {a['signer']}, who is no auditor in office or comes out of order"
    ),
    "InvalidPanel": lambda a: f"{a['auditors']} auditors of whom {a['threshold']} must sign are no panel",
    "InvalidAuditor": lambda a: f"{a['auditor']} cannot be an auditor, or is named twice",
    "PanelPending": lambda a: f"a panel was announced and takes office at {a['activeAt']} (unix time): wait for that",
    "JobsTooLong": lambda a: f"a bond for jobs of {a['longest']} s is longer than the escrow takes, {a['most']} s",
    "NothingDeposited": lambda _: "a deposit of nothing: name an amount above 0",
    "NoBond": lambda a: (
        f"there is no bond of {a['signer']}: the acknowledgement was changed, or signed by somebody else, for another "
        "chain or another contract"
    ),
    "JobNotRefunded": lambda a: f"{_job(a)} is {_STATES[a['state']]}: {_CLAIMABLE[a['state']]}",
    "AcknowledgementPaid": lambda a: (
        f"lease 0x{a['lease'].hex()} was paid {_kiln(a['paid'])} from the bond: nothing more is owed for it"
    ),
    "BondExhausted": lambda a: (
        f"the bond of {a['signer']} can pay nothing more: {_kiln(a['owed'])} can be claimed when somebody adds to it"
    ),
    "BondTooSmall": lambda a: f"the bond of {a['signer']} is {_kiln(a['has'])}, and {_kiln(a['asked'])} were to leave",
    "NoNotice": lambda a: f"{a['signer']} gave no notice, or nothing is left of what it was about: give notice first",
    "NoticeRunning": lambda a: f"the notice runs for another {a['readyAt'] - a['time']} s: withdraw after that",
    "StalePrice": lambda a: (
        f"the last price is of {a['reportedAt']} (unix time), older than {a['maxAge']} s: wait for a fresh report"
    ),
    "PriceOutOfBounds": lambda a: (
        f"a price of {a['price'] / _KILN:g} USD is not between {a['lowest'] / _KILN:g} and {a['highest'] / _KILN:g}"
    ),
    "PriceJumped": lambda a: (
        f"from {a['previous'] / _KILN:g} to {a['price'] / _KILN:g} USD is more than {a['maxChangeBps'] / 100:g}% "
        "at once"
    ),
    "ReportTooSoon": lambda a: f"the next price can be reported in {a['next'] - a['time']} s",
    "PriceIsFixed": lambda _: "the price of this deployment is fixed",
}
