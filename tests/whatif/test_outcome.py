"""What a customer would have under other rules."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from tables import ledger
from tables.customers import CUSTOMERS
from tables.ledger import LEDGER
from tests.agents.world import PARTITIONS, World
from tests.domain.given import DAY_MS
from tests.domain.oracle import expected
from tests.domain.strategies import GOLD, PLATINUM, SILVER, START, amounts, currencies, rule_books, times
from tests.whatif.stories import Step, compared, histories, told
from worker.domain.messages import OrderCompleted
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import COMMAND
from worker.domain.values import MembershipLevel
from worker.whatif.comparison import Comparison, Difference
from worker.whatif.histories import Histories, UnreadableRow
from worker.whatif.outcome import RulesUnknown, outcome
from worker.wire.money import format_amount
from worker.wire.times import format_time

TODAY = RuleBook((DEFAULT_RULES,))
NOON = START * DAY_MS
STANDARD = MembershipLevel.STANDARD


def other(**fields: Any) -> RuleBook:
    """Rules that differ from today's in these fields."""
    return RuleBook((replace(DEFAULT_RULES, **fields),))


HALF = other(
    amount_per_point=500,
    levels=((25_000, SILVER), (100_000, GOLD), (250_000, PLATINUM)),
    vip_spending=500_000,
)
DOUBLE = other(
    amount_per_point=2_000,
    levels=((100_000, SILVER), (400_000, GOLD), (1_000_000, PLATINUM)),
    vip_spending=2_000_000,
)


def order(order_id: str, amount: str, days: int = 0, currency: str = "USD") -> Step:
    return "order", ("a", order_id, amount, NOON + days * DAY_MS, currency)


def change(rules: RuleBook, *story: Step) -> Difference:
    """The only change under other rules, after a story under today's."""
    [only] = compared(told(TODAY, story), rules)[1]
    return only


@settings(max_examples=60, deadline=None)
@given(
    facts=some.lists(some.tuples(amounts, times, currencies), max_size=10),
    rules=rule_books,
    by_hand=some.sampled_from(MembershipLevel),
)
def test_orders_come_to_what_the_oracle_makes_of_them_under_any_rules(
    facts: list[tuple[int, int, str]], rules: RuleBook, by_hand: MembershipLevel
):
    orders = [
        OrderCompleted("e", f"o{n}", "a", amount, currency, at)
        for n, (amount, at, currency) in enumerate(facts)
    ]
    world = told(TODAY, [("level", ("a", by_hand))])
    for each in orders:
        amount = format_amount(each.amount, each.currency)
        world.order("a", each.order_id, amount, format_time(each.occurred_at), currency=each.currency)
    world.run()
    [history] = [history for part in histories(world) for name, history in part.items() if name == "a"]
    should_be = expected(orders, rules.sets, by_hand)
    vip = should_be.vip_since is not None
    assert outcome(history, rules, None) == (should_be.level, should_be.points, 0, vip)


def test_lower_thresholds_lift_a_customer_to_the_level_to_vip_and_to_more_points():
    assert change(HALF, order("o1", "3000.00"), order("o2", "2009.00", 364)) == Difference(
        "a", PLATINUM, PLATINUM, 500, 1_001, 0, 0, vip_before=False, vip_after=True
    )
    assert change(HALF, order("o1", "999.99")).level_after is SILVER


def test_a_window_of_days_that_is_not_full_makes_no_vip():
    assert not change(HALF, order("o1", "3000.00"), order("o2", "2009.00", 365)).vip_after


def test_higher_thresholds_would_take_level_and_vip_because_all_is_computed_anew():
    assert change(DOUBLE, order("o1", "9000.00"), order("o2", "1000.00", 1)) == Difference(
        "a", PLATINUM, PLATINUM, 1_000, 500, 0, 0, vip_before=True, vip_after=False
    )
    assert change(DOUBLE, order("o1", "900.00")) == Difference(
        "a", SILVER, STANDARD, 90, 45, 0, 0, vip_before=False, vip_after=False
    )


def test_a_level_given_by_hand_stays():
    assert change(DOUBLE, order("o1", "900.00"), ("level", ("a", "GOLD"))).level_after is GOLD
    lifted = change(HALF, ("level", ("a", "SILVER")), order("o1", "1200.00"))
    assert (lifted.level_before, lifted.level_after) == (SILVER, GOLD)


def test_platinum_by_hand_makes_a_vip_of_who_spends_enough_under_the_other_rules():
    assert change(HALF, ("level", ("a", "PLATINUM")), order("o1", "5000.00")).vip_after


def test_points_that_were_redeemed_and_would_never_have_been_earned_become_debt():
    story = [order("o1", "100.00"), ("redeem", ("a", "n1", 10))]
    in_debt = change(DOUBLE, *story)
    assert (in_debt.points_after, in_debt.debt_after) == (0, 5)
    paid_back = change(DOUBLE, *story, order("o2", "140.00", 1))
    assert (paid_back.points_after, paid_back.debt_after) == (2, 0)


def test_an_order_in_another_currency_counts_once_the_rules_have_a_rate():
    rated = change(other(rates={"EUR": (11, 10)}), order("o1", "500.00", currency="EUR"))
    assert (rated.level_after, rated.points_after) == (SILVER, 55)


def test_a_return_takes_back_the_points_of_the_other_rules_and_no_level():
    returned = change(HALF, order("o1", "1000.00"), ("return", ("a", "b1", "o1", "995.01")))
    assert (returned.points_before, returned.points_after, returned.level_after) == (0, 0, GOLD)


def test_a_set_counts_from_its_first_day_on():
    later = replace(HALF.sets[0], version="2", effective_from=START + 10)
    changed = change(RuleBook((DEFAULT_RULES, later)), order("o1", "100.00", 9), order("o2", "100.00", 10))
    assert changed.points_after == 10 + 20


def test_who_has_the_same_is_not_listed_and_erased_customers_are_left_out():
    comparison, changed = compared(told(TODAY, [("erase", ("c",)), order("o1", "10.00")]), HALF)
    assert [each.customer_id for each in changed] == ["a"]
    assert (comparison.customers, comparison.erased, comparison.changed) == (2, 1, 1)


def test_the_sums_are_those_of_all_customers():
    story = [order("o1", "900.00"), ("order", ("b", "o2", "5000.00", NOON, "USD"))]
    comparison, _ = compared(told(TODAY, story), HALF)
    before, after = comparison.before, comparison.after
    assert (before.levels, after.levels) == (
        {STANDARD: 1, SILVER: 1, PLATINUM: 1},
        {STANDARD: 1, SILVER: 1, PLATINUM: 1},
    )
    assert (before.points, after.points, before.vips, after.vips) == (590, 1_180, 0, 1)
    assert (comparison.changed, comparison.more_points, comparison.fewer_points) == (2, 2, 0)
    assert (comparison.new_vips, comparison.lost_vips, comparison.higher, comparison.lower) == (1, 0, 0, 0)


def of_an_earlier_release(world: World) -> World:
    """The world as an earlier release would have left it: lines without versions, and none of a level given by hand."""
    for store in world.stores:
        lines = {
            key: None if ledger.parts(key)[1] == COMMAND else _without_version(value)
            for key, value in store.scan(LEDGER.mark)
        }
        store.write({LEDGER.mark: lines}, {})
    return world


def _without_version(line: bytes) -> bytes:
    return msgspec.json.encode(replace(ledger.decode(line), change=None))


def test_of_an_earlier_release_a_level_that_spending_does_not_explain_was_given_by_hand():
    world = of_an_earlier_release(told(TODAY, [order("o1", "900.00"), ("level", ("a", "GOLD"))]))
    assert compared(world, TODAY, TODAY)[1] == []
    [changed] = compared(world, DOUBLE, TODAY)[1]
    assert changed.level_after is GOLD


def test_of_an_earlier_release_a_level_that_spending_explains_is_computed_anew():
    world = of_an_earlier_release(told(TODAY, [order("o1", "900.00")]))
    [changed] = compared(world, DOUBLE, TODAY)[1]
    assert (changed.level_before, changed.level_after) == (SILVER, STANDARD)


def test_of_an_earlier_release_nothing_is_guessed_without_the_rules_in_force():
    world = of_an_earlier_release(told(TODAY, [order("o1", "900.00")]))
    with pytest.raises(RulesUnknown):
        compared(world, DOUBLE, None)


def test_lines_that_are_newer_than_the_customers_row_do_not_count():
    world = told(TODAY, [order("o1", "100.00")])
    rows = [list(store.scan(CUSTOMERS.mark)) for store in world.stores]
    world.order("a", "o2", "700.00")
    world.returned("a", "b1", "o1", "50.00")
    world.run()
    comparison = Comparison(TODAY, None)
    for number in range(PARTITIONS):
        earlier = Histories()
        for key, value in rows[number]:
            earlier.row(key, value)
        for key, value in world.stores[number].scan(LEDGER.mark):
            earlier.line(key, value)
        assert list(comparison.partition(earlier)) == []
    assert comparison.before.points == 10


def test_older_values_of_a_key_and_deleted_rows_do_no_harm():
    world = told(TODAY, [order("o1", "100.00"), ("return", ("a", "b1", "o1", "50.00"))])
    twice = Histories()
    [store] = [store for store in world.stores if store.get(CUSTOMERS.mark, b"a")]
    for key, value in store.scan(CUSTOMERS.mark):
        twice.row(key, b"{}")
        twice.row(key, value)
        twice.row(key, value)
    for key, value in store.scan(LEDGER.mark):
        if key.startswith(b"a\0O"):
            twice.line(key, msgspec.json.encode(replace(ledger.decode(value), returned=0)))
            twice.line(key, value)
        else:
            twice.line(key, value)
    assert [each for each in Comparison(TODAY, None).partition(twice) if each.customer_id == "a"] == []
    twice.row(b"a", None)
    assert "a" not in dict(twice.items())


@pytest.mark.parametrize("key", [b"a\0O\0o1", b"a", b"\xff\0O\0o1"])
def test_an_unreadable_row_is_an_error_that_holds_nothing_of_it(key: bytes):
    rows = Histories()
    rows.row(b"a", b'{"customer":{"id":"a"}}')
    with pytest.raises(UnreadableRow) as raised:
        rows.line(key, b"[secret")
    assert "secret" not in str(raised.value)
    with pytest.raises(UnreadableRow):
        rows.row(b"a", b"[secret")
