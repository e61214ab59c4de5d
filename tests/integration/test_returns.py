"""Returns through the console script and a real broker."""

import pytest

from tests.integration.installation import Installation, order, registration, returned


@pytest.mark.timeout(240)  # a crowded machine starts workers slowly
def test_a_return_before_its_order_follows_it_and_one_that_is_too_much_is_a_dead_letter(
    installation: Installation,
):
    installation.start_workers("worker")
    installation.send([registration("ann")])
    installation.wait_until(lambda: len(installation.results()) == 1)
    installation.send([returned("ann", "early", "o1", 1_500)])
    installation.wait_until(lambda: installation.read("waiting-changelog") != [])
    installation.send([order("ann", "o1", 5_000)])
    installation.wait_until(lambda: len(installation.events()) == 5)
    installation.send([returned("ann", "early", "o1", 1_500), returned("ann", "greedy", "o1", 3_501)])
    installation.wait_until(lambda: installation.read("customer.dead-letters") != [])
    events = installation.events()
    assert [(event["type"], event["causationid"]) for event in events[1:]] == [
        ("CustomerSpendingUpdatedEvent", "event of o1"),
        ("RewardPointsEarnedEvent", "event of o1"),
        ("CustomerSpendingUpdatedEvent", "event of early"),
        ("RewardPointsReversedEvent", "event of early"),
    ]
    assert events[3]["data"]["totalSpending"] == {"amount": "35.00", "currency": "USD"}
    [letter] = installation.read("customer.dead-letters")
    assert letter.headers["dlq-reason"] == b"RETURN_CONFLICT"
    assert installation.customers()["ann"]["points"] == 3
