"""Cancelling a redemption and adjusting points: what support puts right."""

import pytest

from tests.domain.given import Story, a, after, at, order, registered, returned
from worker.domain.events import RewardPointsAdjusted, RewardPointsRestored
from worker.domain.messages import AdjustPoints, CancelRedemption, ChangeStatus, EraseCustomer, RedeemPoints
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.state import ADJUSTMENT, CANCELLATION, LedgerLine
from worker.domain.values import CustomerStatus

ISSUED = at("2026-01-15")
STATUSES = pytest.mark.parametrize("status", list(CustomerStatus))


def redeem(redemption_id: str, points: int, command_id: str = "k1", **fields):
    return a(RedeemPoints, command_id, points=points, reason="voucher", redemption_id=redemption_id, **fields)


def cancel(redemption_id: str, command_id: str = "k2", reason: str = "order failed"):
    return a(CancelRedemption, command_id, redemption_id=redemption_id, reason=reason)


def adjust(adjustment_id: str, points: int, command_id: str = "k3"):
    return a(AdjustPoints, command_id, points=points, reason="goodwill", adjustment_id=adjustment_id)


def with_points(points: int) -> Story:
    return after(order("o0", points * 1_000))


def in_debt(points: int) -> Story:
    """A customer who redeemed everything and then returned the order."""
    return after(order("o0", points * 1_000), redeem("r0", points), returned("b0", "o0", points * 1_000))


def move_to(story: Story, status: CustomerStatus) -> None:
    story.when(a(ChangeStatus, new_status=status, reason="why"))


def code_of(story: Story, command) -> RejectionCode:
    before = story.encoded
    with pytest.raises(Rejected) as rejected:
        story.when(command)
    assert story.encoded == before
    return rejected.value.code


def test_a_cancelled_redemption_gives_back_all_its_points():
    story = with_points(5)
    story.when(redeem("r1", 3, order_id="o9"))
    events = story.when(cancel("r1"))
    assert events == (RewardPointsRestored(3, 5, 0, "order failed", "r1", "o9", ISSUED),)
    now = story.now
    assert (now.points, now.lifetime_redeemed, now.lifetime_restored) == (5, 3, 3)
    line = LedgerLine(0, "", 3, ISSUED, "", now.sequence, "o9")
    assert story.lines[CANCELLATION, "r1"] == line


def test_a_redemption_is_cancelled_once_whatever_command_asks_again():
    story = with_points(5)
    story.when(redeem("r1", 3))
    story.when(cancel("r1"))
    assert story.when(cancel("r1", "k9", "another reason")) == ()
    assert (story.now.points, story.now.lifetime_restored) == (5, 3)


def test_an_unknown_redemption_cannot_be_cancelled():
    story = with_points(5)
    story.when(adjust("r1", 3))  # an adjustment with this id is no redemption
    assert code_of(story, cancel("r1")) is RejectionCode.REDEMPTION_NOT_FOUND


@pytest.mark.parametrize("points", [3, 2])
def test_the_id_of_a_cancelled_redemption_is_not_redeemed_again(points):
    story = with_points(5)
    story.when(redeem("r1", 3))
    story.when(cancel("r1"))
    assert code_of(story, redeem("r1", points, "k9")) is RejectionCode.IDEMPOTENCY_CONFLICT
    move_to(story, CustomerStatus.SUSPENDED)
    assert code_of(story, redeem("r1", points, "k9")) is RejectionCode.IDEMPOTENCY_CONFLICT


@STATUSES
def test_a_redemption_is_cancelled_in_any_status(status):
    story = with_points(5)
    story.when(redeem("r1", 3))
    move_to(story, status)
    story.when(cancel("r1"))
    assert story.now.points == 5


@pytest.mark.parametrize(("restored", "balance", "left"), [(2, 0, 3), (5, 0, 0), (7, 2, 0)])
def test_restored_points_pay_the_debt_first(restored, balance, left):
    story = with_points(restored)
    story.when(redeem("r1", restored))
    story.now.debt = 5
    [event] = story.when(cancel("r1"))
    assert isinstance(event, RewardPointsRestored)
    assert (event.points, event.total_points, event.debt) == (restored, balance, left)
    assert (story.now.points, story.now.debt, story.now.lifetime_restored) == (balance, left, restored)


@pytest.mark.parametrize(("points", "balance"), [(1, 6), (1_000_000, 1_000_005), (-1, 4), (-5, 0)])
def test_an_adjustment_adds_points_or_takes_them_away(points, balance):
    story = with_points(5)
    events = story.when(adjust("a1", points))
    assert events == (RewardPointsAdjusted(points, balance, 0, "goodwill", "a1", ISSUED),)
    assert (story.now.points, story.now.lifetime_adjusted, story.now.lifetime_earned) == (balance, points, 5)
    line = LedgerLine(0, "", points, ISSUED, "", story.now.sequence)
    assert story.lines[ADJUSTMENT, "a1"] == line


@pytest.mark.parametrize(("points", "balance", "left"), [(2, 0, 3), (5, 0, 0), (7, 2, 0)])
def test_added_points_pay_the_debt_first(points, balance, left):
    story = in_debt(5)
    [event] = story.when(adjust("a1", points))
    assert isinstance(event, RewardPointsAdjusted)
    assert (event.points, event.total_points, event.debt) == (points, balance, left)
    assert (story.now.points, story.now.debt) == (balance, left)


def test_more_than_the_balance_cannot_be_taken_away():
    assert code_of(with_points(5), adjust("a1", -6)) is RejectionCode.INSUFFICIENT_POINTS
    assert code_of(in_debt(5), adjust("a1", -1)) is RejectionCode.INSUFFICIENT_POINTS


@STATUSES
def test_points_are_adjusted_in_any_status(status):
    story = with_points(5)
    move_to(story, status)
    story.when(adjust("a1", -2))
    assert story.now.points == 3


def test_an_adjustment_counts_once_though_its_points_are_no_longer_there():
    story = with_points(5)
    story.when(adjust("a1", -5))
    assert story.when(adjust("a1", -5, "k9")) == ()
    assert (story.now.points, story.now.lifetime_adjusted) == (0, -5)


@pytest.mark.parametrize("points", [4, -5, -1_000])
def test_an_adjustment_with_other_points_is_a_conflict(points):
    story = with_points(5)
    story.when(adjust("a1", 5))
    assert code_of(story, adjust("a1", points, "k9")) is RejectionCode.IDEMPOTENCY_CONFLICT


def test_an_erased_customers_points_stay_as_they_are():
    story = with_points(5)
    story.when(redeem("r1", 3))
    story.when(a(EraseCustomer, reason="asked for"))
    assert code_of(story, cancel("r1")) is RejectionCode.CUSTOMER_ERASED
    assert code_of(story, adjust("a1", 1)) is RejectionCode.CUSTOMER_ERASED


def test_ids_of_redemptions_and_adjustments_are_told_apart():
    story = registered()
    story.when(adjust("x", 5))
    story.when(redeem("x", 3))
    story.when(cancel("x"))
    assert (story.now.points, story.now.lifetime_adjusted, story.now.lifetime_restored) == (5, 5, 3)
