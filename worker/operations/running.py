"""The doctor's findings about the running application: its members, their lag, their disagreements and losses.

The facts come from Kafka, and each member's clock over HTTP. The checks change nothing and join no group.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from tables.application import Application
from worker.doctor.findings import Finding, fault, ok, warning
from worker.engine.patches.assignor import PROTOCOL, member_of
from worker.kafka.admin import topic_names
from worker.kafka.topics import Catalogue
from worker.membership import Member, another_prefix, differing_rules
from worker.operations import facts, lost_topics
from worker.operations.patience import until_done
from worker.release import DATA_FORMAT
from worker.settings import PREFIX

MOST_APART_S = 5.0
_ANSWERS_WITHIN_S = 5.0
_MOST_LAG = 10_000
_PATIENCE_S = 10.0
_DAY_MS = 86_400_000


class Joined(NamedTuple):
    """A member of the group. said: None when it is not one of our workers. partitions: the numbers that it holds."""

    said: Member | None
    partitions: frozenset[int]


async def examine(
    client: Mapping[str, Any], catalogue: Catalogue, me: Member, stores: Path | None
) -> list[Finding]:
    """Every finding about the application of these settings. client: aiokafka client arguments."""
    try:
        return await until_done(
            lambda: _examine(client, catalogue, me, stores), _PATIENCE_S, tell=lambda *_: None
        )
    except (KafkaError, TimeoutError) as error:
        return [
            fault(
                "application",
                f"The state of the application cannot be read from Kafka ({type(error).__name__}).",
                "Look at Kafka's health and, with an authorizer, at the rights of this user.",
            )
        ]


async def _examine(
    client: Mapping[str, Any], catalogue: Catalogue, me: Member, stores: Path | None
) -> list[Finding]:
    known = await facts.remembered(client, catalogue)
    findings = list(of_the_tables(known, me))
    if known.prefix not in (None, me.prefix):
        return findings  # everything else would be said of topics of another installation
    lost = await lost_topics.loss(client, catalogue, stores)
    if lost is not None:
        return [
            *findings,
            fault("topics", f"{lost[:1].upper()}{lost[1:]}.", "Read Restore in the operations page first."),
        ]
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        joined = await _members(admin, catalogue)
        findings += of_the_group(joined, me, catalogue.partitions)
        findings += await _clocks([each.said.url for each in joined if each.said])
        findings.append(await _lag(admin, client, catalogue))
    finally:
        await admin.close()
    if catalogue.dead_letters.name in await topic_names(client):
        findings.append(await _dead_letters(client, catalogue))
    return findings


def of_the_tables(known: Application, me: Member) -> Iterator[Finding]:
    """Findings from comparing the facts in the application's tables with these settings."""
    if known.prefix is not None and known.prefix != me.prefix:
        yield fault(
            "application",
            f"{another_prefix(me.prefix, known.prefix).partition(':')[0].capitalize()}.",
            f"Give each installation a {PREFIX}APP_ID of its own.",
        )
    if known.data_format > DATA_FORMAT:
        yield fault(
            "application",
            f"The data is of a newer version: format {known.data_format}, and this release reads up to {DATA_FORMAT}.",
            "Use the newer release.",
        )
    changed = sorted(
        version for version, claim in known.rules.items() if me.rules.get(version, claim) != claim
    )
    if changed:
        yield fault(
            "rules",
            f"The rules file says something else of version {', '.join(changed)} than when orders counted by it.",
            "Restore that version, and write the change as a new version.",
        )


def of_the_group(joined: Sequence[Joined], me: Member, partitions: int) -> Iterator[Finding]:
    """Findings about the members that share the partitions, and about their disagreements."""
    if not joined:
        yield ok("application", "No worker runs now.")
        return
    members = [each.said for each in joined if each.said is not None]
    foreign = len(joined) - len(members)
    if foreign:
        yield fault(
            "application",
            f"{foreign} members of the consumer group are programs that are not workers of this data format.",
            f"Stop them, or use another {PREFIX}APP_ID.",
        )
    held = Counter(number for each in joined for number in each.partitions)
    shares = ", ".join(f"{each.said.url} {len(each.partitions)}" for each in joined if each.said is not None)
    yield ok("application", f"{len(members)} workers share {partitions} partitions: {shares}.")
    free = partitions - len(held)
    if free and not foreign:
        yield warning(
            "application",
            f"{free} partitions have no owner now.",
            "Wait until the group is calm; if it lasts, look at the workers' logs.",
        )
    yield from _disagreements(members, me)


def _disagreements(members: Sequence[Member], me: Member) -> Iterator[Finding]:
    releases = sorted({f"{member.release} ({member.commit})" for member in members})
    if len(releases) > 1:
        yield warning("application", f"Workers run {' and '.join(releases)}.", "Finish the upgrade.")
    if len({member.payment_join for member in members}) > 1:
        yield fault(
            "application",
            f"Some workers run with {PREFIX}PAYMENT_JOIN on, and some with it off.",
            "Give all workers the same setting.",
        )
    if len({member.type_aliases for member in members}) > 1:
        yield fault(
            "application",
            f"Workers run with different {PREFIX}TYPE_ALIASES.",
            "Give all workers the same setting.",
        )
    for sentence in differing_rules([*members, me]):
        yield fault("rules", sentence, "Give all workers the same rules file, and start them again.")


async def _members(admin: AIOKafkaAdminClient, catalogue: Catalogue) -> list[Joined]:
    [answer] = await admin.describe_consumer_groups([catalogue.app_id])
    [(_, _, _, _, protocol, members, *_)] = answer.groups
    return [_joined(protocol, metadata, assigned, catalogue) for _, _, _, metadata, assigned in members]


def _joined(protocol: str, metadata: bytes, assigned: bytes, catalogue: Catalogue) -> Joined:
    if protocol and protocol != PROTOCOL:
        return Joined(None, frozenset())
    said = member_of(ConsumerProtocolMemberMetadata.decode(metadata).user_data) if metadata else None
    topics = ConsumerProtocolMemberAssignment.decode(assigned).assignment if assigned else []
    numbers = {number for topic, found in topics if topic == catalogue.commands.name for number in found}
    return Joined(said, frozenset(numbers))


async def _clocks(urls: Iterable[str]) -> list[Finding]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWERS_WITHIN_S)) as session:
        found = await asyncio.gather(*(_clock(session, url) for url in urls))
    return [finding for finding in found if finding is not None]


async def _clock(session: aiohttp.ClientSession, url: str) -> Finding | None:
    try:
        async with session.get(f"{url}/health/live", allow_redirects=False) as answer:
            said = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
        return warning(
            "application",
            f"{url} does not answer.",
            "Check whether that worker runs and can be reached from here.",
        )
    apart = said - time.time()
    if abs(apart) <= MOST_APART_S + 1:  # the header tells whole seconds
        return None
    return fault(
        "clock",
        f"The clock of {url} is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the one here.",
        "Set the clocks over the network: waiting inputs expire by them, and events carry their time.",
    )


async def _lag(admin: AIOKafkaAdminClient, client: Mapping[str, Any], catalogue: Catalogue) -> Finding:
    """The lag by the group's offsets, which workers commit every few seconds for lag tools."""
    inputs = {topic.name for topic in catalogue.consumed}
    offsets = {
        tp: found.offset
        for tp, found in (await admin.list_consumer_group_offsets(catalogue.app_id)).items()
        if tp.topic in inputs
    }
    if not offsets:
        return ok("lag", "No worker has published its positions yet.")
    async with _consumer(client) as consumer:
        ends = await consumer.end_offsets(list(offsets))
    past = sorted(f"{tp.topic}-{tp.partition}" for tp, offset in offsets.items() if offset > ends[tp])
    if past:
        return fault(
            "positions",
            f"Positions are past the end of {', '.join(past[:5])}: Kafka lost records, or the topic was made anew.",
            "Read Restore in the operations page; `customer-context topics --accept-loss` is the way out.",
        )
    lag = sum(max(ends[tp] - offset, 0) for tp, offset in offsets.items())
    if lag > _MOST_LAG:
        return warning("lag", f"About {lag} input records wait.", "Wait, or start more workers.")
    return ok("lag", f"About {lag} input records wait.")


async def _dead_letters(client: Mapping[str, Any], catalogue: Catalogue) -> Finding:
    tp = TopicPartition(catalogue.dead_letters.name, 0)
    async with _consumer(client) as consumer:
        end = (await consumer.end_offsets([tp]))[tp]
        recent = (await consumer.offsets_for_times({tp: int(time.time() * 1000) - _DAY_MS}))[tp]
    count = 0 if recent is None else end - recent.offset
    if not count:
        return ok("dead letters", "No dead letter came in the last 24 hours.")
    return warning(
        "dead letters",
        f"At most {count} dead letters came in the last 24 hours.",
        "`customer-context dead-letters list` shows them, with their reasons.",
    )


@asynccontextmanager
async def _consumer(client: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group, open in the block."""
    consumer = AIOKafkaConsumer(**client, group_id=None, request_timeout_ms=5_000)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
