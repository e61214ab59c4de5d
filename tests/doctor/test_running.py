"""What the doctor says of the running application."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.live import LiveApi
from tests.integration.installation import PARTITIONS, Message, order, registration
from worker.membership import Member, RuleClaim, digest_of_aliases
from worker.operations.running import Joined, of_the_group

SAID = Member("http://127.0.0.1:1", "0.2.0", "abc", "", payment_join=False, rules={"1": RuleClaim(0, "x")})


@pytest.fixture
def api(kafka: str, tmp_path: Path) -> Iterator[LiveApi]:
    made = LiveApi(kafka, tmp_path)
    yield made
    made.end()


def findings(api: LiveApi, **settings: str) -> list[dict[str, Any]]:
    """What the doctor finds, with these settings beside the installation's."""
    done = api.console("doctor", "--json", name="doctor", settings=settings)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def said(found: list[dict[str, Any]], area: str) -> str:
    """Level and sentence of everything found in an area."""
    return " ".join(f"{each['level']}: {each['what']}" for each in found if each["area"] == area)


def test_members_partitions_lag_and_dead_letters_are_told(api: LiveApi):
    api.start_workers("one", "two")
    api.send([registration("ada"), order("ada", "o-1", 1_000), Message("order.completed", b"k", b"no JSON")])
    api.wait_until(lambda: len(api.read("customer.dead-letters")) == 1)
    api.wait_until(lambda: "ok: About" in said(findings(api), "lag"))
    found = findings(api)
    assert f"ok: 2 workers share {PARTITIONS} partitions" in said(found, "application")
    assert all(f"{api.url(worker)} 2" in said(found, "application") for worker in api.workers)
    assert "warning: At most 2 dead letters came" in said(found, "dead letters")
    assert "fault" not in said(found, "clock")


@pytest.mark.long
def test_the_port_of_another_installations_worker_is_a_fault(api: LiveApi, kafka: str, tmp_path: Path):
    [worker] = api.start_workers("one")
    port = api.url(worker).rpartition(":")[2]
    assert f"ok: A worker answers on port {port}" in said(findings(api, WEB_PORT=port), "web")
    other = said(findings(api, WEB_PORT=port, APP_ID="another"), "web")
    assert "fault" in other
    assert "worker of another application" in other


def test_another_prefix_is_a_fault(api: LiveApi):
    api.start_workers("one")
    api.send([registration("ada")])
    api.wait_until(lambda: bool(api.results()))
    found = findings(api, TOPIC_PREFIX="other-")
    assert "fault: This app_id belongs to the installation" in said(found, "application")


@pytest.mark.parametrize(
    ("members", "level", "sentence"),
    [
        ([], "ok", "No worker runs now"),
        (
            [Joined(SAID, frozenset({0, 1})), Joined(None, frozenset())],
            "fault",
            "not workers of this data format",
        ),
        ([Joined(SAID, frozenset({0}))], "warning", "1 partitions have no owner now"),
    ],
)
def test_what_is_wrong_with_the_group_is_told(members: list[Joined], level: str, sentence: str):
    found = list(of_the_group(members, SAID, 2))
    assert any(sentence in each.what and each.level == level for each in found)


def test_workers_that_disagree_are_told():
    other = msgspec.structs.replace(
        SAID,
        url="http://127.0.0.1:2",
        release="0.3.0",
        payment_join=True,
        type_aliases=digest_of_aliases({"com.shop.Order": "OrderCompletedEvent"}),
        rules={"1": RuleClaim(0, "y"), "2": RuleClaim(20_000, "z")},
    )
    found = list(of_the_group([Joined(SAID, frozenset({0})), Joined(other, frozenset({1}))], SAID, 2))
    text = " ".join(each.what for each in found)
    assert "Workers run 0.2.0 (abc) and 0.3.0 (abc)" in text
    assert "PAYMENT_JOIN on, and some with it off" in text
    assert "Workers run with different CUSTOMER_CONTEXT_TYPE_ALIASES." in text
    assert "Version '1' of the rules says different things" in text
    assert "lack version '2'" in text
