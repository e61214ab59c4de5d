"""The interface between the HTTP API and the worker. worker.app implements it over the engine and the tables.

Every read returns committed data. A method that needs a partition raises NotOwned unless this worker holds it
(assigned and restored). The API then forwards the request, uses the read copy or answers 503.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from worker.board import Board
from worker.domain.state import Customer, HistoryKey, Ledger, LedgerLine, VersionEntry
from worker.letter_box import LetterBox
from worker.wire.results import CommandResult


class NotOwned(Exception):
    """This worker does not own the partition, or has not restored it yet. partition: its number."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition} is not held by this worker")
        self.partition = partition


class CommandNotSent(Exception):
    """Kafka did not acknowledge the command in time. It may still arrive: a retry needs the same Idempotency-Key."""


class CommandState(msgspec.Struct, frozen=True):
    """The state of a command: its result, or pending while it waits for an email claim."""

    result: CommandResult | None
    pending: bool


class Readiness(msgspec.Struct, frozen=True):
    """Whether this worker processes inputs. reasons: sentences that say why it is not ready."""

    ready: bool
    reasons: tuple[str, ...]


class Gateway(Protocol):
    """The worker as the API sees it."""

    def partition_of(self, key: str) -> int:
        """Kafka's default partition (murmur2) of a customerId or an email hash. The key is not stored."""

    def holds(self, partition: int) -> bool:
        """Whether this worker owns the partition and has restored it."""

    def owner_url(self, partition: int) -> str | None:
        """ADVERTISED_URL of the partition's owner in the consumer group, maybe this worker; None while unknown."""

    def customer(self, customer_id: str) -> Customer | None:
        """The committed customer. Raises NotOwned."""

    def points_history(
        self, customer_id: str, limit: int, before: HistoryKey | None = None
    ) -> Sequence[tuple[str, str, LedgerLine]]:
        """A page of the ledger lines that changed points.

        Args:
            customer_id: the customer.
            limit: the most lines. Only these are read, however long the history is.
            before: the key of the line after which the page begins; None for the first page.

        Returns:
            Lines as (kind, id, line), the latest first by the time they occurred, then by version. Kinds are those of
            worker.domain.state.

        Raises:
            NotOwned: this worker does not hold the customer's partition.
        """

    def versions(self, customer_id: str, first: int, last: int) -> Sequence[VersionEntry]:
        """The ledger lines of the versions from `first` to `last`, both included, the latest first. Raises NotOwned.

        Only these are read, however long the history is. Versions that an earlier release made have no line.
        """

    def last_upgrade(self, customer_id: str) -> VersionEntry | None:
        """The ledger line that gave the customer the level; None if no line says it. Raises NotOwned."""

    def ledger(self, customer_id: str) -> Ledger:
        """The customer's committed ledger. Read it before anything is awaited. Raises NotOwned."""

    def command(self, customer_id: str, command_id: str) -> CommandState | None:
        """The state of a command; None when this worker does not know it. Raises NotOwned."""

    def email_owner(self, email_hash: str) -> str | None:
        """The customerId that owns the email, or None. Raises NotOwned unless the hash's partition is held here."""

    async def send_command(self, customer_id: str, command: bytes, traceparent: bytes | None = None) -> None:
        """Produce to customer.commands, key customerId, and wait for the ack. Raises CommandNotSent."""

    def expect_result(self, customer_id: str, command_id: str) -> asyncio.Future[CommandResult]:
        """A future of the command's next result, which is set once the result is committed and visible.

        Call it before the command is sent, because a remembered result does not answer a command that is sent later.
        The caller cancels the future when it stops waiting. The future raises NotOwned when the partition is revoked.
        Raises NotOwned.
        """

    def somebody_reads(self) -> None:
        """Note that a client waits for what it reads. For a second, batches yield to it more often."""

    def readiness(self) -> Readiness:
        """Ready means that partitions are assigned and restored, and that the lag is below its limit."""

    def customer_ids(self, partition: int, after: str, most: int) -> Sequence[str]:
        """One page of the customerIds in a held partition, in the order of their bytes.

        Args:
            partition: its number.
            after: the last id of the page before; empty for the first page.
            most: the size of the page. A shorter page is the last one.

        Returns:
            The ids, including customers that are not registered and only have waiting inputs. No iterator of the store
            stays open, because the store closes when the partition is revoked.

        Raises:
            NotOwned: this worker does not hold the partition.
        """

    def held_partitions(self) -> frozenset[int]:
        """The partitions for which holds() is true."""

    @property
    def letters(self) -> LetterBox:
        """The dead letters, for the desk."""

    def board(self) -> Board:
        """The figures of this worker, at most a second old. It costs nothing to ask."""

    async def board_changed(self) -> Board | None:
        """Wait for the next board, which comes about once a second. None once the worker stops: end the stream then."""

    def on_commit(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call listener with the ids of the customers that each committed transaction changed. It must not block."""
