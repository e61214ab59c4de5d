"""The worker's rules for single values and the verification's, written apart, judge alike: random and awkward texts."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from worker.verify.reading import text
from worker.verify.reading.text import Bad
from worker.wire import fields
from worker.wire.email import normalise_email

AWKWARD = st.sampled_from(
    [
        *(
            "ß",
            "İ",
            "\u017f",
            "\u212a",
            "ς",
            "\u0345",
            "\u0308",
            "\u00ad",
            "\u200c",
            "\u200d",
            "\u3002",
            "\uff0e",
            "\uff61",
        ),
        *(
            "\u05d0",
            "\u0660",
            "\u0903",
            "\ue000",
            "\u2028",
            "\x1c",
            "\x85",
            "\t",
            "\u00a0",
            "\ufeff",
            "xn--",
            "xn--a",
        ),
        *(
            "a" * 60,
            "é" * 30,
            "\U00010348" * 20,
            '"',
            "\\",
            "(",
            ",",
            ";",
            "<",
            "[",
            "]",
            "_",
            "-",
            ".",
            "@",
            "1",
            "Z",
        ),
    ]
)
ANY_TEXT = st.lists(st.text(max_size=3) | AWKWARD, max_size=6).map("".join)
LABELS = st.lists(ANY_TEXT, min_size=1, max_size=3).map(".".join)
EMAILS = st.tuples(ANY_TEXT | st.just("a"), LABELS, st.sampled_from(["", ".de", ".xn--4dbrk0ce"])).map(
    lambda parts: f"{parts[0]}@{parts[1]}{parts[2]}"
)
PHONES = st.lists(
    st.sampled_from(
        [
            "+",
            "(0)",
            "( 0 )",
            "0",
            "1",
            "44",
            "20",
            "7946",
            " ",
            "-",
            ".",
            "(",
            ")",
            "\t",
            "\u00a0",
            "\uff0b",
            "\u0661",
        ]
    ),
    max_size=12,
).map("".join)

read_phone = TypeAdapter(fields.Phone).validate_python
read_name = TypeAdapter(fields.Name).validate_python
read_line = TypeAdapter(fields.Line).validate_python
read_reason = TypeAdapter(fields.Reason).validate_python
read_language = TypeAdapter(fields.Language).validate_python


def _worker(read: object, value: str) -> object:
    try:
        return read(value)  # type: ignore[operator]
    except (ValidationError, ValueError):
        return None


def _verification(read: object, value: str) -> object:
    try:
        return read(value)  # type: ignore[operator]
    except Bad:
        return None


@settings(max_examples=1_000, deadline=None)
@given(EMAILS)
@example("a" * 64 + "@b.de")
@example("a" * 65 + "@b.de")
@example("é" * 32 + "@b.de")
@example("é" * 32 + "a@b.de")
@example("a@1.\u05d0.de")
@example("\u0308a@b.de")
@example("a@b\u00ad.de")
@example(f"a@{'é' * 30}{'𐍈' * 20}.{'é' * 30}{'𐍈' * 20}")  # more octets in Unicode than as it is stored
@example(f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 57}.de")
@example(f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 58}.de")
def test_emails(value: str) -> None:
    assert _worker(normalise_email, value) == _verification(text.email, value)


@settings(max_examples=1_000, deadline=None)
@given(PHONES | ANY_TEXT)
@example("+44 (0)20 7946 0018")
@example("+44 (0)(0)20 7946 0018")
@example("+44 ( 0 )20 7946 0018")
@example("+44 ((0)0)20 7946 0018")
def test_phones(value: str) -> None:
    assert _worker(read_phone, value) == _verification(text.phone, value)


@pytest.mark.parametrize(
    ("given_as", "stored"),
    [
        ("+52 1 55 1234 5678", "+5215512345678"),
        ("+225 07123456", "+22507123456"),
        ("+3758105261733", "+3758105261733"),
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("+1 (415) 555.26-71", "+14155552671"),
        ("+1234567", "+1234567"),
        ("+123456789012345", "+123456789012345"),
        ("+123456", None),
        ("+1234567890123456", None),
        ("+0123456789", None),
        ("0049123456789", None),
        ("14155552671", None),
        ("++14155552671", None),
        ("+1415\t5552671", None),
        ("+1415\u00a05552671", None),
        ("\uff0b14155552671", None),
        ("+\u0661\u0664\u0661\u0665\u0665\u0665\u0665\u0662\u0666\u0667\u0661", None),
        ("", None),
        ("+", None),
    ],
)
def test_a_phone_is_stored_as_the_digits_that_were_given(given_as: str, stored: str | None) -> None:
    assert _worker(read_phone, given_as) == stored
    assert _verification(text.phone, given_as) == stored


@settings(max_examples=1_000, deadline=None)
@given(ANY_TEXT)
@example("\x1cAda")
@example("Ada\x85")
@example("-")
@example("\u00bd")
@example("A\x7fB")
def test_names_streets_reasons_and_languages(value: str) -> None:
    assert _worker(read_name, value) == _verification(text.name, value)
    assert _worker(read_line, value) == _verification(lambda raw: text.worded(raw, 1, 200), value)
    assert _worker(read_reason, value) == _verification(
        lambda raw: text.text(raw, 1, 500, blank=False), value
    )
    assert _worker(read_language, value) == _verification(text.language, value)


@pytest.mark.parametrize("value", ["\u2014", "...", "\U0001f600", "\u0301", "A\x00", "A\nB", "\x7f", "A\x9f"])
def test_a_name_has_a_letter_or_a_digit_and_no_control_character(value: str) -> None:
    assert _worker(read_name, value) is None
    assert _worker(read_line, value) is None
