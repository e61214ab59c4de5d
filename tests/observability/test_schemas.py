"""Messages change only so that programs written for them go on working."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.observability.compatibility import breaks
from tests.observability.golden import RELEASED, broken
from worker.wire.schemas import schemas

RELEASED_SCHEMAS = json.loads(RELEASED.read_text())
Change = Callable[[dict[str, Any]], object]

ORDER = "OrderCompletedEvent"
CREATED = "CustomerCreatedEvent"


def changed(message: str, change: Change) -> tuple[Any, Any]:
    """The message's schema before and after a change."""
    before = schemas()[message]
    after = copy.deepcopy(before)
    change(after)
    return before, after


def data(schema: dict[str, Any]) -> Any:
    return schema["properties"]["data"]


def test_nothing_that_was_released_breaks_for_those_who_read_or_write_it():
    assert broken(RELEASED_SCHEMAS, schemas()) == []


def test_every_message_is_protected():
    assert set(RELEASED_SCHEMAS) == set(schemas())


def test_a_message_that_disappears_is_a_break():
    assert broken({"GoneEvent": {}}, schemas()) == ["GoneEvent was removed"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda order: order["required"].append("channel"), "$.channel is required now"),
        (lambda order: order["properties"].pop("correlationId"), "$.correlationId was removed"),
        (lambda order: order["properties"].update(orderId={"type": "integer"}), "$.orderId has another type"),
        (
            lambda order: order["properties"]["orderId"].update(maxLength=36),
            "$.orderId takes less: maxLength is 36",
        ),
        (
            lambda order: order["properties"]["orderId"].update(minLength=2),
            "$.orderId takes less: minLength is 2",
        ),
        (
            lambda order: order["properties"]["occurredOn"].update(pattern="Z$"),
            "$.occurredOn has another pattern",
        ),
        (lambda order: order.update(additionalProperties=False), "$ takes no other fields now"),
        (
            lambda order: order["$defs"]["MoneyIn"]["required"].append("scale"),
            "$.totalAmount.scale is required now",
        ),
    ],
)
def test_an_input_that_asks_for_more_than_before_is_a_break(change: Change, fault: str):
    assert fault in breaks(*changed(ORDER, change), "in")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda event: data(event)["properties"].pop("email"), "$.data.email was removed"),
        (lambda event: data(event)["required"].remove("email"), "$.data.email is not always there any more"),
        (
            lambda event: data(event)["properties"].update(email={"type": ["string", "null"]}),
            "$.data.email has another type",
        ),
        (
            lambda event: event["$defs"]["CustomerStatus"]["enum"].remove("SUSPENDED"),
            "$.data.status lost the value 'SUSPENDED'",
        ),
        (
            lambda event: event["properties"]["type"].update(const="Created"),
            "$.type lost the value 'CustomerCreatedEvent'",
        ),
    ],
)
def test_a_published_event_that_says_less_or_otherwise_is_a_break(change: Change, fault: str):
    assert fault in breaks(*changed(CREATED, change), "out")


@pytest.mark.parametrize(
    ("message", "direction", "change"),
    [
        (ORDER, "in", lambda order: order["properties"].update(channel={"type": "string"})),
        (ORDER, "in", lambda order: order["required"].remove("eventId")),
        (ORDER, "in", lambda order: order["properties"]["orderId"].update(maxLength=200)),
        (CREATED, "out", lambda event: data(event)["properties"].update(nickname={"type": "string"})),
        (CREATED, "out", lambda event: data(event)["required"].append("nickname")),
        (CREATED, "out", lambda event: event["$defs"]["CustomerStatus"]["enum"].append("DORMANT")),
    ],
)
def test_what_is_added_breaks_nobody(message: str, direction: Any, change: Change):
    assert breaks(*changed(message, change), direction) == []
