"""Claims that were decided in another order than that of their log."""

import json

import pytest

from tests.agents.world import PARTITIONS, World
from tests.verify.observed import Observed
from worker.verify.checks import claims
from worker.verify.reading.contents import Record


@pytest.fixture(scope="module")
def world() -> World:
    """A claim from elsewhere that was on the log of the email's partition before another took the email there."""
    world = World(max_batch=1)
    here = world.routing.home("c1")[0]
    elsewhere = next(f"c{n}" for n in range(2, 99) if world.routing.home(f"c{n}")[0] != here)
    email = world.email("a", "c1", here=True)
    world.register("c1", email=email)
    world.register(elsewhere, email=email)
    world.one_batch(world.routing.home(elsewhere)[0])
    assert len(world.logs[world.routing.email_claims, here]) == 1
    while not world.results("c1"):
        world.one_batch(here)
    return world.run()


def test_the_one_that_was_decided_first_owns_the_email(world):
    first, second = (json.loads(each.value) for each in world.records(world.routing.email_claims))
    assert (first["customer_id"] == "c1", first.get("position")) == (False, None)
    assert (second["customer_id"], second["position"]) == ("c1", 0)
    assert world.results("c1")[0]["outcome"] == "APPLIED"
    assert world.results(first["customer_id"])[0]["code"] == "CUSTOMER_EMAIL_EXISTS"


def test_that_verifies_clean(world):
    assert Observed(world).differences() == []


def test_in_the_order_of_the_log_it_would_not(world, monkeypatch):
    def in_the_logs_order(record: Record) -> tuple[int, int, bool]:
        return record.partition, record.offset, True

    monkeypatch.setattr(claims, "_when_decided", in_the_logs_order)
    assert Observed(world).differences()


@pytest.mark.parametrize("seed", range(20))
def test_a_race_from_all_partitions_verifies_clean_whoever_wins(seed):
    world = World(seed=seed, max_batch=3)
    for n in range(12):
        world.register(f"c{n}", email=f"{'ab'[n % 2]}@example.com")
        world.one_batch(world.random.randrange(PARTITIONS))
    for n in range(12):
        data = {"name": "A", "email": f"{'abcd'[n % 4]}@example.com", "phone": None}
        world.command("UpdateProfile", f"c{n}", f"u{n}", data)
        world.one_batch(world.random.randrange(PARTITIONS))
    world.run()
    assert Observed(world).differences() == []
