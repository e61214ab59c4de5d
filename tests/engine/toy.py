"""A worker with nothing but the engine: adds up numbers per key, publishes each with its place in the sequence.

Input `<id>-in`: key, value {"id": n}. Table `sums`: key -> {"count", "sum", "xor"}. Output `<id>-out`: {"id", "seq"}.
Run as a program by the crash tests: python -m tests.engine.toy APP_ID BOOTSTRAP DATA_DIR, with in the environment
- TOY_STORE: rocksdb or memory
- TOY_CONTROL: no-fence, at-least-once, or skip: one protection off or one fault in, so that a test shows it matters
- TOY_COMMIT_DELAY_S: seconds that every transaction stays open between its sends and its commit
- TOY_DEADLINE_S: of a batch
- TOY_SESSION_S: of the consumer group
- TOY_ENDS_WITHIN_S: of the process, once it is told to stop
- TOY_TOLD: any text. The process was told to stop before the worker started, and started it all the same
- TOY_HANG: what hangs once the worker is told to stop (HANGS)
"""

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from api.dispatch import refuse_unreadable
from worker.engine import exits, faust_app, patches, transaction
from worker.engine.engine import Engine
from worker.engine.lanes import Pace
from worker.engine.making import BeginWork
from worker.engine.patches.faust_worker import EngineWorker
from worker.engine.patches.producer import CertainProducer
from worker.engine.store import MemoryStores, RocksStores, Stores
from worker.engine.unit import Columns, Outgoing, Stored, Table, Unit
from worker.membership import Member
from worker.settings import Settings

SUMS = Table("sums", b"S")
PARTITIONS = 4
_FOR_GOOD_S = 60.0
COMMIT_DELAY_S = float(os.environ.get("TOY_COMMIT_DELAY_S", "0"))


class SlowProducer(CertainProducer):
    """Leaves each transaction open for a while, so that a crash finds one."""

    async def commit_transaction(self) -> None:
        await asyncio.sleep(COMMIT_DELAY_S)
        await super().commit_transaction()


class UnfencedEngine(Engine):
    """Control: every owner has its own transactional id, so a former owner can still commit."""

    def transactional_id(self, number: int) -> str:
        return f"{super().transactional_id(number)}-{os.getpid()}"


class AtLeastOnceEngine(Engine):
    """Control: output first, then tables and positions, without a transaction."""

    async def _open_producer(self, number: int) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**self._client, enable_idempotence=True, max_batch_size=900_000)
        producer.transaction_version, producer.former_had_committed = 0, True
        await producer.start()
        return producer

    async def commit(self, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        now = int(time.time() * 1000)
        for (topic, number), records in unit.outbox.items():
            await transaction.send(producer, topic, number, Columns.of(records), now)
        await asyncio.sleep(COMMIT_DELAY_S)
        return {
            table.mark: await transaction.send(
                producer,
                self.changelog_of(table),
                unit.partition,
                Columns.of_rows(rows),
                now,
            )
            for table, rows in unit.changes.items()
        }


class SkippingEngine(Engine):
    """Fault: the first record of the first fetch is lost on the way, as Faust's defects have lost some."""

    lost = False

    async def put(self, topic: str, number: int, generation: int, records: Sequence[Any]) -> None:
        if not self.lost and len(records) > 1:
            self.lost, records = True, records[1:]
        await super().put(topic, number, generation, records)


Close = Callable[[], Awaitable[None]]

ENGINES = {"": Engine, "no-fence": UnfencedEngine, "at-least-once": AtLeastOnceEngine, "skip": SkippingEngine}


async def leave_a_thread(close: Close) -> None:
    """Nobody ends it."""
    await close()
    threading.Thread(target=time.sleep, args=(_FOR_GOOD_S,)).start()


async def hold_the_loop(_: Close) -> None:
    """As a library does."""
    time.sleep(_FOR_GOOD_S)  # noqa: ASYNC251 - that is the fault


async def fail(_: Close) -> None:
    """While partitions are processed."""
    raise LookupError


HANGS = {
    "a thread after the end": leave_a_thread,
    "a library holds the loop": hold_the_loop,
    "closing raises": fail,
}


def adding_up(output: str) -> BeginWork:
    """What the toy does with a batch; output: the topic of the numbered events."""
    return lambda unit: AddingUp(unit, output)


class AddingUp:
    """Per key, how many numbers came, and their sum and xor. Fulfils worker.engine.making.Work."""

    def __init__(self, unit: Unit, output: str) -> None:
        self._unit = unit
        self._events = unit.out(output, unit.partition)
        self._sums: dict[bytes, dict[str, int]] = {}

    def take(self, records: Sequence[Any], until: float = math.inf) -> int:
        for record in records:
            self._unit.at = record
            if record.key not in self._sums:
                raw = self._unit.get(SUMS, record.key)
                self._sums[record.key] = json.loads(raw) if raw else {"count": 0, "sum": 0, "xor": 0}
            total = self._sums[record.key]
            number = json.loads(record.value)["id"]
            total["count"] += 1
            total["sum"] += number
            total["xor"] ^= number
            event = json.dumps({"id": number, "seq": total["count"]}).encode()
            self._events.append(Outgoing(record.key, event, []))
        return len(records)

    def fail(self, record: Any, detail: str, *, bare: bool) -> None:
        self._events.append(Outgoing(record.key, json.dumps({"failed": record.offset}).encode(), []))

    def go_on(self, *, alone: bool = False) -> bool:
        raise NotImplementedError

    def next_stored(self) -> Stored | None:
        raise NotImplementedError

    def put_aside(self, stored: Stored, detail: str, *, bare: bool) -> None:
        raise NotImplementedError

    def finish(self) -> Callable[[], None]:
        for key, total in self._sums.items():
            self._unit.put(SUMS, key, json.dumps(total).encode())
        return lambda: None


def main() -> None:
    """Run until told to stop."""
    patches.install(refuse_unreadable)
    app_id, bootstrap, data = sys.argv[1:4]
    transaction.CertainProducer = SlowProducer  # type: ignore[attr-defined]  # what the module itself uses
    faust_app.SESSION_S = float(os.environ.get("TOY_SESSION_S", faust_app.SESSION_S))
    exits.ENDS_WITHIN_S = float(os.environ.get("TOY_ENDS_WITHIN_S", exits.ENDS_WITHIN_S))
    deadline_s = float(os.environ.get("TOY_DEADLINE_S", Pace().deadline_s))
    settings = Settings(
        app_id=app_id, partitions=PARTITIONS, data_dir=Path(data), store=os.environ["TOY_STORE"]
    )
    stores: Stores = RocksStores(Path(data) / "store") if settings.store == "rocksdb" else MemoryStores()
    engine = ENGINES[os.environ.get("TOY_CONTROL", "")](
        app_id=app_id,
        client=settings.kafka_client(bootstrap),
        stores=stores,
        tables=[SUMS],
        inputs=[f"{app_id}-in"],
        process=adding_up(f"{app_id}-out"),
        pace=Pace(build_s=0.02, max_records=200, deadline_s=deadline_s),
    )
    if hang := HANGS.get(os.environ.get("TOY_HANG", "")):
        engine.takeover.close = partial(hang, engine.takeover.close)  # type: ignore[method-assign]
    me = Member("http://127.0.0.1:6066", "toy", "unknown", "", payment_join=False, rules={})
    app = faust_app.build(settings, bootstrap, engine, {"in": f"{app_id}-in"}, {"web_enabled": False}, me)
    if os.environ.get("TOY_TOLD"):
        with contextlib.suppress(SystemExit):
            exits.stop_before_the_start(signal.SIGTERM, None)
    print("toy starts", os.getpid(), flush=True)  # noqa: T201 (for who reads the log of a failed test)
    worker = EngineWorker(app, loglevel="WARNING", override_logging=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
