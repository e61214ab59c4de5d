"""The producer of programs beside the worker: the console and the demo. Idempotent, with Kafka's default partitioner."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from worker.wire.limits import MAX_RECORD_BYTES

_LINGER_MS = 10  # nobody waits for a single record here, and fuller batches are quicker
_BATCH_BYTES = 256 * 1024


@asynccontextmanager
async def producing(client: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    """An open producer; leaving flushes it. client: aiokafka client arguments."""
    producer = AIOKafkaProducer(
        **client,
        enable_idempotence=True,
        linger_ms=_LINGER_MS,
        max_batch_size=_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
    )
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()
