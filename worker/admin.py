"""Topics on a real cluster: create what is missing, check what is there (CONTRACT 1).

Rules:
- An existing topic is never changed. Another partition count is a TopicMismatch, because keys would go to
  other partitions than their tables; another cleanup policy, retention or record limit is a warning.
- Workers that start at once may all create: "exists already" is as good as created, and is then checked
  like any other topic.
- Topics are looked up in the list of all topics, never by name: where the cluster creates topics on demand,
  asking by name would create them with its own partition count.
- When ensure_topics returns, the leader of every partition serves it. Metadata names leaders a moment before
  they know of it themselves; whoever produces then is sent away and waits for a whole back-off.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import TopicAlreadyExistsError, for_code
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from worker.topics import Topic

_LEADERS_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.02
_REPLICAS = 3  # where there are as many brokers; one of them may then be away

_NO_REPLICA, _READ_UNCOMMITTED = -1, 0  # of a ListOffsets request: a client asks; every record counts

_Partitions = Sequence[Mapping[str, int]]


class TopicError(Exception):
    """A topic cannot be created or used; the text says which and why."""


class TopicMismatch(TopicError):
    """An existing topic has another partition count; the text says topic, count and what is wanted."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found: topic names by fate, and plain sentences about what differs without being wrong.

    missing is only ever filled by check_topics: ensure_topics creates what is missing.
    """

    existing: tuple[str, ...]
    created: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


async def ensure_topics(
    client: Mapping[str, Any], topics: Sequence[Topic], replication_factor: int | None
) -> TopicReport:
    """Create the missing ones of these topics and check the others.

    client: keyword arguments for an aiokafka client (bootstrap_servers and security). replication_factor:
    None is 3, or the number of brokers if fewer.
    Raises TopicMismatch, TopicError where the cluster refuses to create one, aiokafka's KafkaError when it
    cannot be reached.
    """
    async with _admin(client) as admin:
        before = await _partition_counts(admin)
        missing = [topic for topic in topics if topic.name not in before]
        created = await _create(admin, missing, replication_factor) if missing else set[str]()
        existing = [topic for topic in topics if topic.name not in created]
        found = await _counts_once_served(admin, client, [topic.name for topic in topics])
        _check_partitions(existing, found)
        return TopicReport(
            existing=_names(existing),
            created=_names(topic for topic in topics if topic.name in created),
            warnings=await _differences(admin, existing),
        )


async def check_topics(client: Mapping[str, Any], topics: Sequence[Topic]) -> TopicReport:
    """Check these topics and change nothing; arguments and errors as in ensure_topics."""
    async with _admin(client) as admin:
        found = await _partition_counts(admin)
        existing = [topic for topic in topics if topic.name in found]
        _check_partitions(existing, found)
        return TopicReport(
            existing=_names(existing),
            missing=_names(topic for topic in topics if topic.name not in found),
            warnings=await _differences(admin, existing),
        )


@asynccontextmanager
async def _admin(client: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _names(topics: Iterable[Topic]) -> tuple[str, ...]:
    return tuple(topic.name for topic in topics)


def _settings(topic: Topic) -> dict[str, str]:
    return {"cleanup.policy": topic.cleanup.value, **topic.config}


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    return {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics()}


async def _create(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication_factor: int | None
) -> set[str]:
    """Create these topics; returns the names of those that this call created."""
    replicas = replication_factor or min(_REPLICAS, len((await admin.describe_cluster())["brokers"]))
    safety = {"min.insync.replicas": "2"} if replicas >= _REPLICAS else {}
    new = [
        NewTopic(topic.name, topic.partitions, replicas, topic_configs={**_settings(topic), **safety})
        for topic in topics
    ]
    created = set()
    for name, code, message in (await admin.create_topics(new)).topic_errors:
        if not code:
            created.add(name)
        elif code != TopicAlreadyExistsError.errno:
            raise TopicError(f"Topic {name} cannot be created: {message or for_code(code).__name__}")
    return created


async def _counts_once_served(
    admin: AIOKafkaAdminClient, client: Mapping[str, Any], names: Sequence[str]
) -> dict[str, int]:
    """The partition counts, once each partition of each of these topics has a leader that serves it."""
    give_up_at = time.monotonic() + _LEADERS_WITHIN_S
    while True:
        found = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
        waiting = [name for name in names if not _is_led(found.get(name, []))]
        if not waiting:
            waiting = sorted(await _not_served(client, {name: found[name] for name in names}))
        if not waiting:
            return {name: len(found[name]) for name in names}
        if time.monotonic() > give_up_at:
            raise TopicError(f"No leader after {_LEADERS_WITHIN_S:.0f} s for: {', '.join(waiting)}")
        await asyncio.sleep(_LOOK_EVERY_S)


def _is_led(partitions: _Partitions) -> bool:
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)


async def _not_served(client: Mapping[str, Any], topics: Mapping[str, _Partitions]) -> set[str]:
    """The topics of which a leader, asked for an end offset, says that it does not lead."""
    by_leader: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for name, partitions in topics.items():
        for partition in partitions:
            by_leader[partition["leader"]][name].append((partition["partition"], OffsetResetStrategy.LATEST))
    connection = AIOKafkaClient(**client)
    try:
        await connection.bootstrap()
        asked = (
            connection.send(leader, OffsetRequest(_NO_REPLICA, _READ_UNCOMMITTED, list(ends.items())))
            for leader, ends in by_leader.items()
        )
        answers = [topic for answer in await asyncio.gather(*asked) for topic in answer.topics]
    finally:
        await connection.close()
    return {name for name, ends in answers if any(for_code(code).retriable for _, code, *_ in ends)}


def _check_partitions(topics: Iterable[Topic], found: Mapping[str, int]) -> None:
    wrong = [
        f"{topic.name} has {found[topic.name]} and needs {topic.partitions}"
        for topic in topics
        if found[topic.name] != topic.partitions
    ]
    if wrong:
        raise TopicMismatch(f"Topics with another partition count: {'; '.join(wrong)}.")


async def _differences(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> tuple[str, ...]:
    if not topics:
        return ()
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in topics])
    by_name = {topic.name: topic for topic in topics}
    warnings: list[str] = []
    for code, _message, _type, name, entries in (found for answer in answers for found in answer.resources):
        if code:
            warnings.append(f"{name}: its settings cannot be read ({for_code(code).__name__})")
        else:
            warnings += _differing(by_name[name], {entry[0]: entry[1] for entry in entries})
    return tuple(warnings)


def _differing(topic: Topic, has: Mapping[str, str]) -> Iterator[str]:
    if has["cleanup.policy"] != topic.cleanup:
        yield f"{topic.name}: cleanup.policy is {has['cleanup.policy']}, not {topic.cleanup}"
    retention_ms = topic.config.get("retention.ms")
    if retention_ms and has["retention.ms"] != retention_ms:
        yield f"{topic.name}: retention.ms is {has['retention.ms']}, not {retention_ms}"
    record_bytes = topic.config.get("max.message.bytes")
    if record_bytes and int(has["max.message.bytes"]) < int(record_bytes):
        yield f"{topic.name}: max.message.bytes is {has['max.message.bytes']}, less than {record_bytes}"
