"""Erasing a customer: what is answered, published and freed, and that nothing personal stays in any table."""

import json
from typing import Any

import pytest

from tables import ALL, command_results
from tables.command_results import FORGOTTEN
from tables.rows import Committed
from tests.agents.world import World

PERSONAL = ("Ada", "ada@example.com", "+14155552671", "1990-02-03", "Elm Street", "4242")
ADDRESS = {"street": "Elm Street", "city": "C", "zipCode": "Z", "country": "US"}


def known(**shape: Any) -> World:
    """c1, of whom there is everything that can be known, and who ordered and paid."""
    world = World(**shape)
    world.order("c1", "o1", "600.00")
    world.register(
        "c1", email="ada@example.com", phone="+1 415 555 2671", birthDate="1990-02-03", address=ADDRESS
    )
    world.run()
    world.command("AddPaymentMethod", "c1", "m1", {"type": "CREDIT_CARD", "last4": "4242"})
    world.payment("c1", "p1", "600.00")
    return world.run()


def erase(world: World, command_id: str = "erase", reason: str = "asked for") -> World:
    world.command("EraseCustomer", "c1", command_id, {"reason": reason})
    return world.run()


def last(world: World, customer: str = "c1") -> tuple[str, str | None, int | None]:
    result = world.results(customer)[-1]
    return result["outcome"], result.get("code"), result["version"]


def stored(world: World) -> str:
    """Every key and value of every table of every partition."""
    rows = [each for store in world.stores for table in ALL for row in store.scan(table.mark) for each in row]
    return b"\n".join(rows).decode(errors="replace")


def test_an_erasure_is_answered_and_published_once_however_often_it_is_delivered():
    world = known()
    version = world.customer("c1").version
    for _ in range(3):
        erase(world)
    assert [r for r in world.results("c1") if r["commandId"] == "erase"] == [
        {
            "commandId": "erase",
            "commandType": "EraseCustomer",
            "customerId": "c1",
            "outcome": "APPLIED",
            "version": version + 1,
        }
    ] * 3
    event = world.events("c1")[-1]
    assert event["type"] == "CustomerErasedEvent"
    assert event["data"] == {"customerId": "c1", "reason": "asked for"}
    assert event["sequence"] == str(world.customer("c1").sequence)
    assert world.types("c1").count("CustomerErasedEvent") == 1


def test_nothing_personal_stays_in_any_table():
    world = known()
    assert all(personal in stored(world) for personal in PERSONAL)
    erase(world)
    assert not [personal for personal in PERSONAL if personal in stored(world)]
    row = world.row("c1")
    assert (row.email_claim, row.pending_claim, row.queued, row.waiting) == (None, None, 0, 0)
    assert world.customer("c1").points == 60


def test_an_unknown_customer_cannot_be_erased_and_their_orders_wait_on():
    world = World()
    world.order("c1", "o1", "10.00")
    erase(world)
    assert last(world) == ("REJECTED", "CUSTOMER_NOT_FOUND", None)
    assert world.row("c1").waiting == 1


def test_an_invalid_erasure_erases_nobody():
    world = known()
    erase(world, reason="")
    assert last(world)[:2] == ("REJECTED", "VALIDATION_FAILED")
    assert not world.customer("c1").erased


def test_every_later_command_says_erased_with_the_last_version_and_an_invalid_one_that_it_is_invalid():
    world = erase(known())
    version = world.customer("c1").version
    erase(world, "erase again")
    assert last(world) == ("REJECTED", "CUSTOMER_ERASED", version)
    world.register("c1", command_id="again")
    world.run()
    assert last(world) == ("REJECTED", "CUSTOMER_ERASED", version)
    world.command("ChangeStatus", "c1", "s1", {"newStatus": "INACTIVE", "reason": "r"}, expectedVersion=1)
    world.run()
    assert last(world) == ("REJECTED", "CUSTOMER_ERASED", version)
    world.command("ChangeStatus", "c1", "s2", {"newStatus": "ASLEEP", "reason": "r"})
    world.run()
    assert last(world) == ("REJECTED", "VALIDATION_FAILED", version)


def test_the_email_can_be_registered_again_and_the_erased_customer_cannot():
    world = erase(known())
    world.register("c2", email="ada@example.com")
    world.register("c1", email="new@example.com", command_id="again")
    world.run()
    assert last(world, "c2")[0] == "APPLIED"
    world.register("c3", email="new@example.com")
    world.run()
    assert last(world, "c3")[0] == "APPLIED"  # the refused registration claimed nothing


def test_later_orders_and_payments_are_dead_letters_also_those_that_had_counted():
    world = erase(known())
    version = world.customer("c1").version
    world.order("c1", "o1", "600.00")
    world.order("c1", "o1", "1.00")
    world.order("c1", "o2", "1.00")
    world.payment("c1", "p1", "600.00")
    world.payment("c1", "p2", "1.00", key="another-key")
    world.run()
    assert [reason for reason, _ in world.dead_letters()] == ["CUSTOMER_ERASED"] * 5
    assert world.customer("c1").version == version
    assert world.customer("c1").order_count == 1


def test_what_earlier_commands_said_is_forgotten_and_their_results_are_not():
    world = known()
    first = next(r for r in world.results("c1") if r["commandId"] == "reg-c1")
    erase(world)
    world.register("c1", email="somebody.else@example.com")  # the hash of what it said is gone
    world.run()
    assert world.results("c1")[-1] == first
    world.command("ChangeStatus", "c1", "reg-c1", {"newStatus": "INACTIVE", "reason": "r"})
    world.run()
    assert last(world) == ("REJECTED", "IDEMPOTENCY_CONFLICT", world.customer("c1").version)


def test_no_fingerprint_of_an_erased_customers_commands_is_kept_whenever_they_came():
    world = erase(known())
    world.command("UpdateProfile", "c1", "late", {"name": "Ada", "email": "a@example.com", "phone": None})
    world.command("UpdateProfile", "c1", "bad", {"name": "", "email": "a@example.com", "phone": None})
    world.register("c10", email="other@example.com")
    world.run()
    rows = Committed(world.stores[world.routing.home("c1")[0]])
    for command_id in ("reg-c1", "m1", "erase", "late", "bad"):
        remembered = command_results.read(rows, "c1", command_id)
        assert remembered is not None
        assert remembered.fingerprint == FORGOTTEN
    other = command_results.read(Committed(world.stores[world.routing.home("c10")[0]]), "c10", "reg-c10")
    assert other is not None
    assert other.fingerprint != FORGOTTEN


@pytest.mark.parametrize("seed", range(8))
def test_an_erasure_behind_a_pending_claim_waits_for_it_and_what_queued_behind_it_is_refused(seed):
    world = known(seed=seed, max_batch=1)
    profile = {"name": "Ada", "email": "next@example.com", "phone": None}
    world.command("UpdateProfile", "c1", "u1", profile)
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.command("UpdateProfile", "c1", "u2", {**profile, "email": "ada@example.com"})
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.run()
    results = [(r["commandId"], r["outcome"], r.get("code")) for r in world.results("c1")[-4:]]
    assert results == [
        ("u1", "APPLIED", None),
        ("erase", "APPLIED", None),
        ("u2", "REJECTED", "CUSTOMER_ERASED"),
        ("erase", "APPLIED", None),
    ]
    assert not [personal for personal in (*PERSONAL, "next@example.com") if personal in stored(world)]
    world.register("c2", email="next@example.com")
    world.register("c3", email="ada@example.com")
    world.run()
    assert (last(world, "c2")[0], last(world, "c3")[0]) == ("APPLIED", "APPLIED")


def test_a_registration_its_waiting_orders_and_an_erasure_in_one_queue():
    world = World(max_batch=1)
    world.order("c1", "o1", "20.00")
    world.register("c1")
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.run()
    assert world.types("c1")[-1] == "CustomerErasedEvent"
    assert (world.customer("c1").erased, world.customer("c1").points) == (True, 2)
    assert world.row("c1").waiting == 0


def test_a_crash_before_the_commit_of_an_erasure_leaves_it_to_be_done_once():
    world = known()
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.one_batch(world.routing.home("c1")[0], crash=True)
    assert not world.customer("c1").erased
    world.run()
    assert world.types("c1").count("CustomerErasedEvent") == 1
    releases = [
        message
        for message in world.published(world.routing.email_claims)
        if message["type"] == "ReleaseEmail"
    ]
    assert [json.dumps(message["claim_id"]) for message in releases] == ['"reg-c1"']
