"""Returns through the whole processor: counted once, or waiting for their customer and their order."""

from typing import Any

import pytest

from agents.parking.bounds import BOUNDS
from tables import waiting
from tables.rows import Committed
from tests.agents.world import World
from worker.domain.spending import net_total


def known(**shape: Any) -> World:
    """c1, who ordered o1 for 25 dollars."""
    world = World(**shape)
    world.register("c1")
    world.run()
    world.order("c1", "o1", "25.00")
    return world.run()


def waits(world: World, customer: str = "c1") -> list[str]:
    """returnIds of what waits, as its row and the waiting table agree."""
    rows = Committed(world.stores[world.routing.home(customer)[0]])
    every = [waiting_id for kind in ("O", "P", "T") for waiting_id, _ in waiting.scan(rows, customer, kind)]
    assert world.row(customer).waiting == len(every)
    return sorted(waiting_id for waiting_id, _ in waiting.scan(rows, customer, waiting.RETURN))


def reasons(world: World) -> list[str]:
    return [reason for reason, _ in world.dead_letters()]


def test_a_return_publishes_a_negative_spending_and_the_points_that_it_reverses():
    world = known()
    world.returned("c1", "b1", "o1", "15.00", correlationId="corr")
    world.run()
    spending, reversed_ = world.events("c1")[-2:]
    assert (spending["type"], spending["causationid"], spending["correlationid"]) == (
        "CustomerSpendingUpdatedEvent",
        "e-b1",
        "corr",
    )
    assert spending["data"] == {
        "customerId": "c1",
        "spendingAmount": {"amount": "-15.00", "currency": "USD"},
        "totalSpending": {"amount": "10.00", "currency": "USD"},
        "annualSpending": {"amount": "10.00", "currency": "USD"},
        "orderId": "o1",
        "spendingType": "REFUND",
    }
    assert reversed_["type"] == "RewardPointsReversedEvent"
    assert reversed_["data"] == {
        "customerId": "c1",
        "pointsReversed": 1,
        "totalPoints": 1,
        "debt": 0,
        "orderId": "o1",
        "returnId": "b1",
    }
    assert (world.customer("c1").version, world.customer("c1").lifetime_reversed) == (3, 1)


def test_a_return_counts_once_however_often_it_is_delivered_and_another_amount_is_a_dead_letter():
    world = known()
    for amount in ("5.00", "5.00", "6.00", "5.00"):
        world.returned("c1", "b1", "o1", amount)
    world.run()
    assert net_total(world.customer("c1"), "USD") == 2_000
    assert reasons(world) == ["RETURN_CONFLICT"]


@pytest.mark.parametrize(("amount", "currency"), [("25.01", "USD"), ("1.00", "EUR")])
def test_more_than_the_order_or_another_currency_is_a_dead_letter_with_its_position(amount, currency):
    world = known()
    world.returned("c1", "b1", "o1", amount, currency=currency)
    world.run()
    ((reason, record),) = world.dead_letters()
    headers = dict(record.headers)
    assert (reason, headers["dlq-topic"], headers["dlq-offset"]) == (
        "RETURN_CONFLICT",
        b"order.returned",
        b"0",
    )
    assert world.customer("c1").version == 2


def test_a_return_before_its_order_waits_and_follows_it_at_once():
    world = known()
    world.returned("c1", "b2", "o2", "4.00", on="2026-11-03T00:00:00Z")
    world.returned("c1", "b1", "o2", "6.00", on="2026-11-02T00:00:00Z")
    world.returned("c1", "b3", "o3", "1.00")
    world.run()
    assert (waits(world), world.customer("c1").version) == (["b1", "b2", "b3"], 2)
    world.order("c1", "o2", "10.00")
    world.run()
    assert [(e["causationid"], e["type"]) for e in world.events("c1")[-4:]] == [
        ("e-o2", "RewardPointsEarnedEvent"),
        ("e-b1", "CustomerSpendingUpdatedEvent"),
        ("e-b1", "RewardPointsReversedEvent"),
        ("e-b2", "CustomerSpendingUpdatedEvent"),
    ]
    assert (waits(world), world.customer("c1").version) == (["b3"], 5)


def test_a_return_that_is_too_much_for_the_order_that_it_waited_for_is_a_dead_letter_then():
    world = known()
    world.returned("c1", "b1", "o2", "11.00")
    world.returned("c1", "b2", "o2", "10.00")
    world.run()
    assert reasons(world) == []
    world.order("c1", "o2", "10.00")
    world.run()
    assert (reasons(world), waits(world)) == (["RETURN_CONFLICT"], [])
    assert net_total(world.customer("c1"), "USD") == 2_500


def test_a_waiting_return_repeated_is_kept_once_and_another_amount_is_a_conflict():
    world = known()
    for amount, order_id in (("5.00", "o2"), ("5.00", "o2"), ("6.00", "o2"), ("6.00", "o1"), ("5.00", "o1")):
        world.returned("c1", "b1", order_id, amount)
    world.run()
    assert (waits(world), reasons(world)) == (["b1"], ["RETURN_CONFLICT"] * 2)
    world.order("c1", "o2", "10.00")
    world.run()
    assert net_total(world.customer("c1"), "USD") == 3_000


@pytest.mark.parametrize("seed", range(6))
def test_returns_of_an_unknown_customer_are_applied_at_the_registration_by_occurred_on(seed):
    world = World(seed=seed, max_batch=2)
    world.returned("c1", "b1", "o1", "1.00", on="2026-10-05T00:00:00Z")
    world.returned("c1", "b0", "o2", "2.00", on="2026-09-01T00:00:00Z")  # before the time of its order
    world.returned("c1", "b9", "o9", "9.00", on="2026-10-05T00:00:00Z")
    world.order("c1", "o2", "10.00", on="2026-10-06T00:00:00Z")
    world.order("c1", "o1", "10.00", on="2026-10-01T00:00:00Z")
    world.run()
    assert waits(world) == ["b0", "b1", "b9"]
    world.register("c1")
    world.run()
    causes = [e["causationid"] for e in world.events("c1") if e["type"] == "CustomerSpendingUpdatedEvent"]
    assert causes == ["e-o1", "e-b1", "e-o2", "e-b0"]
    assert (waits(world), world.customer("c1").version) == (["b9"], 5)
    world.order("c1", "o9", "9.00")
    world.run()
    assert waits(world) == []
    assert net_total(world.customer("c1"), "USD") == 1_700


def test_a_profile_change_leaves_waiting_returns_waiting():
    world = known()
    world.returned("c1", "b1", "o2", "1.00")
    world.command("UpdateProfile", "c1", "u1", {"name": "B", "email": "new@example.com", "phone": None})
    world.run()
    assert waits(world) == ["b1"]


def test_the_thousand_and_first_waiting_return_of_a_known_customer_is_a_dead_letter():
    world = known()
    for n in range(BOUNDS.waiting + 1):
        world.returned("c1", f"b{n}", "o2", "0.01")
    world.run()
    assert reasons(world) == ["WAITING_LIMIT"]
    world.order("c1", "o2", "100.00")
    world.run()
    assert (waits(world), net_total(world.customer("c1"), "USD")) == ([], 11_500)


def test_an_erasure_refuses_the_returns_that_wait_and_those_that_come_later():
    world = known()
    world.returned("c1", "b1", "o1", "1.00")
    world.returned("c1", "b2", "o2", "1.00", note="Ada of Elm Street")
    world.run()
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked for"})
    world.run()
    assert (waits(world), reasons(world)) == ([], ["CUSTOMER_ERASED"])
    rows = [row for store in world.stores for row in store.scan(waiting.WAITING.mark)]
    assert rows == []
    for return_id, order_id in (("b1", "o1"), ("b3", "o1"), ("b4", "o4")):
        world.returned("c1", return_id, order_id, "1.00")
    world.order("c1", "o2", "1.00")
    world.run()
    assert reasons(world) == ["CUSTOMER_ERASED"] * 5


def test_an_order_that_is_a_conflict_releases_nothing():
    world = known()
    world.returned("c1", "b1", "o2", "1.00")
    world.run()
    world.order("c1", "o1", "26.00")
    world.order("c1", "o1", "25.00")
    world.run()
    assert (reasons(world), waits(world)) == (["ORDER_CONFLICT"], ["b1"])


def test_a_crash_before_the_commit_leaves_order_and_return_to_be_done_once():
    world = known()
    world.returned("c1", "b1", "o2", "1.00")
    world.run()
    world.order("c1", "o2", "10.00")
    world.one_batch(world.routing.home("c1")[0], crash=True)
    assert waits(world) == ["b1"]
    world.run()
    assert (waits(world), net_total(world.customer("c1"), "USD")) == ([], 3_400)


def test_a_return_that_comes_with_another_key_goes_through_the_inbox():
    world = known()
    world.returned("c9", "b1", "o1", "1.00")
    value = (world.records(world.routing.returns)[0].value or b"").replace(b'"c9"', b'"c1"')
    world.produce(world.routing.returns, value, "another", partition=(world.routing.home("c1")[0] + 1) % 4)
    world.run()
    assert net_total(world.customer("c1"), "USD") == 2_400
