"""Full card numbers are found wherever they hide, and nothing else is taken for one."""

import base64
import json
from time import process_time
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.verify.reading import card_numbers
from worker.wire import card_search
from worker.wire.card_search import paths_of_card_numbers, value_contains_card_number
from worker.wire.cards import contains_card_number, texts_with_card_numbers

VISA = "4111111111111111"


@pytest.mark.parametrize(
    "text",
    [
        VISA,
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111 1111-1111 1111",
        f"card: {VISA}, thanks",
        f"({VISA})",
        f"_{VISA}_",
        "call 12 4111 1111 1111 1111",
        "4111 1111 1111 1111 12/27",
        "x12-4111 1111 1111 1111",
        "4222222222222",
        "4000000000000000006",
        "5555555555554444",
        "2221000000000009",
        "2720999999999996",
        "6011111111111117",
        "30569309025904",
        "36227206271667",
        "3056930009020004",
        "3530111333300000",
        "6200000000000005",
        "6205500000000000004",
        "378282246310005",
        "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
        "4111\u00a01111\u20131111\u20111111",
    ],
)
def test_a_full_card_number_is_found(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",
        "411111111111",
        "41111111111111110000",
        f"a{VISA}",
        f"{VISA}b",
        f"9{VISA}",
        "4111  1111  1111  1111",
        "4111.1111.1111.1111",
        "4111/1111/1111/1111",
        "+14155552671",
        "2026-11-24T10:15:30.123Z",
        "550e8400-e29b-41d4-a716-446655440000",
        "ä4111111111111111",
        "6304000000000000000",
        "1735689600006",
        "2220000000000000",
        "2721000000000004",
        "5343761039002",
        "0000000000000000",
        "\U000200004111111111111111",
    ],
)
def test_what_is_not_a_full_card_number_is_left_alone(text: str) -> None:
    assert not contains_card_number(text)


BRANDS = (
    "4",
    "51",
    "55",
    "2221",
    "2720",
    "34",
    "37",
    "6011",
    "644",
    "65",
    "62",
    "81",
    "300",
    "309",
    "36",
    "38",
    "3528",
)
NEAR_BRANDS = (
    "2220",
    "2721",
    "6012",
    "643",
    "306",
    "3527",
    "3590",
    "35",
    "49",
    "59",
    "1",
    "7",
    "0",
    "60",
    "64",
    "30",
)
SPACERS = st.sampled_from([*[""] * 9, " ", "-", "\u00a0", "\u2013", "  ", ".", "0"])
BESIDE = st.sampled_from(
    ["", " ", "x", "ä", "9", "9 ", "-12", "_", "\u00ab", "\u0663", "\u00bd", "\U00020000", ".", "\0"]
)


@st.composite
def near_cards(draw: st.DrawFn) -> str:
    """Texts on both sides of the rule: brands and their neighbours, right and wrong check digits, groups and borders."""
    size = draw(st.integers(12, 20))
    body = (
        draw(st.sampled_from(BRANDS + NEAR_BRANDS)) + draw(st.text("0123456789", min_size=20, max_size=20))
    )[: size - 1]
    shift = draw(st.sampled_from([0, 0, 0, 1]))
    number = f"{body}{(_check_digit(body) + shift) % 10}"
    spaced = "".join(digit + draw(SPACERS) for digit in number)
    return draw(BESIDE) + spaced + draw(BESIDE)


@settings(max_examples=1_500, deadline=None)
@given(near_cards() | st.text("0123456789 -4.aé", max_size=60))
def test_the_search_and_the_definition_agree(text: str) -> None:
    assert contains_card_number(text) == card_numbers.of_text(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(near_cards() | st.text(max_size=5), max_size=6))
def test_of_many_texts_those_with_a_card_number_are_named(texts: list[str]) -> None:
    expected = [place for place, text in enumerate(texts) if card_numbers.of_text(text)]
    assert list(texts_with_card_numbers(texts)) == expected


JSON_NAMES = st.sampled_from(
    [
        "orderId",
        "checkout_id",
        "id",
        "subject",
        "phone",
        "note",
        "cardNumber",
        "occurredOn",
        "specversion",
        "ident",
    ]
)
JSON_TEXTS = near_cards() | st.sampled_from(
    [VISA, f"+{VISA}", "1.0", 'a"4111111111111111"', f"\\{VISA}", f"\n{VISA}"]
)
JSON_VALUES = st.recursive(
    JSON_TEXTS | st.sampled_from([4111111111111111, 5343761039002, 1.5, None, True]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(JSON_NAMES, inside, max_size=3),
    max_leaves=5,
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(JSON_NAMES, JSON_VALUES, max_size=4), st.booleans(), st.booleans())
def test_worker_and_verification_judge_a_value_and_a_command_alike(
    data: object, escaped: bool, framed: bool
) -> None:
    value = (b"\0\0\0\0\x01" if framed else b"") + json.dumps(data, ensure_ascii=escaped).encode()
    assert value_contains_card_number(value) == card_numbers.of_value(value)
    assert any(True for _ in paths_of_card_numbers(data)) == card_numbers.of_data(data)


_PARTS = [
    '"',
    "\\",
    '"orderId"',
    '"orderId":1',
    ":",
    ' : "',
    ',"phone" :"',
    "+49",
    VISA,
    "a\\u00e9",
    "x" * 99,
]


@given(st.integers(1, 30), st.lists(st.sampled_from(_PARTS)).map("".join) | st.text('":\\Id+1 '))
def test_exempt_fields_are_found_wherever_a_piece_ends(piece: int, text: str) -> None:
    with mock.patch.object(card_search, "_PIECE", piece):
        for fields in (card_search._EXEMPT_FIELDS, card_search._EXEMPT_IN_CLOUD_EVENT):
            assert card_search._without(fields, text) == fields.sub('""', text)


@pytest.mark.parametrize(
    "value",
    [
        {"orderId": VISA, "totalAmount": "x"},
        {
            "eventId": VISA,
            "customerId": VISA,
            "paymentId": VISA,
            "transactionId": VISA,
            "correlationId": VISA,
        },
        {"orderId": int(VISA)},
        {"line_items": [{"id": int(VISA), "variant_id": int(VISA)}]},
        {"phone": "+49 1511 2345679", "data": {"phone": "+4222222222222"}},
        {"specversion": "1.0", "id": VISA, "subject": VISA, "data": {"orderId": VISA}},
        {"processed_at_ms": 1735689600006},
    ],
)
def test_ids_phones_and_times_cost_a_dead_letter_nothing(value: object) -> None:
    assert not value_contains_card_number(json.dumps(value).encode())


@pytest.mark.parametrize(
    "value",
    [
        {"orderId": "o", "note": VISA},
        {"orderId": "o", "number": int(VISA)},
        {"orderId": "o", VISA: 1},
        {"orderId": {"inside": VISA}},
        {"orderId": [VISA]},
        {"phone": VISA},
        {"subject": VISA},
    ],
)
def test_anywhere_else_it_stands_in_the_dead_letter(value: object) -> None:
    assert value_contains_card_number(json.dumps(value).encode())


def test_bytes_that_are_no_json_have_no_fields() -> None:
    assert value_contains_card_number(b'{"orderId":"' + VISA.encode() + b'"')


def test_a_name_that_comes_twice_hides_nothing() -> None:
    assert value_contains_card_number(b'{"note":"' + VISA.encode() + b'","note":""}')


@pytest.mark.parametrize(
    "value",
    [
        VISA.encode(),
        json.dumps({"note": VISA}).encode(),
        json.dumps({"number": int(VISA)}).encode(),
        b'{"note":"\\u0034111111111111111"}',
        b'{"note":"line\\n4111111111111111"}',
        b'{"note":"4111\\u0020111111111111"}',
        b"\xff\xfe" + VISA.encode("utf-16-le"),
        b"\xff" + VISA.encode() + b"\xff",
        b'{"data_base64":"' + base64.b64encode(VISA.encode()) + b'"}',
        VISA.translate({ord("0") + digit: 0x660 + digit for digit in range(10)}).encode(),
        b"".join(b"\\u%04x" % (0x660 + int(digit)) for digit in VISA),
    ],
)
def test_a_card_number_is_found_in_a_raw_value(value: bytes) -> None:
    assert value_contains_card_number(value)


@given(st.binary())
def test_any_bytes_can_be_searched(value: bytes) -> None:
    assert value_contains_card_number(value + b"|" + VISA.encode())


def test_a_raw_value_without_a_card_number_is_left_alone() -> None:
    assert not value_contains_card_number(
        b'{"orderId":"550e8400-e29b-41d4-a716-446655440000","amount":"129.90"}'
    )


@pytest.mark.parametrize(
    ("beside", "is_letter"), [("\U00020000", True), ("\U0001f600", False), ("\ud840", False)]
)
def test_a_letter_of_two_escapes_touches_a_card_number(beside: str, is_letter: bool) -> None:
    assert value_contains_card_number(json.dumps({"note": VISA + beside}).encode()) != is_letter


def test_megabytes_without_digits_cost_next_to_nothing() -> None:
    began = process_time()
    for value in (b"x" * (5 << 20), bytes(5 << 20)):
        assert not value_contains_card_number(value)
    assert process_time() - began < 0.05


HOSTILE = {
    "ones": b"1 ",
    "fours": b"4 ",
    "one run": b"4",
    "two brands": b"3 6 ",
    "groups": b"40000000 ",
    "just no cards": b"4000000000000000 ",
    "escapes": b"\\u0034",
    "letters between": b"4a",
    "ids": b'"orderId":"4111111111111111",',
    "quotes": b'"',
    "long names": b'"' + b"I" * 96 + b'"',
    "not UTF-8": b"4\xff",
    "typographic spaces": "4\u00a0".encode(),
    "base64": b'"data_base64":"NDExMQ=="',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_anything_is_searched_in_a_fraction_of_a_second(name: str) -> None:
    value = (HOSTILE[name] * (1 << 20))[: 1 << 20]
    value_contains_card_number(value)  # the first time Python compiles and the processor warms up
    took = []
    for _ in range(3):
        began = process_time()
        assert not value_contains_card_number(value) or name in ("escapes", "ids")
        took.append(process_time() - began)
    assert min(took) < 0.4  # half of it on a slow machine


def test_a_megabyte_of_short_strings_is_searched_at_once() -> None:
    began = process_time()
    assert list(paths_of_card_numbers(["4111111111111112"] * 50_000 + [VISA])) == [".50000"]
    assert process_time() - began < 1


def _check_digit(body: str) -> int:
    """By the book, and apart from the code under test."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled // 10 + doubled % 10
    return -total % 10


def test_digits_of_another_script_have_their_values() -> None:
    text = "\u0663644000000001111 9"  # an Arabic 3 begins a Diners Club number
    assert contains_card_number(text)
    assert card_numbers.of_text(text)
