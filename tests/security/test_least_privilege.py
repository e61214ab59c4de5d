"""A whole worker with nothing but what `topics --print-acls` prints: it does its work, and everything else is denied."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from confluent_kafka import KafkaError as KafkaFailure
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from tests.fork_server import CONSOLE_MODULE
from tests.records import create_topics, read
from tests.security.secured import Secured
from tests.supervised import Supervised, look_after_until
from worker.app.letters.box import Letters
from worker.cli.topics import all_topics
from worker.engine.exits import ExitCode
from worker.kafka.acls import Resource, replaying, running
from worker.kafka.admin import ensure_topics
from worker.kafka.topics import Catalogue
from worker.letter_box import LettersUnavailable, ReplayOutcome
from worker.settings import Settings

APP, USER, MECHANISM = "least", "scram-user", "SCRAM-SHA-512"
TOPICS = Catalogue(topic_prefix="least.", app_id=APP, partitions=2)
FOREIGN = "salaries"
REGISTER = {"name": "Ada Archer", "email": "ada@example.com"}
READY_WITHIN_S = 40.0

Client = dict[str, Any]
Attempt = Callable[[Client], Awaitable[None]]


@pytest.fixture(scope="module")
def granted(secured: Secured) -> None:
    """The topics, made by an administrator, and the printed ACLs."""
    asyncio.run(ensure_topics({"bootstrap_servers": secured.plaintext}, all_topics(TOPICS), 1))
    create_topics(secured.plaintext, 1, {FOREIGN: {}})
    secured.allow(USER, running(TOPICS, all_topics(TOPICS)))


@pytest.fixture(scope="module")
def worker_url(secured: Secured, granted: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A worker that is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("worker")
    settings = {
        "APP_ID": APP,
        "TOPIC_PREFIX": "least.",
        "PARTITIONS": "2",
        "DATA_DIR": str(folder),
        "WEB_PORT": str(port),
        **secured.client_settings(USER, MECHANISM),
    }
    environment = os.environ | {f"CUSTOMER_CONTEXT_{name}": value for name, value in settings.items()}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", "worker"], env=environment, stdout=output, stderr=output
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, log)
        yield url
        assert "warning" not in log.read_text().lower()
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up_at:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/health/ready", timeout=2)  # noqa: S310 (our own worker)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(log.read_text())


def test_the_worker_takes_http_and_events_and_publishes_with_these_acls_alone(secured, worker_url):
    request = urllib.request.Request(  # noqa: S310 (our own worker)
        f"{worker_url}/api/v1/customers",
        json.dumps(REGISTER).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        assert answer.status == 201
        customer = json.load(answer)["id"]
    order = {
        "eventId": "e1",
        "orderId": "o1",
        "customerId": customer,
        "occurredOn": "2026-01-02T12:00:00Z",
        "totalAmount": {"amount": "640.00", "currency": "USD"},
    }
    asyncio.run(put(secured.plaintext, TOPICS.orders.name, customer, order))
    give_up_at = time.monotonic() + 20
    types: list[str] = []
    while "RewardPointsEarnedEvent" not in types and time.monotonic() < give_up_at:
        types = [
            json.loads(record.value or b"{}")["type"]
            for record in read(secured.plaintext, TOPICS.events.name)
        ]
    assert types == [
        "CustomerCreatedEvent",
        "CustomerSpendingUpdatedEvent",
        "RewardPointsEarnedEvent",
        "MembershipLevelUpgradedEvent",
    ]


async def put(bootstrap: str, topic: str, key: str, value: dict[str, object]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, json.dumps(value).encode(), key.encode())


def client_of(secured: Secured, user: str = USER, mechanism: str = MECHANISM) -> Client:
    settings: Any = {name.lower(): value for name, value in secured.client_settings(user, mechanism).items()}
    return Settings(**settings).kafka_client(secured.secure)


async def write(client: Client, topic: str) -> None:
    async with AIOKafkaProducer(**client) as producer:
        await producer.send_and_wait(topic, b"{}", partition=0)


async def fetch(client: Client, topic: str) -> None:
    async with AIOKafkaConsumer(**client, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), 0)
        await asyncio.wait_for(consumer.getone(), 10)


async def join(client: Client, group: str) -> None:
    async with AIOKafkaConsumer(TOPICS.orders.name, **client, group_id=group) as consumer:
        await asyncio.wait_for(consumer.getone(), 10)


async def transact(client: Client, transactional_id: str) -> None:
    async with AIOKafkaProducer(**client, transactional_id=transactional_id):
        pass


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        pytest.param(
            lambda c: write(c, TOPICS.orders.name), TopicAuthorizationFailedError, id="forge an order"
        ),
        pytest.param(
            lambda c: write(c, TOPICS.replays.name),
            TopicAuthorizationFailedError,
            id="hide a dead letter from replay",
        ),
        pytest.param(lambda c: write(c, FOREIGN), TopicAuthorizationFailedError, id="write a foreign topic"),
        pytest.param(
            lambda c: fetch(c, TOPICS.events.name), TopicAuthorizationFailedError, id="read published events"
        ),
        pytest.param(lambda c: join(c, "billing"), GroupAuthorizationFailedError, id="join another group"),
        pytest.param(
            lambda c: transact(c, "billing-0"),
            TransactionalIdAuthorizationFailed,
            id="fence another application",
        ),
        pytest.param(
            lambda c: transact(c, f"{APP}-2"),
            TransactionalIdAuthorizationFailed,
            id="a transactional id past the last partition",
        ),
    ],
)
async def test_what_the_worker_does_not_need_is_denied(secured, granted, attempt: Attempt, refusal):
    with pytest.raises(refusal):
        await attempt(client_of(secured))


async def test_creating_a_topic_is_denied(secured, granted):
    admin = AIOKafkaAdminClient(**client_of(secured))
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic("least.more", 1, 1)])
    finally:
        await admin.close()
    assert [code for _, code, _ in answer.topic_errors] == [TopicAuthorizationFailedError.errno]


def test_a_foreign_topic_cannot_even_be_looked_at(secured, granted):
    admin = AdminClient(secured.librdkafka(USER, MECHANISM))
    seen = admin.list_topics(FOREIGN, timeout=20).topics[FOREIGN]
    assert seen.error is not None
    assert seen.error.code() == KafkaFailure.TOPIC_AUTHORIZATION_FAILED


def delete_a_topic(admin: AdminClient) -> None:
    admin.delete_topics([TOPICS.events.name])[TOPICS.events.name].result(20)


def shorten_retention(admin: AdminClient) -> None:
    shorter = ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, TOPICS.events.name, incremental_configs=[shorter])
    admin.incremental_alter_configs([change])[change].result(20)


def grant_itself_more(admin: AdminClient) -> None:
    more = AclBinding(
        ResourceType.TOPIC,
        FOREIGN,
        ResourcePatternType.LITERAL,
        f"User:{USER}",
        "*",
        AclOperation.ALL,
        AclPermissionType.ALLOW,
    )
    admin.create_acls([more])[more].result(20)


@pytest.mark.parametrize("attempt", [delete_a_topic, shorten_retention, grant_itself_more])
def test_administration_is_denied(secured, granted, attempt):
    with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
        attempt(AdminClient(secured.librdkafka(USER, MECHANISM)))


def test_every_denied_attempt_is_one_that_an_administrator_may_do(secured, granted):
    """Otherwise the denials above could have another cause."""
    client = {"bootstrap_servers": secured.plaintext}

    async def all_of_them() -> None:
        await write(client, FOREIGN)
        await fetch(client, FOREIGN)
        await transact(client, "billing-0")
        await transact(client, f"{APP}-9")

    try:
        asyncio.run(all_of_them())
    except KafkaError as error:
        raise AssertionError(type(error).__name__) from error


def test_a_worker_without_the_right_to_its_transactions_ends_with_72_and_starts_once_it_is_granted(
    secured: Secured, tmp_path: Path
):
    topics = Catalogue(topic_prefix="poor.", app_id="poor", partitions=1)
    asyncio.run(ensure_topics({"bootstrap_servers": secured.plaintext}, all_topics(topics), 1))
    needed = running(topics, all_topics(topics))
    secured.allow(USER, [acl for acl in needed if acl.resource is not Resource.TRANSACTIONAL_ID])
    settings = {
        "APP_ID": "poor",
        "TOPIC_PREFIX": "poor.",
        "PARTITIONS": "1",
        "DATA_DIR": str(tmp_path / "data"),
        "WEB_PORT": "0",
        "LOG_FORMAT": "json",
        **secured.client_settings(USER, MECHANISM),
    }
    environment = {f"CUSTOMER_CONTEXT_{name}": value for name, value in settings.items()}
    worker = Supervised([CONSOLE_MODULE, "worker"], environment, tmp_path / "log", forked=True)
    try:
        assert worker.wait(READY_WITHIN_S) == ExitCode.RESTORE_FAILED
        assert "TransactionalIdAuthorizationFailed" in worker.log
        secured.allow(USER, [acl for acl in needed if acl.resource is Resource.TRANSACTIONAL_ID])
        assert look_after_until([worker], lambda: '"processing"' in worker.log, READY_WITHIN_S)
    finally:
        worker.end()


async def put_letter(secured: Secured) -> None:
    headers = [("dlq-reason", b"INVALID"), ("dlq-topic", TOPICS.orders.name.encode())]
    async with AIOKafkaProducer(bootstrap_servers=secured.plaintext) as producer:
        await producer.send_and_wait(TOPICS.dead_letters.name, b"{}", key=b"c1", headers=headers)


async def test_the_desk_says_which_acls_it_lacks_to_show_and_replay_dead_letters(secured, granted):
    await put_letter(secured)
    box = Letters(client_of(secured), TOPICS)
    try:
        for ask in (lambda: box.page(9), lambda: box.letter(0), lambda: box.replay(0)):
            with pytest.raises(LettersUnavailable, match="--print-acls"):
                await ask()
    finally:
        await box.stop()


async def test_with_the_acls_of_operators_it_shows_and_replays_them(secured, granted):
    await put_letter(secured)
    secured.allow("plain-user", replaying(TOPICS))
    box = Letters(client_of(secured, "plain-user", "PLAIN"), TOPICS)
    try:
        page = await box.page(9)
        assert page.entries[0].customer_id == "c1"
        offset = page.entries[0].offset
        assert await box.letter(offset) is not None
        assert await box.replay(offset) is ReplayOutcome.SENT
        assert await box.replay(offset) is ReplayOutcome.SENT_BEFORE
    finally:
        await box.stop()
