"""Redemptions that are cancelled and points that are adjusted, on a simulated log."""

import json
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from tables.customers import CUSTOMERS
from tests.agents.world import World
from tests.verify.observed import Observed

N = uuid5(NAMESPACE_DNS, "customer-context")
REDEEM = {"points": 4, "reason": "voucher", "redemptionId": "r1", "orderId": "o9"}
CANCEL = {"redemptionId": "r1", "reason": "order failed"}
ADJUST = {"points": -2, "reason": "counted twice", "adjustmentId": "a1"}


def told(world: World, *commands: tuple[str, str, dict[str, Any]]) -> World:
    """A customer with 10 points, to whom these commands came: (commandId, type, data)."""
    world.register("c1")
    world.order("c1", "o1", "100.00")
    world.run()
    for command_id, kind, data in commands:
        world.command(kind, "c1", command_id, data)
        world.run()
    return world


def outcomes(world: World) -> list[tuple[str, str | None, int]]:
    return [(each["outcome"], each.get("code"), each["version"]) for each in world.results("c1")[1:]]


def test_each_correction_publishes_one_event_with_ids_from_its_command():
    world = told(
        World(),
        ("k1", "RedeemPoints", REDEEM),
        ("k2", "CancelRedemption", CANCEL),
        ("k3", "AdjustPoints", ADJUST),
    )
    assert outcomes(world) == [("APPLIED", None, 3), ("APPLIED", None, 4), ("APPLIED", None, 5)]
    restored, adjusted = world.events("c1")[-2:]
    assert restored["id"] == str(uuid5(N, "c1|k2|RewardPointsRestoredEvent|0"))
    assert restored["data"] == {
        "customerId": "c1",
        "pointsRestored": 4,
        "totalPoints": 10,
        "debt": 0,
        "reason": "order failed",
        "redemptionId": "r1",
    }
    assert adjusted["id"] == str(uuid5(N, "c1|k3|RewardPointsAdjustedEvent|0"))
    assert adjusted["data"] == {
        "customerId": "c1",
        "points": -2,
        "totalPoints": 8,
        "debt": 0,
        "reason": "counted twice",
        "adjustmentId": "a1",
    }
    assert Observed(world).differences() == []


def test_what_is_already_true_is_applied_and_what_contradicts_it_is_a_conflict():
    world = told(
        World(),
        ("k1", "RedeemPoints", REDEEM),
        ("k2", "CancelRedemption", CANCEL),
        ("k3", "CancelRedemption", CANCEL | {"reason": "asked again"}),
        ("k4", "RedeemPoints", REDEEM),
        ("k5", "AdjustPoints", ADJUST),
        ("k6", "AdjustPoints", ADJUST),
        ("k7", "AdjustPoints", ADJUST | {"points": 2}),
        ("k8", "CancelRedemption", CANCEL | {"redemptionId": "r2"}),
        ("k9", "AdjustPoints", ADJUST | {"points": -9, "adjustmentId": "a2"}),
    )
    assert outcomes(world) == [
        ("APPLIED", None, 3),
        ("APPLIED", None, 4),
        ("APPLIED", None, 4),
        ("REJECTED", "IDEMPOTENCY_CONFLICT", 4),
        ("APPLIED", None, 5),
        ("APPLIED", None, 5),
        ("REJECTED", "IDEMPOTENCY_CONFLICT", 5),
        ("REJECTED", "REDEMPTION_NOT_FOUND", 5),
        ("REJECTED", "INSUFFICIENT_POINTS", 5),
    ]
    assert Observed(world).differences() == []


def test_the_actor_is_an_attribute_of_all_events_of_the_command_also_after_its_email_claim():
    world = World()
    email = world.email("one", "c1", here=False)
    data = {
        "name": "Ada",
        "email": email,
        "address": dict.fromkeys(("street", "city", "zipCode"), "1") | {"country": "DE"},
    }
    world.command("RegisterCustomer", "c1", "k0", data, actor='support "Zoë"')
    world.order("c1", "o1", "100.00")
    world.command("AdjustPoints", "c1", "k1", ADJUST)
    world.run()
    actors = [(event["type"], event.get("actor", "nobody")) for event in world.events("c1")]
    assert actors[:2] == [
        ("CustomerCreatedEvent", 'support "Zoë"'),
        ("DeliveryAddressAddedEvent", 'support "Zoë"'),
    ]
    assert {actor for _, actor in actors[2:]} == {"nobody"}
    assert Observed(world).differences() == []


def test_a_command_repeated_by_another_actor_is_the_same_command():
    world = told(World())
    for actor in ("first", "second", None):
        world.command("AdjustPoints", "c1", "k1", ADJUST, **({} if actor is None else {"actor": actor}))
        world.run()
    assert outcomes(world) == [("APPLIED", None, 3)] * 3
    assert [event["actor"] for event in world.events("c1") if "actor" in event] == ["first"]
    assert Observed(world).differences() == []


def test_a_redemption_that_an_earlier_version_wrote_is_cancelled_like_any_other():
    world = told(World(), ("k1", "RedeemPoints", REDEEM))
    store = world.stores[world.routing.home("c1")[0]]
    [(_, row)] = list(store.scan(CUSTOMERS.mark))  # it has the fields of an earlier version alone
    assert json.loads(row)["customer"].keys().isdisjoint({"lifetime_restored", "lifetime_adjusted"})
    world.command("CancelRedemption", "c1", "k2", CANCEL)
    world.run()
    customer = world.customer("c1")
    assert (customer.points, customer.lifetime_restored, customer.lifetime_adjusted) == (10, 4, 0)
