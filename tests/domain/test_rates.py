"""Orders in a currency for which the rules hold a rate: they count, converted by the rules of their own day."""

from itertools import permutations

import msgspec
import pytest

from tests.domain.given import Story, a, after, at, day_number, order, registered
from worker.domain.events import (
    Converted,
    CustomerSpendingUpdated,
    CustomerVipUpgraded,
    MembershipLevelUpgraded,
    RewardPointsEarned,
)
from worker.domain.messages import UpgradeMembership
from worker.domain.rejections import DeadLettered
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import annual_spending, total_spending
from worker.domain.state import ORDER, Customer, LedgerLine
from worker.domain.values import MembershipLevel

STANDARD, SILVER, GOLD, PLATINUM = MembershipLevel
RATED = msgspec.structs.replace(DEFAULT_RULES, rates={"EUR": (11, 10), "JPY": (67, 100)})
RATES = RuleBook((RATED,))


def euros(order_id: str, cents: int, occurred_at: int = at("2026-01-15")):
    return order(order_id, cents, occurred_at, "EUR")


def with_rates(*rates: tuple[str, dict[str, tuple[int, int]]]) -> RuleBook:
    """A set from each day on, with these rates."""
    return RuleBook(
        tuple(
            msgspec.structs.replace(DEFAULT_RULES, version=day, effective_from=day_number(day), rates=each)
            for day, each in rates
        )
    )


def test_an_order_with_a_rate_is_spent_in_its_own_currency_and_earns_in_the_rules_one():
    assert registered(RATES).when(euros("o1", 10_000)) == (
        CustomerSpendingUpdated(
            10_000,
            "EUR",
            10_000,
            10_000,
            "o1",
            "PURCHASE",
            at("2026-01-15"),
            "1",
            converted=Converted(11_000, "USD", 11_000, 11_000),
            new_day=True,
        ),
        RewardPointsEarned(11, 11, 0, "ORDER_COMPLETED", "o1", 11_000, "USD", "1"),
    )


def test_the_ledger_keeps_the_orders_own_amount_and_currency():
    story = after(euros("o1", 10_000), rules=RATES)
    assert story.lines == {(ORDER, "o1"): LedgerLine(10_000, "EUR", 11, at("2026-01-15"), "1", 3)}


@pytest.mark.parametrize(("cents", "points"), [(909, 0), (910, 1), (1_818, 1), (1_819, 2)])
def test_what_is_converted_is_rounded_down_before_it_earns(cents, points):
    assert after(euros("o1", cents), rules=RATES).now.points == points


def test_every_order_is_rounded_on_its_own():
    story = after(*(euros(f"o{n}", 9) for n in range(10)), rules=RATES)
    assert total_spending(story.now, "USD") == 90


def test_a_currency_without_a_rate_counts_for_nothing():
    story = after(order("o1", 1_000_000, currency="GBP"), rules=RATES)
    assert (story.now.points, story.now.level, story.now.converted) == (0, STANDARD, {})


@pytest.mark.parametrize(("cents", "level"), [(45_454, STANDARD), (45_455, SILVER)])
def test_a_level_is_reached_at_exactly_its_amount_after_the_conversion(cents, level):
    assert after(euros("o1", cents), rules=RATES).now.level is level


def test_all_that_counts_reaches_a_level_together_and_is_told_in_the_rules_currency():
    story = after(order("o1", 30_000), euros("o2", 10_000), rules=RATES)
    upgraded = MembershipLevelUpgraded(STANDARD, SILVER, 50_000, "USD", "1")
    assert story.decides(order("o3", 13_434, currency="JPY"))[-1] == upgraded
    assert story.decides(order("o3", 9_000))[-1] == upgraded


def test_totals_that_are_told_of_an_order_stay_in_its_own_currency():
    story = after(order("o1", 30_000), euros("o2", 10_000), rules=RATES)
    spent = story.when(order("o3", 500))[0]
    assert isinstance(spent, CustomerSpendingUpdated)
    assert (spent.total_spending, spent.annual_spending, spent.currency) == (30_500, 30_500, "USD")


def test_vip_counts_what_was_converted():
    story = after(order("o1", 500_000, at("2026-01-01")), rules=RATES)
    assert story.when(euros("o2", 454_546, at("2026-12-31")))[-1] == CustomerVipUpgraded(
        PLATINUM, 1_000_000, "USD", day_number("2026-01-01"), day_number("2026-12-31"), at("2026-12-31"), "1"
    )


def test_vip_is_since_the_order_that_filled_the_window_in_whatever_currency_it_was():
    orders = (
        order("o1", 900_000, at("2026-01-01")),
        euros("o2", 50_000, at("2026-02-01", 1_000)),
        euros("o3", 50_000, at("2026-02-01", 2_000)),
        order("o4", 50_000, at("2026-02-01", 3_000)),
    )
    for arrival in permutations(orders):
        assert after(*arrival, rules=RATES).now.vip_since == at("2026-02-01", 2_000)


def test_a_converted_order_leaves_the_year_like_any_other():
    story = after(euros("o1", 10_000, at("2025-01-01")), rules=RATES)
    assert annual_spending(story.now, "USD") == 11_000
    story.when(order("o2", 700, at("2025-12-31")))
    assert annual_spending(story.now, "USD") == 11_700
    story.when(order("o3", 1, at("2026-01-01"), "GBP"))
    assert annual_spending(story.now, "USD") == 700
    assert total_spending(story.now, "USD") == 11_700


def test_the_rates_of_the_orders_own_day_apply_though_it_arrives_later():
    rules = with_rates(("2025-01-01", {}), ("2026-01-01", {"EUR": (2, 1)}), ("2026-02-01", {"EUR": (3, 1)}))
    orders = (
        euros("o1", 1_000, at("2025-12-31", 86_399_999)),
        euros("o2", 1_000, at("2026-01-01", 0)),
        euros("o3", 1_000, at("2026-02-01", 0)),
    )
    for arrival in permutations(orders):
        story = after(*arrival, rules=rules)
        assert story.now.points == 0 + 2 + 3
        assert total_spending(story.now, "USD") == 5_000


def test_a_rate_that_comes_later_does_not_change_what_earlier_orders_counted_as():
    story = after(euros("o1", 60_000, at("2025-06-01")))
    story.rules = RuleBook((DEFAULT_RULES, *with_rates(("2026-01-01", {"EUR": (11, 10)})).sets))
    story.when(euros("o2", 10_000, at("2026-01-01")))
    assert (story.now.points, story.now.level, total_spending(story.now, "USD")) == (11, STANDARD, 11_000)


def test_a_late_order_with_a_rate_lifts_the_total_of_a_later_order_of_another_set():
    rules = with_rates(("2025-01-01", {"EUR": (2, 1)}), ("2026-01-01", {}))
    story = after(order("o1", 20_000, at("2026-01-01")), rules=rules)
    upgraded = story.when(euros("o2", 20_000, at("2025-06-01")))[2]
    assert upgraded == MembershipLevelUpgraded(STANDARD, SILVER, 60_000, "USD", "2026-01-01")


def test_a_level_by_hand_tells_all_that_counts():
    story = after(order("o1", 700), euros("o2", 1_000), rules=RATES)
    upgrade = a(UpgradeMembership, new_level=GOLD, reason="goodwill")
    assert story.when(upgrade) == (MembershipLevelUpgraded(STANDARD, GOLD, 1_800, "USD", "1"),)


def test_an_order_conflicts_by_its_own_amount_and_currency():
    story = after(euros("o1", 10_000), rules=RATES)
    assert story.decides(euros("o1", 10_000)) == ()
    with pytest.raises(DeadLettered):
        story.decides(order("o1", 11_000))


def test_a_customer_stored_by_an_earlier_version_goes_on():
    old = msgspec.json.encode(after(order("o1", 10_000), euros("o2", 10_000)).now)
    assert b"converted" not in old
    story = after(order("o1", 10_000), euros("o2", 10_000))
    story.rules, story.customer = RATES, msgspec.json.decode(old, type=Customer)
    story.when(euros("o3", 10_000))
    assert total_spending(story.now, "USD") == 21_000


def test_a_rate_taken_out_of_a_set_afterwards_stops_nobody():
    platinum = a(UpgradeMembership, new_level=PLATINUM, reason="goodwill")
    story: Story = after(
        euros("o1", 1_000_000, at("2026-01-01")), order("o2", 0, at("2026-02-01")), rules=RATES
    )
    story.now.level, story.now.vip_since, story.now.filled = GOLD, None, None
    story.rules = RuleBook((DEFAULT_RULES,))
    assert story.when(platinum)[0].new_level is PLATINUM  # type: ignore[attr-defined]
    assert isinstance(story.when(order("o3", 1, at("2025-12-31")))[-1], CustomerVipUpgraded)
    assert story.now.vip_since == at("2026-01-01")
