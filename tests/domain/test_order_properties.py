"""The result of random orders and returns does not depend on their arrival, and is that of the oracle."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.domain.given import DAY_MS, Story, a, order, registered, returned
from tests.domain.oracle import Sums, expected
from tests.domain.strategies import (
    GOLD,
    PLATINUM,
    SILVER,
    START,
    amounts,
    book,
    currencies,
    rule_books,
    times,
    without,
)
from worker.domain.days import Days
from worker.domain.messages import OrderCompleted, OrderReturned, UpgradeMembership
from worker.domain.rejections import Rejected
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import annual_spending, net_annual, net_total, recent_from, total_spending
from worker.domain.state import ORDER, RETURN, Customer, Spending
from worker.domain.tracking import old_days, track


@some.composite
def some_orders(draw: some.DrawFn) -> list[OrderCompleted]:
    facts = draw(some.lists(some.tuples(amounts, times, currencies), min_size=1, max_size=14))
    return [order(f"o{n}", *fact) for n, fact in enumerate(facts)]


@some.composite
def orders_in_two_orders(draw: some.DrawFn) -> tuple[list[OrderCompleted], list[OrderCompleted]]:
    orders = draw(some_orders())
    return orders, draw(some.permutations(orders))


def told(messages: list[Any], rules: RuleBook) -> Customer:
    story = registered(rules)
    for message in messages:
        story.when(message)
    return story.now


def check_against_oracle(
    customer: Customer, orders: list[OrderCompleted], rules: RuleBook, by_hand: str
) -> None:
    should_be = expected(orders, rules.sets, by_hand)
    assert (customer.level.value, customer.vip_since) == (should_be.level, should_be.vip_since)
    assert (customer.points, customer.lifetime_earned, customer.debt) == (
        should_be.points,
        should_be.points,
        0,
    )
    check_sums(customer.spending, should_be, recent_from(customer))
    check_sums(customer.converted, should_be.converted, recent_from(customer))
    for currency in customer.spending | customer.converted:
        own, converted = should_be, should_be.converted
        assert total_spending(customer, currency) == own.totals.get(currency, 0) + converted.totals.get(
            currency, 0
        )
        assert annual_spending(customer, currency) == own.annual.get(currency, 0) + converted.annual.get(
            currency, 0
        )


def check_sums(spending: dict[str, Spending], should_be: Sums, horizon: int) -> None:
    assert {currency: spent.total for currency, spent in spending.items()} == should_be.totals
    assert {currency: spent.annual for currency, spent in spending.items()} == should_be.annual
    for currency, per_day in should_be.per_day.items():
        kept = {day: amount for day, amount in per_day.items() if day >= horizon}
        assert spending[currency].days == Days.of(kept)


@settings(max_examples=400, deadline=None)
@given(orders_in_two_orders(), rule_books)
def test_arrival_order_does_not_matter(orders, rules):
    first, second = told(orders[0], rules), told(orders[1], rules)
    assert without(first, "sequence") == without(second, "sequence")
    check_against_oracle(first, orders[0], rules, "STANDARD")


@some.composite
def orders_and_returns(draw: some.DrawFn) -> tuple[list[OrderCompleted], list[Any], list[Any]]:
    """Orders, and them with returns of some of them in two orders; no more is returned than was spent."""
    orders = draw(some_orders())
    returns = []
    for each in orders:
        left = each.amount
        for n in range(draw(some.sampled_from([0, 0, 1, 2]))):
            amount = draw(some.integers(0, left) | some.just(left))
            left -= amount
            on = draw(times)
            returns.append(returned(f"{each.order_id}-{n}", each.order_id, amount, on, each.currency))
    every = [*orders, *returns]
    return orders, draw(some.permutations(every)), draw(some.permutations(every))


def told_with_waiting(messages: list[Any], rules: RuleBook) -> Story:
    """A return that comes before its order is told right after it."""
    story = registered(rules)
    for place, message in enumerate(messages):
        story.when(message)
        early = messages[:place] if isinstance(message, OrderCompleted) else []
        for each in early:
            if isinstance(each, OrderReturned) and each.order_id == message.order_id:
                story.when(each)
    return story


@settings(max_examples=400, deadline=None)
@given(orders_and_returns(), rule_books)
def test_arrival_order_of_orders_and_returns_does_not_matter(messages, rules):
    orders, first, second = messages
    one, other = told_with_waiting(first, rules), told_with_waiting(second, rules)
    assert without(one.now, "sequence") == without(other.now, "sequence")
    customer, lines = one.now, one.ledger.lines
    gross = expected(orders, rules.sets)
    assert (customer.level.value, customer.vip_since) == (gross.level, gross.vip_since)
    kept = [
        msgspec.structs.replace(each, amount=each.amount - lines[ORDER, each.order_id].returned)
        for each in orders
    ]
    net = expected(kept, rules.sets)
    assert {code: spent.total - spent.returned for code, spent in customer.spending.items()} == net.totals
    for currency in customer.spending | customer.converted:
        converted = net.converted
        total = net.totals.get(currency, 0) + converted.totals.get(currency, 0)
        annual = net.annual.get(currency, 0) + converted.annual.get(currency, 0)
        assert (net_total(customer, currency), net_annual(customer, currency)) == (total, annual)
    assert (customer.points, customer.debt, customer.lifetime_earned) == (net.points, 0, gross.points)
    assert customer.lifetime_reversed == gross.points - net.points
    assert (
        sum(line.points for (kind, _), line in lines.items() if kind == RETURN) == gross.points - net.points
    )


@settings(max_examples=300, deadline=None)
@given(some_orders(), rule_books, some.integers(0, 14), some.sampled_from([GOLD, PLATINUM]))
def test_a_level_given_by_hand_counts_the_same_whenever_it_is_given(orders, rules, position, level):
    upgrade = a(UpgradeMembership, new_level=level, reason="goodwill")
    messages: list[Any] = [*orders[:position], upgrade, *orders[position:]]
    story = registered(rules)
    for message in messages:
        try:
            story.when(message)
        except Rejected:
            assert story.now.level is PLATINUM
    check_against_oracle(story.now, orders, rules, level.value)


crowded_times = some.builds(
    lambda day, ms: (START + day) * DAY_MS + ms, some.sampled_from([0, 1, 364, 365, 500]), some.integers(0, 6)
)
SMALL = msgspec.structs.replace(
    DEFAULT_RULES, levels=((1, SILVER), (2, GOLD), (3, PLATINUM)), vip_spending=40, rates={"EUR": (3, 2)}
)
SMALLER = msgspec.structs.replace(SMALL, vip_spending=15, vip_days=400)


@some.composite
def crowded_orders(draw: some.DrawFn) -> list[OrderCompleted]:
    """Many small ones of few days and milliseconds, in currencies that count and one that does not."""
    facts = some.tuples(some.integers(0, 6), crowded_times, some.sampled_from(["USD", "USD", "EUR", "JPY"]))
    return [order(f"o{n}", *fact) for n, fact in enumerate(draw(some.lists(facts, min_size=5, max_size=40)))]


@settings(max_examples=400, deadline=None)
@given(crowded_orders(), some.sampled_from([book(SMALL), book(SMALL, SMALLER)]))
def test_the_order_that_fills_a_window_is_found_after_each_of_many_on_one_day(orders, rules):
    story = registered(rules)
    for place, each in enumerate(orders, 1):
        story.when(each)
        should_be = expected(orders[:place], rules.sets, "PLATINUM")
        filled = story.now.filled
        assert (None if filled is None else filled.at) == should_be.vip_since
        assert story.now.vip_since == (filled.at if filled and story.now.level is PLATINUM else None)


@settings(max_examples=200, deadline=None)
@given(crowded_orders(), some.integers(0, 40), some.sampled_from([book(SMALL), book(SMALL, SMALLER)]))
def test_a_customer_whose_windows_were_not_tracked_yet_goes_on_as_one_whose_were(orders, place, rules):
    story, other = registered(rules), registered(rules)
    for n, each in enumerate(orders):
        if n == place:
            other.now.tracked, other.now.filled = False, None
            other.ledger.old.clear()
            other.ledger.add_old(old_days(other.now, rules, other.ledger))
            track(other.now, rules, other.ledger)
        story.when(each)
        other.when(each)
    assert other.encoded == story.encoded
    assert other.ledger.old == story.ledger.old
