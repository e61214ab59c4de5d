"""What is shown of a customer who returned something: net totals, and the reversal in the history of points."""

from api.views import customer_view, points_view
from tests.api.in_memory import newest
from tests.domain.given import Story, after, at, order, returned


def history(story: Story) -> list[tuple[str, int, str | None, str | None]]:
    view = points_view(story.now, newest(story.ledger.lines, 20))
    return [(line.type, line.points, line.order_id, line.return_id) for line in view.ledger]


def test_totals_are_shown_without_what_was_returned():
    story = after(
        order("o1", 5_000),
        order("o2", 900, currency="EUR"),
        returned("b1", "o1", 2_000),
        returned("b2", "o2", 900, currency="EUR"),
    )
    view = customer_view(story.now, "USD")
    assert (view.total_spending.amount, view.annual_spending.amount) == ("30.00", "30.00")
    assert {code: money.amount for code, money in view.spending_by_currency.items()} == {
        "USD": "30.00",
        "EUR": "0.00",
    }
    assert (view.statistics.order_count, view.reward_points) == (2, 3)


def test_the_history_of_points_shows_a_reversal_with_its_order_and_return():
    story = after(order("o1", 5_000), returned("b1", "o1", 2_000, at("2026-02-15")))
    view = points_view(story.now, [("T", "b1", story.ledger.lines["T", "b1"])])
    [line] = view.ledger
    assert (line.type, line.points, line.order_id, line.return_id, line.redemption_id) == (
        "REVERSE",
        2,
        "o1",
        "b1",
        None,
    )
    assert (line.occurred_on, line.rules_version) == ("2026-02-15T12:00:00.000Z", "1")
    assert (view.lifetime_earned, view.lifetime_reversed, view.balance) == (5, 2, 3)


def test_an_order_that_was_returned_is_shown_with_all_that_it_earned_and_a_return_without_points_not_at_all():
    story = after(order("o1", 5_500), returned("b1", "o1", 500), returned("b2", "o1", 5_000))
    assert history(story) == [("REVERSE", 5, "o1", "b2"), ("EARN", 5, "o1", None)]
