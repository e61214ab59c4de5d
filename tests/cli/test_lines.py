"""Telling apart what `customer-context send` is given."""

import base64
import json

import pytest

from worker.cli.lines import UnknownLine, address
from worker.kafka.topics import Catalogue

CATALOGUE = Catalogue(topic_prefix="t-")


def plain(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("fields", "topic"),
    [
        ({"commandType": "RegisterCustomer"}, "t-customer.commands"),
        ({"orderId": "o1", "totalAmount": {}}, "t-order.completed"),
        ({"orderId": "o1", "returnId": "r1", "refundAmount": {}}, "t-order.returned"),
        ({"orderId": "o1", "paymentId": "p1", "amount": {}}, "t-payment.completed"),
    ],
)
def test_a_plain_line_goes_to_its_topic_under_its_customer(fields, topic):
    found = address(plain(customerId="c1", **fields), CATALOGUE)
    assert (found.topic.name, found.key) == (topic, "c1")


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("OrderCompletedEvent", "t-order.completed"),
        ("OrderReturnedEvent", "t-order.returned"),
        ("PaymentCompletedEvent", "t-payment.completed"),
    ],
)
def test_a_cloud_event_goes_by_its_type_and_is_keyed_by_its_data(kind, topic):
    found = address(plain(specversion="1.0", type=kind, data={"customerId": "c1"}), CATALOGUE)
    assert (found.topic.name, found.key) == (topic, "c1")


def test_a_cloud_event_goes_by_the_alias_of_its_type():
    line = plain(specversion="1.0", type="com.shop.Return", data={"customerId": "c1"})
    aliased = Catalogue(type_aliases={"com.shop.Return": "OrderReturnedEvent"})
    assert address(line, aliased).topic is aliased.returns
    with pytest.raises(UnknownLine, match="a type that is not consumed"):
        address(line, CATALOGUE)


def test_a_command_in_a_cloud_event_goes_to_the_commands():
    data = {"commandType": "ChangeStatus", "customerId": "c1", "commandId": "k1"}
    found = address(plain(specversion="1.0", type="ChangeStatus", data=data), CATALOGUE)
    assert (found.topic.name, found.key, found.awaited) == ("t-customer.commands", "c1", ("c1", "k1"))


def test_a_payment_without_customer_goes_under_its_order():
    found = address(plain(paymentId="p1", orderId="o1"), CATALOGUE)
    assert (found.key, found.awaited) == ("o1", None)


def test_the_line_goes_out_byte_for_byte():
    line = b'{ "customerId":"c1",  "totalAmount":{"amount":1.10} }'
    assert address(line, CATALOGUE).value == line


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"ada@example.com", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'["c1"]', "not a JSON object"),
        (plain(customerId="c1"), "no commandType, returnId, paymentId or totalAmount"),
        (plain(totalAmount={}), "no customerId to use as its key"),
        (plain(totalAmount={}, customerId=7), "no customerId to use as its key"),
        (plain(specversion="1.0", type="Other", data={}), "a CloudEvent of a type that is not consumed"),
        (plain(specversion="1.0", type="Other"), "a CloudEvent without a JSON object as its data"),
        (b"[" * 10_000 + b"]" * 10_000, "not JSON"),
        (b'{"customerId":"c1\\ud800","totalAmount":{}}', "not JSON"),
        (
            plain(specversion="1.0", type="OrderCompletedEvent", data_base64="bm8ganNvbg=="),
            "a CloudEvent whose data_base64 is not JSON in base64",
        ),
        (
            plain(specversion="1.0", type="OrderCompletedEvent", data_base64="WzFd"),
            "a CloudEvent without a JSON object as its data",
        ),
        (
            plain(totalAmount={}, customerId="c" * 65_537),
            "its customerId or orderId is over 64 KiB, and the worker refuses such a key",
        ),
    ],
)
def test_a_line_that_cannot_be_told_apart_is_refused_without_its_content(line, why):
    with pytest.raises(UnknownLine) as refused:
        address(line, CATALOGUE)
    assert str(refused.value) == why


def test_a_cloud_event_may_carry_its_data_in_base64():
    data = base64.b64encode(plain(customerId="c1", totalAmount={})).decode()
    line = plain(specversion="1.0", type="OrderCompletedEvent", data_base64=data)
    found = address(line, CATALOGUE)
    assert (found.topic.name, found.key, found.value) == ("t-order.completed", "c1", line)


@pytest.mark.parametrize(
    ("line", "tool"),
    [
        (b"[{}, {}]", "jq -c '.[]'"),
        (b"[", "jq -c '.[]'"),
        (b"{", "jq -c ."),
        (b'"customerId": "c1",', "jq -c ."),
        (b"customerId,orderId,totalAmount", "mlr --icsv --ojsonl"),
        (b"c1;o1;9,90", "mlr --icsv --ojsonl"),
        ('{"a":1}'.encode("utf-16-le"), "iconv"),
        ('{"a":"\xe9"}'.encode("latin-1"), "iconv"),
        (b"hello", "one JSON object a line"),
        (b"{'a': 1}", "one JSON object a line"),
    ],
)
def test_a_line_that_is_no_json_object_comes_with_a_hint(line, tool):
    with pytest.raises(UnknownLine) as refused:
        address(line, CATALOGUE)
    assert tool in refused.value.hint
