"""Files by content: where their bytes lie (`store`), who holds and may read them (`rows`), how they arrive (`upload`),
and when they go (`sweep`)."""

from coordinator.blobs.rows import holds, link, link_all, may_read, missing, register_blob, touch
from coordinator.blobs.store import EMPTY, BlobStore, WrongOffset
from coordinator.blobs.sweep import Swept, sweep
from coordinator.blobs.upload import keep, receive, upload_offset

__all__ = [
    "EMPTY", "BlobStore", "Swept", "WrongOffset", "holds", "keep", "link", "link_all", "may_read", "missing", "receive",
    "register_blob", "sweep", "touch", "upload_offset",
]  # fmt: skip
