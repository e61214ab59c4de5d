"""The recomputation against a history written by hand from the contract: no line of it comes from the worker."""

import hashlib
import json
import uuid
from typing import Any

import pytest

from worker.kafka.topics import Catalogue
from worker.verify.model.rules import load_rules
from worker.verify.reading.contents import Partition, Record, Shared
from worker.verify.report import Report
from worker.verify.verification import Verification

CATALOGUE = Catalogue(partitions=1)
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "customer-context")
EMAIL_HASH = hashlib.sha256(b"ada@example.com").hexdigest()
PREFERENCES = {
    "marketingEmails": False,
    "language": "en-US",
    "currency": "USD",
    "enabledTypes": ["ORDER", "DELIVERY"],
    "enabledChannels": ["EMAIL"],
}


TAKEN_IN = 1_800_000_000_000  # 2027-01-15: after everything that happens here


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


def record(topic: str, offset: int, key: str, value: Any, **headers: bytes) -> Record:
    pairs = [(name.replace("_", "-"), text) for name, text in headers.items()]
    return Record(topic, 0, offset, key.encode(), json.dumps(value).encode(), pairs, TAKEN_IN)


def event(sequence: int, key: str, cause: str, kind: str, data: dict[str, Any]) -> Record:
    value = {
        "specversion": "1.0",
        "id": str(uuid.uuid5(NAMESPACE, f"ada|{key}|{kind}|0")),
        "source": "/customer-context",
        "type": kind,
        "subject": "ada",
        "time": "2026-11-24T10:15:30.123Z",
        "datacontenttype": "application/json",
        "sequence": str(sequence),
        "causationid": cause,
        "correlationid": cause,
        "data": {"customerId": "ada", **data},
    }
    headers = [("content-type", b"application/cloudevents+json"), ("ce_type", kind.encode())]
    return record("customer.events", sequence - 1, "ada", value)._replace(headers=headers)


def order(offset: int, order_id: str, amount: str, on: str) -> Record:
    value = {
        "eventId": f"event {order_id}",
        "orderId": order_id,
        "customerId": "ada",
        "totalAmount": usd(amount),
        "occurredOn": on,
    }
    return record("order.completed", offset, "ada", value)


def spending(amount: str, total: str, annual: str, order_id: str) -> dict[str, Any]:
    return {
        "spendingAmount": usd(amount),
        "totalSpending": usd(total),
        "annualSpending": usd(annual),
        "orderId": order_id,
        "spendingType": "PURCHASE",
    }


def earned(points: int, balance: int, order_id: str, amount: str) -> dict[str, Any]:
    return {
        "pointsEarned": points,
        "totalPoints": balance,
        "debt": 0,
        "reason": "ORDER_COMPLETED",
        "orderId": order_id,
        "eligibleAmount": usd(amount),
        "rulesVersion": "1",
    }


def level(old: str, new: str, total: str) -> dict[str, Any]:
    return {"oldLevel": old, "newLevel": new, "totalSpending": usd(total), "rulesVersion": "1"}


COMMAND = {
    "commandId": "reg",
    "commandType": "RegisterCustomer",
    "customerId": "ada",
    "issuedAt": "2026-01-01T00:00:00Z",
    "data": {"name": " Ada ", "email": " Ada@Example.COM "},
}
RESULT = {
    "commandId": "reg",
    "commandType": "RegisterCustomer",
    "customerId": "ada",
    "outcome": "APPLIED",
    "version": 1,
}
CREATED = {
    "customerName": "Ada",
    "email": "ada@example.com",
    "phone": None,
    "membershipLevel": "STANDARD",
    "status": "ACTIVE",
    "preferences": PREFERENCES,
    "registeredAt": "2026-01-01T00:00:00.000Z",
}
# 499.99 is STANDARD, 500.00 in all is SILVER; the third fills the window of the 365 days that end on its day:
# the first order, 364 days before, is the first day of it. The fourth is a day later, so the first has left the year.
ORDERS = [
    order(0, "a", "499.99", "2025-01-02T23:59:59.999Z"),
    order(1, "b", "0.01", "2025-06-01T00:00:00Z"),
    order(2, "c", "9500.00", "2026-01-01T00:00:00Z"),
    order(3, "d", "9.99", "2026-01-02T00:00:00Z"),
]
VIP = {
    "membershipLevel": "PLATINUM",
    "annualSpending": usd("10000.00"),
    "windowStart": "2025-01-02",
    "windowEnd": "2026-01-01",
    "rulesVersion": "1",
}
EVENTS = [
    event(1, "reg", "reg", "CustomerCreatedEvent", CREATED),
    event(2, "a", "event a", "CustomerSpendingUpdatedEvent", spending("499.99", "499.99", "499.99", "a")),
    event(3, "a", "event a", "RewardPointsEarnedEvent", earned(49, 49, "a", "499.99")),
    event(4, "b", "event b", "CustomerSpendingUpdatedEvent", spending("0.01", "500.00", "500.00", "b")),
    event(5, "b", "event b", "MembershipLevelUpgradedEvent", level("STANDARD", "SILVER", "500.00")),
    event(
        6, "c", "event c", "CustomerSpendingUpdatedEvent", spending("9500.00", "10000.00", "10000.00", "c")
    ),
    event(7, "c", "event c", "RewardPointsEarnedEvent", earned(950, 999, "c", "9500.00")),
    event(8, "c", "event c", "MembershipLevelUpgradedEvent", level("SILVER", "PLATINUM", "10000.00")),
    event(9, "c", "event c", "CustomerVipUpgradedEvent", VIP),
    event(10, "d", "event d", "CustomerSpendingUpdatedEvent", spending("9.99", "10009.99", "9510.00", "d")),
]
DAYS = [20_090, 20_455, 999, "49999,150,1,214,950000,1,"]
DAYS_OF_AN_EARLIER_VERSION = {"20090": 49_999, "20240": 1, "20454": 950_000, "20455": 999}
ROW = {
    "customer": {
        "id": "ada",
        "name": "Ada",
        "email": "ada@example.com",
        "level": "PLATINUM",
        "vip_since": 1_767_225_600_000,
        "points": 999,
        "lifetime_earned": 999,
        "spending": {"USD": {"total": 1_000_999, "annual": 951_000, "annual_day": 20_455, "days": DAYS}},
        "order_count": 4,
        "last_order_at": 1_767_312_000_000,
        "created_at": 1_767_225_600_000,
        "updated_at": 1_790_000_000_000,
        "version": 5,
        "sequence": 10,
    },
    "email_claim": "reg",
}
LEDGER = {
    "a": [49_999, "USD", 49, 1_735_862_399_999, "1", 3, None],
    "b": [1, "USD", 0, 1_748_736_000_000, "1", 5, None],
    "c": [950_000, "USD", 950, 1_767_225_600_000, "1", 9, None],
    "d": [999, "USD", 0, 1_767_312_000_000, "1", 10, None],
}
CLAIM = {"customer_id": "ada", "claim_id": "reg"}
ANSWER = {**CLAIM, "granted": True}


def verify(events: list[Record], row: Any = ROW) -> Report:
    def encoded(value: Any) -> bytes:
        return json.dumps(value).encode()

    records = {
        "customer.commands": [record("customer.commands", 0, "ada", COMMAND)],
        "order.completed": ORDERS,
        "customer.inbox": [record("customer.inbox", 0, "ada", ANSWER, inbox_kind=b"claim-answer")],
        "customer.events": events,
        "customer.command-results": [record("customer.command-results", 0, "ada", RESULT)],
    }
    tables = {
        "customers": {b"ada": encoded(row)},
        "ledger": {f"ada\0O\0{order_id}".encode(): encoded(line) for order_id, line in LEDGER.items()},
        "command_results": {b"ada\0reg": encoded({"fingerprint": "f", "at": 1, "result": RESULT})},
    }
    positions = {
        "customer.commands": 1,
        "order.completed": 4,
        "customer.inbox": 1,
        "customer.email-claims": 1,
    }
    shared = Shared(
        CATALOGUE,
        {0: positions},
        claims=[record("customer.email-claims", 0, EMAIL_HASH, {"type": "ClaimEmail", **CLAIM})],
        claims_table={EMAIL_HASH.encode(): encoded(CLAIM)},
    )
    verification = Verification(shared, load_rules(None))
    verification.partition(Partition(0, records, tables))
    return verification.finish()


def test_what_the_contract_says_by_hand_is_what_the_verification_says():
    report = verify(EVENTS)
    assert report.differences == []
    assert report.counts["events"] == 10


def with_days(days: Any) -> Any:
    customer: Any = ROW["customer"]
    return {
        **ROW,
        "customer": {**customer, "spending": {"USD": {**customer["spending"]["USD"], "days": days}}},
    }


def test_days_as_an_earlier_version_stored_them_are_as_right():
    assert verify(EVENTS, with_days(DAYS_OF_AN_EARLIER_VERSION)).differences == []


@pytest.mark.parametrize(
    "mark", [(20_091, 20_240, 10), (20_240, 20_240, 10), (20_090, 20_090, 0), (0, 0, -1)]
)
def test_a_mark_in_the_days_is_as_right(mark):
    assert verify(EVENTS, with_days([*DAYS, *mark])).differences == []


@pytest.mark.parametrize(
    "mark", [(20_091, 20_241, 10), (20_091, 20_240, 9), (20_090, 20_240, 10), (20_091, 20_240, 12)]
)
def test_a_mark_that_is_off_is_a_difference(mark):
    assert verify(EVENTS, with_days([*DAYS, *mark])).differences != []


@pytest.mark.parametrize(
    "days",
    [
        [20_090, 20_455, 999, "49999,150,2,214,950000,1,"],
        [20_090, 20_455, 998, "49999,150,1,214,950000,1,"],
        [20_090, 20_455, 999, "49999,150,1,213,950000,2,"],
        [20_240, 20_455, 999, "1,214,950000,1,1,1,"],
        [20_454, 20_455, 999, "950000,1,"],
        {**DAYS_OF_AN_EARLIER_VERSION, "20240": 2},
    ],
)
def test_one_off_in_the_days_by_hand_is_a_difference(days):
    found = verify(EVENTS, with_days(days)).differences
    assert [each.kind for each in found] == ["customers table"]


@pytest.mark.parametrize("place", range(len(EVENTS)))
def test_one_event_less_by_hand_is_a_difference(place):
    assert verify(EVENTS[:place] + EVENTS[place + 1 :]).differences


@pytest.mark.parametrize(
    "field", ["vip_since", "points", "last_order_at", "order_count", "sequence", "created_at"]
)
def test_one_off_in_a_figure_by_hand_is_a_difference(field):
    customer = {**ROW["customer"], field: ROW["customer"][field] + 1}  # type: ignore[dict-item, index]
    found = verify(EVENTS, {**ROW, "customer": customer}).differences
    assert [(each.kind, each.text) for each in found] == [("customers table", field)]
