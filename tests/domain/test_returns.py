"""Returns: what is shown becomes net, points become those of what is left, and the customer's standing stays."""

import msgspec
import pytest

from tests.domain.given import RULES, Story, a, after, at, day_number, order, registered, returned
from worker.domain.decide import decide_return
from worker.domain.events import (
    CustomerSpendingUpdated,
    CustomerVipUpgraded,
    MembershipLevelUpgraded,
    RewardPointsEarned,
    RewardPointsReversed,
    SpendingRefunded,
)
from worker.domain.messages import EraseCustomer, RedeemPoints
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import annual_spending, net_annual, net_total, total_spending
from worker.domain.state import ORDER, RETURN, LedgerLine, Spending
from worker.domain.values import MembershipLevel

ORDERED, BACK = at("2026-01-15"), at("2026-02-15")


def refused(story: Story, message) -> DeadLetterReason:
    before = story.encoded
    with pytest.raises(DeadLettered) as dead:
        story.when(message)
    assert story.encoded == before
    return dead.value.reason


def redeem(points: int, command_id: str = "k1"):
    return a(RedeemPoints, command_id, points=points, reason="voucher", redemption_id=command_id)


def test_a_return_lowers_what_is_shown_and_reverses_the_points_of_what_went_back():
    story = after(order("o1", 5_000), order("o2", 2_599))
    line = LedgerLine(2_599, "USD", 2, ORDERED, "1", 5, None, 1_600, story.ledger.lines[ORDER, "o2"].change)
    assert story.when(returned("b1", "o2", 1_600)) == (
        SpendingRefunded(1_600, "USD", 5_999, 5_999, "o2", "b1", BACK, line),
        RewardPointsReversed(2, 5, 0, "o2", "b1"),
    )
    customer = story.now
    assert (net_total(customer, "USD"), net_annual(customer, "USD")) == (5_999, 5_999)
    assert (total_spending(customer, "USD"), annual_spending(customer, "USD")) == (7_599, 7_599)
    assert (customer.points, customer.lifetime_earned, customer.lifetime_reversed) == (5, 7, 2)
    assert (customer.order_count, customer.version, customer.sequence) == (2, 4, 7)
    assert story.ledger.lines[ORDER, "o2"] == line
    assert story.lines[RETURN, "b1"] == LedgerLine(1_600, "USD", 2, BACK, "1", 7, "o2")


def test_points_are_those_of_what_is_left_however_it_went_back():
    story = after(order("o1", 2_500))
    reversed_points = []
    for n, amount in enumerate((499, 2, 999, 1_000)):
        events = story.when(returned(f"b{n}", "o1", amount))
        reversed_points.append(sum(e.points for e in events if isinstance(e, RewardPointsReversed)))
    assert reversed_points == [0, 1, 0, 1]
    assert story.now.points == 0


def test_a_return_of_less_than_a_point_tells_of_spending_alone():
    events = after(order("o1", 2_500)).when(returned("b1", "o1", 500))
    assert [type(event) for event in events] == [SpendingRefunded]


def test_what_the_balance_cannot_give_back_becomes_debt_and_later_orders_pay_it_first():
    story = after(order("o1", 10_000), redeem(8))
    assert story.when(returned("b1", "o1", 10_000))[1] == RewardPointsReversed(10, 0, 8, "o1", "b1")
    assert story.when(order("o2", 3_000))[1] == RewardPointsEarned(
        3, 0, 5, "ORDER_COMPLETED", "o2", 3_000, "USD", "1"
    )
    assert story.when(order("o3", 7_000))[1] == RewardPointsEarned(
        7, 2, 0, "ORDER_COMPLETED", "o3", 7_000, "USD", "1"
    )
    assert (story.now.points, story.now.debt, story.now.lifetime_reversed) == (2, 0, 10)


def test_debt_grows_with_each_return():
    story = after(order("o1", 4_000), order("o2", 4_000), redeem(8))
    story.when(returned("b1", "o1", 4_000))
    assert story.when(returned("b2", "o2", 4_000))[1] == RewardPointsReversed(4, 0, 8, "o2", "b2")


def test_level_and_vip_stay_and_later_orders_reach_them_by_the_full_amount():
    story = after(order("o1", 499_999), returned("b1", "o1", 499_999))
    upgraded = next(e for e in story.when(order("o2", 1)) if isinstance(e, MembershipLevelUpgraded))
    assert (upgraded.new_level, upgraded.total_spending) == (MembershipLevel.PLATINUM, 500_000)
    vip = next(e for e in story.when(order("o3", 500_000)) if isinstance(e, CustomerVipUpgraded))
    assert vip.annual_spending == 1_000_000
    story.when(returned("b2", "o3", 500_000))
    assert (story.now.level, story.now.vip_since) == (MembershipLevel.PLATINUM, ORDERED)
    assert net_total(story.now, "USD") == 1


def test_an_order_after_a_return_shows_totals_without_what_was_returned():
    story = after(order("o1", 5_000), returned("b1", "o1", 2_000))
    spent = story.when(order("o2", 1_000))[0]
    assert isinstance(spent, CustomerSpendingUpdated)
    assert (spent.total_spending, spent.annual_spending) == (4_000, 4_000)
    assert (total_spending(story.now, "USD"), annual_spending(story.now, "USD")) == (6_000, 6_000)


def test_a_refund_belongs_to_its_orders_day_and_leaves_the_year_with_it():
    old, new = at("2024-06-01"), at("2025-06-01")
    story = after(order("o1", 5_000, old), returned("b1", "o1", 2_000, at("2025-05-30")))
    assert net_annual(story.now, "USD") == 3_000
    spent = story.when(order("o2", 1_000, new))[0]
    assert isinstance(spent, CustomerSpendingUpdated)
    assert (spent.total_spending, spent.annual_spending) == (4_000, 1_000)
    assert story.now.spending["USD"].returned_days == {}
    refund = story.when(returned("b2", "o1", 500, at("2025-06-02")))[0]
    assert isinstance(refund, SpendingRefunded)
    assert (refund.total_spending, refund.annual_spending) == (3_500, 1_000)
    assert (net_total(story.now, "USD"), net_annual(story.now, "USD")) == (3_500, 1_000)


@pytest.mark.parametrize("last", ["2025-05-31", "2025-06-01"])
def test_a_refund_in_the_year_or_just_out_of_it_is_shown_the_same_whether_it_comes_before_the_last_order_or_after(
    last,
):
    first, refund, other = (
        order("o1", 5_000, at("2024-06-01")),
        returned("b1", "o1", 2_000),
        order("o2", 1_000, at(last), "EUR"),
    )
    before, behind = after(first, refund, other).now, after(first, other, refund).now
    assert before.spending == behind.spending
    assert net_annual(before, "USD") == (3_000 if last == "2025-05-31" else 0)


def test_an_order_in_a_currency_without_points_can_be_returned_and_reverses_none():
    story = after(order("o1", 5_000, currency="EUR"), order("o2", 5_000))
    assert [type(e) for e in story.when(returned("b1", "o1", 5_000, currency="EUR"))] == [SpendingRefunded]
    assert (story.now.points, net_total(story.now, "EUR"), net_total(story.now, "USD")) == (5, 0, 5_000)


def test_points_are_reversed_by_the_rules_that_the_order_was_earned_with():
    generous = msgspec.structs.replace(
        DEFAULT_RULES, version="2", effective_from=day_number("2026-02-01"), amount_per_point=100
    )
    rules = RuleBook((DEFAULT_RULES, generous))
    story = after(order("o1", 5_000, at("2026-01-15")), order("o2", 5_000, at("2026-02-02")), rules=rules)
    events = [story.when(returned(f"b{n}", f"o{n}", 1_000, at("2026-03-01"))) for n in (1, 2)]
    assert [e.points for _, e in events if isinstance(e, RewardPointsReversed)] == [1, 10]
    lines = [story.ledger.lines[RETURN, f"b{n}"].rules_version for n in (1, 2)]
    assert lines == ["1", "2"]


def test_rules_that_were_taken_out_of_the_file_never_reverse_more_than_was_earned():
    story = after(order("o1", 5_000))
    story.rules = RuleBook((msgspec.structs.replace(DEFAULT_RULES, version="2", amount_per_point=1),))
    assert story.when(returned("b1", "o1", 4_999))[1] == RewardPointsReversed(4, 1, 0, "o1", "b1")
    assert story.when(returned("b2", "o1", 1))[1] == RewardPointsReversed(1, 0, 0, "o1", "b2")


def test_a_return_delivered_twice_counts_once():
    story = after(order("o1", 5_000), returned("b1", "o1", 5_000))
    before = story.encoded
    assert story.when(returned("b1", "o1", 5_000)) == ()
    assert story.encoded == before


@pytest.mark.parametrize("other", [returned("b1", "o1", 101), returned("b1", "o1", 100, currency="EUR")])
def test_a_known_return_with_another_amount_is_a_conflict(other):
    story = after(order("o1", 5_000), returned("b1", "o1", 100))
    assert refused(story, other) is DeadLetterReason.RETURN_CONFLICT


def test_more_than_is_left_of_the_order_is_a_conflict_and_the_id_stays_free():
    story = after(order("o1", 5_000), returned("b1", "o1", 4_000))
    assert refused(story, returned("b2", "o1", 1_001)) is DeadLetterReason.RETURN_CONFLICT
    assert story.when(returned("b2", "o1", 1_000))
    assert refused(story, returned("b3", "o1", 1)) is DeadLetterReason.RETURN_CONFLICT


def test_another_currency_than_the_orders_is_a_conflict():
    story = after(order("o1", 5_000))
    assert refused(story, returned("b1", "o1", 1, currency="EUR")) is DeadLetterReason.RETURN_CONFLICT


def test_nothing_can_be_returned_and_that_counts_once_too():
    story = after(order("o1", 5_000))
    [refund] = story.when(returned("b1", "o1", 0))
    assert isinstance(refund, SpendingRefunded)
    assert (refund.amount, refund.total_spending, story.now.version) == (0, 5_000, 3)
    assert refused(story, returned("b1", "o1", 1)) is DeadLetterReason.RETURN_CONFLICT


def test_a_return_whose_order_has_not_counted_is_not_decided_yet():
    story = registered()
    assert decide_return(story.now, returned("b1", "o1", 100), RULES, story.ledger) is None
    story.when(order("o1", 100))
    assert decide_return(story.now, returned("b1", "o1", 100), RULES, story.ledger)


def test_a_return_of_an_erased_customer_is_too_late_even_when_it_counted_before():
    story = after(order("o1", 5_000), returned("b1", "o1", 100), a(EraseCustomer, "k9", reason="r"))
    for message in (returned("b1", "o1", 100), returned("b2", "o1", 100), returned("b3", "o2", 100)):
        assert refused(story, message) is DeadLetterReason.CUSTOMER_ERASED


def test_who_never_returned_anything_stores_nothing_more_for_it():
    story = after(order("o1", 5_000))
    assert "returned" not in msgspec.json.encode(story.now).decode()


def test_rows_of_a_version_without_returns_can_be_read():
    line = b'[5000,"USD",5,1768478400000,"1",3,null]'
    assert msgspec.json.decode(line, type=LedgerLine).returned == 0
    spending = b'{"total":5000,"annual":5000,"annual_day":20468,"days":[20468,20468,5000,""]}'
    assert msgspec.json.decode(spending, type=Spending).returned_days == {}
