"""A worker with nothing but the engine: adds up numbers per key, publishes each with its place in the sequence.

Input `<id>-in`: key, value {"id": n}. Table `sums`: key -> {"count", "sum", "xor"}. Output `<id>-out`: {"id", "seq"}.
Run as a program by the crash tests; TOY_CONTROL switches one protection off, so that a test can show that it matters.
"""

import json
import os
import sys
import time
from pathlib import Path

import faust

from worker.engine import transaction
from worker.engine.engine import Engine
from worker.engine.faust_app import build
from worker.engine.partition import Pace
from worker.engine.store import MemoryStores, RocksStores
from worker.engine.unit import Outgoing, Table, Unit
from worker.settings import Settings

SUMS = Table("sums", b"S")
PARTITIONS = 4


class UnfencedEngine(Engine):
    """Control: every owner has its own transactional id, so a former owner can still commit."""

    def transactional_id(self, number):
        return f"{super().transactional_id(number)}-{os.getpid()}"


class AtLeastOnceEngine(Engine):
    """Control: output first, then tables and positions, without a transaction."""

    async def _open_producer(self, number):
        producer = transaction.AIOKafkaProducer(
            **self._client, enable_idempotence=True, max_batch_size=900_000
        )
        await producer.start()
        return producer

    async def commit(self, producer, unit):
        now = int(time.time() * 1000)
        for (topic, number), records in unit.outbox.items():
            await transaction.send(producer, topic, number, records, now)
        return {
            table.mark: await transaction.send(
                producer,
                self.changelog_of(table),
                unit.partition,
                [Outgoing(k, v, []) for k, v in rows.items()],
                now,
            )
            for table, rows in unit.changes.items()
        }


ENGINES = {"": Engine, "no-fence": UnfencedEngine, "at-least-once": AtLeastOnceEngine}


def main() -> None:
    app_id, bootstrap, data = sys.argv[1:4]
    output = f"{app_id}-out"

    def process(unit: Unit, records):
        sums = {}
        for record in records:
            raw = unit.get(SUMS, record.key) if record.key not in sums else None
            total = sums.setdefault(record.key, json.loads(raw) if raw else {"count": 0, "sum": 0, "xor": 0})
            number = json.loads(record.value)["id"]
            total["count"] += 1
            total["sum"] += number
            total["xor"] ^= number
            event = json.dumps({"id": number, "seq": total["count"]}).encode()
            unit.out(output, unit.partition).append(Outgoing(record.key, event, []))
        for key, total in sums.items():
            unit.put(SUMS, key, json.dumps(total).encode())
        return lambda: None

    settings = Settings(
        app_id=app_id, partitions=PARTITIONS, data_dir=Path(data), store=os.environ["TOY_STORE"]
    )
    stores = RocksStores(Path(data) / "store") if settings.store == "rocksdb" else MemoryStores()
    engine = ENGINES[os.environ.get("TOY_CONTROL", "")](
        app_id=app_id,
        client=settings.kafka_client(bootstrap),
        stores=stores,
        tables=[SUMS],
        inputs=[f"{app_id}-in"],
        process=process,
        pace=Pace(build_s=0.02, max_records=200),
    )
    app = build(settings, bootstrap, engine, {"in": f"{app_id}-in"}, {"web_enabled": False})
    print("toy starts", os.getpid(), flush=True)  # noqa: T201 - the harness reads it
    worker = faust.Worker(app, loglevel="WARNING", override_logging=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
