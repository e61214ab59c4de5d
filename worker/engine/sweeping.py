"""Sweeping: what time alone brings about in a partition, without any record that asks for it.

Rules:
- The first sweep begins with the loop of the partition, each further one a while after the end of the last.
- A sweep goes step by step, and between two steps a batch may go: a step must be short, and remembers in its unit's
  `kept` where the next one goes on. An assignment that ends forgets it; the next owner sweeps from the start.
- A step that changed something is a transaction of its own, as exactly once as a batch; one that did not is none.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from worker.engine.unit import Unit


class Swept(NamedTuple):
    """What one step came to. last: whether the sweep is at its end. committed: what to do once the unit is committed
    and visible locally; None when nothing changed."""

    last: bool
    committed: Callable[[], None] | None = None


Sweep = Callable[[Unit], Swept]


class Sweeping:
    """When the next step is due. sweep: what a step does, None for nothing; every_s: from the end of one sweep to the
    next."""

    def __init__(self, sweep: Sweep | None, every_s: float) -> None:
        self._sweep = sweep
        self._every_s = every_s
        self._due = -math.inf

    def due_in_s(self, now: float) -> float | None:
        """Seconds until the next step, 0 if it is due; None when there is nothing to do. now: monotonic seconds."""
        return None if self._sweep is None else max(0.0, self._due - now)

    def step(self, unit: Unit, now: float) -> Callable[[], None] | None:
        """Do the next step; returns what to do after the commit, None when there is nothing to commit."""
        if self._sweep is None:
            return None
        swept = self._sweep(unit)
        if swept.last:
            self._due = now + self._every_s
        return swept.committed
