"""The AsyncAPI document says what the worker really reads and writes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.observability.golden import ASYNCAPI, asyncapi, text_of
from tests.wire.samples import COMMANDS, CONSUMED, EVENTS, RESULTS, command, published
from worker.domain.rejections import DeadLetterReason
from worker.kafka.topics import Catalogue, Direction
from worker.settings import Settings
from worker.wire.asyncapi import document
from worker.wire.commands import decode_command
from worker.wire.results import encode_result
from worker.wire.schemas import schemas

CATALOGUE = Catalogue()
CONTACT = Settings().contact()
DOCUMENT = document(CATALOGUE, CONTACT)

SAMPLES = [
    *((name, json.loads(published(event))) for name, event in EVENTS.items()),
    *((name, command(name, data)) for name, data in COMMANDS.items()),
    *((name, sent) for name, (sent, _) in CONSUMED.items()),
    *(("CommandResult", json.loads(encode_result(result))) for result in RESULTS),
]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def at(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_the_document_has_not_changed_unseen():
    assert ASYNCAPI.read_text() == text_of(asyncapi())  # python -m tests.observability.golden writes it


def test_every_reference_leads_somewhere():
    found = set(references(DOCUMENT))
    assert found
    assert all(at(reference) for reference in found)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_message_is_on_a_topic(name: str):
    told = {message for channel in DOCUMENT["channels"].values() for message in channel["messages"]}
    assert name in told


def test_every_topic_that_others_may_use_is_told_and_no_internal_one():
    told = {channel["address"] for channel in DOCUMENT["channels"].values()}
    external = {topic.name for topic in CATALOGUE.all([]) if topic.direction is not Direction.INTERNAL}
    unread = {topic.name for topic in (CATALOGUE.returns,) if topic.value not in schemas()}
    assert told == external - unread


def test_topics_are_told_by_the_names_that_the_settings_give_them():
    channels = document(Catalogue(topic_prefix="shop-", partitions=3), CONTACT)["channels"]
    assert channels["commands"]["address"] == "shop-customer.commands"
    assert channels["commands"]["bindings"]["kafka"]["partitions"] == 3


@pytest.mark.parametrize(("name", "sample"), SAMPLES)
def test_a_real_message_fits_its_description(name: str, sample: Any):
    schema = at(DOCUMENT["components"]["messages"][name]["payload"]["$ref"])
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(sample)


def test_every_schema_has_a_title_of_its_own():
    shared = DOCUMENT["components"]["schemas"]
    assert {name: schema["title"] for name, schema in shared.items()} == {name: name for name in shared}


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_titles_in_one_schema_differ(name: str):
    found = list(titles(schemas()[name]))
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", ["OrderCompletedEvent", "PaymentCompletedEvent", "OrderReturnedEvent"])
def test_an_event_may_come_as_a_cloud_event_in_both_modes(name: str):
    flat, decode = CONSUMED[name]
    data = {field: value for field, value in flat.items() if field != "eventId"}
    envelope = {"specversion": "1.0", "id": flat["eventId"], "source": "/shop", "type": name, "data": data}
    structured, binary = message(f"{name}Structured"), message(f"{name}Binary")
    validator(structured["payload"]).validate(envelope)
    validator(binary["payload"]).validate(data)
    attributes = {f"ce_{key}": value for key, value in envelope.items() if key != "data"}
    Draft202012Validator(binary["headers"]).validate(attributes)
    headers = [(key, value.encode()) for key, value in attributes.items()]
    plain = decode(json.dumps(flat).encode(), [])
    assert decode(json.dumps(envelope).encode(), []) == plain
    assert decode(json.dumps(data).encode(), headers) == plain
    assert not validator(structured["payload"]).is_valid({**envelope, "type": "OtherEvent"})


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_may_come_as_a_cloud_event_in_both_modes(name: str):
    flat = command(name, COMMANDS[name])
    envelope = {"specversion": "1.0", "id": "1", "source": "/shop", "type": name, "data": flat}
    validator(message("CommandStructured")["payload"]).validate(envelope)
    validator(message("CommandBinary")["payload"]).validate(flat)
    assert decode_command(json.dumps(envelope).encode(), []) == decode_command(json.dumps(flat).encode(), [])


def test_aliases_of_types_are_described():
    aliases = {"com.shop.Order": "OrderCompletedEvent", "com.shop.Erase": "EraseCustomer"}
    known = document(Catalogue(type_aliases=aliases), CONTACT)["components"]
    order = {"type": "string", "enum": ["OrderCompletedEvent", "com.shop.Order"]}
    assert known["schemas"]["OrderCompletedEventCloudEvent"]["properties"]["type"] == order
    assert known["messages"]["OrderCompletedEventBinary"]["headers"]["properties"]["ce_type"] == order
    assert "com.shop.Erase" in known["schemas"]["CommandCloudEvent"]["properties"]["type"]["enum"]


def message(name: str) -> Any:
    return DOCUMENT["components"]["messages"][name]


def validator(schema: Any) -> Any:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def titles(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("title"), str):
            yield part["title"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from titles(each)


def test_a_wrong_message_does_not_fit():
    schema = at(DOCUMENT["components"]["messages"]["RegisterCustomer"]["payload"]["$ref"])
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    assert not validator.is_valid(command("RegisterCustomer", {"name": 5}))


def test_a_command_is_answered_on_the_topic_of_results():
    reply = DOCUMENT["operations"]["receiveCommand"]["reply"]["channel"]["$ref"]
    assert at(reply)["address"] == "customer.command-results"


def test_every_reason_of_a_dead_letter_is_told():
    headers = DOCUMENT["components"]["messages"]["DeadLetter"]["headers"]["properties"]
    assert set(headers["dlq-reason"]["enum"]) == {reason.value for reason in DeadLetterReason}
