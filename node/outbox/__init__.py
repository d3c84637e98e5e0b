"""What waits to be sent, on disk, so that neither an outage of the gateway nor a crash of the agent loses a result."""

from node.outbox.acknowledgements import Acknowledgements, Kept, sound
from node.outbox.delivery import Delivery
from node.outbox.store import Entry, LeaseRef, Outbox, Step, StepKind

__all__ = ["Acknowledgements", "Delivery", "Entry", "Kept", "LeaseRef", "Outbox", "Step", "StepKind", "sound"]
