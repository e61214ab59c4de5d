"""The page of settings says what the settings say, and each of them says something."""

from tests.docs.settings_page import PAGE, page
from worker.settings import Settings


def test_the_page_is_what_the_settings_say_now():
    assert PAGE.read_text() == page(), "run python -m tests.docs.settings_page"


def test_every_setting_has_a_description():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
