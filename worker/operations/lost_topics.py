"""Detection of topics that the application had and that are gone. They are not created anew, because that would hide the loss.

Rules:
- A lost input topic ends the worker (74). `topics --accept-loss` creates it anew and sets the positions to its start.
- A lost changelog ends the worker (74). A Kafka without any changelog ends it too, if local stores hold tables. The
  stores may be the last copy, so nothing here advises to remove them.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import tables
from worker.engine.unit import POSITIONS
from worker.kafka.admin import topic_names
from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue

LAST_COPY = (
    "the local stores may be the last copy of the tables: keep them, and see Restore in the operations page"
)


async def loss(
    client: Mapping[str, Any], catalogue: Catalogue, stores: Path | None, accepted: Collection[str] = ()
) -> str | None:
    """The loss as one sentence that says what to do; None when nothing is lost.

    Args:
        client: aiokafka client arguments.
        catalogue: the topics that the application needs.
        stores: the folder of the local stores; None when tables are kept in memory.
        accepted: input topics whose loss the operator accepts.
    """
    names = await topic_names(client)
    changelogs = [catalogue.changelog(table.name).name for table in (*tables.FIRST, POSITIONS)]
    gone = [name for name in changelogs if name not in names]
    if len(gone) == len(changelogs):
        return _orphaned(stores)
    if gone:
        return f"the changelog {', '.join(gone)} is gone; {LAST_COPY}"
    missing = [topic.name for topic in catalogue.consumed if topic.name not in {*names, *accepted}]
    return _lost_inputs(missing, await _read_topics(client, catalogue)) if missing else None


def _orphaned(stores: Path | None) -> str | None:
    found = [] if stores is None else list(stores.glob("*/[0-9][0-9][0-9][0-9][0-9]/CURRENT"))
    if not found:
        return None
    return (
        f"Kafka has no changelog of this APP_ID, and {stores} holds {len(found)} local stores: Kafka has lost its data, "
        f"or DATA_DIR belongs to another APP_ID or another Kafka; {LAST_COPY}"
    )


def _lost_inputs(missing: Iterable[str], positions: Mapping[str, int]) -> str | None:
    lost = [name for name in missing if positions.get(name)]
    if not lost:
        return None
    ways = " ".join(f"--accept-loss {name}" for name in lost)
    return (
        f"the input topic {', '.join(lost)} is gone, and positions in it are known: bring it back, or give up what was not "
        f"read of it with `customer-context topics {ways}`"
    )


async def _read_topics(client: Mapping[str, Any], catalogue: Catalogue) -> dict[str, int]:
    """The largest position in each topic, over all partitions."""
    found: dict[str, int] = {}
    changelog = catalogue.changelog(POSITIONS.name).name
    async with reading(client, [changelog], range(catalogue.partitions), from_beginning=True) as reader:
        async for records in reader.to_the_end():
            for record in records:
                topic = record.key.decode()
                found[topic] = max(found.get(topic, 0), int(record.value or 0))
    return found
