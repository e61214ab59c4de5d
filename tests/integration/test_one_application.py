"""An APP_ID belongs to one installation: others, and rules that differ, are refused before anything is taken over."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from tests.api.live import LiveApi
from tests.integration.installation import CONSOLE, PARTITIONS, Installation, order, registration
from tests.integration.test_readiness import reasons
from tests.records import read
from worker import native

_ENDS_WITHIN_S = 40.0

RULES = """
[[rules]]
version = "1"
effective_from = 1970-01-01
currency = "USD"
amount_per_point = "{per_point}"
levels = {{ SILVER = "500.00", GOLD = "2000.00", PLATINUM = "5000.00" }}
vip = {{ annual_spending = "10000.00", days = 365 }}
"""


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path)
    yield made
    made.end()


def ended(installation: Installation, name: str, **settings: str) -> tuple[int, str]:
    """Exit code and everything said by a worker that is to end by itself."""
    done = installation.console("worker", name=name, within_s=_ENDS_WITHIN_S, settings=settings)
    return done.returncode, done.stdout + done.stderr


def served(installation: Installation) -> None:
    """An order counts: rows of the application are written."""
    installation.send([registration("ada"), order("ada", "o-1", 1_000)])
    installation.wait_until(lambda: len(installation.events()) >= 3)


def stop(installation: Installation) -> None:
    for worker in installation.workers:
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    installation.workers.clear()


def test_another_prefix_is_refused_while_the_application_runs_and_nothing_is_fenced(
    installation: Installation,
):
    [worker] = installation.start_workers("one")
    served(installation)
    code, said = ended(installation, "intruder", TOPIC_PREFIX="other-")
    assert code == 2
    assert "belongs to the installation with TOPIC_PREFIX" in said
    assert worker.exits == []
    installation.send([order("ada", "o-2", 1_000)])
    installation.wait_until(lambda: len(installation.events()) >= 5)


def test_another_prefix_is_refused_when_the_application_is_stopped(installation: Installation):
    installation.start_workers("one")
    served(installation)
    stop(installation)
    code, said = ended(installation, "intruder", TOPIC_PREFIX="other-")
    assert code == 2
    assert "belongs to the installation with TOPIC_PREFIX" in said


def test_two_fresh_installations_that_start_at_once_do_not_share_a_group(
    installation: Installation, kafka: str
):
    installation.start_worker("one")
    other = {
        "CUSTOMER_CONTEXT_TOPIC_PREFIX": "zz-",
        "CUSTOMER_CONTEXT_DATA_DIR": "",
        "CUSTOMER_CONTEXT_WEB_PORT": "0",
    }
    environment = {**installation.environment("two"), **other}
    environment["CUSTOMER_CONTEXT_DATA_DIR"] = installation.environment("two")["CUSTOMER_CONTEXT_DATA_DIR"]
    intruder = subprocess.Popen([CONSOLE, "worker"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + _ENDS_WITHIN_S
        while intruder.poll() is None and not installation.workers[0].exits and time.monotonic() < deadline:
            installation.workers[0].look_after()
            time.sleep(0.05)
        codes = [code for code in (intruder.poll(), *installation.workers[0].exits) if code is not None]
        assert codes[:1] == [2]
    finally:
        intruder.kill()
        intruder.wait()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_that_another_program_holds_is_refused_and_taken_once_that_has_gone(
    installation: Installation, kafka: str, protocol: str
):
    foreign = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": installation.app_id,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
        }
    )
    foreign.subscribe([installation.topic("order.completed")])
    while not foreign.assignment():
        foreign.poll(0.2)
    try:
        code, said = ended(installation, "one")
        foreign.poll(0.2)
    finally:
        foreign.close()
    assert code == 2
    assert "is used by a program that is not a worker of ours" in said
    installation.start_workers("one")
    served(installation)


def test_a_version_that_has_counted_may_not_say_something_else(installation: Installation, tmp_path: Path):
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.format(per_point="10.00"))
    installation.start_workers("one")  # without a file: the same figures
    served(installation)
    stop(installation)
    code, said = ended(installation, "two", RULES_FILE=str(tmp_path / "changed.toml"))
    assert code == 2  # no such file
    (tmp_path / "changed.toml").write_text(RULES.format(per_point="20.00"))
    code, said = ended(installation, "two", RULES_FILE=str(tmp_path / "changed.toml"))
    assert code == 2
    assert "something else of version '1'" in said
    environment = {"CUSTOMER_CONTEXT_RULES_FILE": str(rules)}
    done = subprocess.Popen(
        [CONSOLE, "worker"], env={**installation.environment("two"), **environment}, stdout=subprocess.DEVNULL
    )
    try:
        installation.send([order("ada", "o-2", 1_000)])
        installation.wait_until(lambda: len(installation.events()) >= 5)
    finally:
        done.send_signal(signal.SIGTERM)
        assert done.wait(30) == 0


def test_data_of_a_newer_version_is_refused_at_the_start_and_at_a_takeover(
    installation: Installation, kafka: str
):
    [worker] = installation.start_workers("one")
    served(installation)
    producer = Producer({"bootstrap.servers": kafka})
    changelog = f"{installation.app_id}-application-changelog"
    for number in range(PARTITIONS):
        producer.produce(changelog, b"99", b"format", number)
    producer.flush(10)
    assert json.loads(read(kafka, changelog)[-1].value or b"") == 99
    code, said = ended(installation, "two")
    assert code == 78
    assert "data of a newer version" in said
    installation.workers.remove(worker)
    worker.signal(signal.SIGKILL)
    worker.wait(10)
    assert ended(installation, "one")[0] == 78


def test_the_release_the_commit_and_the_codecs_are_told(installation: Installation):
    said = subprocess.run([CONSOLE, "--version"], capture_output=True, text=True, check=True).stdout
    name, release, commit = said.split()
    assert name == "customer-context"
    [worker] = installation.start_workers("one")
    start = next(json.loads(line) for line in worker.log.splitlines() if '"worker starts"' in line)
    assert (start["release"], f"({start['commit']})") == (release, commit)
    built, why_not = native.library()
    assert start["native_codecs"] == ("yes" if built else f"no, {why_not}")


NEXT_SET = """
[[rules]]
version = "2"
effective_from = 2026-01-01
currency = "USD"
amount_per_point = "1.00"
levels = { SILVER = "500.00", GOLD = "2000.00", PLATINUM = "5000.00" }
vip = { annual_spending = "10000.00", days = 365 }
"""


def test_a_worker_that_lacks_rules_is_not_ready_and_takes_nothing_that_would_count_otherwise(
    kafka: str, tmp_path: Path
):
    api = LiveApi(kafka, tmp_path)
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.format(per_point="10.00") + NEXT_SET)
    try:
        [behind] = api.start_workers("behind")
        api.wait_until(lambda: reasons(api, behind) == [])
        api.settings = {"RULES_FILE": str(rules)}
        [ahead] = api.start_workers("ahead")
        api.wait_until(lambda: any("lacks version '2'" in why for why in reasons(api, behind)))
        api.wait_until(lambda: reasons(api, ahead) == [])
        customers = [f"customer-{number}" for number in range(20)]
        api.send(registration(each) for each in customers)
        api.wait_until(lambda: bool(api.results()))
        time.sleep(3)  # in which the others could come
        assert 0 < len(api.results()) < len(customers)
        api.workers.remove(behind)
        behind.signal(signal.SIGTERM)
        behind.wait(30)
        api.wait_until(lambda: len(api.results()) == len(customers))
        api.send(order(each, f"order of {each}", 1_000) for each in customers)
        api.wait_until(lambda: len(api.customers()) == 20)
        earned = [event["data"] for event in api.events() if event["type"] == "RewardPointsEarnedEvent"]
        assert {each["rulesVersion"] for each in earned} <= {"2"}
        [again] = api.start_workers("again")  # with the file that has both sets
        api.wait_until(lambda: reasons(api, again) == [])
    finally:
        api.end()
