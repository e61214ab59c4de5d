"""What the engine tells of its work: per batch and per assignment, never per record. worker.metrics counts it."""

from collections.abc import Collection, Sequence
from typing import Any


class Observer:
    """Ignores what it is told. Nothing here may block or raise: it is called inside the loop of a partition."""

    def assignment_begun(self) -> None:
        """The group gave this worker its partitions, kept ones included; fencing starts."""

    def replayed(self, records: int) -> None:
        """So many changelog records went into the local stores."""

    def copied(self, records: int) -> None:
        """So many changelog records went into copies of partitions that others hold."""

    def copies(self, partitions: int) -> None:
        """Of so many partitions that others hold, the copies here are complete and kept up."""

    def restored(self, seconds: float) -> None:
        """The stores of all assigned partitions are at the end of their changelogs."""

    def committed(self, records: Sequence[Any], topics: Collection[str], transaction_s: float) -> None:
        """The transaction of a batch is visible, and so are its changes in the local store.

        records: its inputs, at least one, each topic's in order. topics: all theirs, each once. transaction_s: from its
        begin to its end.
        """

    def swept(self, transaction_s: float) -> None:
        """The transaction of a step of a sweep is visible; it had no inputs. transaction_s: as of a batch."""
