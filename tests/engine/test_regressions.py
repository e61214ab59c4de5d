"""What once went wrong, or would, in a whole process on Faust: each ends, and with the documented exit code."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from tests.engine.toy import SUMS
from tests.engine.toy_run import Traffic, make_topics, start_toy
from tests.records import latest, read
from tests.supervised import Supervised, look_after_until
from worker.engine.exits import ExitCode
from worker.engine.store import RocksStores

Start = Callable[..., Supervised]


@pytest.fixture
def start(kafka: str, tmp_path: Path) -> Iterator[Start]:
    """Starts toys by app id, name and TOY_ variables, and ends them all."""
    started: list[Supervised] = []

    def start_one(app_id: str, name: str, **environment: str) -> Supervised:
        started.append(start_toy(app_id, kafka, tmp_path, name, **environment))
        return started[-1]

    yield start_one
    for toy in started:
        toy.end()
        print(toy.end_of_log)  # noqa: T201 (shown only when the test fails)


def until_it_processes(*toys: Supervised) -> None:
    assert look_after_until((), lambda: all("processing" in toy.log for toy in toys), within_s=20.0)


def send(kafka: str, app_id: str, *numbers: int) -> None:
    Traffic(kafka, app_id, per_second=1).send(numbers)


def test_a_record_too_large_for_its_topic_ends_the_worker_and_publishes_nothing(kafka: str, start: Start):
    app_id = make_topics(kafka, output={"max.message.bytes": "300"})
    toy = start(app_id, "toy")
    send(kafka, app_id, 0)
    assert look_after_until((), lambda: len(read(kafka, f"{app_id}-out")) == 1, within_s=20.0)
    send(kafka, app_id, *range(200, 20_200, 200))  # a hundred of the same key: too much for one batch
    assert toy.wait(within_s=20.0) == ExitCode.BATCH_FAILED
    assert len(read(kafka, f"{app_id}-out")) == 1
    rows = latest(read(kafka, f"{app_id}-{SUMS.name}-changelog"))
    assert {key: json.loads(row) for key, row in rows.items()} == {b"k0": {"count": 1, "sum": 0, "xor": 0}}


def test_a_skipped_record_ends_the_worker(kafka: str, start: Start):
    app_id = make_topics(kafka)
    send(kafka, app_id, 0, 200, 400)
    toy = start(app_id, "toy", TOY_CONTROL="skip")
    assert toy.wait(within_s=20.0) == ExitCode.SKIPPED_RECORDS
    assert read(kafka, f"{app_id}-out") == []


def test_a_batch_that_misses_its_deadline_ends_the_worker(kafka: str, start: Start):
    app_id = make_topics(kafka)
    send(kafka, app_id, 0)
    toy = start(app_id, "toy", TOY_COMMIT_DELAY_S="60", TOY_DEADLINE_S="0.5")
    assert toy.wait(within_s=20.0) == ExitCode.DEADLINE
    assert read(kafka, f"{app_id}-out") == []


def test_a_local_store_ahead_of_its_changelog_is_refused(kafka: str, start: Start, tmp_path: Path):
    app_id = make_topics(kafka)
    stores = RocksStores(tmp_path / "toy" / "store")
    stores.open(2).write({}, {SUMS.mark: 7})
    stores.release(())
    assert start(app_id, "toy").wait(within_s=20.0) == ExitCode.STORE_AHEAD


def test_sigterm_during_a_rebalance_ends_the_worker_cleanly(kafka: str, start: Start):
    app_id = make_topics(kafka)
    worker, frozen = start(app_id, "worker"), start(app_id, "frozen")
    until_it_processes(worker, frozen)
    frozen.signal(signal.SIGSTOP)
    start(app_id, "newcomer")  # its rebalance waits for the frozen member until that one's session ends
    admin = AdminClient({"bootstrap.servers": kafka})
    assert look_after_until((), lambda: rebalances(admin, app_id), within_s=6.0)
    worker.signal(signal.SIGTERM)
    assert worker.wait(within_s=10.0) == 0


def rebalances(admin: AdminClient, group: str) -> bool:
    state = admin.describe_consumer_groups([group])[group].result(10.0).state
    return bool(state == ConsumerGroupState.PREPARING_REBALANCING)


@pytest.mark.parametrize("after_s", [0.05, 0.3])
def test_sigterm_during_the_start_ends_the_worker_cleanly(kafka: str, start: Start, after_s: float):
    app_id = make_topics(kafka)
    until_it_processes(start(app_id, "settled"))
    toy = start(app_id, "toy")
    assert look_after_until((), lambda: "toy starts" in toy.log, within_s=30.0)
    look_after_until((), lambda: False, within_s=after_s)
    toy.signal(signal.SIGTERM)
    assert toy.wait(within_s=10.0) == 0
