"""Topics that were lost are not made anew without a word, and there is a way to go on."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.conftest import started
from tests.integration.installation import Installation, order, registration

_ENDS_WITHIN_S = 40.0
LOST_DATA = 74


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path)
    yield made
    made.end()


def console(
    installation: Installation, *arguments: str, name: str = "one"
) -> subprocess.CompletedProcess[str]:
    """A console command in the environment of a worker, done."""
    return installation.console(*arguments, name=name, within_s=_ENDS_WITHIN_S)


def has_served(installation: Installation) -> None:
    """A customer has an order, and the worker has stopped."""
    [worker] = installation.start_workers("one")
    installation.send([registration("ada"), order("ada", "o-1", 1_000)])
    installation.wait_until(lambda: len(installation.events()) == 3)
    installation.workers.clear()
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def delete(kafka: str, topic: str) -> None:
    """Delete a topic, and wait until it is gone."""
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([topic])[topic].result()
    while topic in admin.list_topics(timeout=10).topics:
        time.sleep(0.1)


def test_a_lost_input_topic_ends_the_worker_and_is_read_anew_once_its_loss_is_accepted(
    installation: Installation, kafka: str
):
    has_served(installation)
    topic = installation.topic("order.completed")
    delete(kafka, topic)
    ended = console(installation, "worker")
    assert ended.returncode == LOST_DATA
    assert f"topics --accept-loss {topic}" in ended.stderr
    refused = console(installation, "topics")
    assert refused.returncode == 1
    assert f"--accept-loss {topic}" in refused.stderr
    assert topic not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics

    accepted = console(installation, "topics", "--accept-loss", topic)
    assert accepted.returncode == 0, accepted.stderr
    installation.start_workers("one")
    installation.send([order("ada", "o-2", 2_000)])
    installation.wait_until(lambda: len(installation.events()) == 5)
    assert installation.customers()["ada"]["order_count"] == 2
    verified = console(installation, "verify", "--json")
    report = json.loads(verified.stdout)
    assert report["differences"] == []
    assert report["notVerifiable"] != []


def test_a_topic_that_someone_made_anew_is_told_with_the_way_out(installation: Installation, kafka: str):
    has_served(installation)
    topic = installation.topic("order.completed")
    delete(kafka, topic)
    assert console(installation, "topics", "--accept-loss", "no.such.topic").returncode == 2
    installation.console(
        "topics", name="other", settings={"APP_ID": f"{installation.app_id}-other"}
    ).check_returncode()
    ended = console(installation, "worker")
    assert ended.returncode == LOST_DATA
    assert f"topics --accept-loss {topic}" in ended.stderr
    assert console(installation, "topics", "--accept-loss", topic).returncode == 0
    installation.start_workers("one")


def test_a_lost_changelog_is_not_made_anew(installation: Installation, kafka: str):
    has_served(installation)
    changelog = f"{installation.app_id}-ledger-changelog"
    delete(kafka, changelog)
    ended = console(installation, "worker", name="a worker without stores")
    assert ended.returncode == LOST_DATA
    assert "may be the last copy" in ended.stderr
    assert console(installation, "topics").returncode == 1


@pytest.mark.long
def test_a_kafka_that_lost_everything_is_not_served_from_nothing(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
):
    has_served(installation)
    empty = started(tmp_path_factory)
    try:
        installation.bootstrap = empty.bootstrap
        ended = console(installation, "worker")
        assert ended.returncode == LOST_DATA
        assert "may be the last copy" in ended.stderr
        assert console(installation, "topics").returncode == 1
        topics = AdminClient({"bootstrap.servers": empty.bootstrap}).list_topics(timeout=10).topics
        assert [name for name in topics if not name.startswith("__")] == []
    finally:
        empty.stop()
