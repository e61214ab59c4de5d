"""The sample: read whole, sent under the same ids every time, and added up from published events alone."""

import json
import random
from collections import Counter
from decimal import Decimal

from worker.demo import messages
from worker.demo.live import LiveTraffic
from worker.demo.people import email_of
from worker.demo.purchases import Purchase, read_purchases
from worker.demo.tally import Tally
from worker.kafka.topics import Catalogue

PURCHASES = read_purchases()


def event(event_id: str, event_type: str, customer: str, **data: object) -> bytes:
    return json.dumps({"id": event_id, "type": event_type, "subject": customer, "data": data}).encode()


def spent(event_id: str, purchase: Purchase) -> bytes:
    customer = messages.customer_id(purchase.customer)
    amount = messages.dollars(purchase.amount)
    return event(
        event_id,
        "CustomerSpendingUpdatedEvent",
        customer,
        orderId=messages.order_id(purchase),
        spendingAmount=amount,
    )


def test_the_sample_is_6919_purchases_of_2357_customers_for_244091_94_dollars():
    assert len(PURCHASES) == 6_919
    assert len({purchase.customer for purchase in PURCHASES}) == 2_357
    assert sum(Decimal(purchase.amount) for purchase in PURCHASES) == Decimal("244091.94")


def test_the_same_purchase_is_always_sent_under_the_same_ids():
    assert messages.order(PURCHASES[0]) == messages.order(read_purchases()[0])
    assert messages.payment(PURCHASES[0]) == messages.payment(read_purchases()[0])


def test_no_two_purchases_share_an_order_and_no_two_customers_an_email():
    assert len({messages.order_id(purchase) for purchase in PURCHASES}) == len(PURCHASES)
    numbers = {purchase.customer for purchase in PURCHASES}
    assert len({email_of("", number) for number in numbers}) == len(numbers)


def test_an_order_says_what_the_contract_asks_for():
    message = messages.order(PURCHASES[0])
    value = json.loads(message.value)
    assert message.key == b"customer-0001"
    assert set(value) == {"eventId", "orderId", "customerId", "totalAmount", "occurredOn"}
    assert value["totalAmount"] == {"amount": "29.33", "currency": "USD"}
    assert value["occurredOn"] == "1997-01-01T12:00:00Z"


def test_the_tally_is_complete_when_every_customer_and_order_has_its_event():
    purchases = PURCHASES[:3]
    tally = Tally(purchases)
    tally.add(event("e0", "CustomerCreatedEvent", "customer-0001"))
    for number, purchase in enumerate(purchases):
        assert not tally.complete
        tally.add(spent(f"s{number}", purchase))
    assert tally.complete
    assert (tally.customers, tally.orders, tally.spending) == (1, 3, Decimal("74.02"))


def test_the_tally_adds_points_and_keeps_the_last_level():
    tally = Tally(PURCHASES[:1])
    tally.add(event("e0", "CustomerCreatedEvent", "customer-0001"))
    tally.add(event("e1", "RewardPointsEarnedEvent", "customer-0001", pointsEarned=7))
    tally.add(event("e2", "MembershipLevelUpgradedEvent", "customer-0001", newLevel="SILVER"))
    tally.add(event("e3", "MembershipLevelUpgradedEvent", "customer-0001", newLevel="GOLD"))
    tally.add(event("e4", "CustomerVipUpgradedEvent", "customer-0001"))
    assert (tally.points, tally.levels, tally.vips) == (7, Counter(GOLD=1), 1)


def test_an_event_that_comes_twice_counts_once_and_is_told():
    tally = Tally(PURCHASES[:1])
    for _ in range(2):
        tally.add(event("e1", "RewardPointsEarnedEvent", "customer-0001", pointsEarned=7))
    assert (tally.points, tally.events, tally.repeated) == (7, 1, 1)


def test_live_customers_do_not_count():
    tally = Tally(PURCHASES[:1])
    tally.add(event("e1", "RewardPointsEarnedEvent", "live-1", pointsEarned=7))
    assert (tally.points, tally.events) == (0, 0)


def test_live_traffic_registers_a_customer_before_anything_else_and_sends_to_input_topics_only():
    topics = Catalogue()
    traffic = LiveTraffic(topics, random.Random(7))
    actions = [action for _ in range(200) for action in traffic.next()]
    registered: set[bytes] = set()
    redeemed: set[tuple[bytes, str]] = set()
    kinds: set[str] = set()
    for topic, message in actions:
        assert topic in (topics.commands, topics.orders, topics.payments)
        value = json.loads(message.value)
        kinds.add(value.get("commandType", topic.name))
        if value.get("commandType") == "RegisterCustomer":
            registered.add(message.key)
        if value.get("commandType") == "RedeemPoints":
            redeemed.add((message.key, value["data"]["redemptionId"]))
        if value.get("commandType") == "CancelRedemption":
            assert (message.key, value["data"]["redemptionId"]) in redeemed
        assert message.key in registered
    assert {"CancelRedemption", "AdjustPoints"} <= kinds
