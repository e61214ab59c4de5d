"""One transaction: everything that a unit sends and changes, or nothing of it.

Rules:
- Records are sent as whole record batches, at 1.5 µs a record instead of 10.
- The outcome of a commit is known before the next transaction begins (worker.engine.patches.producer).
- Every produce future is awaited before the commit, because aiokafka commits even if a produce failed.
- A transaction is never aborted and tried again. Any error ends the process (worker.engine.partition).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from worker.engine.kafka_clock import CLOCK
from worker.engine.patches.producer import CertainProducer
from worker.engine.unit import Columns, Table, Unit
from worker.kafka.compression import Compression

_LOG_APPEND_TIME = 1  # the broker stamped it
BATCH_BYTES = 900_000

_REQUEST_TIMEOUT_MS = 10_000

METADATA_MAX_AGE_MS = 5_000
"""The longest time until a client knows that a partition's leader moved, whatever else fails."""


async def open_producer(
    client: Mapping[str, Any],
    transactional_id: str,
    timeout_ms: int,
    compression: Compression | None = None,
) -> CertainProducer:
    """Start a transactional producer. Its InitProducerId fences every older producer with the same id.

    Args:
        client: aiokafka client arguments. May hold request_timeout_ms and metadata_max_age_ms.
        transactional_id: the partition's.
        timeout_ms: after this time brokers abort an open transaction.
        compression: of all record batches that it sends; None for none.
    """
    producer = CertainProducer(
        **{
            "request_timeout_ms": _REQUEST_TIMEOUT_MS,
            "metadata_max_age_ms": METADATA_MAX_AGE_MS,
            **client,
        },
        transactional_id=transactional_id,
        transaction_timeout_ms=timeout_ms,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=16 << 20,
        compression_type=compression,
        retry_backoff_ms=20,
    )
    await producer.start()
    return producer


async def commit(
    producer: AIOKafkaProducer, unit: Unit, changelog_of: Callable[[Table], str]
) -> dict[bytes, int]:
    """Publish and commit a unit. Returns, per table mark, the changelog offset after the last record."""
    now = int(time.time() * 1000)
    await producer.begin_transaction()
    sends = [
        send(producer, topic, partition, Columns.of(records), now)
        for (topic, partition), records in unit.outbox.items()
    ]
    logs = [
        send(producer, changelog_of(table), unit.partition, Columns.of_rows(rows), now)
        for table, rows in unit.changes.items()
    ]
    ends = await asyncio.gather(*logs, *sends)
    await producer.commit_transaction()
    return {table.mark: end for table, end in zip(unit.changes, ends[: len(logs)], strict=True)}


async def send(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Columns, timestamp: int
) -> int:
    """Send records in order as record batches, and wait for the acks.

    Args:
        producer: has an open transaction.
        topic: where to send.
        partition: where to send.
        records: the records, in order.
        timestamp: of all records, in ms since 1970 UTC.

    Returns:
        The offset after the last record; 0 if there are none.
    """
    end = sent = 0
    while sent < len(records.keys):
        batch = producer.create_batch()
        sent = batch.fill(records, sent, timestamp)
        end = await _deliver(producer, batch, topic, partition)
    return end


async def _deliver(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> int:
    count = batch.record_count()
    metadata = await (await producer.send_batch(batch, topic, partition=partition))
    if metadata.timestamp_type == _LOG_APPEND_TIME:
        CLOCK.note(int(time.time() * 1000), metadata.timestamp)
    return int(metadata.offset) + int(count)


async def close_all(producers: Iterable[AIOKafkaProducer]) -> None:
    """Stop producers concurrently."""
    await asyncio.gather(*(producer.stop() for producer in producers))
