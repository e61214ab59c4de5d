"""Inputs lost to retention, seen from outside: list the losses that the tables record, and acknowledge them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tables import lost_inputs
from tables.application import APPLICATION
from tables.lost_inputs import LostInputs
from worker.kafka.producer import producing
from worker.kafka.reader import NoSuchTopic, reading
from worker.kafka.topics import Catalogue
from worker.wire import claims, inbox

_LOOK_EVERY_S = 0.5


class Loss(NamedTuple):
    """The loss in one partition of a topic."""

    topic: str
    partition: int
    lost: LostInputs

    @property
    def sentence(self) -> str:
        """The loss as a sentence."""
        return self.lost.sentence(self.topic, self.partition)

    @property
    def acknowledged(self) -> bool:
        """Whether an operator has acknowledged the loss."""
        return self.lost.acknowledged_at is not None


async def remembered(client: Mapping[str, Any], catalogue: Catalogue) -> list[Loss]:
    """Every loss that the tables record, sorted by topic and partition; none for an application that has never run.

    client: aiokafka client arguments.
    """
    rows: dict[int, dict[bytes, bytes]] = {}
    changelog = catalogue.changelog(APPLICATION.name).name
    try:
        async with reading(client, [changelog], range(catalogue.partitions), from_beginning=True) as reader:
            async for records in reader.to_the_end():
                for record in records:
                    rows.setdefault(record.partition, {})[record.key] = record.value
    except NoSuchTopic:
        return []
    return sorted(
        Loss(topic, number, lost)
        for number, of_partition in rows.items()
        for topic, lost in lost_inputs.read(of_partition.items()).items()
    )


async def acknowledge(
    client: Mapping[str, Any], catalogue: Catalogue, losses: Iterable[Loss], within_s: float
) -> Sequence[Loss]:
    """Acknowledge losses: send a message to each partition's owner, and wait until the tables record it.

    Args:
        client: aiokafka client arguments.
        catalogue: names the inbox and the changelog.
        losses: the losses to acknowledge.
        within_s: how many seconds to wait.

    Returns:
        The losses that no owner has recorded in time. A worker that starts later records them.
    """
    left = {(loss.topic, loss.partition, loss.lost.next_kept): loss for loss in losses}
    async with producing(client) as producer:
        for topic, number, next_kept in left:
            value = claims.encode(claims.LossAcknowledged(topic, next_kept))
            headers = [(inbox.KIND, inbox.LOSS_ACKNOWLEDGED)]
            await producer.send_and_wait(catalogue.inbox.name, value, partition=number, headers=headers)
    try:
        async with asyncio.timeout(within_s):
            while left:
                for loss in await remembered(client, catalogue):
                    if loss.acknowledged:
                        left.pop((loss.topic, loss.partition, loss.lost.next_kept), None)
                await asyncio.sleep(_LOOK_EVERY_S if left else 0)
    except TimeoutError:
        pass  # what is left says so
    return list(left.values())
