"""What the HTTP API may ask of the worker it runs in. Implemented by worker.app over the engine and the tables.

Everything read here is committed. A method that needs a partition raises NotOwned when this worker does not hold it
(restored and assigned) right now; the API then forwards, falls back to the read copy or answers 503.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from worker.domain.state import Customer, LedgerLine
from worker.wire.results import CommandResult


class NotOwned(Exception):
    """The partition is not here, or not restored yet. partition: its number."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition} is not held by this worker")
        self.partition = partition


class CommandNotSent(Exception):
    """Kafka did not acknowledge the command in time. It may still arrive: a retry needs the same Idempotency-Key."""


class CommandState(msgspec.Struct, frozen=True):
    """What is known of a command: its result, or that it waits for an email claim (pending)."""

    result: CommandResult | None
    pending: bool


class Readiness(msgspec.Struct, frozen=True):
    """Whether this worker processes. reasons: plain sentences while not ready."""

    ready: bool
    reasons: tuple[str, ...]


class Gateway(Protocol):
    """The worker as the API sees it."""

    def partition_of(self, key: str) -> int:
        """Kafka's default partition (murmur2) of a customerId or an email hash."""

    def holds(self, partition: int) -> bool:
        """Whether this worker owns the partition and has restored it."""

    def owner_url(self, partition: int) -> str | None:
        """ADVERTISED_URL of the worker that the group assigned the partition to; None while unknown. May be this one."""

    def customer(self, customer_id: str) -> Customer | None:
        """The committed customer. Raises NotOwned."""

    def ledger(self, customer_id: str) -> Sequence[tuple[str, str, LedgerLine]]:
        """Every ledger line as (kind, id, line), kinds as in worker.domain.state. Raises NotOwned."""

    def command(self, customer_id: str, command_id: str) -> CommandState | None:
        """None when the command is not known here. Raises NotOwned."""

    def email_owner(self, email_hash: str) -> str | None:
        """The customerId that owns the email, from the claims partition of that hash. Raises NotOwned."""

    async def send_command(self, customer_id: str, command: bytes, traceparent: bytes | None = None) -> None:
        """Produce to customer.commands, key customerId, and wait for the ack. Raises CommandNotSent."""

    async def command_result(self, customer_id: str, command_id: str, within: float) -> CommandResult | None:
        """Wait until the command's next result is committed and visible; None after `within` seconds.

        Start waiting (create the task) before sending, or a quick result is missed; a result that is already
        remembered is not an answer to a command sent later. Raises NotOwned when the partition leaves meanwhile.
        """

    def readiness(self) -> Readiness:
        """Assigned, restored, lag below its limit."""

    def customers(self, partition: int) -> Iterable[Customer]:
        """Every committed customer of a held partition, lazily; for rebuilding the read copy. Raises NotOwned."""

    def held_partitions(self) -> frozenset[int]:
        """The partitions that holds() is true for."""

    def on_commit(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call listener with the ids of the customers that each committed transaction changed. It must not block."""
