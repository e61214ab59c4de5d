"""Orders, payments and returns: whatever arrives is read exactly, or becomes a dead letter that says why."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import ORDER, PAYMENT, RETURN, binary_headers, cloud_event
from worker.domain.messages import OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.wire.inputs import NOT_KNOWN_YET, decode_order, decode_orders, decode_payment, decode_return

STRUCTURED = [("content-type", b"application/cloudevents+json; charset=utf-8")]
NO_ID = {name: value for name, value in ORDER.items() if name != "eventId"}
EXPECTED = OrderCompleted("e-1", "o-1", "c-1", 12_990, "USD", 1_795_515_330_123)


def order(
    value: object = None, headers: list[tuple[str, bytes]] | None = None, **fields: Any
) -> OrderCompleted:
    """Decodes ORDER with some fields replaced, or another value."""
    raw = (
        value if isinstance(value, bytes) else json.dumps(ORDER | fields if value is None else value).encode()
    )
    return decode_order(raw, headers or [])


def refusal(value: bytes, headers: list[tuple[str, bytes]] | None = None) -> DeadLettered:
    """The dead letter that an order of these bytes becomes."""
    with pytest.raises(DeadLettered) as refused:
        decode_order(value, headers or [])
    return refused.value


def test_a_plain_order_is_read() -> None:
    assert order() == EXPECTED


def test_a_payment_is_read() -> None:
    assert decode_payment(json.dumps(PAYMENT).encode(), []) == PaymentCompleted(
        "e-2", "p-1", "o-1", "c-1", 12_990, "USD", 1_795_515_330_000, "k-1"
    )


def test_a_payment_without_customer_is_invalid_while_payments_do_not_join_orders() -> None:
    for customer in ({}, {"customerId": None}):
        flat = {name: value for name, value in PAYMENT.items() if name != "customerId"} | customer
        with pytest.raises(DeadLettered) as refused:
            decode_payment(json.dumps(flat).encode(), [])
        assert refused.value.reason is DeadLetterReason.INVALID
        assert refused.value.detail.startswith("customerId: ")


@pytest.mark.parametrize("customer_id", [NOT_KNOWN_YET, "c-9"])
def test_a_payment_without_customer_is_whose_the_reader_says_and_one_with_a_customer_its_own(
    customer_id: str,
) -> None:
    nameless = {name: value for name, value in PAYMENT.items() if name != "customerId"}
    for flat in (nameless, nameless | {"customerId": None}):
        assert decode_payment(json.dumps(flat).encode(), [], customer_id).customer_id == customer_id
    assert decode_payment(json.dumps(PAYMENT).encode(), [], customer_id).customer_id == "c-1"
    with pytest.raises(DeadLettered, match="INVALID"):
        decode_payment(json.dumps(nameless | {"customerId": ""}).encode(), [], customer_id)


def test_a_return_is_read_plain_and_as_a_cloud_event() -> None:
    expected = OrderReturned("e-3", "b-1", "o-1", "c-1", 2_990, "USD", 1_795_601_730_123)
    assert decode_return(json.dumps(RETURN).encode(), []) == expected
    assert decode_return(cloud_event("OrderReturnedEvent", RETURN), []) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("returnId", 7),
        ("returnId", "line\nbreak"),
        ("orderId", ""),
        ("customerId", None),
        ("eventId", "x" * 101),
        ("refundAmount", {"amount": "-1.00", "currency": "USD"}),
        ("refundAmount", {"amount": "1.001", "currency": "USD"}),
        ("occurredOn", "2026-11-25"),
    ],
)
def test_a_return_with_a_wrong_field_is_invalid_and_says_which(field: str, value: object) -> None:
    with pytest.raises(DeadLettered) as refused:
        decode_return(json.dumps(RETURN | {field: value}).encode(), [])
    assert refused.value.reason is DeadLetterReason.INVALID
    assert refused.value.detail.startswith(field)


def test_an_order_does_not_belong_among_returns() -> None:
    with pytest.raises(DeadLettered) as refused:
        decode_return(cloud_event("OrderCompletedEvent", ORDER), [])
    assert refused.value.reason is DeadLetterReason.UNKNOWN_TYPE


def test_unknown_fields_are_ignored() -> None:
    assert order(note={"deep": [1, None, "x"]}, channel="web") == EXPECTED


def test_a_foreign_header_does_not_make_it_a_cloud_event() -> None:
    assert order(headers=[("traceparent", b"00-1-2-3"), ("content-type", b"application/json")]) == EXPECTED


@pytest.mark.parametrize(
    "amount",
    ['"129.90"', '"129.9"', '"129.900"', "129.90", "129.9", "1.299e2", '"\\u0031\\u00329.90"', '"0129.90"'],
)
def test_an_amount_may_be_a_string_or_a_number(amount: str) -> None:
    assert order(json.dumps(ORDER).replace('"129.90"', amount).encode()) == EXPECTED


@pytest.mark.parametrize("headers", [[], STRUCTURED])
def test_a_structured_cloud_event_is_read(headers: list[tuple[str, bytes]]) -> None:
    assert order(cloud_event("OrderCompletedEvent", ORDER), headers) == EXPECTED


def test_a_structured_cloud_event_may_carry_its_data_in_base64() -> None:
    raw = base64.b64encode(json.dumps(ORDER).encode()).decode()
    assert order(cloud_event("OrderCompletedEvent", None, data_base64=raw)) == EXPECTED


def test_a_binary_cloud_event_is_read() -> None:
    assert order(headers=binary_headers("OrderCompletedEvent")) == EXPECTED


def test_an_event_without_an_id_of_its_own_has_that_of_the_cloud_event() -> None:
    assert order(cloud_event("OrderCompletedEvent", NO_ID)).event_id == "ce-1"
    assert order(NO_ID, binary_headers("OrderCompletedEvent")).event_id == "ce-1"
    assert order(cloud_event("OrderCompletedEvent", ORDER)).event_id == "e-1"


def test_the_correlation_id_of_the_data_comes_before_that_of_the_cloud_event() -> None:
    kind = "OrderCompletedEvent"
    assert order(cloud_event(kind, ORDER, correlationid="k-2")).correlation_id == "k-2"
    assert order(headers=binary_headers(kind, correlationid="k-2")).correlation_id == "k-2"
    assert (
        order(cloud_event(kind, ORDER | {"correlationId": "k-1"}, correlationid="k-2")).correlation_id
        == "k-1"
    )
    assert order(correlationId="k-1").correlation_id == "k-1"
    assert order(correlationId=None).correlation_id is None


@pytest.mark.parametrize(
    ("number", "text"), [(17, "17"), (-3, "-3"), (2.0, "2"), (1.5, "1.5"), (10**30, "1" + "0" * 30)]
)
def test_a_number_as_correlationid_is_taken_as_text(number: float, text: str) -> None:
    sent = cloud_event("OrderCompletedEvent", ORDER, correlationid=number)
    assert order(sent).correlation_id == text


@pytest.mark.parametrize("value", [10**100, True, [1], {"a": 1}])
def test_a_correlationid_that_is_neither_text_nor_a_short_number_is_invalid(value: Any) -> None:
    refused = refusal(cloud_event("OrderCompletedEvent", ORDER, correlationid=value))
    assert (refused.reason, refused.detail.split(":")[0]) == (DeadLetterReason.INVALID, "correlationId")


@pytest.mark.parametrize("headers", [[], [("content-type", b"application/cloudevents-batch+json")]])
def test_a_batch_of_cloud_events_is_refused_by_name(headers: list[tuple[str, bytes]]) -> None:
    batch = b"[" + cloud_event("OrderCompletedEvent", ORDER) + b"]"
    refused = refusal(batch, headers)
    assert refused.reason is DeadLetterReason.UNDECODABLE
    assert "batch of CloudEvents" in refused.detail


def test_a_number_in_a_cloud_event_stays_exact() -> None:
    raw = cloud_event("OrderCompletedEvent", ORDER).replace(b'"129.90"', b"90071992547409.93")
    assert order(raw).amount == 9_007_199_254_740_993


@pytest.mark.parametrize("headers", [[], STRUCTURED])
def test_a_cloud_event_of_another_type_does_not_belong(headers: list[tuple[str, bytes]]) -> None:
    refused = refusal(cloud_event("PaymentCompletedEvent", ORDER), headers)
    assert refused.reason is DeadLetterReason.UNKNOWN_TYPE


def test_a_binary_cloud_event_of_another_type_does_not_belong_whatever_its_value() -> None:
    assert refusal(b"\x00avro", binary_headers("Other")).reason is DeadLetterReason.UNKNOWN_TYPE


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (cloud_event("OrderCompletedEvent", ORDER, specversion="0.3"), "specversion"),
        (cloud_event("OrderCompletedEvent", ORDER, source=""), "source"),
        (cloud_event("OrderCompletedEvent", ORDER, type=5), "type"),
        (cloud_event("OrderCompletedEvent", [ORDER]), "data"),
        (cloud_event("OrderCompletedEvent", None), "data"),
        (cloud_event("OrderCompletedEvent", None, data_base64="***"), "data_base64"),
        (cloud_event("OrderCompletedEvent", None, data_base64="WzFd"), "data_base64"),
    ],
)
def test_a_broken_cloud_event_is_invalid(value: bytes, field: str) -> None:
    refused = refusal(value)
    assert refused.reason is DeadLetterReason.INVALID
    assert refused.detail.startswith(f"{field}: ")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"{",
        b'{"a":1}x',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"Obj\x01\x04avro",
        json.dumps(ORDER).replace("o-1", "\x01").encode(),
        json.dumps(ORDER).encode().replace(b"o-1", b"\xff"),
        json.dumps(ORDER | {"note": "N"}).encode().replace(b'"N"', b'"\xff"'),
        json.dumps(ORDER | {"note": "N"}).encode().replace(b'"N"', b'"\xed\xa0\x80"'),
        json.dumps(ORDER | {"note": "N"}).encode().replace(b'"N"', b"NaN"),
        json.dumps(ORDER).encode().replace(b'"129.90"', b"Infinity"),
        json.dumps(ORDER).encode().replace(b'"129.90"', b"01"),
        json.dumps(ORDER).encode().replace(b"o-1", b"\\ud800"),
        cloud_event("OrderCompletedEvent", ORDER).replace(b"o-1", b"\\ud800"),
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"note":' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"specversion":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_what_is_not_a_json_object_is_undecodable(value: bytes) -> None:
    assert refusal(value).reason is DeadLetterReason.UNDECODABLE


def test_brackets_in_text_are_not_depth() -> None:
    assert order(note="[{" * 500 + '"') == EXPECTED
    assert order(note=[[1]] * 100) == EXPECTED


def test_an_unknown_field_nested_too_deep_is_undecodable_although_it_would_be_ignored() -> None:
    deep: object = 1
    for _ in range(70):
        deep = [deep]
    assert refusal(json.dumps(ORDER | {"note": deep}).encode()).reason is DeadLetterReason.UNDECODABLE


def test_a_value_over_one_mebibyte_is_too_large() -> None:
    fits = json.dumps(ORDER | {"note": ""}).encode()
    room = 1_048_576 - len(fits)
    assert order(note="x" * room) == EXPECTED
    for headers in ([], STRUCTURED, binary_headers("Other")):
        refused = refusal(json.dumps(ORDER | {"note": "x" * (room + 1)}).encode(), headers)
        assert refused.reason is DeadLetterReason.TOO_LARGE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"orderId": 5}, "orderId"),
        ({"orderId": None}, "orderId"),
        ({"orderId": ""}, "orderId"),
        ({"orderId": "x" * 101}, "orderId"),
        ({"orderId": "a\u0000b"}, "orderId"),
        ({"customerId": "a\u0085b"}, "customerId"),
        ({"eventId": "a\nb"}, "eventId"),
        ({"correlationId": "a\nb"}, "correlationId"),
        ({"correlationId": 7}, "correlationId"),
        ({"occurredOn": "2026-11-24"}, "occurredOn"),
        ({"occurredOn": 1_795_515_330}, "occurredOn"),
        ({"totalAmount": "129.90"}, "totalAmount"),
        ({"totalAmount": {"amount": "129.90"}}, "totalAmount.currency"),
        ({"totalAmount": {"currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": "129.901", "currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": "-1.00", "currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": -1, "currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": True, "currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": ["1.00"], "currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": ".90", "currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": "12.3.", "currency": "USD"}}, "totalAmount.amount"),
        ({"totalAmount": {"amount": "1.00", "currency": "usd"}}, "totalAmount.currency"),
        ({"totalAmount": {"amount": "1.00", "currency": 840}}, "totalAmount.currency"),
    ],
)
def test_an_object_that_breaks_the_schema_is_invalid_and_says_where(
    change: dict[str, Any], field: str
) -> None:
    for value in (json.dumps(ORDER | change).encode(), cloud_event("OrderCompletedEvent", ORDER | change)):
        refused = refusal(value)
        assert refused.reason is DeadLetterReason.INVALID
        assert refused.detail.startswith(f"{field}: ")


@pytest.mark.parametrize("field", sorted(ORDER))
def test_a_missing_field_is_named(field: str) -> None:
    refused = refusal(json.dumps({name: value for name, value in ORDER.items() if name != field}).encode())
    assert (refused.reason, refused.detail) == (DeadLetterReason.INVALID, f"{field}: missing")


def test_an_id_may_hold_any_character_but_control_characters() -> None:
    unusual = "o 1/é🦊\u200d|日本"
    assert order(orderId=unusual).order_id == unusual
    assert order(orderId="x" * 100).order_id == "x" * 100


def test_of_a_repeated_key_the_last_counts() -> None:
    assert order(b'{"orderId":"first",' + json.dumps(ORDER).encode()[1:]) == EXPECTED


@given(st.binary(max_size=200))
def test_random_bytes_never_do_more_than_become_a_dead_letter(value: bytes) -> None:
    _decoded_or_dead(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = (*ORDER, *PAYMENT, "specversion", "type", "data", "id", "source", "data_base64")


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON), st.booleans())
def test_random_objects_never_do_more_than_become_a_dead_letter(
    fields: dict[str, Any], wrapped: bool
) -> None:
    changed = ORDER | fields
    _decoded_or_dead(cloud_event("OrderCompletedEvent", changed) if wrapped else json.dumps(changed).encode())


@given(st.data())
def test_a_damaged_message_never_does_more_than_become_a_dead_letter(data: st.DataObject) -> None:
    value = bytearray(data.draw(st.sampled_from([json.dumps(ORDER).encode(), cloud_event("X", ORDER)])))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    _decoded_or_dead(bytes(value))


@given(st.text(min_size=1, max_size=100), st.text(min_size=1, max_size=100))
def test_a_detail_never_repeats_a_value(first: str, second: str) -> None:
    secret = "s3cr3t"
    refused = refusal(json.dumps({"orderId": secret + first, "customerId": [secret + second]}).encode())
    assert secret not in refused.detail


def _decoded_or_dead(value: bytes) -> None:
    for headers in ([], STRUCTURED, binary_headers("OrderCompletedEvent")):
        for decode in (decode_order, decode_payment, decode_return):
            try:
                decoded = decode(value, headers)
            except DeadLettered:
                continue
            assert isinstance(decoded, OrderCompleted | PaymentCompleted | OrderReturned)


def _plain(n: int, **fields: Any) -> bytes:
    return json.dumps(ORDER | {"orderId": f"o-{n}"} | fields).encode()


def _alone(value: bytes) -> OrderCompleted | None:
    try:
        return decode_order(value, [])
    except DeadLettered:
        return None


def test_plain_orders_are_read_together() -> None:
    values = [_plain(n) for n in range(100)]
    assert decode_orders(values) == [decode_order(value, []) for value in values]
    assert decode_orders([]) == []


@pytest.mark.parametrize(
    "odd",
    [
        _plain(1) + _plain(2),
        _plain(1) + b"\n" + _plain(2),
        _plain(1) + b" ",
        b" " + _plain(1),
        _plain(1)[:-1],
        _plain(1)[:-1] + b',"x":[{}',
        _plain(1)[:-1] + b',"x":"}',
        _plain(1) + b"}",
        b"{" + _plain(1),
        b"",
        b"{}",
        b"null",
        _plain(1, specversion="1.0"),
        _plain(1, customerId="Zo\u0007"),
        _plain(1, occurredOn="yesterday"),
        _plain(1, totalAmount={"amount": "-1", "currency": "USD"}),
        _plain(1, more=json.loads("[" * 70 + "]" * 70)),
        json.dumps(ORDER | {"customerId": "Zoë"}, ensure_ascii=False).encode(),
    ],
)
def test_an_odd_value_among_orders_is_left_to_its_turn(odd: bytes) -> None:
    values = [_plain(n) for n in range(40)]
    values.insert(20, odd)
    found = decode_orders(values)
    assert found[20] is None
    assert all(order == decode_order(value, []) for value, order in zip(values, found, strict=True) if order)
    assert None not in found[32:], "those of another group are read"


_ODD = st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\n", b",", b" ", b"\\", b"1", _plain(1)])


@given(
    st.lists(st.one_of(st.integers(0, 99).map(_plain), st.lists(_ODD, max_size=4).map(b"".join)), max_size=6)
)
def test_no_value_among_orders_is_read_as_another(values: list[bytes]) -> None:
    for value, order in zip(values, decode_orders(values), strict=True):
        assert order is None or order == _alone(value)
