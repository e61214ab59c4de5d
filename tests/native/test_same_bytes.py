"""The codecs in C and their Python forms make the same bytes of any input, and refuse the same inputs."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.native.compared import COMPARED, HEADER_BYTES, USUAL_ORDERS, batches, inputs, outcome
from tests.native.compared import ORDER as ORDER_IN
from tests.native.fuzz import differences
from tests.native.libraries import PORTABLE, library, using
from worker.domain.events import CustomerSpendingUpdated, RewardPointsEarned
from worker.domain.messages import OrderCompleted
from worker.engine.unit import Columns, Headers
from worker.native import Codecs
from worker.wire.events import encode_events
from worker.wire.inputs import decode_order, decode_orders
from worker.wire.limits import MAX_VALUE_BYTES
from worker.wire.money import DIGITS

EXAMPLES = 100  # `make native-fuzz` plays a million
TIME = "2026-11-24T10:15:30.123Z"
ORDER = (
    CustomerSpendingUpdated(12_990, "USD", 1_234_567, 234_567, "o-1", "PURCHASE", 1_795_515_330_123),
    RewardPointsEarned(12, 40, 0, "ORDER", "o-1", 12_990, "USD", "1"),
)
USUAL = ("c-1", "o-1", "e-1", None, 16, TIME, ORDER)


@pytest.fixture(params=[(), (PORTABLE,)], ids=["this processor", "portable"])
def codecs(request: pytest.FixtureRequest) -> Codecs:
    return library(*request.param)


@pytest.mark.parametrize("what", COMPARED)
def test_both_make_the_same_of_any_input(codecs: Codecs, what: str):
    drawn, compared = COMPARED[what]

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(drawn)
    def same(each: Any) -> None:
        assert compared(codecs, each) == compared(None, each)

    same()


def test_no_damaged_order_is_read_otherwise(codecs: Codecs):
    assert list(differences(codecs, 10_000, seed=1)) == []


def test_the_damage_leaves_orders_that_are_read_and_sees_one_that_is_read_otherwise():
    assert len(list(differences(Wrong(library()), 1_000, seed=1))) > 100


class Wrong:
    """Codecs with an error in one byte, as a control."""

    def __init__(self, codecs: Codecs) -> None:
        self._codecs = codecs

    def events(self, *arguments: Any) -> list[tuple[str, bytes]] | None:
        made = self._codecs.events(*arguments)
        return made and [(name, value[:-1] + b" ") for name, value in made]

    def record_set(self, *arguments: Any) -> tuple[bytearray, int]:
        written, end = self._codecs.record_set(*arguments)
        if len(written) > HEADER_BYTES:
            written[-1] ^= 1
        return written, end

    def objects(self, fields: Any, make: Any, values: list[bytes]) -> list[Any]:
        found = self._codecs.objects(fields, make, values)
        return [each and structs.replace(each, amount=each.amount + 1) for each in found]

    def crc32c(self, data: bytes | bytearray, start: int) -> int:
        return self._codecs.crc32c(data, start) ^ 1


@pytest.mark.parametrize("what", COMPARED)
def test_the_comparison_sees_one_wrong_byte(what: str):
    drawn, compared = COMPARED[what]
    wrong = Wrong(library())

    @settings(max_examples=300, deadline=None, database=None, phases=[Phase.generate])
    @given(drawn)
    def same(each: Any) -> None:
        assert compared(wrong, each) == compared(None, each)

    with pytest.raises(AssertionError):
        same()


def test_the_events_of_a_usual_order_are_made_in_c(codecs: Codecs):
    asked: list[object] = []

    class Asked(Wrong):
        def events(self, *arguments: Any) -> list[tuple[str, bytes]] | None:
            made = codecs.events(*arguments)
            asked.append(made)
            return made

    with using(Asked(codecs)):
        made = encode_events(*USUAL)
    assert asked == [made]
    assert made == outcome(None, encode_events, *USUAL)[1]


@pytest.mark.parametrize("order", USUAL_ORDERS)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_usual_order_is_read_in_c(codecs: Codecs, order: dict[str, Any], indent: int | None):
    value = json.dumps(order, indent=indent).encode()
    with using(codecs):
        assert decode_orders([value, b"{}"]) == [decode_order(value, []), None]


UNUSUAL_ORDERS = [
    {**ORDER_IN, "specversion": "1.0"},
    {**ORDER_IN, "eventId": ""},
    {**ORDER_IN, "eventId": "e" * 101},
    {**ORDER_IN, "eventId": None},
    {**ORDER_IN, "eventId": "é"},
    {**ORDER_IN, "eventId": "\x7f"},
    {**ORDER_IN, "eventId": "tab\t"},
    {**ORDER_IN, "deep": json.loads("[" * 17 + "]" * 17)},
    {**ORDER_IN, "totalAmount": {"amount": "1.0", "currency": "USD"}},
    {**ORDER_IN, "totalAmount": {"amount": "1.00", "currency": "XXX"}},
    {**ORDER_IN, "totalAmount": {"amount": ".00", "currency": "USD"}},
    {**ORDER_IN, "totalAmount": {"amount": "1000000000000000.00", "currency": "USD"}},
    {**ORDER_IN, "totalAmount": {"amount": "1.00"}},
    {**ORDER_IN, "occurredOn": "2026-02-29T00:00:00Z"},
    {**ORDER_IN, "occurredOn": "1899-12-31T23:59:59Z"},
    {**ORDER_IN, "occurredOn": "2026-11-24T10:15:30.12Z"},
    {**ORDER_IN, "occurredOn": ""},
]
PLAIN = json.dumps(ORDER_IN).encode()


@pytest.mark.parametrize(
    "value",
    [
        *(json.dumps(order, ensure_ascii=False).encode() for order in UNUSUAL_ORDERS),
        *(
            b"",
            b"{",
            b"[]",
            b"null",
            PLAIN + b"x",
            PLAIN + b"\0",
            b"\0" + PLAIN,
            PLAIN * 2,
            PLAIN[:-1] + b",}",
        ),
        PLAIN[:-1] + b',"orderId":"o-2"}',
        PLAIN[:-1] + b',"more":01}',
        PLAIN[:-1] + b',"more":1.}',
        PLAIN[:-1] + b',"more":NaN}',
        PLAIN[:-1] + b',"more":[1,]}',
        PLAIN.ljust(65_537),
        *(PLAIN[:end] for end in range(len(PLAIN))),
    ],
)
def test_any_other_value_is_left_to_python(codecs: Codecs, value: bytes):
    with using(codecs):
        assert decode_orders([value]) == [None]


def test_ids_of_any_length_are_hashed_alike(codecs: Codecs):
    for length in range(140):
        order = ("c" * length, "o-1", "e-1", None, 16, TIME, ORDER)
        assert outcome(codecs, encode_events, *order) == outcome(None, encode_events, *order)


@pytest.mark.parametrize(
    "values",
    [
        [b"x" * MAX_VALUE_BYTES] * 3,
        [b"x" * n for n in (0, 1, 62, 63, 64, 8_190, 8_191, 8_192, 1_048_575)],
        [None] * 200,
    ],
    ids=["the largest value", "lengths of one byte more", "many records"],
)
def test_record_batches_of_all_sizes_are_alike(codecs: Codecs, values: list[bytes | None]):
    keys: list[bytes | None] = [None, b"key"]
    records = Columns([keys[n % 2] for n in range(len(values))], values, [])
    for limit in (1, 900_000, MAX_VALUE_BYTES):
        assert outcome(codecs, batches, records, limit, True) == outcome(None, batches, records, limit, True)


def test_a_batch_holds_what_fits_to_the_byte(codecs: Codecs):
    records = Columns([b"k"] * 3, [b"v" * 50] * 3, [])
    ends = set()
    for limit in range(300):
        assert outcome(codecs, batches, records, limit, False) == outcome(
            None, batches, records, limit, False
        )
        ends.add(codecs.record_set(*records, 0, limit)[1])
    assert ends == {1, 2, 3}


def test_a_name_that_is_not_utf8_begins_a_batch_of_its_own(codecs: Codecs):
    odd: Headers = [("\udcff", b"v")]
    records = Columns([b"k"] * 5, [b"v"] * 5, [[], odd, [], odd, [("name", None)]])
    assert codecs.record_set(*records, 0, 900_000)[1] == 1
    assert codecs.record_set(*records, 1, 900_000)[1] == 1
    assert outcome(codecs, batches, records, 900_000, True) == outcome(None, batches, records, 900_000, True)


NO_RECORDS: Sequence[tuple[Any, Any, Any]] = [
    ("text", b"", []),
    (b"", 1, []),
    (bytearray(b"k"), memoryview(b"v"), [("name", bytearray(b"v"))]),
    (b"", b"", ()),
    (b"", b"", [None]),
    (b"", b"", [("name",)]),
    (b"", b"", [["name", b"v"]]),
    (b"", b"", [(b"name", b"")]),
    (b"", b"", [("name", "text")]),
]


@pytest.mark.parametrize("record", NO_RECORDS)
def test_what_is_no_record_of_ours_is_left_to_python(codecs: Codecs, record: Any):
    before: list[Any]
    for before in ([], [(b"k", b"v", [])]):
        keys, values, headers = (list(column) for column in zip(*before, record, strict=True))
        assert codecs.record_set(keys, values, headers, 0, 900_000)[1] == len(before)
        records = Columns(keys, values, headers)
        assert outcome(codecs, batches, records, 900_000, True) == outcome(
            None, batches, records, 900_000, True
        )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([b""], [], [], 0, 100), IndexError),
        (([b"", b""], [b"", b""], [[]], 0, 100), IndexError),
        (([b""], [b""], [], -1, 100), ValueError),
        (([b""], [b""], [], 0, -1), ValueError),
        (((b"",), [b""], [], 0, 100), TypeError),
    ],
)
def test_columns_of_other_lengths_are_an_error(codecs: Codecs, arguments: Any, error: type[Exception]):
    with pytest.raises(error):
        codecs.record_set(*arguments)


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ((), b"d", (b"", b""), {}),
        ((b"a",) * 17, b"d" * 17, (b"", b""), {}),
        ((b"a",), b"d", (b"",), {}),
        (("a",), b"d", (b"", b""), {}),
        ((b"a",), "d", (b"", b""), {}),
        ((b"a",), b"d", (b"", b""), None),
    ],
)
def test_fields_that_do_not_fit_are_an_error(codecs: Codecs, fields: Any):
    with pytest.raises((TypeError, ValueError, IndexError)):
        codecs.objects(fields, tuple, [b'{"a":"x"}'])


def test_what_is_no_value_is_left_to_python_and_what_cannot_be_made_is_an_error(codecs: Codecs):
    fields: Any = ((b"a",), b"d", (b"", b""), {})
    assert codecs.objects(fields, str, [b'{"a":"x"}', b'{"a":1}']) == ["x", None]
    wrong: Any = ["text", None, bytearray(b'{"a":"x"}')]
    assert codecs.objects(fields, str, wrong) == [None] * 3
    with pytest.raises(ZeroDivisionError):
        codecs.objects(fields, lambda _: 1 // 0, [b'{"a":"x"}'])


FORMS: Any = (b"n" * 16, b"%s", b"D", {int: ("E", b"%s", b"i", ("real",))}, {})


def test_a_template_of_any_form_is_filled(codecs: Codecs):
    assert codecs.events(FORMS, "c", "k", "a", None, 0, TIME, (7,)) == [("E", b"7")]


@pytest.mark.parametrize(
    "forms",
    [
        (),
        None,
        (b"n", b"%s", b"", {int: ("E", b"", b"", ())}, {}),
        (b"n", b"", b"S", {int: ("E", b"", b"", ())}, {}),
        (b"n", b"%", b"S", {int: ("E", b"", b"", ())}, {}),
        (b"n", b"%d", b"S", {int: ("E", b"", b"", ())}, {}),
        (b"n", b"%s", b"?", {int: ("E", b"", b"", ())}, {}),
        (b"n", b"%s", b"i", {int: ("E", b"", b"", ())}, {}),
        (b"n", b"%s", b"D", {int: ("E", b"%s", b"i", ())}, {}),
        (b"n", b"%s", b"D", {int: ("E", b"%s", b"i", ("nothing",))}, {}),
        (b"n", b"%s", b"D", {int: ("E", b"%s", b"m", ("real",))}, {}),
        (b"n", b"%s", b"D", {int: ("E", b"%s", b"i", (1,))}, {}),
        (b"n", b"%s", b"D", {int: None}, {}),
        (b"n", b"%s", b"D", {int: ("E", b"%s", b"D", ("real",))}, {}),
        (b"n", b"%s", b"D", None, {}),
    ],
)
def test_forms_that_do_not_fit_are_an_error(codecs: Codecs, forms: Any):
    with pytest.raises((TypeError, ValueError, IndexError, AttributeError, SystemError)):
        codecs.events(forms, "c", "k", "a", None, 0, TIME, (7,))


FIELDS = (tuple(name.encode() for name in ORDER_IN), b"dddmto", (b"amount", b"currency"), DIGITS)
HEADER: Headers = [("n" * 51, b"w" * 50), ("\udcff", None)]


def test_no_reference_is_kept_or_lost(codecs: Codecs):
    """Objects of these calls live as long as the test, so each has as many references as before."""
    name, value, header = "n" * 50, b"v" * 50, HEADER
    wrong: Any = [[(value, value)]]
    ids = ["c" * 50, "o" * 50, "e" * 50, "k" * 50, "\ud800" * 9]
    event = CustomerSpendingUpdated(2**63, ids[0], 10**50, 7, ids[1], name, 1)
    orders = [PLAIN, PLAIN[:-1], PLAIN.replace(b"129", b"x"), PLAIN.replace(b"USD", b"XXX"), b"{}"]
    watched = [
        *orders,
        *FIELDS[0],
        OrderCompleted,
        name,
        value,
        header,
        *header,
        *ids,
        event,
        *ORDER,
        ORDER,
        event.amount,
        event.total_spending,
    ]

    def call() -> None:
        these: list[list[Headers]] = [[], [header], [[header[0]]], [[(name, value)]]]
        for headers in these:
            codecs.record_set([value], [value], headers, 0, 100)
        codecs.objects(FIELDS, OrderCompleted, orders)
        for given_ids in (ids[:4], ids[1:]):
            events: Any
            for events in (ORDER, (event,), (), [], (*ORDER, 1)):
                outcome(codecs, encode_events, *given_ids, 1, name, events)
        codecs.record_set([value], [value], wrong, 0, 100)

    call()
    before = [sys.getrefcount(each) for each in watched]
    for _ in range(100):
        call()
    assert [sys.getrefcount(each) for each in watched] == before


@settings(max_examples=EXAMPLES, deadline=None)
@given(inputs(), st.integers(0, 6))
def test_arguments_of_any_type_are_no_crash(arguments: tuple[Any, ...], wrong: int):
    changed: list[Any] = [*arguments[:6], arguments[6]]
    changed[wrong] = b"bytes"
    outcome(library(), library().events, FORMS, *changed)
