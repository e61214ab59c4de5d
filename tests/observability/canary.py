"""A made-up person whose data are sent on every path, and the search for these data in all outputs."""

import base64
import hashlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

NAME = "Zebulonia Quixworthy"
EMAIL = "Zq.Canary7731@canarymail.example"
PHONE = "+1 (415) 555-7731"
STREET = "4711 Songbird Crescent"
CITY = "Quokkaville"
ZIP = "ZX-98231"
CARD = "4929 1734 0628 5515"
BIRTH_DATE = "1907-02-23"
HOME = {"street": STREET, "city": CITY, "zipCode": ZIP, "country": "US"}
ADDRESS = HOME | {"label": f"home of {NAME}"}

NEEDLES = (
    "zebulonia",
    "quixworthy",
    "canary7731",
    "canarymail",
    "555-7731",
    "5557731",
    "songbird",
    "quokkaville",
    "zx-98231",  # the digits alone stand in the metrics now and then, by chance
    "4929 1734",
    "49291734",
    BIRTH_DATE,
    hashlib.sha256(EMAIL.lower().encode()).hexdigest(),  # the key of its claim
    base64.b64encode(NAME.encode()).decode().rstrip("="),
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CUSTOMERS = "/api/v1/customers"
Headers = list[tuple[str, bytes]]


class Input(NamedTuple):
    """A record to produce. topic: its name in the contract."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = []  # noqa: RUF012 (never changed)


def hits(text: str) -> list[str]:
    """What of the person stands in the text."""
    text = text.lower()
    return [needle for needle in NEEDLES if needle.lower() in text]


def registration(customer: str, **changed: Any) -> Input:
    """RegisterCustomer with all that the person has."""
    data = {"name": NAME, "email": EMAIL, "phone": PHONE, "birthDate": BIRTH_DATE, "address": HOME}
    return command(customer, "RegisterCustomer", data | changed)


def command(customer: str, command_type: Any, data: Any, **envelope: Any) -> Input:
    """A command whose commandId is made from what it says."""
    text = json.dumps([customer, command_type, data, envelope], sort_keys=True)
    value = {
        "commandId": hashlib.sha256(text.encode()).hexdigest()[:24],
        "commandType": command_type,
        "customerId": customer,
        "issuedAt": "2026-01-01T00:00:00Z",
        "data": data,
    }
    return Input("customer.commands", customer.encode(), json.dumps(value | envelope).encode())


def order(customer: str, order_id: str, **changed: Any) -> Input:
    """OrderCompletedEvent with fields of the person that nobody asked for."""
    value = {
        "eventId": f"event of {order_id}",
        "orderId": order_id,
        "customerId": customer,
        "totalAmount": {"amount": "120.00", "currency": "USD", "payer": NAME},
        "occurredOn": "2026-01-02T00:00:00Z",
        "shippingAddress": ADDRESS,
        "contact": {"email": EMAIL, "phone": PHONE},
    }
    return Input("order.completed", customer.encode(), json.dumps(value | changed).encode())


def payment(customer: str, payment_id: str, **changed: Any) -> Input:
    """PaymentCompletedEvent of a card that it should not name."""
    value = {
        "eventId": f"event of {payment_id}",
        "paymentId": payment_id,
        "orderId": "o-1",
        "customerId": customer,
        "amount": {"amount": "120.00", "currency": "USD"},
        "occurredOn": "2026-01-02T00:00:00Z",
        "card": CARD,
    }
    return Input("payment.completed", customer.encode(), json.dumps(value | changed).encode())


def returned(customer: str, return_id: str, **changed: Any) -> Input:
    """OrderReturnedEvent that says more of the person than it should."""
    value = {
        "eventId": f"event of {return_id}",
        "returnId": return_id,
        "orderId": "o-1",
        "customerId": customer,
        "refundAmount": {"amount": "12.00", "currency": "USD", "payee": NAME},
        "occurredOn": "2026-01-03T00:00:00Z",
        "collectedAt": ADDRESS,
    }
    return Input("order.returned", customer.encode(), json.dumps(value | changed).encode())


def commands() -> Iterator[Input]:
    """Commands that are right, and wrong in every way that we know."""
    yield registration("c-1")._replace(headers=[("traceparent", TRACE.encode())])
    yield registration("c-2")  # the email is taken
    yield registration("c-1", name=f"{NAME} again")
    yield registration("broken", email=f"other.{EMAIL}")
    for field in ("name", "email", "phone", "birthDate", "address"):
        for wrong in ({NAME: EMAIL}, [NAME], f"{NAME}\n{PHONE}", CARD, f"{EMAIL} {STREET}" * 20):
            yield registration("c-3", **{field: wrong})
    yield registration("c-3", address=ADDRESS | {"country": CITY, NAME: EMAIL})
    yield registration(
        "c-3", preferences={"language": NAME, "currency": CITY, "notifications": {EMAIL: [PHONE]}}
    )
    yield command("c-1", "AddDeliveryAddress", ADDRESS)
    yield command("c-1", "AddDeliveryAddress", ADDRESS | {"zipCode": [ZIP]})
    yield command("c-1", "UpdateProfile", {"name": NAME, "email": EMAIL, "phone": None, EMAIL: NAME})
    yield command("c-1", "UpdateProfile", {"name": CARD, "email": EMAIL, "phone": PHONE})
    yield command("c-1", "ChangeStatus", {"newStatus": NAME, "reason": f"{EMAIL} asked"})
    yield command("c-1", "ChangeStatus", {"newStatus": "INACTIVE", "reason": f"{NAME} asked"})
    yield command("c-1", "UpdatePreferences", {"notifications": {"enabledTypes": [NAME]}, "language": EMAIL})
    yield command("c-1", "AddPaymentMethod", {"type": NAME, "last4": CARD, "provider": EMAIL})
    yield command("c-1", "AddPaymentMethod", {"type": "CREDIT_CARD", "last4": "5515", "provider": NAME})
    yield command("c-1", "RedeemPoints", {"points": NAME, "reason": EMAIL, "redemptionId": "r-1"})
    yield command("c-1", "RedeemPoints", {"points": 9_999, "reason": EMAIL, "redemptionId": "r-1"})
    adjustment = {"points": 9_999, "reason": f"{NAME} asked", "adjustmentId": "a-1"}
    yield command("c-1", "AdjustPoints", adjustment, actor=f"{NAME} <{EMAIL}>")
    yield command("c-1", "AdjustPoints", adjustment | {"points": NAME}, actor=NAME * 20)
    yield command("c-1", "AdjustPoints", adjustment | {"points": -1, "reason": CARD})
    yield command("c-1", "RedeemPoints", {"points": 9_999, "reason": EMAIL, "redemptionId": "r-2"})
    yield command("c-1", "CancelRedemption", {"redemptionId": "r-2", "reason": f"{EMAIL} asked"})
    yield command("c-1", "CancelRedemption", {"redemptionId": [NAME], "reason": CARD})
    yield command("c-1", "EraseCustomer", {"reason": [NAME]})
    yield command("c-4", "EraseCustomer", {"reason": f"{NAME} asked"})
    yield command("c-1", NAME, ADDRESS)
    yield command("c-1", [NAME], EMAIL)
    for field, wrong in (("issuedAt", NAME), ("expectedVersion", EMAIL), ("correlationId", NAME * 20)):
        yield command("c-1", "AddDeliveryAddress", ADDRESS, **{field: wrong})
    yield command("c-1", "AddDeliveryAddress", ADDRESS, correlationId=f"{NAME} <{EMAIL}>")
    yield command("c-1", "AddDeliveryAddress", ADDRESS, commandId=[NAME])


def purchases() -> Iterator[Input]:
    """Orders, payments and returns, some of customers who are not registered, some wrong."""
    yield order("c-1", "o-1")
    yield order("c-1", "o-1", totalAmount={"amount": "7.00", "currency": "USD", "payer": NAME})
    yield order("waits", "o-2")
    yield payment("c-1", "p-1")
    yield payment("waits", "p-2")._replace(key=NAME.encode())
    yield returned("c-1", "b-1")
    yield returned("c-1", "b-1", refundAmount={"amount": "7.00", "currency": "USD", "payee": NAME})
    yield returned("waits", "b-2")
    for wrong in (NAME, CARD, {NAME: EMAIL}, [EMAIL], None):
        for field in ("totalAmount", "occurredOn", "orderId", "eventId", "correlationId"):
            yield order("c-1", "o-3", **{field: wrong})
        yield order("c-1", "o-3", totalAmount={"amount": wrong, "currency": "USD"})
        yield payment("c-1", "p-3", amount={"amount": "1", "currency": wrong})
        yield returned("c-1", "b-3", refundAmount={"amount": "1", "currency": wrong})


def poison() -> Iterator[Input]:
    """What is not a message at all, on every topic that the worker reads."""
    broken = [
        NAME.encode(),
        f'{{"name": "{NAME}", "email": '.encode(),
        b"\xff\xfe" + NAME.encode("utf-16-le"),
        json.dumps([NAME, EMAIL]).encode(),
        b'{"a":' * 2_000 + NAME.encode(),
        f'{{"name": "{NAME}", "name": "{EMAIL}"}}'.encode(),
        json.dumps({"filler": NAME * 60_000}).encode(),
        json.dumps(
            {"specversion": "1.0", "id": EMAIL, "source": NAME, "type": NAME, "data": ADDRESS}
        ).encode(),
        json.dumps({"specversion": NAME, "data_base64": base64.b64encode(NAME.encode()).decode()}).encode(),
    ]
    envelopes: list[Headers] = [
        [],
        [
            ("ce_specversion", b"1.0"),
            ("ce_type", NAME.encode()),
            ("ce_id", EMAIL.encode()),
            ("ce_source", b"\xff"),
        ],
        [
            ("content-type", b"application/cloudevents+json"),
            (NAME, EMAIL.encode()),
            ("traceparent", NAME.encode()),
        ],
        [
            ("inbox-kind", b"forwarded"),
            ("inbox-source-topic", EMAIL.encode()),
            ("inbox-source-partition", b"x"),
        ],
        [("inbox-kind", b"claim-answer"), ("inbox-source-key", NAME.encode())],
    ]
    for topic in (
        "customer.commands",
        "order.completed",
        "order.returned",
        "payment.completed",
        "customer.inbox",
        "customer.email-claims",
    ):
        for value in broken:
            for headers in envelopes:
                yield Input(topic, EMAIL.encode(), value, headers)


class Answer(NamedTuple):
    """An HTTP answer. status: 0 when the connection was closed without one."""

    status: int
    body: str


def requests(url: str) -> Iterator[Answer]:
    """Requests that are right, and wrong in every way that we know; their answers."""
    mail, name = quote(EMAIL), quote(NAME)
    json_type = {"Content-Type": "application/json"}
    person = {"name": NAME, "email": f"http.{EMAIL}", "phone": PHONE, "address": HOME}

    def post(path: str, body: Any, headers: Mapping[str, str] = json_type, method: str = "POST") -> Answer:
        return _ask(
            url, method, path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers
        )

    yield post(CUSTOMERS, person)
    yield post(CUSTOMERS, person)
    yield post(CUSTOMERS, person | {EMAIL: NAME})
    yield post(CUSTOMERS, person | {"address": ADDRESS | {NAME: CITY}})
    yield post(CUSTOMERS, person | {"name": CARD})
    yield post(CUSTOMERS, person | {"email": NAME, "phone": EMAIL, "birthDate": NAME, "address": NAME})
    yield post(CUSTOMERS, NAME.encode())
    yield post(CUSTOMERS, f'{{"name": "{NAME}", "name": "{EMAIL}"}}'.encode())
    yield post(CUSTOMERS, json.dumps({"name": NAME * 10_000}).encode())
    yield post(CUSTOMERS, person, {"Content-Type": f"text/{CITY}"})
    yield post(CUSTOMERS, person, {**json_type, "Content-Encoding": NAME})
    yield post(CUSTOMERS, person, {**json_type, "Idempotency-Key": NAME})
    yield post(CUSTOMERS, person, {**json_type, "X-Correlation-ID": f"{NAME} <{EMAIL}>"})
    yield post(CUSTOMERS, person, {**json_type, "X-Correlation-ID": EMAIL, "traceparent": NAME})
    yield post(CUSTOMERS, person, {**json_type, "Authorization": f"Bearer {NAME}"})
    yield post(f"{CUSTOMERS}/c-1/addresses", ADDRESS)
    yield post(f"{CUSTOMERS}/c-1/addresses", ADDRESS | {"country": NAME})
    yield post(f"{CUSTOMERS}/c-1/preferences", {"language": NAME, "notifications": {EMAIL: 1}}, method="PUT")
    yield post(f"{CUSTOMERS}/c-1", person, {**json_type, "If-Match": NAME}, method="PUT")
    yield post(f"{CUSTOMERS}/c-1", person, method="PATCH")
    yield post(f"{CUSTOMERS}/c-1", person, method=NAME.partition(" ")[0].upper())
    yield post(f"{CUSTOMERS}/{mail}", {"name": NAME}, method="PUT")
    for path in (
        f"{CUSTOMERS}?email={mail}",
        f"{CUSTOMERS}?email={name}",
        f"{CUSTOMERS}?email={mail}&name={name}",
        f"{CUSTOMERS}/{mail}",
        f"{CUSTOMERS}/{name}/reward-points",
        f"{CUSTOMERS}/broken/reward-points",
        f"{CUSTOMERS}/c-1/commands/{mail}",
        f"/{name}/{mail}",
        f"/{'x' * 9_000}{mail}",
    ):
        yield _ask(url, "GET", path, b"", {})
    yield _ask(url, "GET", "/metrics", b"", {"Cookie": NAME, "X-Long": NAME * 1_000})
    for raw in (
        f"GET /{NAME} HTTP/1.1\r\n\r\n",
        f"{EMAIL}\r\n\r\n",
        f"GET / HTTP/{EMAIL}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{NAME}: {EMAIL}\r\nBad {CITY}\r\n\r\n",
        f"POST {CUSTOMERS} HTTP/1.1\r\nHost: {CITY}\r\nContent-Length: {NAME}\r\n\r\n",
        f"POST {CUSTOMERS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{NAME}\r\n{EMAIL}\r\n\r\n",
        f"POST {CUSTOMERS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{NAME}",
    ):
        yield _say(url, raw.encode())


def _ask(url: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=15)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode())
    finally:
        connection.close()


def _say(url: str, raw: bytes) -> Answer:
    host, port = urlsplit(url).netloc.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=15) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    head, _, body = said.partition("\r\n\r\n")
    return Answer(int(head.split()[1]) if head else 0, body)
