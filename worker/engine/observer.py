"""What the engine reports of its work: per batch and per assignment, never per record.

worker.observability.metrics counts it.
"""

from collections.abc import Collection, Sequence

from worker.engine.unit import InputRecord


class Observer:
    """Ignores every report. No method may block or raise, because a partition's loop calls it."""

    def assignment_begun(self) -> None:
        """The group assigned partitions to this worker, kept ones included. Fencing begins."""

    def fenced(self, transaction_version: int) -> None:
        """No other worker can commit in the assigned partitions any more.

        Args:
            transaction_version: the version that the cluster has finalized, 1 or 2; 0 if no partition was assigned.
        """

    def replayed(self, records: int) -> None:
        """This many changelog records went into the local stores."""

    def copied(self, records: int) -> None:
        """This many changelog records went into standby copies of partitions that other workers hold."""

    def copies(self, partitions: int) -> None:
        """The standby copies of this many partitions are complete and kept up."""

    def restored(self, seconds: float) -> None:
        """The stores of all assigned partitions have reached the end of their changelogs.

        Args:
            seconds: how long the restore took.
        """

    def inputs_lost(self, topic: str, offsets: int) -> None:
        """Retention removed this many offsets of an input before they were read."""

    def committed(
        self, records: Sequence[InputRecord], topics: Collection[str], transaction_s: float
    ) -> None:
        """The transaction of a batch is visible, and so are its changes in the local store.

        Args:
            records: its inputs, at least one, in order within each topic.
            topics: the topics of all its inputs, each once.
            transaction_s: from the transaction's begin to its end, in seconds.
        """

    def swept(self, transaction_s: float) -> None:
        """The transaction of a step of a sweep is visible. It had no inputs.

        Args:
            transaction_s: from the transaction's begin to its end, in seconds.
        """
