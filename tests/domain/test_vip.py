"""VIP: PLATINUM, and $10,000 within 365 days at any time."""

import pytest

from tests.domain.given import DAY_MS, RULES, a, after, at, day_number, order, registered
from worker.domain.events import CustomerVipUpgraded, VipMovedBack
from worker.domain.messages import OrderCompleted, UpgradeMembership
from worker.domain.rules import DEFAULT_RULES, RuleBook, RuleSet
from worker.domain.values import MembershipLevel

PLATINUM = MembershipLevel.PLATINUM


def vip_since(*orders: OrderCompleted, rules: RuleBook = RULES) -> int | None:
    return after(*orders, rules=rules).now.vip_since


def test_ten_thousand_dollars_at_once_make_a_vip_of_the_day():
    events = registered().when(order("o1", 1_000_000, at("2026-01-15")))
    assert events[3] == CustomerVipUpgraded(
        PLATINUM, 1_000_000, "USD", day_number("2025-01-16"), day_number("2026-01-15"), at("2026-01-15"), "1"
    )


def test_a_cent_less_does_not():
    assert vip_since(order("o1", 999_999)) is None


@pytest.mark.parametrize(("second", "vip"), [(364, True), (365, False)])
def test_orders_count_together_within_365_days_both_ends_included(second, vip):
    last = at("2024-03-01") + second * DAY_MS
    since = vip_since(order("o1", 500_000, at("2024-03-01", 86_399_999)), order("o2", 500_000, last))
    assert since == (last if vip else None)


def test_vip_stays_and_is_told_once():
    story = after(order("o1", 1_000_000, at("2020-01-01")))
    assert len(story.when(order("o2", 1_000_000, at("2026-01-01")))) == 2
    assert story.now.vip_since == at("2020-01-01")


def test_a_late_order_fills_a_window_of_the_past():
    story = after(order("o1", 600_000, at("2023-01-01")), order("o2", 100, at("2025-06-01")))
    upgraded = story.when(order("o3", 400_000, at("2023-05-01")))[-1]
    assert upgraded == CustomerVipUpgraded(
        PLATINUM, 1_000_000, "USD", day_number("2022-05-02"), day_number("2023-05-01"), at("2023-05-01"), "1"
    )


def test_a_late_order_fills_a_window_that_ends_after_it():
    late = order("o3", 400_000, at("2022-09-01"))
    story = after(order("o1", 600_000, at("2023-01-01")), order("o2", 100, at("2025-06-01")))
    upgraded = story.when(late)[-1]
    assert isinstance(upgraded, CustomerVipUpgraded)
    assert (upgraded.vip_since, upgraded.window_end) == (at("2023-01-01"), day_number("2023-01-01"))


def test_a_late_order_moves_vip_back_without_telling_again():
    story = after(order("o1", 600_000, at("2025-01-01")), order("o2", 400_000, at("2025-09-01")))
    assert story.now.vip_since == at("2025-09-01")
    sequence = story.now.sequence
    assert story.when(order("o3", 400_000, at("2025-05-01")))[2:] == (VipMovedBack(at("2025-05-01")),)
    assert story.now.vip_since == at("2025-05-01")
    assert story.now.sequence == sequence + 2


def test_a_late_order_that_fills_no_earlier_window_leaves_vip_where_it_is():
    story = after(order("o1", 600_000, at("2025-01-01")), order("o2", 400_000, at("2025-09-01")))
    assert len(story.when(order("o3", 399_999, at("2025-05-01")))) == 2
    assert story.now.vip_since == at("2025-09-01")


def test_within_a_day_the_order_that_reaches_the_amount_counts():
    story = after(
        order("o1", 900_000, at("2025-01-01")),
        order("o2", 60_000, at("2025-02-01", 1_000)),
        order("o3", 60_000, at("2025-02-01", 2_000)),
        order("o4", 60_000, at("2025-02-01", 3_000)),
    )
    assert story.now.vip_since == at("2025-02-01", 2_000)


def test_a_late_order_of_the_same_day_moves_vip_back_within_it():
    story = after(
        order("o1", 900_000, at("2025-01-01")),
        order("o2", 60_000, at("2025-02-01", 2_000)),
        order("o3", 60_000, at("2025-02-01", 4_000)),
    )
    assert story.now.vip_since == at("2025-02-01", 4_000)
    assert story.when(order("o4", 60_000, at("2025-02-01", 1_000)))[-1] == VipMovedBack(
        at("2025-02-01", 2_000)
    )


def test_an_order_of_the_same_day_after_vip_changes_nothing():
    story = after(order("o1", 1_000_000, at("2025-02-01", 2_000)))
    assert len(story.when(order("o2", 1_000_000, at("2025-02-01", 3_000)))) == 2
    assert story.now.vip_since == at("2025-02-01", 2_000)


def test_a_late_order_in_the_window_lets_an_earlier_order_of_its_last_day_fill_it():
    story = after(
        order("o1", 800_000, at("2025-01-01")),
        order("o2", 100_000, at("2025-02-01", 1_000)),
        order("o3", 100_000, at("2025-02-01", 2_000)),
    )
    assert story.now.vip_since == at("2025-02-01", 2_000)
    assert story.when(order("o4", 100_000, at("2025-01-20")))[-1] == VipMovedBack(at("2025-02-01", 1_000))


def test_an_order_older_than_three_years_is_judged_by_the_ledger():
    story = after(order("o1", 400_000, at("2010-06-01")), order("o2", 600_000, at("2025-01-01")))
    assert story.now.vip_since is None
    assert at("2010-06-01") // DAY_MS not in story.now.spending["USD"].days.amounts()
    assert story.when(order("o3", 600_000, at("2010-03-01")))[-1].vip_since == at("2010-06-01")  # type: ignore[attr-defined]


def test_another_currency_does_not_count_for_vip():
    assert vip_since(order("o1", 600_000), order("o2", 900_000, currency="EUR")) is None


STRICT = RuleBook((RuleSet("s", 0, "USD", 1_000, ((3_000_000, PLATINUM),), 1_000_000, 365),))


def test_who_spent_enough_but_is_not_platinum_is_not_vip():
    assert vip_since(order("o1", 2_999_999), rules=STRICT) is None


def test_reaching_platinum_later_makes_vip_since_the_window_was_filled_even_long_ago():
    orders = (order("o1", 1_000_000, at("2015-01-01")), order("o2", 2_000_000, at("2026-01-01")))
    assert vip_since(*orders, rules=STRICT) == at("2015-01-01")


def test_a_customer_who_was_made_platinum_by_hand_becomes_vip_by_orders():
    story = after(a(UpgradeMembership, new_level=PLATINUM, reason="goodwill"), rules=STRICT)
    assert len(story.when(order("o1", 999_999, at("2026-01-01")))) == 2
    assert story.when(order("o2", 1, at("2026-01-02")))[-1].vip_since == at("2026-01-02")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("gap", "vip"), [(29, True), (30, False)])
def test_the_window_is_as_long_as_the_rules_say(gap, vip):
    monthly = RuleBook((RuleSet("m", 0, "USD", 1_000, ((500_000, PLATINUM),), 1_000_000, 30),))
    first = at("2026-01-01")
    orders = (order("o1", 500_000, first), order("o2", 500_000, first + gap * DAY_MS))
    assert (vip_since(*orders, rules=monthly) is not None) is vip
    assert (vip_since(*reversed(orders), rules=monthly) is not None) is vip


def test_the_rules_of_the_windows_last_day_apply():
    dearer = RuleSet("2", day_number("2026-01-01"), "USD", 1_000, DEFAULT_RULES.levels, 2_000_000, 365)
    rules = RuleBook((DEFAULT_RULES, dearer))
    assert vip_since(order("o1", 1_000_000, at("2026-01-01")), rules=rules) is None
    assert vip_since(order("o1", 1_000_000, at("2025-12-31")), rules=rules) == at("2025-12-31")


def test_a_day_without_an_order_in_the_rules_currency_fills_no_window_though_its_rules_ask_for_less():
    cheaper = RuleSet("2", day_number("2026-01-01"), "USD", 1_000, DEFAULT_RULES.levels, 500_000, 365)
    story = after(
        order("o1", 600_000, at("2025-12-31")),
        order("o2", 5, at("2026-01-05"), "EUR"),
        order("o3", 1, at("2025-12-30")),
        rules=RuleBook((DEFAULT_RULES, cheaper)),
    )
    assert story.now.vip_since is None
    story.when(order("o4", 0, at("2026-01-10")))
    assert story.now.vip_since == at("2026-01-10")
