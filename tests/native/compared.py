"""What Python and C are compared on: strategies of inputs, and what each form makes of an input.

Inputs are usual, odd and hostile ones: texts that are not Unicode, escapes, numbers of any size, sizes around the limits.
"""

import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka.record.util import calc_crc32c, encode_varint
from hypothesis import strategies as st

from agents import usual_orders
from agents.batch import Batch
from agents.routing import Routing
from tables.ledger import LEDGER, key_of
from tests.native.libraries import using
from tests.wire import samples
from worker import native
from worker.domain.days import Days
from worker.domain.messages import OrderCompleted
from worker.domain.rejections import DeadLettered
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import DAY_MS
from worker.domain.state import ORDER as ORDER_KIND
from worker.domain.state import Customer, CustomerRow, Spending
from worker.domain.usual import Counted
from worker.domain.values import MembershipLevel
from worker.engine.patches.builders import BatchBuilder
from worker.engine.record_batches import Batches, Piece
from worker.engine.store import MemoryStore
from worker.engine.unit import Columns, InputRecord, Outgoing, Unit
from worker.engine.unpacking import Unreadable
from worker.kafka.topics import Catalogue
from worker.wire.inputs import decode_order, decode_orders

NOW = 1_795_515_330_123
HEADER_BYTES = 61

Outcome = tuple[str, Any]
"""What a form made of an input: "made" and the result, or "refused" and the type of the error."""


def outcome(codecs: native.Codecs | None, function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Call the function with these codecs, or with the Python forms."""
    with using(codecs):
        try:
            return "made", function(*arguments)
        except Exception as error:  # which one is what is compared
            return "refused", type(error)


def batches(records: Columns, limit: int, transactional: bool) -> list[bytes]:
    """The record batches of all records, as a producer sends them."""
    built, added = [], 0
    while added < len(records.keys):
        batch = BatchBuilder(limit, 0, is_transactional=transactional)
        before, added = added, batch.fill(records, added, NOW)
        assert batch.record_count() == added - before
        assert batch.closed() or added == len(records.keys)
        batch._set_producer_state(123, 4, 56)
        built.append(bytes(batch._build()))
    return built


_anything = st.text(st.characters(), max_size=40)  # unpaired surrogates, too
_odd = st.sampled_from(
    ["", '"', "\\", "\0", "\n", "\x7f", "é", "€", "😀", "\ud800", "%s", "%", "x" * 63, "x" * 1_000]
)
texts = st.one_of(st.uuids().map(str), _odd, _anything, st.lists(_odd, max_size=4).map("".join))

ids = texts.map(lambda text: text.replace("\0", ""))  # an id has no control character

_odd_bytes = st.sampled_from([b"", b"\0", b"\xff\xfe", b"x" * 63, b"x" * 64, b"x" * 8_191, b"x" * 8_192])
values = st.one_of(st.none(), st.binary(max_size=80), _odd_bytes)
_names = st.one_of(st.sampled_from(["content-type", "event-type", "ce_type"]), texts, st.just("\udcff"))
headers = st.lists(st.tuples(_names, values), max_size=4)
limits = st.one_of(st.just(900_000), st.integers(0, 400), st.sampled_from([8_253, 8_260, 8_270]))


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    """Records, with headers or without. Some share a list of headers."""
    shared = st.sampled_from(draw(st.lists(headers, min_size=1, max_size=6)))
    records = draw(st.lists(st.tuples(values, values, st.one_of(shared, headers)), max_size=12))
    columns = Columns.of([Outgoing(*each) for each in records])
    return columns if draw(st.booleans()) else columns._replace(headers=[])


_numbers = st.one_of(
    st.integers(0, 9),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, -1, 2**31, 2**62, 2**63 - 1, -(2**63)]),
)


@st.composite
def fetched(draw: st.DrawFn) -> tuple[bytes, int]:
    """An uncompressed record batch as it is fetched, and the offset from which on its records are read."""
    usual = draw(st.booleans())
    records = b""
    count = draw(st.integers(0, 6))
    for place in range(count):
        key, value = draw(values), draw(st.one_of(values, st.just(b"x" * 70_000)))
        names = draw(st.one_of(st.just([]), headers)) if not usual else []
        record = bytearray(1)
        for number in (place, place) if usual else (draw(_numbers), draw(_numbers)):
            encode_varint(number, record.append)
        for part in (key, value):
            encode_varint(-1 if part is None else len(part), record.append)
            record += part or b""
        encode_varint(len(names), record.append)
        for name, content in names:
            encode_varint(len(name.encode(errors="surrogatepass")), record.append)
            record += name.encode(errors="surrogatepass")
            encode_varint(-1 if content is None else len(content), record.append)
            record += content or b""
        length = bytearray()
        encode_varint(
            len(record) if usual else len(record) + draw(st.sampled_from([0, 0, 0, 1, -1])), length.append
        )
        records += length + record
    damaged = bytearray(records)
    for damage in (
        [] if usual or not damaged else draw(st.sampled_from([[], _cut, _insert, _change, _repeat]))
    ):
        damage(draw, damaged)
    if not usual:
        count += draw(st.sampled_from([0, 0, 1, -1, 2**31 - 9]))
    base = draw(st.integers(0, 9) if usual else _numbers)
    rest = struct.pack(
        *(">hiqqqhii", draw(st.sampled_from([0, 8, 16])), max(count - 1, 0), draw(_numbers), draw(_numbers)),
        *(-1, -1, -1, count),
    )
    checksum = calc_crc32c(rest + damaged) ^ draw(st.sampled_from([0, 0, 1]))
    raw = struct.pack(">qiibI", base, len(rest) + len(damaged) + 9, 0, 2, checksum) + rest + damaged
    return raw, draw(st.one_of(st.just(0), st.integers(0, 20), _numbers))


def unpacked(raw: bytes, first: int) -> list[Any]:
    """What a consumer gets of a batch: whether it is intact, its records, and why the rest cannot be read."""
    batch: Any = Batches(raw).next_batch()
    found: list[Any] = [batch.validate_crc()]
    try:
        for piece in batch.pieces("orders", 3):
            assert isinstance(piece, Piece)
            for some in piece.records("orders", 3, first):
                found += some
    except Unreadable as error:
        found.append(str(error))
    return found


amounts = st.one_of(
    st.integers(-5, 1_000_000),
    st.integers(),
    st.sampled_from([0, 9, 10, 99, 100, -1, -100, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**40]),
)
currencies = st.one_of(
    st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF", "XXX", "usd", "", "\ud800"]), texts
)


@st.composite
def counted(draw: st.DrawFn) -> Counted:
    """What usual orders did, with odd texts and numbers."""
    figures = draw(st.lists(amounts, min_size=11, max_size=11))
    fields: Any = (
        *(draw(ids) for _ in range(4)),
        figures[0],
        draw(st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF"])),
        *figures[1:3],
        draw(st.one_of(st.just(0), st.integers(1, 1_000), amounts.map(abs))),
        *figures[3:6],
        draw(texts),
        *figures[6:9],
        draw(st.sampled_from(MembershipLevel)),
        draw(st.booleans()),
        False,
    )
    return Counted(*fields)


def written(counted: Counted) -> Any:
    """The rows and the records that a batch makes of a usual order."""
    unit = Unit(0, MemoryStore(), {})
    batch = Batch(unit, Routing(Catalogue(partitions=4), 4), RuleBook((DEFAULT_RULES,)), NOW)
    customer = Customer(id=counted.customer_id, name="", email="")
    line_key = key_of(counted.customer_id, ORDER_KIND, counted.order_id)
    usual_orders.publish(batch, CustomerRow(customer), customer, counted, line_key)
    return unit.changes, unit.derived, unit.outbox


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Customer], list[OrderCompleted]]:
    """Customers with usual and odd figures, and orders with usual and odd texts."""
    figure = st.one_of(st.integers(0, 1_000), amounts.map(abs))  # no figure is negative
    customers = []
    for name in draw(st.lists(ids, min_size=1, max_size=3, unique=True)):
        total, annual, points, debt, lifetime, count, sequence, version = (draw(figure) for _ in range(8))
        day = draw(st.sampled_from([20_000, 19_999, 19_000]))
        spending = Spending(total, annual, day, Days.of({day - 3: 5, day: 7}), draw(figure))
        if draw(st.booleans()):
            spending.days.mark(day - 364)
        customer = Customer(
            id=name,
            name="",
            email="",
            level=draw(st.sampled_from(MembershipLevel)),
            points=points,
            debt=debt,
            lifetime_earned=lifetime,
            spending={draw(st.sampled_from(["USD", "USD", "EUR"])): spending},
            order_count=count,
            last_order_at=day * DAY_MS,
            sequence=sequence,
            version=version,
            tracked=draw(st.booleans()) or draw(st.booleans()),
        )
        customers.append(customer)
    orders = []
    for n in range(draw(st.integers(1, 12))):
        order_id = draw(st.one_of(st.just(f"o-{n}"), ids))
        at = draw(st.sampled_from([20_000, 20_001, 20_000, 2**40])) * DAY_MS + n
        name = draw(st.sampled_from(customers)).id
        amount = draw(st.one_of(st.integers(0, 20_000), amounts.map(abs)))
        orders.append(OrderCompleted(draw(texts), order_id, name, amount, "USD", at, draw(st.none() | texts)))
    return customers, orders


def counted_in_runs(customers: list[Customer], orders: list[OrderCompleted]) -> Any:
    """What a batch of these orders does that are usual ones. The others do nothing."""
    unit, routing = Unit(0, MemoryStore(), {}), Routing(Catalogue(partitions=1), 1)
    batch = Batch(unit, routing, RuleBook((DEFAULT_RULES,)), NOW)
    for customer in customers:
        batch.customers.decoded[customer.id] = CustomerRow(
            msgspec.convert(msgspec.to_builtins(customer), Customer)
        )
    ahead = [(order, key_of(order.customer_id, ORDER_KIND, order.order_id)) for order in orders]
    records = [
        InputRecord(routing.orders, 0, n, order.occurred_at, routing.home(order.customer_id)[1], b"", ())
        for n, order in enumerate(orders)
    ]
    unit.read_ahead(LEDGER, [key for _, key in ahead])
    at = 0
    while at < len(orders):
        run = usual_orders.take_run(batch, records, [*ahead], at)
        if not run:
            usual_orders.take(batch, records[at], *ahead[at])
        at += run or 1
    batch.customers.flush()
    return unit.changes, unit.derived, unit.outbox, unit.size()


ORDER: dict[str, Any] = {**samples.ORDER, "correlationId": "k-1"}
USUAL_ORDERS = [
    ORDER,
    {name: value for name, value in ORDER.items() if name != "correlationId"},
    {**ORDER, "correlationId": None},
    {**ORDER, "items": [{"sku": "a", "n": 1, "each": 0.5e-3, "gift": False}, []], "note": {}, "more": -0},
    {**ORDER, "totalAmount": {"currency": "JPY", "amount": "130"}},
    {**ORDER, "totalAmount": {"amount": "999999999999999.99", "currency": "EUR"}},
    {**ORDER, "totalAmount": {"amount": "1.234", "currency": "KWD"}},
    *({**ORDER, "occurredOn": f"{day}T23:59:59.999Z"} for day in ("1900-01-01", "2000-02-29", "9999-12-31")),
    {**ORDER, "eventId": "e" * 100, "orderId": "~ !", "occurredOn": "1969-12-31T23:59:59Z"},
]
USUAL_VALUES = [json.dumps(order).encode() for order in USUAL_ORDERS]
"""Values that the codecs in C read."""

_amounts_in = st.one_of(
    st.from_regex(r"[0-9]{0,17}(\.[0-9]{0,4})?", fullmatch=True),
    st.sampled_from(
        ["1e2", "-1.00", "1.", ".5", "٣.00", "1_0.00", "NaN", " 1.00", "0.00", "999999999999999.99"]
    ),
    st.integers(),
    st.floats(),
    st.none(),
)
_times = st.one_of(
    st.datetimes().map(lambda time: time.isoformat(timespec="milliseconds") + "Z"),
    st.datetimes().map(lambda time: time.isoformat(timespec="seconds") + "Z"),
    st.sampled_from(
        [
            *(
                "1900-02-29T00:00:00Z",
                "2000-02-29T23:59:59.999Z",
                "1899-12-31T23:59:59Z",
                "9999-12-31T23:59:59Z",
            ),
            *("2026-06-30T24:00:00Z", "2026-06-30T23:59:60Z", "2026-06-30T23:60:00Z", "2026-06-31T00:00:00Z"),
            *(
                "2026-06-30t00:00:00z",
                "2026-06-30T00:00:00+01:00",
                "2026-06-30T00:00:00.1234567Z",
                "2026-06-30",
            ),
        ]
    ),
    texts,
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def orders(draw: st.DrawFn) -> list[bytes]:
    """Values of orders: usual ones, ones with odd fields, and ones with damaged text."""
    values = []
    for _ in range(draw(st.integers(0, 4))):
        order: dict[str, Any] = dict(ORDER)
        for name in draw(st.lists(st.sampled_from([*ORDER, "specversion", "more", ""]), max_size=3)):
            order[name] = draw(st.one_of(_json, _times, texts))
        if draw(st.booleans()):
            order["totalAmount"] = {"amount": draw(_amounts_in), "currency": draw(currencies)}
        if draw(st.booleans()):
            order["occurredOn"] = draw(_times)
        for name in draw(st.lists(st.sampled_from(list(ORDER)), max_size=1)):
            order.pop(name, None)
        text = json.dumps(
            order, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, None, 1, "\t"]))
        )
        value = bytearray(text.encode(errors="surrogatepass"))
        for damage in draw(st.sampled_from([[], [], _cut, _insert, _change, _repeat])):
            damage(draw, value)
        values.append(bytes(value))
    return values


def _place(draw: st.DrawFn, value: bytearray) -> int:
    return draw(st.integers(0, len(value) - 1)) if value else 0


_byte = st.one_of(st.sampled_from(b'\0{}[]",:\\ \n0-.eE'), st.integers(0, 255))
_cut = [lambda draw, value: value.__delitem__(slice(_place(draw, value), None))]
_insert = [lambda draw, value: value.insert(_place(draw, value), draw(_byte))]
_change = [lambda draw, value: value.__setitem__(_place(draw, value), draw(_byte))] * 2
_repeat = [lambda draw, value: value.extend(value[_place(draw, value) :])]


def read(values: list[bytes]) -> list[Any]:
    """What becomes of each value: the order, or the dead letter's reason and text."""
    return [order or _read_alone(value) for value, order in zip(values, decode_orders(values), strict=True)]


def _read_alone(value: bytes) -> Any:
    try:
        return decode_order(value, [])
    except DeadLettered as error:
        return error.reason, str(error)


Compared = Callable[[native.Codecs | None, Any], Outcome]

COMPARED: dict[str, tuple[st.SearchStrategy[Any], Compared]] = {
    "record batches": (
        st.tuples(columns(), limits, st.booleans()),
        lambda codecs, drawn: outcome(codecs, batches, *drawn),
    ),
    "usual orders": (counted(), lambda codecs, drawn: outcome(codecs, written, drawn)),
    "runs of usual orders": (runs(), lambda codecs, drawn: outcome(codecs, counted_in_runs, *drawn)),
    "orders": (orders(), lambda codecs, drawn: outcome(codecs, read, drawn)),
    "fetched records": (fetched(), lambda codecs, drawn: outcome(codecs, unpacked, *drawn)),
    "checksums": (
        st.tuples(st.binary(max_size=200), st.integers(-2, 210)),
        lambda codecs, drawn: outcome(codecs, checksum, *drawn),
    ),
}
"""What is compared: a strategy of inputs, and what a form makes of an input."""


def checksum(data: bytes, start: int) -> int:
    """The CRC-32C of data[start:]. Raises ValueError if start is not within the data."""
    if native.chosen is not None:
        return native.chosen.crc32c(data, start)
    if not 0 <= start <= len(data):
        raise ValueError
    return int(calc_crc32c(data[start:]))
