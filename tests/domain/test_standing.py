"""What is missing to the next level and to VIP, against every window there is."""

from datetime import date

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.domain.given import RULES, a, after, at, day_number, order, registered, returned
from worker.domain.messages import UpgradeMembership
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.standing import next_level, vip_window
from worker.domain.values import MembershipLevel

TODAY = day_number("2026-06-01")
LEVEL = MembershipLevel


def test_the_next_level_counts_orders_in_full():
    story = after(order("o1", 60_000), returned("b1", "o1", 60_000))
    following = next_level(story.now, TODAY, RULES)
    assert following is not None
    assert (following.level, following.missing) == (LEVEL.GOLD, 140_000)


def test_after_the_highest_level_there_is_none():
    assert next_level(after(order("o1", 500_000)).now, TODAY, RULES) is None


def test_newer_rules_that_ask_for_less_leave_nothing_missing():
    levels = ((1_000, LEVEL.SILVER), (2_000, LEVEL.GOLD), (3_000, LEVEL.PLATINUM))
    newer = msgspec.structs.replace(DEFAULT_RULES, version="2", effective_from=TODAY, levels=levels)
    rules = RuleBook((DEFAULT_RULES, newer))
    customer = after(order("o1", 40_000)).now
    before, now = next_level(customer, TODAY - 1, rules), next_level(customer, TODAY, rules)
    assert before is not None
    assert now is not None
    assert (before.missing, now.level, now.missing) == (10_000, LEVEL.SILVER, 0)


def test_without_an_order_that_counts_there_is_no_window():
    story = registered()
    assert vip_window(story.now, RULES, story.ledger) is None
    story.when(order("o1", 60_000, currency="EUR"))
    assert vip_window(story.now, RULES, story.ledger) is None


def test_the_window_of_a_vip_is_the_earliest_full_one():
    story = after(
        order("o1", 600_000, at("2025-03-01")),
        order("o2", 600_000, at("2025-09-01")),
        order("o3", 900_000, at("2025-10-01")),
    )
    window = vip_window(story.now, RULES, story.ledger)
    assert window is not None
    assert (window.end, window.spent, window.missing) == (day_number("2025-09-01"), 1_200_000, 0)


def test_a_full_window_below_platinum_misses_nothing_but_the_level():
    levels = ((90_000_000, LEVEL.PLATINUM),)
    rules = RuleBook((msgspec.structs.replace(DEFAULT_RULES, levels=levels),))
    story = after(order("o1", 1_000_000), rules=rules)
    window = vip_window(story.now, rules, story.ledger)
    assert window is not None
    assert (story.now.vip_since, window.missing) == (None, 0)


def test_an_upgrade_by_hand_leaves_the_window_as_it_was():
    story = after(order("o1", 400_000), a(UpgradeMembership, new_level=LEVEL.PLATINUM, reason="r"))
    window = vip_window(story.now, RULES, story.ledger)
    assert window is not None
    assert (window.spent, window.missing) == (400_000, 600_000)


DAYS = some.integers(day_number("2014-01-01"), TODAY)


@settings(max_examples=150, deadline=None)
@given(some.lists(some.tuples(DAYS, some.integers(1, 90_000)), min_size=1, max_size=11))
def test_the_best_window_is_the_best_of_all_also_of_days_that_the_row_no_longer_keeps(orders):
    story = registered()
    for n, (day, amount) in enumerate(orders):
        story.when(order(f"o{n}", amount, at(str(date.fromordinal(day + date(1970, 1, 1).toordinal())))))
    window = vip_window(story.now, RULES, story.ledger)
    assert window is not None
    sums = {end: sum(amount for day, amount in orders if end - 364 <= day <= end) for end, _ in orders}
    assert window.spent == max(sums.values())
    assert window.end == max(end for end, spent in sums.items() if spent == window.spent)
    assert window.start == window.end - 364
