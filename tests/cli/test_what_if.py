"""`what-if` on a real Kafka, with the topics of a real worker."""

import csv
import io
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from tests.integration.installation import (
    CONSOLE,
    Installation,
    command,
    order,
    registration,
    returned,
)
from tests.records import end_of
from worker.cli import app
from worker.settings import PREFIX, ConfigurationError

SET = """[[rules]]
version = "{version}"
effective_from = 1970-01-01
currency = "USD"
amount_per_point = "{per_point}"
levels = {{ SILVER = "{silver}", GOLD = "2000.00", PLATINUM = "5000.00" }}
vip = {{ annual_spending = "10000.00", days = 365 }}
"""
SAME = SET.format(version="any", per_point="10.00", silver="500.00")
OTHER = SET.format(version="other", per_point="5.00", silver="300.00")
FORMULA = "=HYPERLINK(A1)"
IDS = ["ada", "ben", FORMULA, "vip", "gone", "by-hand"]


ORDERS = [
    *(order(each, f"o-{each}", 40_000) for each in IDS),
    order("vip", "o-2", 1_000_000),
    order("ada", "o-3", 10_000),
]
CORRECTIONS = [
    returned("ada", "b-1", "o-ada", 39_999),
    command("ben", "RedeemPoints", {"points": 40, "reason": "r", "redemptionId": "r-1"}),
    command(FORMULA, "AdjustPoints", {"points": -1, "reason": "r", "adjustmentId": "a-1"}),
    command("by-hand", "UpgradeMembership", {"newLevel": "GOLD", "reason": "r"}),
    command("gone", "EraseCustomer", {"reason": "r"}),
]
PUBLISHED = {
    "RewardPointsReversedEvent",
    "RewardPointsRedeemedEvent",
    "RewardPointsAdjustedEvent",
    "CustomerErasedEvent",
}
INTO_DEBT = returned("ben", "b-2", "o-ben", 10_000)


@pytest.fixture(scope="module")
def application(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An application with these customers, whose worker still runs."""
    made = Installation(kafka, tmp_path_factory.mktemp("application"))
    try:
        made.start_workers("one")
        made.send(registration(each, f"c{number}@example.org") for number, each in enumerate(IDS))
        made.wait_until(lambda: kinds(made)["CustomerCreatedEvent"] == len(IDS))
        made.send(ORDERS)
        made.wait_until(lambda: kinds(made)["CustomerSpendingUpdatedEvent"] == len(ORDERS))
        made.send(CORRECTIONS)
        made.wait_until(lambda: kinds(made).keys() >= PUBLISHED)
        made.send([INTO_DEBT])
        made.wait_until(lambda: kinds(made)["RewardPointsReversedEvent"] == 2)
        yield made
    finally:
        made.end()


def kinds(application: Installation) -> Counter[str]:
    return Counter(event["type"] for event in application.events())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "same.toml").write_text(SAME)
    (tmp_path / "other.toml").write_text(OTHER)
    return tmp_path


def what_if(
    application: Installation, folder: Path, *words: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    environment = {**application.environment("console"), **settings}
    return subprocess.run(
        [CONSOLE, "what-if", *words], env=environment, cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_under_the_same_rules_nothing_would_change_for_a_real_workers_customers(
    application: Installation, files: Path
):
    done = what_if(application, files, "--rules", "same.toml", "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["customers"] == []
    summary = document["summary"]
    assert (summary["customers"], summary["erased"], summary["changed"]) == (5, 1, 0)
    assert summary["levels"] == {
        "STANDARD": {"before": 2, "after": 2},
        "SILVER": {"before": 1, "after": 1},
        "GOLD": {"before": 1, "after": 1},
        "PLATINUM": {"before": 1, "after": 1},
    }
    assert summary["vips"]["before"] == 1
    assert summary["debt"] == {"before": 10, "after": 10}


def test_other_rules_give_a_table_and_a_chart(application: Installation, files: Path):
    done = what_if(
        application, files, "--rules", "other.toml", "--chart", "c.svg", "--value-per-point", "0.01"
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["SILVER", "1", "3", "+2"] in lines
    assert ["ben", "STANDARD", "→", "SILVER", "0", "→", "20", "10", "→", "0", "no"] in lines
    assert ["points", "in", "USD", "11.29", "22.79", "+11.50"] in lines
    assert "gone" not in done.stdout
    assert ET.parse(files / "c.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own


def test_csv_goes_into_a_file_whole_and_the_summary_to_the_person(application: Installation, files: Path):
    done = what_if(application, files, "--rules", "other.toml", "--format", "csv", "--output", "all.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "5 of 5 customers would change" in done.stderr
    rows = list(csv.DictReader(io.StringIO((files / "all.csv").read_text(), newline="")))
    assert sorted(row["customerId"] for row in rows) == ["'" + FORMULA, "ada", "ben", "by-hand", "vip"]
    [by_hand] = [row for row in rows if row["customerId"] == "by-hand"]
    assert (by_hand["levelBefore"], by_hand["levelAfter"]) == ("GOLD", "GOLD")
    assert sorted(each.name for each in files.iterdir()) == ["all.csv", "other.toml", "same.toml"]


def state_of(application: Installation) -> tuple[Any, ...]:
    """All topics of the application with their ends, and all groups."""
    kafka = application.bootstrap
    admin = AdminClient({"bootstrap.servers": kafka})
    topics = admin.list_topics(timeout=20).topics
    ends = {
        (name, number): end_of(kafka, name, number)
        for name, topic in topics.items()
        if name.startswith(application.app_id)
        for number in topic.partitions
    }
    groups = {group.group_id for group in admin.list_consumer_groups().result().valid}
    return ends, groups


def test_it_changes_nothing_and_needs_no_worker(application: Installation, files: Path):
    for worker in application.workers:
        worker.end()
    before = state_of(application)
    done = what_if(application, files, "--rules", "other.toml", "--limit", "1")
    assert done.returncode == 0, done.stderr
    assert "... and 4 more." in done.stdout
    assert state_of(application) == before


def test_an_application_without_customers_is_said_to_have_none(kafka: str, files: Path):
    done = what_if(Installation(kafka, files), files, "--rules", "same.toml")
    assert done.returncode == 0, done.stderr
    assert "No customer is registered." in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rules", "broken.toml"), "must rise"),
        (("--rules", "none.toml"), "No such file"),
        (("--rules", "same.toml", "--value-per-point", "-1"), "--value-per-point: not a plain decimal"),
        (("--rules", "same.toml", "--output", "no/all.csv"), "there is no folder"),
        (("--rules", "same.toml", "--output", "/dev/null"), "no file that can be replaced"),
        (("--rules", "same.toml", "--output", "a", "--chart", "./a"), "the same file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_read(
    words: tuple[str, ...], said: str, files: Path, monkeypatch: pytest.MonkeyPatch
):
    (files / "broken.toml").write_text(SAME.replace('"500.00"', '"5000000.00"'))
    monkeypatch.chdir(files)
    done = CliRunner().invoke(app, ["what-if", *words], env={f"{PREFIX}BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("APP_ID", "nobody", "There is no topic nobody-customers-changelog, nobody-ledger-changelog."),
        ("BOOTSTRAP_SERVERS", "127.0.0.1:1", "cannot be reached"),
    ],
)
def test_what_stands_in_the_way_is_one_sentence(
    setting: str, value: str, said: str, application: Installation, files: Path
):
    done = what_if(
        application, files, "--rules", "same.toml", "--output", "a", **{f"{PREFIX}{setting}": value}
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (files / "a").exists()
