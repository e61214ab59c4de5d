"""The demo's stories, by the real rules: there is somebody of each level, a VIP, a debt, and dead letters."""

from tests.browser import shop
from worker.demo import stories
from worker.demo.stories import chapters
from worker.domain.state import ADJUSTMENT, CANCELLATION, ORDER, REDEMPTION, RETURN
from worker.domain.values import MembershipLevel
from worker.kafka.topics import Catalogue

LEVELS = {
    stories.VIP: MembershipLevel.PLATINUM,
    stories.PLATINUM: MembershipLevel.PLATINUM,
    stories.GOLD: MembershipLevel.GOLD,
    stories.SILVER: MembershipLevel.SILVER,
    stories.STANDARD: MembershipLevel.STANDARD,
    stories.IN_DEBT: MembershipLevel.STANDARD,
}


def test_there_is_somebody_of_each_level_one_vip_and_a_debt():
    customers = shop.filled().customers
    assert {each: customers[each].level for each in LEVELS} == LEVELS
    assert [each for each in LEVELS if customers[each].vip_since is not None] == [stories.VIP]
    assert [each for each in LEVELS if customers[each].debt] == [stories.IN_DEBT]


def test_points_come_back_after_an_order_that_failed():
    kinds = {kind for kind, _ in shop.filled().ledgers[stories.VIP].lines}
    assert {ORDER, RETURN, REDEMPTION, CANCELLATION, ADJUSTMENT} <= kinds


def test_each_story_has_its_dead_letters():
    letters = shop.filled().letters.letters
    reasons = [letters[offset].entry.reason for offset in range(shop.FIRST_ODD_LETTER)]
    assert reasons == ["ORDER_CONFLICT", "INVALID", "INVALID", "UNDECODABLE", "INVALID"]


def test_the_stories_are_the_same_each_time_and_no_two_steps_share_an_outcome():
    told = chapters(Catalogue())
    assert told == chapters(Catalogue())
    outcomes = [step.outcome for chapter in told for step in chapter if step.outcome is not None]
    assert len(outcomes) == len(set(outcomes))
