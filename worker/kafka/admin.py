"""Topics on a real cluster: create what is missing, check what is there (contract, section 1).

Rules:
- An existing topic is never changed. Another partition count is a TopicMismatch, because keys would go to other
  partitions than their tables. Another cleanup policy, retention, timestamp type or record limit is a warning.
- A cluster of three brokers gets three replicas, two of them in sync, even while some brokers are away. Kafka accepts a
  replica count by the brokers that it knows. So three are requested, and fewer only when Kafka refuses.
- Workers that start at the same time may all create topics. A topic that exists already counts as created. It is then
  checked like any other.
- Topics are looked up in the list of all topics, never by name. A cluster that creates topics on demand would create the
  named topic, with its own partition count.
- When ensure_topics returns, the leader of every partition serves it. Metadata names leaders a moment before they know
  that they lead. A producer would be refused in that moment and wait for a whole back-off.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import InvalidReplicationFactorError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from worker.kafka.topics import Topic

_LEADERS_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.02
_REPLICAS = 3  # where there are as many brokers; one of them may then be away

_NO_REPLICA, _READ_UNCOMMITTED = -1, 0  # of a ListOffsets request: a client asks; every record counts

_Partitions = Sequence[Mapping[str, int]]


class TopicError(Exception):
    """A topic cannot be created or used; the text says which and why."""


class TopicMismatch(TopicError):
    """An existing topic has another partition count; the text says topic, count and what is wanted."""


class TopicsNotServed(TopicError):
    """Partitions have no leader that serves them; the text names their topics. A later try may succeed."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The result of a check.

    Attributes:
        existing: the topics that existed before.
        created: the topics that ensure_topics created.
        missing: the topics that check_topics did not find. ensure_topics creates them instead.
        warnings: sentences about settings that differ but can be used.
        record_bytes: the largest record batch of each existing topic, in bytes.
    """

    existing: tuple[str, ...]
    created: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    record_bytes: Mapping[str, int] = field(default_factory=dict, hash=False)


async def ensure_topics(
    client: Mapping[str, Any], topics: Sequence[Topic], replication_factor: int | None
) -> TopicReport:
    """Create the missing ones of these topics and check the others.

    Args:
        client: keyword arguments for an aiokafka client (bootstrap_servers and security).
        topics: the topics that must exist.
        replication_factor: None means 3, or the number of brokers that the cluster knows if fewer.

    Raises:
        TopicMismatch: a topic has another partition count.
        TopicError: the cluster refuses to create a topic.
        KafkaError: aiokafka cannot reach the cluster.
    """
    async with _admin(client) as admin:
        before = await _partition_counts(admin)
        missing = [topic for topic in topics if topic.name not in before]
        created = await _create(admin, missing, replication_factor) if missing else set[str]()
        existing = [topic for topic in topics if topic.name not in created]
        found = await _counts_once_served(admin, client, [topic.name for topic in topics])
        _check_partitions(existing, found)
        differences = await _differences(admin, existing)
        return TopicReport(
            existing=_names(existing),
            created=_names(topic for topic in topics if topic.name in created),
            warnings=differences.warnings,
            record_bytes=differences.record_bytes,
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
            warnings=(await _differences(admin, existing)).warnings,
        )


async def topic_names(client: Mapping[str, Any]) -> frozenset[str]:
    """The names of all topics that this client may see; none is created by asking."""
    async with _admin(client) as admin:
        return frozenset(await _partition_counts(admin))


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
    created, left = set[str](), list(topics)
    for replicas in (replication_factor,) if replication_factor else range(_REPLICAS, 0, -1):
        refused = {}
        new = [NewTopic(t.name, t.partitions, replicas, topic_configs=_safe(t, replicas)) for t in left]
        for name, code, message in (await admin.create_topics(new)).topic_errors:
            if not code:
                created.add(name)
            elif code == InvalidReplicationFactorError.errno:
                refused[name] = message
            elif code != TopicAlreadyExistsError.errno:
                raise TopicError(f"Topic {name} cannot be created: {message or for_code(code).__name__}")
        left = [topic for topic in left if topic.name in refused]
        if not left:
            return created
    raise TopicError(f"Topic {left[0].name} cannot be created: {refused[left[0].name]}")


def _safe(topic: Topic, replicas: int) -> dict[str, str]:
    in_sync = {"min.insync.replicas": "2"} if replicas >= _REPLICAS else {}
    return {**_settings(topic), "unclean.leader.election.enable": "false", **in_sync}


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
            raise TopicsNotServed(f"No leader after {_LEADERS_WITHIN_S:.0f} s for: {', '.join(waiting)}")
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


class _Differences(NamedTuple):
    warnings: tuple[str, ...]
    record_bytes: dict[str, int]


async def _differences(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> _Differences:
    if not topics:
        return _Differences((), {})
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in topics])
    by_name = {topic.name: topic for topic in topics}
    copies = await _replicas(admin)
    wanted = min(_REPLICAS, len((await admin.describe_cluster())["brokers"]))
    warnings: list[str] = []
    record_bytes: dict[str, int] = {}
    for code, _message, _type, name, entries in (found for answer in answers for found in answer.resources):
        if code:
            warnings.append(f"{name}: its settings cannot be read ({for_code(code).__name__})")
        else:
            has = {entry[0]: entry[1] for entry in entries}
            warnings += _differing(by_name[name], has)
            warnings += _unsafe(name, has, copies.get(name, wanted), wanted)
            record_bytes[name] = int(has["max.message.bytes"])
    return _Differences(tuple(warnings), record_bytes)


async def _replicas(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """The replica count of each topic, in the partition that has the fewest."""
    return {
        found["topic"]: min(len(partition["replicas"]) for partition in found["partitions"])
        for found in await admin.describe_topics()
        if found["partitions"]
    }


def _unsafe(topic: str, has: Mapping[str, str], copies: int, wanted: int) -> Iterator[str]:
    """Warnings about settings with which the loss of one broker may lose acknowledged records."""
    if copies < wanted:
        yield f"{topic}: replication factor is {copies}, less than {wanted}"
    if copies >= _REPLICAS and int(has["min.insync.replicas"]) < _REPLICAS - 1:
        yield f"{topic}: min.insync.replicas is {has['min.insync.replicas']}, less than {_REPLICAS - 1}"
    if has["unclean.leader.election.enable"] == "true":
        yield f"{topic}: unclean.leader.election.enable is true, not false"


def _differing(topic: Topic, has: Mapping[str, str]) -> Iterator[str]:
    if has["cleanup.policy"] != topic.cleanup:
        yield f"{topic.name}: cleanup.policy is {has['cleanup.policy']}, not {topic.cleanup}"
    retention_ms = topic.config.get("retention.ms")
    if retention_ms and has["retention.ms"] != retention_ms:
        yield f"{topic.name}: retention.ms is {has['retention.ms']}, not {retention_ms}"
    stamped = topic.config.get("message.timestamp.type")
    if stamped and has["message.timestamp.type"] != stamped:
        yield f"{topic.name}: message.timestamp.type is {has['message.timestamp.type']}, not {stamped}"
    record_bytes = topic.config.get("max.message.bytes")
    if record_bytes and int(has["max.message.bytes"]) < int(record_bytes):
        yield f"{topic.name}: max.message.bytes is {has['max.message.bytes']}, less than {record_bytes}"
