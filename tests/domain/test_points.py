"""Earning and redeeming points."""

import pytest

from tests.domain.given import Story, a, after, at, order, registered
from worker.domain.events import CustomerSpendingUpdated, RewardPointsEarned, RewardPointsRedeemed
from worker.domain.messages import ChangeStatus, RedeemPoints
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.rules import DEFAULT_RULES, RuleBook, RuleSet
from worker.domain.state import REDEMPTION, LedgerLine
from worker.domain.values import CustomerStatus


def redeem(redemption_id: str, points: int, command_id: str = "k1", **fields):
    return a(RedeemPoints, command_id, points=points, reason="voucher", redemption_id=redemption_id, **fields)


@pytest.mark.parametrize(
    ("cents", "points"), [(0, 0), (999, 0), (1_000, 1), (1_999, 1), (2_000, 2), (123_456, 123)]
)
def test_one_point_for_each_whole_ten_dollars_of_an_order(cents, points):
    story = after(order("o1", cents))
    assert (story.now.points, story.now.lifetime_earned) == (points, points)


def test_what_is_left_of_one_order_does_not_help_the_next():
    assert after(order("o1", 1_999), order("o2", 1_999)).now.points == 2


def test_earning_tells_points_balance_and_the_rules_that_applied():
    story = after(order("o1", 5_000))
    earned = story.when(order("o2", 2_599))[1]
    assert earned == RewardPointsEarned(2, 7, 0, "ORDER_COMPLETED", "o2", 2_599, "USD", "1")


def test_less_than_a_point_earns_no_event():
    events = registered().when(order("o1", 999))
    assert [type(event) for event in events] == [CustomerSpendingUpdated]


def test_another_currency_earns_nothing():
    story = after(order("o1", 100_000, currency="EUR"))
    assert (story.now.points, story.now.sequence) == (0, 2)


@pytest.mark.parametrize("status", [CustomerStatus.INACTIVE, CustomerStatus.SUSPENDED])
def test_a_customer_who_is_not_active_still_earns(status):
    story = after(a(ChangeStatus, new_status=status, reason="why"), order("o1", 2_000))
    assert story.now.points == 2


@pytest.mark.parametrize(("day", "points"), [("2025-12-31", 5), ("2026-01-01", 10)])
def test_the_rules_of_the_orders_own_day_apply_though_it_arrives_later(day, points):
    generous = RuleSet("2", at("2026-01-01") // 86_400_000, "USD", 500, DEFAULT_RULES.levels, 1_000_000, 365)
    story = after(order("o1", 100, at("2026-05-01")), rules=RuleBook((DEFAULT_RULES, generous)))
    assert story.when(order("o2", 5_000, at(day, 0)))[1].points == points  # type: ignore[attr-defined]


@pytest.mark.parametrize(("debt", "balance", "left"), [(0, 5, 0), (2, 3, 0), (5, 0, 0), (7, 0, 2)])
def test_earned_points_pay_the_debt_first(debt, balance, left):
    story = registered()
    story.now.debt = debt
    earned = story.when(order("o1", 5_000))[1]
    assert isinstance(earned, RewardPointsEarned)
    assert (earned.points, earned.total_points, earned.debt) == (5, balance, left)
    assert (story.now.points, story.now.debt, story.now.lifetime_earned) == (balance, left, 5)


def with_points(points: int) -> Story:
    return after(order("o0", points * 1_000))


def test_points_can_be_redeemed_to_the_last_one():
    story = with_points(5)
    events = story.when(redeem("r1", 5, order_id="o9"))
    assert events == (RewardPointsRedeemed(5, 0, "voucher", "r1", "o9", at("2026-01-15")),)
    assert (story.now.points, story.now.lifetime_redeemed, story.now.lifetime_earned) == (0, 5, 5)
    line = LedgerLine(0, "", 5, at("2026-01-15"), "", story.now.sequence, "o9")
    assert story.lines[(REDEMPTION, "r1")] == line


def test_more_points_than_there_are_cannot_be_redeemed():
    with pytest.raises(Rejected) as rejected:
        with_points(5).when(redeem("r1", 6))
    assert rejected.value.code is RejectionCode.INSUFFICIENT_POINTS


@pytest.mark.parametrize("status", [CustomerStatus.INACTIVE, CustomerStatus.SUSPENDED])
def test_only_an_active_customer_redeems(status):
    story = with_points(5)
    story.when(a(ChangeStatus, new_status=status, reason="why"))
    with pytest.raises(Rejected) as rejected:
        story.when(redeem("r1", 99))
    assert rejected.value.code is RejectionCode.CUSTOMER_NOT_ACTIVE


def test_a_redemption_asked_for_twice_is_taken_once():
    story = with_points(5)
    story.when(redeem("r1", 3))
    assert story.when(redeem("r1", 3, "k2")) == ()
    assert story.now.points == 2


def test_a_redemption_taken_stays_true_when_the_customer_is_suspended():
    story = with_points(5)
    story.when(redeem("r1", 3))
    story.when(a(ChangeStatus, new_status=CustomerStatus.SUSPENDED, reason="why"))
    assert story.when(redeem("r1", 3, "k2")) == ()


def test_a_redemption_with_other_points_is_a_conflict():
    story = with_points(5)
    story.when(redeem("r1", 3))
    with pytest.raises(Rejected) as rejected:
        story.when(redeem("r1", 2, "k2"))
    assert rejected.value.code is RejectionCode.IDEMPOTENCY_CONFLICT
