"""Recovery from a lost input topic: its positions are set to the start of the new topic (`topics --accept-loss`).

Rules:
- Each partition's position changes in a transaction of that partition's own producer. So an owner that still runs is
  fenced, and reads the new position at its next start.
- The tables record the loss, so that `verify` reports inputs of that topic as "not verifiable".
"""

from collections.abc import Mapping
from typing import Any

from tables import application
from tables.application import APPLICATION
from worker.engine.store import MemoryStore
from worker.engine.transaction import commit, open_producer
from worker.engine.unit import POSITIONS, Table, Unit
from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue

_TRANSACTION_TIMEOUT_MS = 15_000


async def accept(client: Mapping[str, Any], catalogue: Catalogue, topic: str, now: int) -> dict[int, int]:
    """Set every partition's position in the topic to its start. Returns the positions by partition.

    Args:
        client: aiokafka client arguments.
        catalogue: names the changelogs and the partition count.
        topic: an existing input topic, by its full name.
        now: ms since 1970 UTC.
    """
    starts = await _starts(client, topic, catalogue.partitions)

    def changelog_of(table: Table) -> str:
        return catalogue.changelog(table.name).name

    for number, start in starts.items():
        producer = await open_producer(client, f"{catalogue.app_id}-{number}", _TRANSACTION_TIMEOUT_MS)
        try:
            unit = Unit(number, MemoryStore())
            unit.put(POSITIONS, topic.encode(), b"%d" % start)
            unit.put(APPLICATION, *application.lost_row(topic, now))
            await commit(producer, unit, changelog_of)
        finally:
            await producer.stop()
    return starts


async def _starts(client: Mapping[str, Any], topic: str, partitions: int) -> dict[int, int]:
    async with reading(client, [topic], range(partitions), from_beginning=True) as reader:
        return {tp.partition: start for tp, start in (await reader.starts()).items()}
