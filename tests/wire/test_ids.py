"""One rule for ids, wherever one is read (contract, section 2)."""

import re
import sys
import unicodedata

import pytest

from worker.wire.ids import ID_PATTERN, MAX_ID_CHARS, fault_of_id


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a", None),
        ("ü" * MAX_ID_CHARS, None),
        ("two words", None),
        ("", "too_short"),
        ("a" * (MAX_ID_CHARS + 1), "too_long"),
        ("a\n", "control_characters"),
        ("\x7f", "control_characters"),
        ("\x85", "control_characters"),
        ("\ud800", "control_characters"),
    ],
)
def test_an_id_has_1_to_100_characters_and_no_control_characters(text, fault):
    assert fault_of_id(text) == fault


def test_the_pattern_of_the_schemas_is_the_same_rule():
    pattern = re.compile(ID_PATTERN)
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) != "Cs":  # no character, so no JSON text holds it
            assert (pattern.search(char) is not None) == (fault_of_id(char) is None), code
