"""Erasure is recomputed too: what stayed, what was not freed, and what was taken after it is found."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.agents.world import World
from tests.verify.observed import Observed
from tests.verify.test_planted import (
    ADDRESS,
    log_of,
    replaced,
    rows,
    spoil_row,
    with_reason,
)


def history() -> Observed:
    """What can be read of it, fresh to be spoilt."""
    return Observed(_world())


@cache
def _world() -> World:
    """c1 ordered, paid and was erased, and is told more; c2 got the email; c3 lives on."""
    world = World(seed=1)
    world.register("c1", email="one@example.com", address=ADDRESS, birthDate="1980-01-01")
    world.register("c3", email="three@example.com")
    world.run()
    world.order("c1", "o1", "600.00")
    world.payment("c1", "p1", "600.00")
    world.order("c3", "o3", "10.00")
    world.command("UpdatePreferences", "c1", "k1", {"language": "de"})
    world.run()
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.run()
    world.order("c1", "o2", "7.00")
    world.order("c1", "o1", "600.00")  # as the first one it could as well have come before the erasure
    world.payment("c1", "p2", "7.00")
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.command("EraseCustomer", "c1", "again", {"reason": "asked for"})
    world.command("ChangeStatus", "c1", "late", {"newStatus": "INACTIVE", "reason": "r"})
    world.register("c2", email="one@example.com")
    return world.run()


def found(spoil: Callable[[Observed], object]) -> list[str]:
    observed = history()
    spoil(observed)
    return observed.differences()


def erased_row(**fields: Any) -> bytes:
    row = json.loads(rows(history(), "customers")[b"c1"])
    return json.dumps({**row, "customer": {**row["customer"], **fields}}).encode()


def test_the_history_itself_is_clean_and_holds_an_erasure():
    observed = history()
    assert observed.differences() == []
    reasons = [dict(each.headers)["dlq-reason"] for each in observed.log("customer.dead-letters")]
    assert reasons == [b"CUSTOMER_ERASED"] * 3
    types = [json.loads(each.value or b"")["type"] for each in observed.log("customer.events")]
    assert types.count("CustomerErasedEvent") == 1


def waited_for_an_order() -> World:
    """c1 was erased while a return, which had been repeated, waited for its order."""
    world = World(seed=1)
    world.register("c1")
    world.run()
    world.returned("c1", "b1", "o1", "5.00")
    world.returned("c1", "b1", "o1", "5.00")
    world.order("c1", "o2", "5.00")
    world.run()
    world.returned("c1", "b2", "o2", "5.00")
    world.run()
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.run()
    world.returned("c1", "b3", "o2", "5.00")
    return world.run()


def test_a_return_that_waited_until_the_erasure_is_a_dead_letter_and_that_verifies_clean():
    observed = Observed(waited_for_an_order())
    assert observed.differences() == []
    assert len(observed.log("customer.dead-letters")) == 2


def test_a_return_that_waited_and_left_no_dead_letter_at_the_erasure_is_found():
    observed = Observed(waited_for_an_order())
    observed.logs["customer.dead-letters", 0].pop(0)
    assert any("return b1" in line and "neither" in line for line in observed.differences())


def test_a_return_that_was_taken_after_the_erasure_is_found():
    world = waited_for_an_order()
    world.returned("c1", "b4", "o2", "5.00")
    observed = Observed(world.run())
    observed.logs["customer.dead-letters", 0].pop()
    assert any("b4" in line and "taken after the erasure" in line for line in observed.differences())


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ("name", "Ada"),
        ("email", "one@example.com"),
        ("phone", "+14155552671"),
        ("birth_date", "1980-01-01"),
        ("addresses", [{"id": "a", "address": {**ADDRESS, "zip_code": "Z"}, "is_default": True}]),
        ("payment_methods", [{"id": "m", "type": "GIFT_CARD", "last4": "1234"}]),
        ("preferences", {"language": "de"}),
        ("erased", False),
        ("points", 0),
        ("order_count", 0),
    ],
)
def test_a_row_that_keeps_who_the_customer_was_or_loses_a_figure_is_found(field, kept):
    lines = found(lambda observed: spoil_row(observed, "customers", b"c1", erased_row(**{field: kept})))
    assert any(line.startswith("customers table: customer c1") and field in line for line in lines), lines
    assert not any("Ada" in line or "@example" in line for line in lines)


def test_a_row_that_keeps_the_claim_is_found():
    row = json.loads(rows(history(), "customers")[b"c1"]) | {"email_claim": "reg-c1"}
    lines = found(lambda observed: spoil_row(observed, "customers", b"c1", json.dumps(row).encode()))
    assert any("customers table: customer c1: email_claim" in line for line in lines)


def test_a_claim_that_was_not_released_is_found():
    def spoil(observed: Observed) -> None:
        for (topic, _), log in observed.logs.items():
            if topic == "customer.email-claims":
                log[:] = [each for each in log if b"ReleaseEmail" not in (each.value or b"")]

    assert any(line.startswith("email release: customer c1") for line in found(spoil))


def test_a_claim_that_stays_in_the_table_is_found():
    def spoil(observed: Observed) -> None:
        for tables in observed.tables:
            for key, value in tables["email_claims"].items():
                if b'"c2"' in value:
                    tables["email_claims"][key] = b'{"customer_id":"c1","claim_id":"reg-c1"}'

    lines = found(spoil)
    assert any(line.startswith("claim without owner: customer c1") for line in lines)


def test_a_command_whose_words_are_not_forgotten_is_found():
    for key, value in rows(history(), "command_results").items():
        customer, command_id = key.decode().split("\0")
        if customer != "c1":
            continue
        kept = json.dumps(json.loads(value) | {"fingerprint": "f" * 64}).encode()
        lines = found(lambda observed, key=key, kept=kept: spoil_row(observed, "command_results", key, kept))  # type: ignore[misc]
        assert [line for line in lines if command_id in line and "not forgotten" in line]


@pytest.mark.parametrize("place", range(3))
def test_a_dead_letter_that_is_missing_or_gives_another_reason_is_found(place):
    assert found(lambda observed: observed.logs["customer.dead-letters", 0].pop(place))

    def spoil(observed: Observed) -> None:
        log = observed.logs["customer.dead-letters", 0]
        log[place] = with_reason(log[place], b"ORDER_CONFLICT")

    assert found(spoil)


def test_an_order_of_a_customer_who_lives_on_that_is_refused_as_of_an_erased_one_is_found():
    def spoil(observed: Observed) -> None:
        log = observed.logs["customer.dead-letters", 0]
        (order,) = [each for each in observed.log("order.completed") if b'"o3"' in (each.value or b"")]
        named = {
            "dlq-topic": order.topic.encode(),
            "dlq-partition": b"%d" % order.partition,
            "dlq-offset": b"%d" % order.offset,
        }
        headers = [(name, named.get(name, value)) for name, value in log[0].headers]
        log.append(log[0]._replace(key=order.key, value=order.value, headers=headers))

    assert any("dead letter" in line and "CUSTOMER_ERASED, not any" in line for line in found(spoil))


def test_a_second_erasure_that_was_applied_is_found():
    def spoil(observed: Observed) -> None:
        log = log_of(observed, "customer.command-results", "c1")
        for place, each in enumerate(log):
            result = json.loads(each.value or b"")
            if result["commandId"] == "again":
                del result["code"]
                replaced(log, place, result | {"outcome": "APPLIED"})

    assert any("result: customer c1: command again" in line for line in found(spoil))


def test_an_order_that_counted_after_the_erasure_is_found():
    def spoil(observed: Observed) -> None:
        events = log_of(observed, "customer.events", "c1")
        of_c1 = [each for each in events if each.key == b"c1"]
        spending = next(each for each in of_c1 if b"SpendingUpdated" in (each.value or b""))
        event = json.loads(spending.value or b"")
        event |= {"id": "new", "causationid": "e-o2", "sequence": str(len(of_c1) + 1)}
        event["data"]["orderId"] = "o2"
        events.append(spending._replace(offset=99, value=json.dumps(event).encode()))
        letters = observed.logs["customer.dead-letters", 0]
        letters[:] = [each for each in letters if b'"o2"' not in (each.value or b"")]

    assert any("after the erasure" in line for line in found(spoil))
