"""What happens to jobs, as rows that people follow, and hints that say "look again".

The rows decide: an event is written in the transaction that it tells about. What goes through Redis is only a hint,
sent after the commit; a lost one costs a second or two, since whoever waits also looks by itself.
"""

from coordinator.events.feed import Feed
from coordinator.events.hints import Hints, Topic
from coordinator.events.publish import Publisher, configure, job_topic, redis_url
from coordinator.events.record import record, wake, wake_after_commit
from coordinator.events.stream import HEARTBEAT, changed_jobs, format_event, stream

__all__ = [
    "HEARTBEAT", "Feed", "Hints", "Publisher", "Topic", "changed_jobs", "configure", "format_event", "job_topic",
    "record", "redis_url", "stream", "wake", "wake_after_commit",
]  # fmt: skip
