"""Checks of the configured Kafka: connection, authentication, version, clock and topics."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from worker.doctor.findings import Finding, fault, ok, warning
from worker.doctor.quorum import DescribeQuorum, leaders_clock
from worker.engine.patches.messages import ApiVersions, transaction_version
from worker.kafka.admin import TopicMismatch, check_topics
from worker.kafka.topics import Cleanup, Topic
from worker.settings import PREFIX, Settings

MOST_APART_S = 5.0
"""Clocks that are set over the network differ by less. Waiting inputs and tokens expire by the clock."""

_ANSWERS_WITHIN_MS = 5_000
_FETCH, _INIT_PRODUCER_ID, _DESCRIBE_QUORUM = 1, 22, 55
_OLDEST_FETCH_OF_KAFKA_4 = 4  # 4.0 dropped everything older (KIP-896)
_TESTED = "4.3.1"

Now = Callable[[], float]


async def broker(settings: Settings, bootstrap: str, now: Now = time.time) -> list[Finding]:
    """Check every server of the bootstrap list, and the answers of the first one. now: our clock, seconds since 1970."""
    findings: list[Finding] = []
    told = False
    for server in bootstrap.split(","):
        try:
            async with _connected(settings, server) as connection:
                findings.append(ok("broker", f"Kafka answers at {server} and accepts this client."))
                if not told:
                    findings += await _what_it_says(connection, now)
                    told = True
        except _Unusable as problem:
            findings.append(problem.finding)
    return findings


class _Unusable(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


@asynccontextmanager
async def _connected(settings: Settings, server: str) -> AsyncIterator[AIOKafkaConnection]:
    host, _, port = server.rpartition(":")
    client = {
        name: value for name, value in settings.kafka_client(server).items() if name != "bootstrap_servers"
    }
    try:
        connection = await create_conn(
            host.strip("[]"), int(port), **client, request_timeout_ms=_ANSWERS_WITHIN_MS
        )
    except (OSError, TimeoutError, KafkaError) as error:
        raise _Unusable(_refusal(server, settings, error)) from error
    try:
        yield connection
    finally:
        connection.close()


def _refusal(server: str, settings: Settings, error: Exception) -> Finding:
    """The finding for a failed connection; the most specific cause is tried first."""
    protocol = f"{PREFIX}KAFKA_SECURITY_PROTOCOL"
    match error:
        case ssl.SSLCertVerificationError():
            what = f"The certificate of {server} is refused: {error.verify_message.rstrip('.')}."
            advice = (
                f"Name the CA that signed it in {PREFIX}KAFKA_SSL_CAFILE, and the host as the certificate has it "
                f"in {PREFIX}BOOTSTRAP_SERVERS."
            )
        case ssl.SSLError():
            what = f"The TLS handshake with {server} failed ({error.reason or 'no reason given'})."
            advice = f"Set {protocol} to what that listener speaks, or name a listener with TLS."
        case socket.gaierror():
            what = f"This machine cannot resolve the host name of {server}."
            advice = f"Correct {PREFIX}BOOTSTRAP_SERVERS, or this machine's name resolution."
        case AuthenticationFailedError() | SaslAuthenticationFailed():
            what = f"Kafka at {server} refuses the user or the password."
            advice = (
                f"Correct {PREFIX}KAFKA_SASL_USERNAME and _PASSWORD; the user must exist for that mechanism."
            )
        case UnsupportedSaslMechanismError():
            what = f"Kafka at {server} does not support {settings.kafka_sasl_mechanism}."
            advice = f"Set {PREFIX}KAFKA_SASL_MECHANISM to one that the listener supports."
        case IllegalSaslStateError():
            what = f"The listener {server} asks for no SASL, but {protocol} is {settings.kafka_security_protocol}."
            advice = f"Set {protocol} to what that listener speaks."
        case ConnectionRefusedError():
            what = f"Nothing listens at {server}."
            advice = f"Start that Kafka, or correct {PREFIX}BOOTSTRAP_SERVERS."
        case TimeoutError():
            what = f"{server} does not answer within {_ANSWERS_WITHIN_MS // 1_000} s."
            advice = f"Check for a firewall in between, correct {PREFIX}BOOTSTRAP_SERVERS, or set {protocol} to TLS."
        case _:
            what = f"{server} closed the connection before it answered ({type(error).__name__})."
            advice = f"Set {protocol} to what that listener speaks; is it a Kafka listener at all?"
    return fault("broker", what, advice)


async def _what_it_says(connection: AIOKafkaConnection, now: Now) -> list[Finding]:
    answer = await connection.send(ApiVersions())
    oldest = {key: low for key, low, *_ in answer.api_versions}
    findings = [_age(oldest)]
    if _INIT_PRODUCER_ID in oldest:
        findings.append(_transactions(transaction_version(answer)))
    if _DESCRIBE_QUORUM in oldest:
        asked = now()
        theirs_ms = leaders_clock(await connection.send(DescribeQuorum()))
        findings.append(clock(theirs_ms, asked, now()))
    return findings


def _age(oldest: Mapping[int, int]) -> Finding:
    if _INIT_PRODUCER_ID not in oldest:
        return fault(
            "broker",
            "This Kafka has no transactions.",
            f"Use Apache Kafka 4.0 or newer; {_TESTED} is tested.",
        )
    if oldest.get(_FETCH, 0) < _OLDEST_FETCH_OF_KAFKA_4:
        return warning(
            "broker",
            "This Kafka is older than 4.0.",
            f"Upgrade it; the worker is tested with Apache Kafka {_TESTED}.",
        )
    return ok("broker", "It is Kafka 4.0 or newer.")


def _transactions(version: int) -> Finding:
    if version == 2:
        return ok("broker", "Transactions are of version 2: every commit ends its epoch.")
    return warning(
        "broker",
        "Transactions are of version 1: commits are certain, but slower than with version 2.",
        "Run kafka-features.sh upgrade --feature transaction.version=2 once all brokers are Kafka 4.0 or newer.",
    )


def clock(theirs_ms: int | None, asked: float, answered: float) -> Finding:
    """Whether two clocks agree. asked, answered: our clock at the request and at the answer, in seconds."""
    if theirs_ms is None:
        return ok("clock", "Kafka's clock was not checked, because that needs Describe on the cluster.")
    theirs = theirs_ms / 1_000
    apart = max(asked - theirs, theirs - answered, 0.0)
    if apart > MOST_APART_S:
        which = "behind" if answered < theirs else "ahead of"
        return fault(
            "clock",
            f"This machine's clock is {apart:,.0f} s {which} Kafka's.",
            "Set both over the network (NTP): waiting inputs expire, and tokens end, by the clock.",
        )
    return ok("clock", f"This machine's clock and Kafka's are less than {MOST_APART_S:g} s apart.")


async def topics(settings: Settings, bootstrap: str, wanted: Sequence[Topic]) -> list[Finding]:
    """Check each topic by itself, and whether there are enough brokers for new topics."""
    client = settings.kafka_client(bootstrap)
    try:
        found = [
            finding for each in await asyncio.gather(*(_topic(client, t) for t in wanted)) for finding in each
        ]
        found += await _replicas(client, settings)
    except KafkaError as error:
        return [
            fault(
                "topics", f"Kafka does not list its topics ({type(error).__name__}).", "See `broker` above."
            )
        ]
    if not found:
        return [ok("topics", f"All {len(wanted)} topics are there and as they should be.")]
    return found


async def _topic(client: Mapping[str, Any], topic: Topic) -> list[Finding]:
    try:
        report = await check_topics(client, [topic])
    except TopicMismatch as mismatch:
        advice = (
            f"Set {PREFIX}PARTITIONS to the count of the existing topics, or start with another {PREFIX}TOPIC_PREFIX "
            f"and {PREFIX}APP_ID. Otherwise keys would go to other partitions than their tables."
        )
        return [fault("topics", str(mismatch), advice)]
    if report.missing:
        advice = "Run `customer-context topics`, or grant Describe if it is there (`topics --print-acls`)."
        return [fault("topics", f"{topic.name} is missing, or this user may not describe it.", advice)]
    return [_difference(topic, what) for what in report.warnings]


def _difference(topic: Topic, what: str) -> Finding:
    if "cleanup.policy" in what:
        loses = "drops customers" if topic.cleanup is Cleanup.COMPACT else "drops messages"
        advice = (
            f"Run kafka-configs.sh --alter --topic {topic.name} --add-config cleanup.policy={topic.cleanup}."
        )
        return fault("topics", f"{what}, so Kafka {loses}.", advice)
    if "replication factor" in what:
        return warning(
            "topics",
            f"{what}, so a broker's disk may take acknowledged records with it.",
            f"Give {topic.name} more replicas with kafka-reassign-partitions.sh.",
        )
    if "min.insync.replicas" in what or "unclean.leader" in what:
        name, value = (
            ("min.insync.replicas", 2)
            if "min.insync" in what
            else ("unclean.leader.election.enable", "false")
        )
        return warning(
            "topics",
            f"{what}, so acknowledged records may be lost with one broker.",
            f"Run kafka-configs.sh --alter --topic {topic.name} --add-config {name}={value}.",
        )
    if "cannot be read" in what:
        return warning(
            "topics", f"{what}.", "Grant DescribeConfigs (`topics --print-acls`), so that it can be checked."
        )
    return warning(
        "topics",
        f"{what}.",
        f"Set it with kafka-configs.sh --alter --topic {topic.name}, or set {PREFIX}RETENTION_DAYS to the intended value.",
    )


async def _replicas(client: Mapping[str, Any], settings: Settings) -> list[Finding]:
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        brokers = len((await admin.describe_cluster())["brokers"])
    finally:
        await admin.close()
    if settings.replication_factor is None or settings.replication_factor <= brokers:
        return []
    return [
        fault(
            "topics",
            f"{PREFIX}REPLICATION_FACTOR is {settings.replication_factor}, but there are {brokers} brokers.",
            f"Add brokers, or unset {PREFIX}REPLICATION_FACTOR.",
        )
    ]
