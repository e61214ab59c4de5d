"""worker.gateway.Gateway over the engine, the tables and the group's assignment."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.batch import Batch, Routing
from tables import command_results, customers, email_claims, waiting
from tables.ledger import CustomerLedger
from tables.rows import Committed
from worker.app.awaited import AwaitedResults
from worker.domain.messages import EraseCustomer
from worker.domain.state import Customer, LedgerLine
from worker.engine.engine import Engine
from worker.engine.hooks import EngineApp
from worker.gateway import CommandNotSent, CommandState, NotOwned, Readiness
from worker.topics import Catalogue
from worker.tracing import TRACEPARENT
from worker.wire.commands import decode_command
from worker.wire.results import CommandResult

_SEND_S = 5.0
_MAX_READY_LAG = 10_000

# Customers who are read often change seldom. What this returns is shared: nobody on the reading side changes it.
_decoded = lru_cache(maxsize=2_000)(customers.decode)


class LiveGateway:
    """Everything that the API may ask of this worker."""

    def __init__(self, catalogue: Catalogue, routing: Routing) -> None:
        self._catalogue = catalogue
        self._routing = routing
        self._awaited = AwaitedResults()
        self._listeners: list[Callable[[Sequence[str]], None]] = []
        self._app: EngineApp
        self._engine: Engine
        self._producer: AIOKafkaProducer | None = None
        self._client: dict[str, Any] = {}

    def attach(self, app: EngineApp, engine: Engine, client: dict[str, Any]) -> None:
        """Connect to the running parts; they need `committed` first, so this cannot be in __init__."""
        self._app, self._engine, self._client = app, engine, client
        engine.on_release = self._awaited.abandon

    async def start(self) -> None:
        """Open the producer of commands."""
        self._producer = AIOKafkaProducer(
            **self._client, enable_idempotence=True, acks="all", request_timeout_ms=5_000
        )
        await self._producer.start()

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    def committed(self, batch: Batch, changed: list[str], inputs: int) -> None:
        """Called by the processor with every committed batch."""
        self._awaited.resolve(batch.results)
        if any(result.command_type == EraseCustomer.__name__ for result in batch.results):
            _decoded.cache_clear()  # who was erased must not live on in it
        if changed:
            for listener in self._listeners:
                listener(changed)

    def partition_of(self, key: str) -> int:
        return self._routing.home(key)[0]

    def holds(self, partition: int) -> bool:
        return self._engine.holds(partition)

    def held_partitions(self) -> frozenset[int]:
        return self._engine.held

    def owner_url(self, partition: int) -> str | None:
        return self._app.owner_url(self._catalogue.changelog(customers.CUSTOMERS.name).name, partition)

    def customer(self, customer_id: str) -> Customer | None:
        raw = self._rows(customer_id).get(customers.CUSTOMERS, customer_id.encode())
        return None if raw is None else _decoded(raw).customer

    def ledger(self, customer_id: str) -> Sequence[tuple[str, str, LedgerLine]]:
        return CustomerLedger(self._rows(customer_id), customer_id).lines()

    def command(self, customer_id: str, command_id: str) -> CommandState | None:
        rows = self._rows(customer_id)
        remembered = command_results.read(rows, customer_id, command_id)
        if remembered is not None:
            return CommandState(remembered.result, pending=False)
        row = customers.read(rows, customer_id)
        if row is None or row.pending is None:
            return None
        queued = (
            decode_command(each.value, each.headers)
            for _, each in waiting.scan(rows, customer_id, waiting.COMMAND)
        )
        ids = {row.pending.command.command_id, *(received.command_id for received in queued)}
        return CommandState(None, pending=True) if command_id in ids else None

    def email_owner(self, email_hash: str) -> str | None:
        claim = email_claims.read(self._rows(email_hash), email_hash)
        return claim.customer_id if claim else None

    async def send_command(self, customer_id: str, command: bytes, traceparent: bytes | None = None) -> None:
        partition, key = self._routing.home(customer_id)
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

    async def command_result(self, customer_id: str, command_id: str, within: float) -> CommandResult | None:
        self._rows(customer_id)
        return await self._awaited.result(customer_id, command_id, within)

    def readiness(self) -> Readiness:
        held = self._engine.held
        if not held:
            reason = (
                "no partition is assigned and restored"
                if not self._app.rebalancing
                else "the group is rebalancing"
            )
            return Readiness(False, (reason,))
        behind = {tp: lag for tp, lag in self.lags().items() if lag > _MAX_READY_LAG}
        return Readiness(
            not behind,
            tuple(f"{topic}-{number} lags {lag} records" for (topic, number), lag in behind.items()),
        )

    def lags(self) -> dict[tuple[str, int], int]:
        """Records not yet processed, per held input partition, as of its last fetch."""
        found = {}
        for (topic, number), position in self._engine.progress().items():
            end = self._app.highwater(topic, number)
            if end is None:
                continue
            if self._engine.caught_up(topic, number, position):
                # What is left may be markers of transactions, which take offsets and are never delivered.
                position = max(position, self._app.read_up_to(topic, number))
            found[topic, number] = max(end - position, 0)
        return found

    def customers(self, partition: int) -> Iterable[Customer]:
        for _, value in self._partition(partition).scan(customers.CUSTOMERS, b""):
            row = customers.decode(value)
            if row.customer is not None:
                yield row.customer

    def on_commit(self, listener: Callable[[Sequence[str]], None]) -> None:
        self._listeners.append(listener)

    def _rows(self, key: str) -> Committed:
        return self._partition(self.partition_of(key))

    def _partition(self, number: int) -> Committed:
        store = self._engine.store(number)
        if store is None:
            raise NotOwned(number)
        return Committed(store)
