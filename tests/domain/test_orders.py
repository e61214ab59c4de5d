"""Orders: once each, in the contract's order of events, with the totals of their currency."""

import random

import pytest

from tests.domain.given import DAY_MS, after, at, day_number, order, registered
from worker.domain.events import (
    CustomerSpendingUpdated,
    CustomerVipUpgraded,
    MembershipLevelUpgraded,
    RewardPointsEarned,
)
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.spending import annual_spending, total_spending
from worker.domain.state import ORDER, LedgerLine


def test_one_large_order_causes_all_its_events_in_the_contracts_order():
    events = registered().when(order("o1", 1_000_000))
    assert [type(event) for event in events] == [
        CustomerSpendingUpdated,
        RewardPointsEarned,
        MembershipLevelUpgraded,
        CustomerVipUpgraded,
    ]


def test_an_order_is_counted_with_the_totals_after_it():
    story = after(order("o1", 1_000))
    events = story.when(order("o2", 500))
    assert events == (
        CustomerSpendingUpdated(500, "USD", 1_500, 1_500, "o2", "PURCHASE", at("2026-01-15"), "1"),
    )
    assert (story.now.order_count, story.now.last_order_at) == (2, at("2026-01-15"))


def test_an_order_raises_the_version_by_one_and_the_sequence_by_its_events():
    story = after(order("o1", 60_000))
    assert (story.now.version, story.now.sequence) == (2, 4)
    assert story.now.updated_at == at("2026-06-01")


def test_the_ledger_keeps_what_the_order_earned():
    story = after(order("o1", 2_599))
    assert story.lines == {(ORDER, "o1"): LedgerLine(2_599, "USD", 2, at("2026-01-15"), "1", 3)}


def test_the_ledger_keeps_an_order_that_earned_nothing():
    story = after(order("o1", 60_000, currency="EUR"))
    assert story.lines == {(ORDER, "o1"): LedgerLine(60_000, "EUR", 0, at("2026-01-15"), "1", 2)}


def test_an_order_delivered_twice_counts_once():
    story = after(order("o1", 2_500))
    before = story.encoded
    assert story.when(order("o1", 2_500, at("2026-03-01"))) == ()
    assert story.encoded == before


@pytest.mark.parametrize("other", [order("o1", 2_501), order("o1", 2_500, currency="EUR")])
def test_a_known_order_with_another_amount_is_a_conflict(other):
    story = after(order("o1", 2_500))
    with pytest.raises(DeadLettered) as dead:
        story.when(other)
    assert dead.value.reason is DeadLetterReason.ORDER_CONFLICT


def test_totals_are_kept_per_currency():
    customer = after(order("o1", 100), order("o2", 70, currency="EUR"), order("o3", 30, currency="EUR")).now
    assert (total_spending(customer, "USD"), total_spending(customer, "EUR")) == (100, 100)
    assert (total_spending(customer, "CHF"), annual_spending(customer, "CHF")) == (0, 0)


def test_a_customer_without_orders_has_spent_nothing():
    customer = registered().now
    assert (total_spending(customer, "USD"), annual_spending(customer, "USD")) == (0, 0)


@pytest.mark.parametrize(("first", "annual"), [("2025-01-16", 300), ("2025-01-15", 200)])
def test_a_year_is_365_days_with_both_ends(first, annual):
    story = after(order("o1", 100, at(first, 0)))
    spent = story.when(order("o2", 200, at("2026-01-15", 86_399_999)))[0]
    assert isinstance(spent, CustomerSpendingUpdated)
    assert (spent.annual_spending, spent.total_spending) == (annual, 300)
    assert annual_spending(story.now, "USD") == annual


@pytest.mark.parametrize(("late", "annual"), [("2025-01-16", 300), ("2025-01-15", 200)])
def test_a_late_order_counts_in_the_year_of_the_latest_order_when_it_lies_in_it(late, annual):
    story = after(order("o1", 200, at("2026-01-15")), order("o2", 100, at(late)))
    assert annual_spending(story.now, "USD") == annual
    assert story.now.last_order_at == at("2026-01-15")


def test_the_year_ends_on_the_day_of_the_latest_order_in_any_currency():
    story = after(order("o1", 200, at("2025-01-20")), order("o2", 50, at("2025-06-01")))
    story.when(order("o3", 1, at("2026-01-20"), "EUR"))
    assert annual_spending(story.now, "USD") == 50
    story.when(order("o4", 1, at("2027-01-20"), "EUR"))
    assert annual_spending(story.now, "USD") == 0


def test_days_are_kept_for_three_late_years_and_a_window_before_them():
    story = after(*(order(f"o{day}", 1, at("2020-01-01") + day * 86_400_000) for day in range(1_600)))
    days = story.now.spending["USD"].days.amounts()
    assert (len(days), max(days) - min(days)) == (1_461, 1_460)


def test_one_year_of_days_is_enough_once_vip_is_older_than_any_late_order():
    story = after(order("o1", 1_000_000, at("2020-01-01")))
    for day in range(1, 1_098):
        story.when(order(f"o{day}x", 1, at("2020-01-01") + day * 86_400_000))
    days = story.now.spending["USD"].days.amounts()
    assert (len(days), max(days) - min(days)) == (365, 364)
    story.when(order("late", 5, at("2021-01-01")))
    assert total_spending(story.now, "USD") == 1_001_102
    assert story.now.spending["USD"].days.amounts() == days


def test_annual_spending_stays_right_over_years_of_orders_every_few_days():
    story = registered()
    spent: dict[int, int] = {}
    day = day_number("2020-01-01")
    gaps = random.Random(7)
    for n in range(700):
        day += gaps.choice((0, 1, 2, 9))
        spent[day] = spent.get(day, 0) + n
        story.when(order(f"o{n}", n, day * DAY_MS))
        in_year = sum(amount for each, amount in spent.items() if day - 364 <= each <= day)
        assert annual_spending(story.now, "USD") == in_year
