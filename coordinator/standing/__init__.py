"""What is remembered of a worker: passed, refused, suspicion, strikes with their evidence, and what follows.

docs/proof.md says what each of them leads to.
"""

from coordinator.standing.counters import pardon, praise
from coordinator.standing.strikes import confirm, count, overturn, stand_alone, strike

__all__ = ["confirm", "count", "overturn", "pardon", "praise", "stand_alone", "strike"]
