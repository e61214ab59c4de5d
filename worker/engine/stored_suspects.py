"""Isolation of stored inputs: find an input in a table on which every owner fails, and put it aside.

A stored input is processed in a step (worker.engine.unit.MORE), or together with the record that releases it. If it
fails, the stored input is to blame, and not that record. worker.engine.isolation does the same for records.

Rules:
- A row says that steps are under way. The last step removes it. An owner that finds the row takes the next inputs alone.
- An exception names the stored input at hand. The next owner takes inputs alone until that one is done.
- While inputs are taken alone, a record only begins its steps. Each stored input has a unit of its own.
- An input that is tried alone is counted as failed in advance. The count is taken back once the input is processed,
  before anything is sent. So a failure of Kafka or of the disk does not count.
- The end of an owner whose transaction was open does not count either.
- After three failures the input is put aside, before any record is processed. If that fails, it is put aside bare.
"""

from collections.abc import Iterable

import msgspec

from worker.engine.isolation import FAILURES, ISOLATION
from worker.engine.store import Store
from worker.engine.unit import Stored, Unit

_KEY = b"stored"
_SOME = 200
"""How many inputs are taken alone after an owner ended in a step; a little more than a step holds."""


class Tried(msgspec.Struct, frozen=True):
    """A stored input on which an owner failed.

    Attributes:
        stored: the input.
        failures: how often it failed alone.
        error: the type of its last exception; empty if unknown.
    """

    stored: Stored
    failures: int = 0
    error: str = ""


class Row(msgspec.Struct, frozen=True):
    """What an owner leaves to the next one.

    Attributes:
        under_way: whether steps are under way, so that the process may have ended in one.
        alone: how many inputs to take alone.
        tried: the inputs on which an owner failed.
        trying: the input that is being tried now. It is counted as failed in advance.
    """

    under_way: bool = False
    alone: int = 0
    tried: tuple[Tried, ...] = ()
    trying: Stored | None = None


class StoredSuspects:
    """The stored suspects of one partition, for one owner."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alone = 0
        self._tried: dict[tuple[bytes, bytes], Tried] = {}
        self._under_way = False

    def begin(self, *, had_committed: bool = True) -> Iterable[str]:
        """Take over from the former owner.

        Args:
            had_committed: whether the former owner had no open transaction, so that it ended while it processed.

        Returns:
            The owners (Stored.owner) of the inputs on which a former owner failed.
        """
        raw = self._store.get(ISOLATION.mark, _KEY)
        row = Row() if raw is None else _decode(raw)
        self._alone = _SOME if row.under_way and had_committed and not row.alone else row.alone
        self._under_way = raw is not None  # so that `over` removes the row when no work is left
        here = [each for each in row.tried if self._store.get(each.stored.mark, each.stored.key) is not None]
        self._tried = {each.stored.row: each for each in here}
        if row.trying is not None and row.trying.row in self._tried and not had_committed:
            self._tried[row.trying.row] = _taken_back(self._tried[row.trying.row])
        return [each.stored.owner for each in here]

    @property
    def alone(self) -> bool:
        """Whether stored inputs are taken one at a time, each in a unit of its own."""
        return bool(self._alone or self._tried)

    def given_up(self) -> Tried | None:
        """An input that has failed often enough to be put aside; None if there is none."""
        return next((each for each in self._tried.values() if each.failures >= FAILURES), None)

    # -- around steps

    def under_way(self, unit: Unit) -> bool:
        """Write into the unit that steps are under way. Returns whether to commit that before the next step."""
        if self._under_way:
            return False
        self._under_way = True
        self._put(unit)
        return True

    def over(self, unit: Unit) -> None:
        """Write into the unit that no work is left, or that the owner releases the partition in order."""
        if self._under_way:
            self._under_way = False
            self._put(unit)

    # -- a stored input that is alone

    def begin_try(self, unit: Unit, stored: Stored) -> None:
        """Count the input as failed in advance, because a crash leaves no time to count it."""
        known = self._tried.get(stored.row, Tried(stored))
        self._tried[stored.row] = msgspec.structs.replace(known, failures=known.failures + 1)
        self._put(unit, stored)

    def survived(self, unit: Unit, stored: Stored) -> None:
        """Take the count of begin_try back."""
        self._tried[stored.row] = _taken_back(self._tried[stored.row])
        self._put(unit)

    def passed(self, unit: Unit, stored: Stored) -> Tried:
        """Forget the input, in the unit that processes it. Returns what was known of it, in case the unit fails."""
        self._alone = max(0, self._alone - 1)
        known = self._tried.pop(stored.row)
        self._put(unit)
        return known

    def failed(
        self,
        unit: Unit,
        stored: Stored,
        error: Exception,
        *,
        counted: bool = False,
        known: Tried | None = None,
    ) -> None:
        """Write the input's exception down. The first one, in a unit with other inputs, is not counted.

        Args:
            unit: takes the row.
            stored: the input that failed.
            error: its exception.
            counted: whether the count of begin_try still stands.
            known: what `passed` returned, if it was called.
        """
        known = known or self._tried.get(stored.row) or Tried(stored, -1)
        failures = known.failures if counted else known.failures + 1
        # An exception of its dead letter says nothing about the input.
        name = type(error).__name__ if failures <= FAILURES else known.error
        self._tried[stored.row] = Tried(stored, failures, name)
        self._put(unit)

    def _put(self, unit: Unit, trying: Stored | None = None) -> None:
        row = Row(self._under_way, self._alone, tuple(self._tried.values()), trying)
        unit.put(ISOLATION, _KEY, None if row == Row() else _encode(row))


def _taken_back(tried: Tried) -> Tried:
    return msgspec.structs.replace(tried, failures=tried.failures - 1)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Row).decode
