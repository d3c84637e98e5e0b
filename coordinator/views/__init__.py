"""What people and programs are shown of the rows: the views of jobs.wire. Sums are made by the database."""

from coordinator.views.bundle import bundle
from coordinator.views.detail import attempt_views, audited_views, job_facts, last_event, log_entries
from coordinator.views.earnings import earnings_view
from coordinator.views.epochs import epoch_accounts, epoch_receipts
from coordinator.views.evidence import evidence_of, judged_lease, material, refusal_views
from coordinator.views.jobs import job_view, job_views
from coordinator.views.ledger import ledger_view
from coordinator.views.nodes import ONLINE_SECONDS, node_view, node_views, nodes_online, stake_view
from coordinator.views.parts import output_views, tile_views
from coordinator.views.receipts import receipt_views

__all__ = [
    "ONLINE_SECONDS", "attempt_views", "audited_views", "bundle", "earnings_view", "epoch_accounts", "epoch_receipts",
    "evidence_of", "job_facts", "job_view", "job_views", "judged_lease", "last_event", "ledger_view", "log_entries",
    "material", "node_view", "node_views", "nodes_online", "output_views", "receipt_views", "refusal_views",
    "stake_view", "tile_views",
]  # fmt: skip
