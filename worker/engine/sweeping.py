"""Sweeping: changes that become due with time, without a record that asks for them.

Rules:
- The first sweep begins with the partition's loop. Each further one begins a set time after the end of the last.
- A sweep goes step by step, and a batch may run between two steps. So a step must be short. It remembers in its unit's
  `carried` where the next one continues. When the assignment ends, that is lost, and the next owner sweeps from the start.
- A step that changed something is a transaction of its own, exactly once like a batch. Another step has no transaction.
- A row says that a sweep has begun. Its last step removes the row. An owner that finds one may follow an owner that
  died of the sweep. So it processes batches first and sweeps later, with a longer wait after each such owner.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from worker.engine.isolation import ISOLATION
from worker.engine.store import Store
from worker.engine.unit import Unit

_KEY = b"sweep"  # -> how many owners have begun a sweep since one was finished
_LONGER = 4


class Swept(NamedTuple):
    """The result of one step.

    Attributes:
        last: whether the sweep is at its end.
        committed: what to call once the unit is committed and visible locally; None if nothing changed.
    """

    last: bool
    committed: Callable[[], None] | None = None


Sweep = Callable[[Unit], Swept]


class Sweeping:
    """Says when the next step of a sweep is due.

    Args:
        sweep: does one step; None for no sweeps.
        every_s: from the end of one sweep to the next.
        again_s: how long an owner waits before its first sweep, if the former owner did not finish one.
    """

    def __init__(self, sweep: Sweep | None, every_s: float, again_s: float) -> None:
        self._sweep = sweep
        self._every_s = every_s
        self._again_s = again_s
        self._due = -math.inf
        self._begun = 0  # how many former owners began a sweep and did not finish it
        self._marked = False

    def begin(self, store: Store, now: float) -> None:
        """Take over from the former owner.

        Args:
            store: the partition's store, which holds the row.
            now: monotonic seconds.
        """
        self._begun = int(store.get(ISOLATION.mark, _KEY) or 0)
        if self._begun:
            self._due = now + min(self._every_s, self._again_s * _LONGER ** min(self._begun - 1, 10))

    def mark(self, unit: Unit) -> bool:
        """Write into the unit that a sweep begins. Returns whether to commit that before the next step."""
        if self._sweep is None or self._marked:
            return False
        self._marked = True
        unit.put(ISOLATION, _KEY, b"%d" % (self._begun + 1))
        return True

    def end(self, unit: Unit) -> None:
        """Write into the unit that the owner releases the partition in order."""
        if self._marked:
            unit.put(ISOLATION, _KEY, b"%d" % self._begun if self._begun else None)

    def due_in_s(self, now: float) -> float | None:
        """Seconds until the next step: 0 if it is due, None if there are no sweeps.

        Args:
            now: monotonic seconds.
        """
        return None if self._sweep is None else max(0.0, self._due - now)

    def step(self, unit: Unit, now: float) -> Callable[[], None] | None:
        """Do the next step. Returns what to call after the commit; None if there is nothing to commit."""
        if self._sweep is None:
            return None
        swept = self._sweep(unit)
        if not swept.last:
            return swept.committed
        self._due = now + self._every_s
        self._begun, self._marked = 0, False
        unit.put(ISOLATION, _KEY, None)
        return swept.committed or _nothing


def _nothing() -> None:
    """Do nothing after the commit, because the last step only removed the row."""
