"""`customer-context worker` with faults built in, for the fault runs only: python -m tests.faults.launcher worker

The worker itself knows nothing of this: its methods are wrapped here, by what the environment says.
- FAULTS_TOKENS: a folder. A worker that reaches a named point and can delete the file of that name there kills itself.
  A file "no room" there is a disk without room for a worker that starts.
- FAULTS_CONTROL: one protection is switched off, so that the check shows that it matters.
- FAULTS_COMMIT_DELAY_S: seconds that every transaction stays open before its commit, so that a fault finds one.
- FAULTS_DEADLINE_S: seconds that a batch may take, so that a process that was frozen is not ended by its own deadline.
- FAULTS_CLOCK_S: seconds by which this worker's clock is wrong.
"""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from tables.ledger import CustomerLedger
from worker.cli import main
from worker.engine import transaction
from worker.engine.engine import Engine
from worker.engine.hooks import EngineConsumer
from worker.engine.partition import Pace
from worker.engine.restore import Reader
from worker.engine.store import RocksStore
from worker.engine.unit import Outgoing, Unit

AT_A_REBALANCE = (
    "before what was loaded is flushed",
    "before restore ends",
    "before the seek",
)
POINTS = (
    "after a send",
    "before the commit",
    "after the commit",
    "before the local write",
    "after the local write",
    *AT_A_REBALANCE,
)


def replace(owner: object, name: str, by: object) -> None:
    """Put something else in the place of a method or function."""
    setattr(owner, name, by)


def die_at(point: str) -> None:
    """Die as by kill -9, if this point's token is there to take."""
    tokens = os.environ.get("FAULTS_TOKENS")
    if tokens:
        try:
            (Path(tokens) / point).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class DyingProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """Takes its time before a commit, and may die there or after it."""

    async def commit_transaction(self) -> None:
        await asyncio.sleep(float(os.environ.get("FAULTS_COMMIT_DELAY_S", "0")))
        die_at("before the commit")
        await super().commit_transaction()
        die_at("after the commit")


def add_points() -> None:
    """Wrap what the named points are in."""
    replace(transaction, "AIOKafkaProducer", DyingProducer)
    send, write, flush, restore = transaction.send, RocksStore.write, RocksStore.flush, Reader.restore
    perform_seek = EngineConsumer.perform_seek

    async def dying_send(*arguments: Any) -> int:
        end = await send(*arguments)
        die_at("after a send")
        return end

    def dying_write(self: RocksStore, changes: Any, offsets: Any) -> None:
        die_at("before the local write")
        write(self, changes, offsets)
        die_at("after the local write")

    def dying_flush(self: RocksStore) -> None:
        if self._loaded:
            die_at("before what was loaded is flushed")
        flush(self)

    async def dying_restore(self: Reader, *arguments: Any, **named: Any) -> int:
        replayed = await restore(self, *arguments, **named)
        die_at("before restore ends")
        return replayed

    async def dying_seek(self: EngineConsumer) -> None:
        die_at("before the seek")
        await perform_seek(self)

    replace(transaction, "send", dying_send)
    replace(RocksStore, "write", dying_write)
    replace(RocksStore, "flush", dying_flush)
    replace(Reader, "restore", dying_restore)
    replace(EngineConsumer, "perform_seek", dying_seek)


# -- protections, each switched off by its name


def no_fence() -> None:
    """Every process has transactional ids of its own."""
    original = Engine.transactional_id
    replace(Engine, "transactional_id", lambda self, number: f"{original(self, number)}-{os.getpid()}")


def no_transaction() -> None:
    """Output first, then tables and positions, each visible at once."""

    async def open_plain(self: Engine, number: int) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**self._client, enable_idempotence=True, max_batch_size=900_000)
        await producer.start()
        return producer

    async def commit(self: Engine, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        now = int(time.time() * 1000)
        for (topic, number), records in unit.outbox.items():
            await transaction.send(producer, topic, number, records, now)
        await asyncio.sleep(0.05)
        logs = {table: [Outgoing(k, v, []) for k, v in rows.items()] for table, rows in unit.changes.items()}
        return {
            table.mark: await transaction.send(producer, self.changelog_of(table), unit.partition, rows, now)
            for table, rows in logs.items()
        }

    replace(Engine, "_open_producer", open_plain)
    replace(Engine, "commit", commit)


def no_seek() -> None:
    """Reading goes on at the end of each log, as after lost group offsets, and nobody looks what was left out."""
    original = Engine.positions

    async def ends(self: Engine, assigned: Any) -> dict[tuple[str, int], int]:
        found = await original(self, list(assigned))
        return {place: end for place, (_, end) in (await self._reader.bounds(found)).items()}

    replace(Engine, "positions", ends)


def no_dedupe() -> None:
    """Nobody remembers what was counted."""
    replace(CustomerLedger, "line", lambda self, kind, line_id: None)


def no_await() -> None:
    """A transaction commits without looking what became of what it sent."""

    async def deliver(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> int:
        future = await producer.send_batch(batch, topic, partition=partition)
        future.add_done_callback(lambda done: done.exception())
        return 0

    replace(transaction, "_deliver", deliver)


CONTROLS: dict[str, Callable[[], None]] = {
    "fence": no_fence,
    "transaction": no_transaction,
    "seek": no_seek,
    "dedupe": no_dedupe,
    "await": no_await,
}


def set_clock(wrong_by_s: float) -> None:
    """Let time.time() be wrong."""
    right = time.time
    time.time = lambda: right() + wrong_by_s


def set_deadline(seconds: float) -> None:
    """Let a batch take that long."""
    original = Engine.__init__

    def patient(self: Engine, **arguments: Any) -> None:
        pace = arguments.get("pace") or Pace()
        original(self, **{**arguments, "pace": pace._replace(deadline_s=seconds)})

    replace(Engine, "__init__", patient)


if __name__ == "__main__":
    if tokens := os.environ.get("FAULTS_TOKENS"):
        add_points()
        if (Path(tokens) / "no room").exists():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of the write instead
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    if control := os.environ.get("FAULTS_CONTROL"):
        CONTROLS[control]()
    if deadline := os.environ.get("FAULTS_DEADLINE_S"):
        set_deadline(float(deadline))
    if wrong_by := os.environ.get("FAULTS_CLOCK_S"):
        set_clock(float(wrong_by))
    main()
