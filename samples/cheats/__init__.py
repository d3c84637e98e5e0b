"""Nodes that cheat, for the demonstration and the adversarial tests: real agents with another hand on the result.

`python -m samples.cheats --cheat samples --data DIR --gateway URL` takes the options of `kilnet node run`.
"""

from samples.cheats.workers import CHEATS, CheatingWorker, cheat_worker

__all__ = ["CHEATS", "CheatingWorker", "cheat_worker"]
