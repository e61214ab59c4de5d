"""The implementation of worker.gateway.Gateway over the engine, the tables and the group's assignment."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.batch import Batch
from agents.routing import Routing
from tables import command_results, customers, email_claims, lost_inputs, waiting
from tables.ledger import CustomerLedger
from tables.rows import Committed
from worker.app.awaited import AwaitedResults
from worker.app.board.customers import CustomerCounting
from worker.app.board.sampling import Boards
from worker.app.lag import LagWatch
from worker.app.letters.box import Letters
from worker.app.rules_watch import RulesWatch
from worker.board import Board, CustomerCounts
from worker.domain.messages import EraseCustomer
from worker.domain.state import Customer, HistoryKey, LedgerLine, VersionEntry
from worker.engine.engine import Engine
from worker.engine.lasting import lasting
from worker.engine.patches.app import EngineApp
from worker.engine.store import Store
from worker.engine.unit import Outgoing
from worker.gateway import CommandNotSent, CommandState, NotOwned, Readiness
from worker.kafka.topics import Catalogue
from worker.letter_box import LetterBox
from worker.membership import Member
from worker.observability.tracing import TRACEPARENT
from worker.wire.commands import decode_command
from worker.wire.results import CommandResult

_SEND_S = 5.0
_ASKED_FOR = 10_000
_SEARCH_S = 0.02
_MAX_READY_LAG = 10_000

# Readers share the cached rows, and must not change them.
_decoded = lru_cache(maxsize=2_000)(customers.decode)


class LiveGateway:
    """What this worker offers to the API and the metrics. worker.gateway.Gateway documents the interface."""

    def __init__(self, catalogue: Catalogue, routing: Routing, me: Member) -> None:
        """Create a gateway that is not connected yet; see `attach`.

        Args:
            catalogue: the topics of the installation.
            routing: topic names and home partitions.
            me: what this worker tells the others of itself.
        """
        self.rules = RulesWatch(me.rules, self.members)
        self._boards = Boards(me, catalogue.partitions, self)
        self._catalogue = catalogue
        self._routing = routing
        # A separate cache, so that keys from HTTP clients do not evict the stream's keys from the routing's cache.
        self._asked_for = lru_cache(maxsize=_ASKED_FOR)(routing.partition_of)
        self._awaited = AwaitedResults()
        self._listeners: list[Callable[[Sequence[str]], None]] = []
        self._app: EngineApp
        self._engine: Engine
        self._lag: LagWatch
        self._letters: Letters
        self._counting: CustomerCounting
        self._running: list[asyncio.Task[None]] = []
        self._producer: AIOKafkaProducer | None = None
        self._client: dict[str, Any] = {}

    def attach(self, app: EngineApp, engine: Engine, client: dict[str, Any]) -> None:
        """Connect to the app and the engine.

        The engine is built with `committed`, so the gateway has to exist before the engine does.
        """
        self._app, self._engine, self._client = app, engine, client
        engine.on_release = self._released
        self._counting = CustomerCounting(engine)
        self._letters = Letters(client, self._catalogue)
        self._lag = LagWatch(client, (self._routing.commands, 0), self._read)

    async def start(self, *, desk: bool = True) -> None:
        """Start the producer of commands and the lag watch.

        Args:
            desk: whether to start what the board shows, too.
        """
        self._producer = AIOKafkaProducer(
            **self._client, enable_idempotence=True, acks="all", request_timeout_ms=5_000
        )
        await self._producer.start()
        tasks = {"lag watch": self._lag.run}
        if desk:
            tasks |= {"count of customers": self._counting.run, "board": self._boards.run}
        self._running = [lasting(asyncio.create_task(run(), name=name)) for name, run in tasks.items()]

    async def stop(self) -> None:
        """Stop what `start` started."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self._letters.stop()
        if self._producer is not None:
            await self._producer.stop()

    def committed(self, batch: Batch, changed: list[str], inputs: int) -> None:
        """Resolve the awaited results of a committed batch, and tell the listeners which customers changed.

        Args:
            batch: the batch, whose transaction is visible locally.
            changed: ids of the customers whose rows changed.
            inputs: the number of its inputs. Unused.
        """
        self._awaited.resolve(batch.results)
        if any(result.command_type == EraseCustomer.__name__ for result in batch.results):
            _decoded.cache_clear()  # it must not keep the data of an erased customer
        if changed:
            for listener in self._listeners:
                listener(changed)

    def published(self, partition: int, events: Sequence[Outgoing], types: Collection[str]) -> None:
        """Show the events of a committed batch on the board.

        Args:
            partition: its partition.
            events: what it published, in order.
            types: the types of these events.
        """
        self._boards.published(events)
        self._counting.committed(partition, events, types)

    def restored(self, store: Store) -> None:
        """A store was restored, and is going to be processed."""
        self._counting.restored(store)

    def _released(self, stores: Collection[Store]) -> None:
        self._awaited.abandon()
        self._counting.released(stores)

    def partition_of(self, key: str) -> int:
        """Kafka's default partition of a key. Implements Gateway."""
        return self._routing.partition_of(key)

    def holds(self, partition: int) -> bool:
        """Whether the partition is restored and processed here. Implements Gateway."""
        return self._engine.holds(partition)

    def held_partitions(self) -> frozenset[int]:
        """The partitions that are restored and processed here. Implements Gateway."""
        return self._engine.held

    def owner_url(self, partition: int) -> str | None:
        """The URL of the partition's owner by the group's last assignment; None while unknown. Implements Gateway."""
        return self._app.owner_url(self._catalogue.changelog(customers.CUSTOMERS.name).name, partition)

    def customer(self, customer_id: str) -> Customer | None:
        """The committed customer, which must not be changed. Raises NotOwned. Implements Gateway."""
        raw = self._rows(customer_id).get(customers.CUSTOMERS, customer_id.encode())
        return None if raw is None else _decoded(raw).customer

    def points_history(
        self, customer_id: str, limit: int, before: HistoryKey | None = None
    ) -> Sequence[tuple[str, str, LedgerLine]]:
        """A page of the ledger lines that changed points, the latest first. Raises NotOwned. Implements Gateway."""
        return CustomerLedger(self._rows(customer_id), customer_id).newest(limit, before)

    def versions(self, customer_id: str, first: int, last: int) -> Sequence[VersionEntry]:
        """The ledger lines of these versions. Implements Gateway. Raises NotOwned."""
        return CustomerLedger(self._rows(customer_id), customer_id).versions(first, last)

    def last_upgrade(self, customer_id: str) -> VersionEntry | None:
        """The ledger line that gave the customer the level. Implements Gateway. Raises NotOwned."""
        return CustomerLedger(self._rows(customer_id), customer_id).last_upgrade()

    def ledger(self, customer_id: str) -> CustomerLedger:
        """The customer's committed ledger. Implements Gateway. Raises NotOwned."""
        return CustomerLedger(self._rows(customer_id), customer_id)

    def command(self, customer_id: str, command_id: str) -> CommandState | None:
        """The command's remembered result, or whether it waits in the customer's queue. Implements Gateway.

        None if the command is unknown. Raises NotOwned.
        """
        rows = self._rows(customer_id)
        remembered = command_results.read(rows, customer_id, command_id)
        if remembered is not None:
            return CommandState(remembered.result, pending=False)
        row = customers.read(rows, customer_id)
        if row is None or not (row.pending_claim or row.queued):
            return None
        claims = row.pending_claim is not None and row.pending_claim.command.command_id == command_id
        waits = claims or _is_queued(rows, customer_id, command_id, self._routing.commands)
        return CommandState(None, pending=True) if waits else None

    def email_owner(self, email_hash: str) -> str | None:
        """The customerId that owns the email, or None. Raises NotOwned. Implements Gateway."""
        claim = email_claims.read(self._rows(email_hash), email_hash)
        return claim.customer_id if claim else None

    async def send_command(self, customer_id: str, command: bytes, traceparent: bytes | None = None) -> None:
        """Produce a command and wait at most _SEND_S for the ack. Raises CommandNotSent. Implements Gateway."""
        partition, key = self._asked_for(customer_id), customer_id.encode()
        headers = [] if traceparent is None else [(TRACEPARENT, traceparent)]
        if self._producer is None:
            raise CommandNotSent
        try:
            async with asyncio.timeout(_SEND_S):
                await self._producer.send_and_wait(
                    self._routing.commands, command, key=key, partition=partition, headers=headers
                )
        except (KafkaError, TimeoutError) as error:
            raise CommandNotSent from error

    def expect_result(self, customer_id: str, command_id: str) -> asyncio.Future[CommandResult]:
        """A future of the command's next committed result. Raises NotOwned. Implements Gateway."""
        self._rows(customer_id)
        return self._awaited.expect(customer_id, command_id)

    def somebody_reads(self) -> None:
        """Let batches yield more often. Implements Gateway."""
        self._engine.somebody_reads()

    def readiness(self) -> Readiness:
        """Whether the assigned partitions are processed, with all reasons if they are not. Implements Gateway.

        Other reasons are missing rules, a silent Kafka, unacknowledged losses, and lag over the limit or without
        progress.
        """
        reasons = [] if self._engine.processing else [self._why_idle()]
        reasons += self.rules.reasons()
        reasons += self._lag.reasons()
        reasons += [
            f"{loss}; `customer-context inputs-lost` shows and acknowledges it" for loss in self.lost_inputs()
        ]
        reasons += [
            f"{topic}-{number} lags {lag} records"
            for (topic, number), lag in self.lags().items()
            if lag > _MAX_READY_LAG
        ]
        return Readiness(not reasons, tuple(reasons))

    def lost_inputs(self) -> Sequence[str]:
        """The unacknowledged losses of inputs in held partitions, as sentences."""
        stores = [(number, self._engine.store(number)) for number in sorted(self._engine.held)]
        return [
            lost.sentence(topic, number)
            for number, store in stores
            if store is not None
            for topic, lost in lost_inputs.of(store).items()
            if lost.acknowledged_at is None
        ]

    def _why_idle(self) -> str:
        if self._app.rebalancing:
            return "the group is rebalancing"
        return "no partition is assigned and restored"

    def lags(self) -> dict[tuple[str, int], int]:
        """The number of offsets not yet processed, for each held input partition."""
        return self._lag.lags()

    def kafka_silent_s(self) -> float:
        """Seconds since Kafka last answered with the end of an input."""
        return self._lag.silent_s()

    def rules_differ(self) -> bool:
        """Whether this worker lacks a version of the rules, or differs in a version that is in force or near."""
        return bool(self.rules.reasons())

    def _read(self) -> dict[tuple[str, int], int]:
        """The position up to which each held input is processed.

        If all delivered records are committed, this is the fetch position. It lies behind transaction markers, which
        are never delivered.
        """
        found = self._engine.progress()
        for (topic, number), position in found.items():
            if self._engine.caught_up(topic, number, position):
                found[topic, number] = max(position, self._app.read_up_to(topic, number))
        return found

    def customer_ids(self, partition: int, after: str, most: int) -> Sequence[str]:
        """One page of the customerIds in a held partition. Raises NotOwned. Implements Gateway."""
        rows = self._partition(partition).after(customers.CUSTOMERS, after.encode())
        return [key.decode() for key, _ in islice(rows, most)]

    @property
    def letters(self) -> LetterBox:
        """The dead letters. Implements Gateway."""
        return self._letters

    def board(self) -> Board:
        """The figures of this worker, made once a second. Implements Gateway."""
        return self._boards.latest()

    async def board_changed(self) -> Board | None:
        """Wait for the next board; None once the worker stops. Implements Gateway."""
        return await self._boards.changed()

    def members(self) -> Sequence[Member]:
        """The members of the group at the last assignment, this worker included."""
        return self._app.members

    def copied_partitions(self) -> frozenset[int]:
        """The partitions of which this worker keeps standby copies."""
        return self._engine.copied

    def customer_counts(self) -> CustomerCounts:
        """The customers of the held partitions by level, as far as they are counted."""
        return self._counting.counts()

    def on_commit(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call listener with the ids of changed customers after each commit. Implements Gateway."""
        self._listeners.append(listener)

    def _rows(self, key: str) -> Committed:
        return self._partition(self._asked_for(key))

    def _partition(self, number: int) -> Committed:
        store = self._engine.store(number)
        if store is None:
            raise NotOwned(number)
        return Committed(store)


def _is_queued(rows: Committed, customer_id: str, command_id: str, topic: str) -> bool:
    """Whether the command waits in its customer's queue. topic: the commands topic; other inputs queue, too.

    A search that takes longer than _SEARCH_S returns True, because a command that may wait must not count as unknown.
    So does one that meets a long command, which takes too long to read.
    """
    until = time.perf_counter() + _SEARCH_S
    for _, each in waiting.scan(rows, customer_id, waiting.COMMAND):
        if time.perf_counter() > until:
            return True
        if each.topic != topic:
            continue
        if each.is_long or decode_command(each.content, each.headers).command_id == command_id:
            return True
    return False
