"""The tables. Everything that decides is a row here; states change only through coordinator.states.

Times are Unix seconds (float), so that SQLite and PostgreSQL order them alike. Amounts of KILN (10^-18) do not fit
64 bits: they are stored as decimal strings of fixed width.
"""

from coordinator.store.models.accounts import Account, ApiKey, Notice, NotifyTarget, SignInNonce, SignInSession
from coordinator.store.models.base import Base
from coordinator.store.models.files import Blob, BlobHolder, JobBlob, Setting
from coordinator.store.models.jobs import Event, Job, Lease, Output, Work
from coordinator.store.models.money import ChainTransaction, Epoch, Receipt, Reward
from coordinator.store.models.nodes import Award, Node, Operator, Strike

__all__ = [
    "Account", "ApiKey", "Award", "Base", "Blob", "BlobHolder", "ChainTransaction", "Epoch", "Event", "Job", "JobBlob",
    "Lease", "Node", "Notice", "NotifyTarget", "Operator", "Output", "Receipt", "Reward", "Setting", "SignInNonce",
    "SignInSession", "Strike", "Work",
]  # fmt: skip
