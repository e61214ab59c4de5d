"""Published events: the same input always makes the same events, numbered without a gap."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.native.libraries import library, using
from tests.wire.samples import EVENTS
from worker.domain.events import (
    CustomerSpendingUpdated,
    Event,
    RewardPointsEarned,
    SpendingRefunded,
    VipMovedBack,
)
from worker.domain.ids import event_id
from worker.domain.state import LedgerLine
from worker.wire.event_data import PUBLISHED
from worker.wire.events import SOURCE, TYPE_AT, CloudEvent, encode_events, headers_of


@pytest.fixture(autouse=True, params=["Python", "C"])
def _form(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(library() if request.param == "C" else None):
        yield


TIME = "2026-11-24T10:15:30.123Z"


def encoded(
    *events: Event, correlation_id: str | None = None, sequence: int = 16, actor: str | None = None
) -> list[dict[str, Any]]:
    """The CloudEvents that these events of one order become."""
    sent = encode_events("c-1", "o-1", "e-1", correlation_id, sequence, TIME, events, actor)
    read = [json.loads(value) for _, value in sent]
    assert [name for name, _ in sent] == [event["type"] for event in read]
    return read


def test_the_type_stands_in_a_header_of_our_own_and_where_it_is_wanted_in_ce_type_too() -> None:
    kind, content = b"CustomerErasedEvent", ("content-type", b"application/cloudevents+json")
    both, alone = headers_of(ce_type=True), headers_of(ce_type=False)
    assert both["CustomerErasedEvent"] == [content, ("event-type", kind), ("ce_type", kind)]
    assert alone["CustomerErasedEvent"] == [content, ("event-type", kind)]
    assert both["CustomerErasedEvent"][TYPE_AT] == ("event-type", kind)


def test_an_order_with_points_publishes_two_numbered_events() -> None:
    spending, points = encoded(EVENTS["CustomerSpendingUpdatedEvent"], EVENTS["RewardPointsEarnedEvent"])
    assert (spending["sequence"], points["sequence"]) == ("17", "18")
    assert points == {
        "specversion": "1.0",
        "id": event_id("c-1", "o-1", "RewardPointsEarnedEvent", 0),
        "source": "/customer-context",
        "type": "RewardPointsEarnedEvent",
        "subject": "c-1",
        "time": TIME,
        "datacontenttype": "application/json",
        "sequence": "18",
        "causationid": "e-1",
        "correlationid": "e-1",
        "data": {
            "customerId": "c-1",
            "pointsEarned": 12,
            "totalPoints": 40,
            "debt": 0,
            "reason": "ORDER",
            "orderId": "o-1",
            "eligibleAmount": {"amount": "129.90", "currency": "USD"},
            "rulesVersion": "1",
        },
    }


def test_state_only_events_are_not_published_and_take_no_number() -> None:
    spending = EVENTS["CustomerSpendingUpdatedEvent"]
    assert [event["sequence"] for event in encoded(VipMovedBack(1), spending, VipMovedBack(2), spending)] == [
        "17",
        "18",
    ]
    assert encoded(VipMovedBack(1)) == []


def test_two_events_of_one_type_have_ids_of_their_own() -> None:
    points = EVENTS["RewardPointsEarnedEvent"]
    first, other, second = encoded(points, EVENTS["CustomerSpendingUpdatedEvent"], points)
    assert first["id"] == event_id("c-1", "o-1", "RewardPointsEarnedEvent", 0)
    assert second["id"] == event_id("c-1", "o-1", "RewardPointsEarnedEvent", 1)
    assert other["id"] == event_id("c-1", "o-1", "CustomerSpendingUpdatedEvent", 0)


def test_a_return_publishes_spending_with_a_negative_amount_under_the_returns_id() -> None:
    line = LedgerLine(5_000, "USD", 5, 1_795_515_330_123, "1", 3, None, 1_500)
    refund = SpendingRefunded(1_500, "USD", 3_500, 2_500, "o-1", "b-1", 1_795_601_730_123, line)
    [(name, encoded)] = encode_events("c-1", "b-1", "e-3", None, 3, TIME, [refund])
    event = json.loads(encoded)
    assert name == event["type"] == "CustomerSpendingUpdatedEvent"
    assert event["id"] == event_id("c-1", "b-1", "CustomerSpendingUpdatedEvent", 0)
    assert event["data"] == {
        "customerId": "c-1",
        "spendingAmount": {"amount": "-15.00", "currency": "USD"},
        "totalSpending": {"amount": "35.00", "currency": "USD"},
        "annualSpending": {"amount": "25.00", "currency": "USD"},
        "orderId": "o-1",
        "spendingType": "REFUND",
    }


def test_the_correlation_id_of_the_input_is_carried_on() -> None:
    [event] = encoded(EVENTS["CustomerStatusChangedEvent"], correlation_id="k-1")
    assert (event["correlationid"], event["causationid"]) == ("k-1", "e-1")


def test_the_actor_of_a_command_is_an_attribute_of_its_events() -> None:
    [event] = encoded(EVENTS["RewardPointsAdjustedEvent"], actor='support "Eve"')
    assert event["actor"] == 'support "Eve"'
    [event] = encoded(EVENTS["RewardPointsAdjustedEvent"])
    assert "actor" not in event


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_escaped(text: str) -> None:
    [(_, value)] = encode_events(text, text, text, text, 0, TIME, [EVENTS["CustomerCreatedEvent"]])
    read = json.loads(value)
    assert (
        read["subject"] == read["causationid"] == read["correlationid"] == read["data"]["customerId"] == text
    )


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
MINOR = st.integers(0, 10**17)
CURRENCY = st.sampled_from(["USD", "JPY", "KWD"])


@st.composite
def events_of_an_order(draw: st.DrawFn, order_id: str) -> tuple[Event, ...]:
    spent = CustomerSpendingUpdated(
        draw(MINOR), draw(CURRENCY), draw(MINOR), draw(MINOR), order_id, "PURCHASE", draw(MINOR)
    )
    earned = RewardPointsEarned(
        draw(MINOR), draw(MINOR), draw(MINOR), draw(TEXT), order_id, draw(MINOR), draw(CURRENCY), draw(TEXT)
    )
    return (spent, earned)


@given(st.data(), TEXT, TEXT, TEXT, st.none() | TEXT, st.integers(0, 10**9), st.none() | TEXT)
def test_what_is_written_as_text_is_what_the_structs_encode_to(
    data: st.DataObject,
    customer: str,
    order: str,
    cause: str,
    correlation: str | None,
    sequence: int,
    actor: str | None,
) -> None:
    events = data.draw(events_of_an_order(order))
    sent = encode_events(customer, order, cause, correlation, sequence, TIME, events, actor)
    for (name, value), event in zip(sent, events, strict=True):
        sequence += 1
        envelope = CloudEvent(
            specversion="1.0",
            id=event_id(customer, order, name, 0),
            source=SOURCE,
            type=name,
            subject=customer,
            time=TIME,
            datacontenttype="application/json",
            sequence=str(sequence),
            causationid=cause,
            correlationid=cause if correlation is None else correlation,
            actor=msgspec.UNSET if actor is None else actor,
            data=PUBLISHED[type(event)][1](customer, event),
        )
        assert value == msgspec.json.encode(envelope)
