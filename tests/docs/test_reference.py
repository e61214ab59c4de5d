"""The contract reference says what the models say."""

from tests.docs.reference import PAGE, page
from worker.wire.schemas import schemas


def test_the_contract_reference_is_what_the_models_say_now():
    assert PAGE.read_text() == page(), "run python -m tests.docs.reference"


def test_every_message_has_its_section():
    text = page()
    assert [name for name in schemas() if f"### {name}\n" not in text] == []
