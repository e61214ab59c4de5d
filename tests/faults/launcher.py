"""`customer-context worker` with faults built in, for the fault runs only: python -m tests.faults.launcher worker

The worker's own code has no fault hooks. This module wraps its methods, controlled by environment variables:
- FAULTS_TOKENS: a folder of token files. A worker that reaches a named point kills itself if it can delete the file of
  that name. The file `stall` makes one local write hang for the seconds in it. The file `clock` holds the seconds by
  which the clock of every worker is wrong from now on. The file `no room` makes the disk full for a starting worker.
- FAULTS_CONTROL: switches one protection off, to show that the check finds the damage.
- FAULTS_COMMIT_DELAY_S: seconds that every transaction stays open before its commit, so that a fault hits an open one.
- FAULTS_DEADLINE_S: seconds that a batch may take, so that a frozen process does not end by its own deadline.
- FAULTS_BATCH_BYTES: maximum bytes of one Produce per partition, so that transactions have many without a backlog.
- FAULTS_HELD_S: seconds that the event loop may be blocked before the watchdog ends the process.
- FAULTS_PLANTED: any text. The worker fails on an order whose id begins with the name of a defect (DEFECTS).
- FAULTS_CLOCK_S: seconds by which this worker's clock is wrong.
"""

import asyncio
import ctypes
import inspect
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from agents import purchases
from agents.processor import Processor
from tables.ledger import CustomerLedger
from worker.cli import main
from worker.engine import store_files, transaction
from worker.engine.engine import Engine
from worker.engine.isolation import Isolation
from worker.engine.kafka_clock import KafkaClock
from worker.engine.lanes import Pace
from worker.engine.patches.consumer import EngineConsumer
from worker.engine.patches.producer import CertainProducer
from worker.engine.restore import Reader
from worker.engine.store import RocksStore
from worker.engine.takeover import Log, Position, Takeover
from worker.engine.unit import Columns, Unit

_CLOCK_EVERY_S = 0.2
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


def replace(owner: object, name: str, by: Any) -> None:
    """Replace a method, function or constant."""
    check_fits(getattr(owner, name), by)
    setattr(owner, name, by)


def check_fits(original: Any, by: Any) -> None:
    """Raise TypeError if a function does not take the arguments of the one that it replaces."""
    if not inspect.isfunction(original):
        return
    taken = inspect.signature(original).parameters.values()
    by_name = {each.name: None for each in taken if each.kind is each.KEYWORD_ONLY}
    by_place = [None for each in taken if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    inspect.signature(by).bind(*by_place, **by_name)


def stall() -> None:
    """Block like a hanging disk, if this process can take the token."""
    tokens = os.environ.get("FAULTS_TOKENS")
    if tokens:
        token = Path(tokens) / "stall"
        mine = token.with_name(f"stall {os.getpid()}")
        try:
            token.rename(mine)
        except FileNotFoundError:
            return
        time.sleep(float(mine.read_text()))


def die_at(point: str) -> None:
    """End this process with SIGKILL, if it can take this point's token."""
    tokens = os.environ.get("FAULTS_TOKENS")
    if tokens:
        try:
            (Path(tokens) / point).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class DyingProducer(CertainProducer):
    """Waits before each commit. May kill the process just before or after the commit."""

    async def commit_transaction(self) -> None:
        await asyncio.sleep(float(os.environ.get("FAULTS_COMMIT_DELAY_S", "0")))
        die_at("before the commit")
        await super().commit_transaction()
        die_at("after the commit")


def add_points() -> None:
    """Add the named points: wrap the methods that contain them."""
    replace(transaction, "CertainProducer", DyingProducer)
    send, write, flush, restore = transaction.send, RocksStore.write, RocksStore.flush, Reader.restore
    seek_to = EngineConsumer.seek_to

    async def dying_send(*arguments: Any) -> int:
        end = await send(*arguments)
        die_at("after a send")
        return end

    def dying_write(self: RocksStore, changes: Any, offsets: Any) -> None:
        die_at("before the local write")
        stall()
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

    async def dying_seek(self: EngineConsumer, positions: Any) -> None:
        die_at("before the seek")
        await seek_to(self, positions)

    replace(transaction, "send", dying_send)
    replace(RocksStore, "write", dying_write)
    replace(RocksStore, "flush", dying_flush)
    replace(Reader, "restore", dying_restore)
    replace(EngineConsumer, "seek_to", dying_seek)


# -- protections, each switched off by its name


def no_fence() -> None:
    """Give every process its own transactional ids, so that none fences another."""
    original = Engine.transactional_id
    replace(Engine, "transactional_id", lambda self, number: f"{original(self, number)}-{os.getpid()}")


class PlainProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's own producer, with the attributes that the engine expects."""

    transaction_version = 0
    former_had_committed = True


def no_transaction() -> None:
    """Send without a transaction: output first, then tables and positions. Each record is visible at once."""

    async def open_plain(self: Engine, number: int) -> AIOKafkaProducer:
        producer = PlainProducer(**self._client, enable_idempotence=True, max_batch_size=900_000)
        await producer.start()
        return producer

    async def commit(self: Engine, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        now = int(time.time() * 1000)
        for (topic, number), records in unit.outbox.items():
            await transaction.send(producer, topic, number, Columns.of(records), now)
        await asyncio.sleep(0.05)
        logs = {table: Columns.of_rows(rows) for table, rows in unit.changes.items()}
        return {
            table.mark: await transaction.send(producer, self.changelog_of(table), unit.partition, rows, now)
            for table, rows in logs.items()
        }

    replace(Engine, "_open_producer", open_plain)
    replace(Engine, "commit", commit)


def no_seek() -> None:
    """Continue at the end of each log, as after lost group offsets, and skip the check for a gap."""
    original = Takeover.positions

    async def ends(self: Takeover, assigned: Any) -> dict[Log, Position]:
        found = await original(self, assigned)
        return {log: at._replace(next=at.end) for log, at in found.items()}

    replace(Takeover, "positions", ends)


def no_dedupe() -> None:
    """Hide the ledger, so that no input counts as known."""
    replace(CustomerLedger, "line", lambda self, kind, line_id: None)


def no_await() -> None:
    """Commit without waiting for the acknowledgements of the sent records."""

    async def deliver(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> int:
        future = await producer.send_batch(batch, topic, partition=partition)
        future.add_done_callback(lambda done: done.exception())
        return 0

    replace(transaction, "_deliver", deliver)


def no_certainty() -> None:
    """Repeat an unanswered commit, and begin the next transaction in the same epoch."""
    replace(transaction, "CertainProducer", PlainProducer)


def no_isolation() -> None:
    """Ignore that a former owner failed on an input."""
    replace(Isolation, "begin", lambda self, positions, ends, unit, **_: None)


def no_store_check() -> None:
    """Skip the check of the files of a store, such as writes missing between its tables and its write-ahead log."""
    replace(store_files, "damage", lambda _: None)


def no_kafka_clock() -> None:
    """Skip the comparison of the clock with Kafka's."""
    replace(KafkaClock, "note", lambda self, ours_ms, theirs_ms: None)


CONTROLS: dict[str, Callable[[], None]] = {
    "fence": no_fence,
    "transaction": no_transaction,
    "seek": no_seek,
    "dedupe": no_dedupe,
    "await": no_await,
    "certainty": no_certainty,
    "isolation": no_isolation,
    "store check": no_store_check,
    "kafka clock": no_kafka_clock,
    "none": lambda: None,
}


# -- defects that one input triggers


def raise_an_exception() -> None:
    """Simulate a defect in our code."""
    raise LookupError("planted")


def loop_in_c() -> None:
    """Run a regular expression with catastrophic backtracking. No other Python thread runs meanwhile."""
    re.fullmatch(r"(a+)+", "a" * 64 + "b")


def segfault() -> None:
    """Crash like a defect in a native library."""
    ctypes.string_at(0)


DEFECTS: dict[str, Callable[[], None]] = {
    "exception": raise_an_exception,
    "loop": loop_in_c,
    "segfault": segfault,
}


def plant() -> None:
    """Make an order trigger a defect if its id begins with the defect's name."""
    original = purchases.receive  # of every order, read by itself or with others

    def receive(batch: Any, source: Any, purchase: Any, forwarded: bool = False) -> None:
        for name, defect in DEFECTS.items():
            if f'"orderId":"{name}-'.encode() in source.value:
                defect()
        original(batch, source, purchase, forwarded)

    replace(purchases, "receive", receive)


def set_clock(wrong_by_s: float, tokens: str | None) -> None:
    """Shift time.time() by the given seconds, plus the seconds in the file "clock", which is read regularly."""
    right, jumped = time.time, [0.0]

    def wrong() -> float:
        return right() + wrong_by_s + jumped[0]

    def follow(clock: Path) -> None:
        while True:
            if clock.exists():
                jumped[0] = float(clock.read_text())
            time.sleep(_CLOCK_EVERY_S)

    time.time = wrong
    # Defaults are bound when the function is defined, so they still hold the right clock.
    defaults = Processor.__init__.__defaults__ or ()
    replace(Processor.__init__, "__defaults__", tuple(wrong if each is right else each for each in defaults))
    if tokens:
        threading.Thread(target=follow, args=(Path(tokens) / "clock",), daemon=True).start()


def set_deadline(seconds: float) -> None:
    """Set the deadline of a batch."""
    original = Engine.__init__

    def patient(self: Engine, **arguments: Any) -> None:
        pace = arguments.get("pace") or Pace()
        original(self, **{**arguments, "pace": pace._replace(deadline_s=seconds)})

    replace(Engine, "__init__", patient)


if __name__ == "__main__":
    if tokens := os.environ.get("FAULTS_TOKENS"):
        add_points()
        if (Path(tokens) / "no room").exists():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails with an error instead
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    if control := os.environ.get("FAULTS_CONTROL"):
        CONTROLS[control]()
    if deadline := os.environ.get("FAULTS_DEADLINE_S"):
        set_deadline(float(deadline))
    if batch_bytes := os.environ.get("FAULTS_BATCH_BYTES"):
        replace(transaction, "BATCH_BYTES", int(batch_bytes))
    if held := os.environ.get("FAULTS_HELD_S"):
        replace(import_module("worker.app.run"), "_HELD_LOOP_S", float(held))
    if os.environ.get("FAULTS_PLANTED"):
        plant()
    set_clock(float(os.environ.get("FAULTS_CLOCK_S", "0")), tokens)
    main()
