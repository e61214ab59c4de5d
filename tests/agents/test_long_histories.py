"""Customers of many years: the days that a row keeps no longer, and rows that an earlier version wrote."""

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tables import customers
from tables.day_totals import DAY_TOTALS
from tables.ledger import CustomerLedger
from tables.rows import Committed
from tests.agents.world import World
from tests.domain.given import DAY_MS, day_number
from tests.domain.given import order as told_order
from tests.domain.oracle import Expected, expected
from tests.verify.observed import Observed
from worker.domain.messages import OrderCompleted
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import recent_from
from worker.domain.state import Customer, Filled

FIRST, LAST = day_number("1990-01-01"), day_number("2026-11-20")


def some_orders(seed: int, count: int, cents: int) -> list[OrderCompleted]:
    """Of a few thousand days in two currencies, in bursts and apart, in no order of time."""
    draw = random.Random(seed)
    days = [draw.randint(FIRST, LAST) for _ in range(6)]
    orders = []
    for n in range(count):
        day = min(draw.choice(days) + draw.choice([0, 0, 1, 100, 364, 365, 1_000]), LAST)
        at = day * DAY_MS + draw.choice([0, 1, 1, 86_399_999])
        orders.append(told_order(f"o{n}", draw.randint(0, cents), at, draw.choice(["USD", "USD", "EUR"])))
    return orders


def tell(world: World, order: OrderCompleted) -> None:
    on = datetime.fromtimestamp(order.occurred_at / 1000, UTC).isoformat(timespec="milliseconds")
    amount = f"{order.amount // 100}.{order.amount % 100:02d}"
    world.order("c1", order.order_id, amount, on=on, currency=order.currency)


def check(world: World, orders: list[OrderCompleted], rules: RuleBook) -> Expected:
    customer, wanted = world.customer("c1"), expected(orders, rules.sets)
    assert (customer.level.value, customer.vip_since) == (wanted.level, wanted.vip_since)
    store = world.stores[world.routing.home("c1")[0]]
    ledger = CustomerLedger(Committed(store), "c1")
    for currency, per_day in wanted.per_day.items():
        kept, horizon = customer.spending[currency].days.amounts(), recent_from(customer)
        assert kept == {day: amount for day, amount in per_day.items() if day >= horizon}
        old = ledger.old_days("S", currency, FIRST, LAST)
        assert old == {day: amount for day, amount in per_day.items() if day < horizon}
    newest = [line.occurred_at for _, _, line in ledger.newest(20)]
    moved = [order.occurred_at for order in orders if order.currency == "USD" and order.amount >= 1_000]
    assert newest == sorted(moved, reverse=True)[:20]
    return wanted


@pytest.mark.parametrize("seed", range(12))
def test_orders_of_decades_in_any_order_come_to_what_the_oracle_says(seed):
    strict = msgspec.structs.replace(
        DEFAULT_RULES,
        version="2",
        effective_from=day_number("2010-01-01"),
        vip_spending=400_000,
        vip_days=700,
    )
    rules = RuleBook((DEFAULT_RULES, strict)) if seed % 2 else RuleBook((DEFAULT_RULES,))
    orders = some_orders(seed, 120, cents=[100_000, 30_000, 9_000][seed % 3])
    world = World(seed, rules)
    world.register("c1")
    for order in orders:
        tell(world, order)
    check(world.run(), orders, rules)


def as_an_earlier_version_wrote_it(world: World) -> None:
    store = world.stores[world.routing.home("c1")[0]]
    [(key, value)] = list(store.scan(customers.CUSTOMERS.mark))
    row: dict[str, Any] = msgspec.json.decode(value)
    row["customer"].pop("filled", None)
    del row["customer"]["tracked"]
    old = dict.fromkeys((key for key, _ in store.scan(DAY_TOTALS.mark)), None)
    store.write({customers.CUSTOMERS.mark: {key: msgspec.json.encode(row)}, DAY_TOTALS.mark: old}, {})


@pytest.mark.parametrize("seed", range(12))
def test_a_customer_that_an_earlier_version_wrote_goes_on_as_if_this_one_had(seed):
    rules = RuleBook((DEFAULT_RULES,))
    orders = some_orders(seed, 120, cents=[60_000, 30_000][seed % 2])
    world = World(seed)
    world.register("c1")
    for n, order in enumerate(orders):
        tell(world, order)
        if n % 40 == 20:
            world.run()
            as_an_earlier_version_wrote_it(world)
    world.run()
    check(world, orders, rules)
    assert world.customer("c1").tracked
    assert Observed(world).differences() == []


def test_platinum_by_hand_finds_a_window_that_an_earlier_version_did_not_track():
    rules = RuleBook((msgspec.structs.replace(DEFAULT_RULES, levels=DEFAULT_RULES.levels[:2]),))
    world = World(rules=rules)
    world.register("c1")
    world.order("c1", "o1", "9999.00", on="1990-05-01T00:00:00Z")
    world.order("c1", "o2", "1.00", on="1990-06-01T00:00:00Z")
    world.order("c1", "o3", "1.00", on="2026-06-01T00:00:00Z")
    world.run()
    customer: Customer = world.customer("c1")
    assert (customer.filled, customer.vip_since) == (Filled(filled := 644_198_400_000, 999_900), None)
    as_an_earlier_version_wrote_it(world)
    world.command("UpgradeMembership", "c1", "k1", {"newLevel": "PLATINUM", "reason": "goodwill"})
    world.run()
    assert world.customer("c1").vip_since == filled
    assert world.types("c1")[-1] == "CustomerVipUpgradedEvent"
