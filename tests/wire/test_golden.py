"""What is on the wire stays as it is, and fits the schemas that others read."""

import json

import pytest
from jsonschema import Draft202012Validator

from tests.native.libraries import library, using
from tests.wire.golden import FOLDER, golden_files
from tests.wire.samples import COMMANDS, CONSUMED, EVENTS, RESULTS, command, published
from worker.domain.events import STATE_ONLY, Event
from worker.wire.commands import COMMAND_MODELS
from worker.wire.event_data import PUBLISHED
from worker.wire.results import encode_result
from worker.wire.schemas import schemas

FILES = golden_files()


def test_the_codecs_in_c_make_the_same_golden_files() -> None:
    with using(library()):
        assert golden_files() == FILES


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_message_on_the_wire_has_not_changed(name: str) -> None:
    assert (FOLDER / name).read_text() == FILES[name]


def test_there_is_a_golden_file_for_each_message_and_none_besides() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
    assert set(EVENTS) == {name for name, _ in PUBLISHED.values()}
    assert set(COMMANDS) == set(COMMAND_MODELS)


def test_every_domain_event_is_published_or_state_only() -> None:
    assert set(Event.__subclasses__()) == set(PUBLISHED) | set(STATE_ONLY)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_schema_is_a_valid_schema(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


def test_every_sample_fits_its_schema() -> None:
    found = schemas()
    for name, event in EVENTS.items():
        Draft202012Validator(found[name]).validate(json.loads(published(event)))
    for name, data in COMMANDS.items():
        Draft202012Validator(found[name]).validate(command(name, data))
    for name, (sent, _) in CONSUMED.items():
        Draft202012Validator(found[name]).validate(sent)
    for result in RESULTS:
        Draft202012Validator(found["CommandResult"]).validate(json.loads(encode_result(result)))


def test_a_schema_refuses_what_the_decoder_refuses() -> None:
    order = Draft202012Validator(schemas()["OrderCompletedEvent"])
    sent = CONSUMED["OrderCompletedEvent"][0]
    assert not order.is_valid(sent | {"orderId": 5})
    assert not order.is_valid(sent | {"totalAmount": {"amount": "1e2", "currency": "USD"}})
    assert not order.is_valid(sent | {"occurredOn": "2026-11-24"})
