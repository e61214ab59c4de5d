"""A worker without Kafka: the real domain behind worker.gateway.Gateway, in one process. Several may share one world."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.partitioner import murmur2

from tests.api.letters import InMemoryLetters, a_board
from tests.domain.given import Lines
from worker.board import Board
from worker.domain.decide import decide, decide_order, decide_payment, decide_return, released_email
from worker.domain.evolve import apply
from worker.domain.ledger import ledger_lines
from worker.domain.messages import Command, OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import Customer, HistoryKey, LedgerLine, VersionEntry
from worker.gateway import CommandNotSent, CommandState, NotOwned, Readiness
from worker.wire.commands import ReceivedCommand, decode_command
from worker.wire.email import email_hash
from worker.wire.results import CommandResult

PARTITIONS = 8
RULES = RuleBook((DEFAULT_RULES,))
NOW = 1_764_000_000_000


def newest(
    kept: Mapping[tuple[str, str], LedgerLine], limit: int, before: HistoryKey | None = None
) -> list[tuple[str, str, LedgerLine]]:
    """The lines that moved points, by when they occurred and then by when they counted, the last first."""
    moved = [
        (kind, line_id, line)
        for (kind, line_id), line in kept.items()
        if line.points and (before is None or HistoryKey.of(line) < before)
    ]
    return sorted(moved, key=lambda each: HistoryKey.of(each[2]), reverse=True)[:limit]


def versions(kept: Mapping[tuple[str, str], LedgerLine], first: int, last: int) -> list[VersionEntry]:
    """The lines of these versions, the last first."""
    named = [
        VersionEntry(line.change.version, kind, line_id, line)
        for (kind, line_id), line in kept.items()
        if line.change is not None and first <= line.change.version <= last
    ]
    return sorted(named, reverse=True, key=lambda each: each.version)


class World:
    """What all workers together know.

    Attributes:
        owners: partition → the worker that holds it, None while nobody does.
        now: when inputs are processed, ms since 1970 UTC.
    """

    def __init__(self) -> None:
        self.customers: dict[str, Customer] = {}
        self.ledgers: defaultdict[str, Lines] = defaultdict(Lines)
        self.results: dict[tuple[str, str], tuple[str, CommandResult]] = {}
        self.emails: dict[str, str] = {}
        self.records: list[dict[str, Any]] = []
        self.waiters: defaultdict[tuple[str, str], list[asyncio.Future[CommandResult]]] = defaultdict(list)
        self.owners: dict[int, InMemoryGateway | None] = {}
        self.listeners: list[Callable[[Sequence[str]], None]] = []
        self.silent = False  # commands are taken, and no result comes
        self.letters = InMemoryLetters()
        self.now = NOW

    def order(self, customer_id: str, order_id: str, amount: int, occurred_at: int = NOW) -> None:
        """An order of that many cents."""
        self.receive(OrderCompleted(order_id, order_id, customer_id, amount, "USD", occurred_at))

    def receive(self, event: OrderCompleted | OrderReturned | PaymentCompleted) -> None:
        """One event of a known customer from its topic. Raises DeadLettered."""
        customer, lines = self.customers[event.customer_id], self.ledgers[event.customer_id]
        if isinstance(event, OrderCompleted):
            events = decide_order(customer, event, RULES, lines)
        elif isinstance(event, OrderReturned):
            events = decide_return(customer, event, RULES, lines) or ()
        else:
            events = decide_payment(customer, event, lines)
        if events:
            self._record(customer, events)

    def take(self, received: ReceivedCommand) -> None:
        """One command from the log."""
        key = (received.customer_id, received.command_id)
        known = self.results.get(key)
        if known is None:
            result = self._result(received)
            self.results[key] = (received.fingerprint, result)
        elif known[0] == received.fingerprint:
            result = known[1]
        else:
            result = self._rejected(received, RejectionCode.IDEMPOTENCY_CONFLICT)
        for waiter in self.waiters.pop(key, []):
            if not waiter.done():
                waiter.set_result(result)

    def _result(self, received: ReceivedCommand) -> CommandResult:
        command, customer = received.command, self.customers.get(received.customer_id)
        if command is None:
            return self._rejected(received, RejectionCode.VALIDATION_FAILED)
        try:
            events = decide(customer, command, RULES, self.ledgers[received.customer_id])
        except Rejected as rejected:
            return self._rejected(received, rejected.code)
        email = getattr(command, "email", None)
        if email is not None:
            owner = self.emails.setdefault(email_hash(email), received.customer_id)
            if owner != received.customer_id:
                return self._rejected(received, RejectionCode.CUSTOMER_EMAIL_EXISTS)
        released = released_email(customer, command)
        customer = self._record(customer, events, command) if events else customer
        if released is not None:
            self.emails.pop(email_hash(released), None)
        return CommandResult(
            received.command_id,
            received.command_type,
            received.customer_id,
            "APPLIED",
            None if customer is None else customer.version,
        )

    def _record(
        self, customer: Customer | None, events: Sequence[Any], command: Command | None = None
    ) -> Customer:
        customer = apply(customer, events, self.now)
        self.customers[customer.id] = customer
        for kind, line_id, line in ledger_lines(events, customer, command):
            self.ledgers[customer.id].lines[kind, line_id] = line
        for listener in self.listeners:
            listener([customer.id])
        return customer

    def _rejected(self, received: ReceivedCommand, code: RejectionCode) -> CommandResult:
        customer = self.customers.get(received.customer_id)
        version = None if customer is None else customer.version
        return CommandResult(
            received.command_id,
            received.command_type,
            received.customer_id,
            "REJECTED",
            version,
            code.value,
        )


class InMemoryGateway:
    """One worker. url: where its API is served. Fulfils worker.gateway.Gateway."""

    def __init__(self, world: World, url: str | None = None) -> None:
        self.world = world
        self.url = url
        self.ready = Readiness(True, ())
        self.can_send = True
        self.heard = 0  # how often it was told that somebody reads
        self.letters = world.letters
        self._board = a_board()
        self._viewers: list[asyncio.Future[Board | None]] = []

    def own(self, partitions: Iterable[int] = range(PARTITIONS)) -> None:
        """Takes the partitions over."""
        for partition in partitions:
            self.world.owners[partition] = self

    def partition_of(self, key: str) -> int:
        return int(murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS

    def somebody_reads(self) -> None:
        self.heard += 1

    def holds(self, partition: int) -> bool:
        return self.world.owners.get(partition) is self

    def owner_url(self, partition: int) -> str | None:
        owner = self.world.owners.get(partition)
        return None if owner is None else owner.url

    def customer(self, customer_id: str) -> Customer | None:
        self._check(customer_id)
        return self.world.customers.get(customer_id)

    def points_history(
        self, customer_id: str, limit: int, before: HistoryKey | None = None
    ) -> Sequence[tuple[str, str, LedgerLine]]:
        self._check(customer_id)
        return newest(self.world.ledgers[customer_id].lines, limit, before)

    def versions(self, customer_id: str, first: int, last: int) -> Sequence[VersionEntry]:
        self._check(customer_id)
        return versions(self.world.ledgers[customer_id].lines, first, last)

    def last_upgrade(self, customer_id: str) -> VersionEntry | None:
        last = self.world.customers[customer_id].version if customer_id in self.world.customers else 0
        for entry in self.versions(customer_id, 1, last):
            change = entry.line.change
            if change and change.details and change.details.upgrade:
                return entry
        return None

    def ledger(self, customer_id: str) -> Lines:
        self._check(customer_id)
        return self.world.ledgers[customer_id]

    def command(self, customer_id: str, command_id: str) -> CommandState | None:
        self._check(customer_id)
        known = self.world.results.get((customer_id, command_id))
        return None if known is None else CommandState(known[1], False)

    def email_owner(self, email_hash: str) -> str | None:
        self._check(email_hash)
        return self.world.emails.get(email_hash)

    async def send_command(self, customer_id: str, command: bytes, traceparent: bytes | None = None) -> None:
        if not self.can_send:
            raise CommandNotSent
        received = decode_command(command, [])
        assert received.customer_id == customer_id
        self.world.records.append({"value": command, "received": received, "traceparent": traceparent})
        if not self.world.silent:
            asyncio.get_running_loop().call_soon(self.world.take, received)

    def expect_result(self, customer_id: str, command_id: str) -> asyncio.Future[CommandResult]:
        self._check(customer_id)
        waiter: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self.world.waiters[customer_id, command_id].append(waiter)
        return waiter

    def readiness(self) -> Readiness:
        return self.ready

    def customer_ids(self, partition: int, after: str, most: int) -> Sequence[str]:
        if not self.holds(partition):
            raise NotOwned(partition)
        ids = sorted(each for each in self.world.customers if self.partition_of(each) == partition)
        return [each for each in ids if each > after][:most]

    def held_partitions(self) -> frozenset[int]:
        return frozenset(partition for partition in range(PARTITIONS) if self.holds(partition))

    def board(self) -> Board:
        return self._board

    async def board_changed(self) -> Board | None:
        self._viewers.append(asyncio.get_running_loop().create_future())
        return await self._viewers[-1]

    def show(self, board: Board | None) -> None:
        """The next board, as if a second had passed; None: the worker stops."""
        self._board = board or self._board
        for viewer in self._viewers:
            if not viewer.done():
                viewer.set_result(board)
        self._viewers.clear()

    def on_commit(self, listener: Callable[[Sequence[str]], None]) -> None:
        self.world.listeners.append(listener)

    def _check(self, key: str) -> None:
        partition = self.partition_of(key)
        if not self.holds(partition):
            raise NotOwned(partition)
