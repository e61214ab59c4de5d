"""The codecs in C and their Python forms make the same bytes of any input, and refuse the same inputs."""

import json
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.native.compared import COMPARED, HEADER_BYTES, NOW, USUAL_ORDERS, batches, outcome, written
from tests.native.compared import ORDER as ORDER_IN
from tests.native.fuzz import differences
from tests.native.libraries import PORTABLE, library, using
from worker.domain.messages import OrderCompleted
from worker.domain.usual import Counted
from worker.domain.values import MembershipLevel
from worker.engine.unit import Columns, Headers, InputRecord
from worker.native import Codecs, text
from worker.wire.inputs import decode_order, decode_orders
from worker.wire.limits import MAX_VALUE_BYTES
from worker.wire.money import DIGITS

EXAMPLES = 100  # `make native-fuzz` plays a million
TIME = "2026-11-24T10:15:30.123Z"
USUAL = Counted(
    "c-1",
    "o-1",
    "e-1",
    "k-1",
    amount=12_990,
    currency="USD",
    total=1_234_567,
    annual=234_567,
    points=12,
    balance=40,
    debt=0,
    occurred_at=1_795_515_330_123,
    rules_version="1",
    sequence=17,
    version=9,
    at=NOW,
    level=MembershipLevel.GOLD,
    vip=True,
    new_day=False,
)


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

    def texts(self, *arguments: Any) -> tuple[bytes, ...] | None:
        made = self._codecs.texts(*arguments)
        return made and tuple(text[:-1] + b" " for text in made)

    def count_orders(self, *arguments: Any) -> tuple[int, int]:
        taken, size = self._codecs.count_orders(*arguments)
        return taken, size + (taken > 0)

    def record_set(self, *arguments: Any) -> tuple[bytearray, int]:
        written, end = self._codecs.record_set(*arguments)
        if len(written) > HEADER_BYTES:
            written[-1] ^= 1
        return written, end

    def objects(self, fields: Any, make: Any, values: list[bytes]) -> list[Any]:
        found = self._codecs.objects(fields, make, values)
        return [each and structs.replace(each, amount=each.amount + 1) for each in found]

    def crc32c(self, data: bytes | bytearray | memoryview, start: int) -> int:
        return self._codecs.crc32c(data, start) ^ 1

    def records(self, make: Any, *arguments: Any) -> Any:
        found = self._codecs.records(make, *arguments)
        return found and (
            [structs.replace(each, timestamp=each.timestamp + 1) for each in found[0]],
            found[1],
        )


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


@pytest.mark.parametrize("points", [0, 12])
def test_the_texts_of_a_usual_order_are_made_in_c(codecs: Codecs, points: int):
    asked: list[object] = []

    class Asked(Wrong):
        def texts(self, *arguments: Any) -> tuple[bytes, ...] | None:
            made = codecs.texts(*arguments)
            asked.append(made)
            return made

    usual = USUAL._replace(points=points)
    with using(Asked(codecs)):
        written(usual)
    assert len(asked) == 1
    assert asked != [None]
    assert outcome(codecs, written, usual) == outcome(None, written, usual)


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
        usual = USUAL._replace(customer_id="c" * length)
        assert outcome(codecs, written, usual) == outcome(None, written, usual)


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


@pytest.mark.parametrize("lists", [1, 2, 4, 5, 9])
def test_lists_of_headers_that_records_share_are_not_mixed_up(codecs: Codecs, lists: int):
    shared: list[Headers] = [[("name", b"%d" % number)] * number for number in range(lists)]
    places = [*range(lists), *range(lists), 0, 0, lists - 1, *range(0, lists, 3)]
    records = Columns([b"k"] * len(places), [b"v"] * len(places), [shared[place] for place in places])
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


NAMES = ("word", "number", "flag")
VALUES = ('say "hi"', -1_234, True)


def test_a_template_of_any_form_is_filled(codecs: Codecs):
    filled = text(
        lambda *slots: "|".join([*slots, slots[0]]),
        NAMES,
        ("q", "word"),
        ("t", "word"),
        ("i", "number"),
        ("i", "number", 10**12),
        ("m", "number"),
        ("b", "flag"),
        ("T", "word"),
        ("I", "0"),
    )
    forms = b"n" * 16, (text(lambda word: f"<{word}>", NAMES, ("t", "word")),), (filled, (b"", b"", b"", ()))
    identity = uuid5(UUID(bytes=b"n" * 16), '<say "hi">')
    assert codecs.texts(forms, 2, TIME, VALUES) == (
        f'"say \\"hi\\""|say "hi"|-1234|999999998766|-12.34|true|{TIME}|{identity}|"say \\"hi\\""'.encode(),
        b"",
    )


def test_templates_that_are_used_in_turn_are_not_mixed_up(codecs: Codecs):
    forms = [(b"n", (), (text(lambda word, n=n: f"{n}{word}", NAMES, ("t", "word")),)) for n in range(9)]
    for n in (*range(9), *range(9), 8, 8, 0):
        assert codecs.texts(forms[n], 0, TIME, ("w",)) == (f"{n}w".encode(),)


@pytest.mark.parametrize(
    "values", [("\ud800", 1, True), ("w", 2**63, True), ("w", 1.5, True), ("w", None, True), ("\n", 1, True)]
)
def test_a_value_of_another_form_is_left_to_python(codecs: Codecs, values: Any):
    forms = b"n", (), (text(lambda word, number: word + number, NAMES, ("q", "word"), ("i", "number")),)
    assert codecs.texts(forms, 0, TIME, values) is None


@pytest.mark.parametrize("more", [2**63 - 1, -(2**63)])
def test_a_sum_of_more_than_64_bits_is_left_to_python(codecs: Codecs, more: int):
    forms = b"n", (), ((b"%s", b"i", b"\0", (more,)),)
    assert codecs.texts(forms, 0, TIME, (more // abs(more),)) is None


@pytest.mark.parametrize(
    "forms",
    [
        (),
        None,
        (b"n", (), ((b"%s", b"", b"", ()),)),
        (b"n", (), ((b"", b"q", b"\0", (0,)),)),
        (b"n", (), ((b"%", b"q", b"\0", (0,)),)),
        (b"n", (), ((b"%d", b"q", b"\0", (0,)),)),
        (b"n", (), ((b"%s%", b"q", b"\0", (0,)),)),
        (b"n", (), ((b"%s", b"?", b"\0", (0,)),)),
        (b"n", (), ((b"%s", b"q", b"\1", (0,)),)),
        (b"n", (), ((b"%s", b"i", b"\0", (0,)),)),
        (b"n", (), ((b"%s", b"q", b"\3", (0,)),)),
        (b"n", (), ((b"%s", b"q", b"", (0,)),)),
        (b"n", (), ((b"%s", b"q", b"\0", ()),)),
        (b"n", (), ((b"%s", b"q", b"\0", ("0",)),)),
        (b"n", (), ((b"%s", b"I", b"\0", (0,)),)),
        (b"n", (), ((b"%s" * 25, b"q" * 25, b"\0" * 25, (0,) * 25),)),
        (b"n", (), ((b"", b"", b"", ()),) * 13),
        (b"n", ((b"", b"", b"", ()),) * 5, ()),
        (b"n", (None,), ()),
        (b"n", (), None),
        ("n", (), ()),
    ],
)
def test_forms_that_do_not_fit_are_an_error(codecs: Codecs, forms: Any):
    for _ in range(2):  # the second time they might be known
        with pytest.raises((TypeError, ValueError)):
            codecs.texts(forms, 2, TIME, VALUES)


@pytest.mark.parametrize("arguments", [(-1, TIME, VALUES), (10, TIME, VALUES), (2, TIME, ("v",) * 33)])
def test_too_many_digits_or_values_are_an_error(codecs: Codecs, arguments: Any):
    with pytest.raises(ValueError, match="too many values or digits"):
        codecs.texts((b"n", (), ()), *arguments)


PLAIN_RECORD = bytes([18, 0, 0, 0, 2, *b"k", 4, *b"vw", 0])
"""Its length, attributes, time, offset, key, value and number of headers. Numbers are doubled."""


def test_records_are_read_in_c_from_a_place_on(codecs: Codecs):
    record = PLAIN_RECORD[0:3] + b"\x02" + PLAIN_RECORD[4:]  # at the next offset
    data = b"skipped" + PLAIN_RECORD + record
    arguments = InputRecord, "orders", 3, 40, 1_000, False, 0, 3, data
    read = [InputRecord("orders", 3, offset, 1_000, b"k", b"vw", ()) for offset in (40, 41)]
    assert codecs.records(*arguments, 7, 1) == (read[:1], 17)
    assert codecs.records(*arguments, 17, 1) == (read[1:], 27)
    assert codecs.records(*arguments, 7, 2) == (read, 27)
    assert codecs.records(*arguments, 7, 0) == ([], 7)
    assert codecs.records(*arguments, 7, 3) is None
    assert codecs.records(InputRecord, "orders", 3, 40, 1_000, False, 41, 3, data, 7, 2) == (read[1:], 27)
    assert codecs.records(InputRecord, "orders", 3, 40, 1_000, False, 0, 2, data, 7, 2) is None


@pytest.mark.parametrize(("start", "most"), [(-1, 9), (11, 9), (0, -1)])
def test_a_place_outside_of_the_records_is_an_error(codecs: Codecs, start: int, most: int):
    with pytest.raises(ValueError, match="not within"):
        codecs.records(InputRecord, "orders", 3, 0, 0, False, 0, most, bytes(10), start, 1)


def test_what_cannot_be_made_of_a_record_is_an_error(codecs: Codecs):
    with pytest.raises(TypeError):
        codecs.records(int, "orders", 3, 0, 0, False, 0, 9, PLAIN_RECORD, 0, 1)


FIELDS = (tuple(name.encode() for name in ORDER_IN), b"dddmto", (b"amount", b"currency"), DIGITS)
HEADER: Headers = [("n" * 51, b"w" * 50), ("\udcff", None)]


def test_no_reference_is_kept_or_lost(codecs: Codecs):
    """Objects of these calls live as long as the test, so each has as many references as before."""
    name, value, part, header = "n" * 50, b"v" * 50, 10**9, HEADER
    wrong: Any = [[(value, value)]]
    templates = b"n" * 50, (), (text(lambda word: word + "!" * 50, NAMES, ("q", "word")),)
    words = [("w" * 50, 10**9), ("\ud800" * 50, 1), ("w" * 51, 10**50)]
    orders = [PLAIN, PLAIN[:-1], PLAIN.replace(b"129", b"x"), PLAIN.replace(b"USD", b"XXX"), b"{}"]
    watched = [
        *orders,
        *FIELDS[0],
        OrderCompleted,
        name,
        value,
        part,
        InputRecord,
        PLAIN_RECORD,
        header,
        *header,
        templates,
        *templates[2],
        *words,
        *(part for word in words for part in word),
    ]

    def call() -> None:
        these: list[list[Headers]] = [[], [header], [[header[0]]], [[(name, value)]]]
        for headers in these:
            codecs.record_set([value], [value], headers, 0, 100)
        codecs.objects(FIELDS, OrderCompleted, orders)
        for word in words:
            codecs.texts(templates, 2, name, word)
        with pytest.raises(ValueError, match="do not fit"):
            codecs.texts(templates, 2, name, (1,))
        codecs.record_set([value], [value], wrong, 0, 100)
        for make in (InputRecord, int):
            outcome(codecs, codecs.records, make, name, part, 0, 0, False, 0, 100, PLAIN_RECORD * 2, 0, 2)
        codecs.records(InputRecord, name, part, 0, 0, False, 0, 100, PLAIN_RECORD[:-1], 0, 1)

    call()
    before = [sys.getrefcount(each) for each in watched]
    for _ in range(100):
        call()
    assert [sys.getrefcount(each) for each in watched] == before


_anything = st.recursive(
    st.one_of(st.none(), st.binary(max_size=9), st.text(max_size=9), st.integers(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.lists(inner, max_size=5).map(tuple)),
    max_leaves=9,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(_anything, min_size=4, max_size=4), st.integers(0, 4))
def test_arguments_of_any_type_are_no_crash(arguments: list[Any], right: int):
    forms = b"n", (), (text(lambda *slots: "".join(slots), NAMES, ("q", "word"), ("i", "number")),)
    given_ones: list[Any] = [forms, 2, TIME, ("w", 1)]
    ended, _ = outcome(library(), library().texts, *given_ones[:right], *arguments[right:])
    assert ended == "made" or right < len(given_ones)
