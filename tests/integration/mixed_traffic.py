"""Seeded traffic of commands, orders and payments, and the comparison of what came out with a recomputation."""

import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from tests.integration.installation import Installation, Message, command, order, payment, registration
from tests.integration.recompute import Figures, Order, figures

_FIRST_DAY, _DAYS = date(2024, 1, 1), 700
_MEANS = (500, 3_000, 20_000, 60_000)  # cents of an order, per kind of customer: from next to nothing to VIP
_TWICE = 0.05


def mixed_traffic(seed: int, inputs: int) -> list[Message]:
    """About so many inputs for 60 a customer; one in twenty comes twice, and registrations come in the midst."""
    rng = random.Random(seed)
    customers = [f"customer-{number}" for number in range(max(8, inputs // 60))]
    messages = [_message(rng, rng.choice(customers), number) for number in range(inputs - len(customers))]
    messages += [message for message in messages if rng.random() < _TWICE]
    for customer in customers:
        place = rng.randrange(len(messages) // 3)
        messages.insert(place, registration(customer, command_id=str(uuid.UUID(int=rng.getrandbits(128)))))
    return messages


def _message(rng: random.Random, customer: str, number: int) -> Message:
    kind = rng.random()
    if kind < 0.65:
        mean = _MEANS[int(customer.split("-")[1]) % len(_MEANS)]
        day = _FIRST_DAY + timedelta(rng.randrange(_DAYS))
        return order(customer, f"order-{number}", rng.randrange(2 * mean), f"{day}T{number % 24:02d}:30:00Z")
    if kind < 0.75:
        return payment(customer, f"payment-{number}", f"order-{number}", rng.randrange(10_000))
    command_type, data = rng.choice(_COMMANDS)(rng, customer, number)
    return command(customer, command_type, data, str(uuid.UUID(int=rng.getrandbits(128))))


def _new_profile(rng: random.Random, customer: str, number: int) -> tuple[str, dict[str, Any]]:
    email = f"{customer}@example.org" if rng.random() < 0.5 else f"{customer}.{number}@example.org"
    return "UpdateProfile", {"name": f"Name {number}", "email": email, "phone": None}


def _redemption(rng: random.Random, customer: str, number: int) -> tuple[str, dict[str, Any]]:
    points = rng.randrange(1, 40)
    return "RedeemPoints", {"points": points, "reason": "voucher", "redemptionId": f"redemption-{number}"}


def _adjustment(rng: random.Random, customer: str, number: int) -> tuple[str, dict[str, Any]]:
    points = rng.choice((-5, 20))
    return "AdjustPoints", {"points": points, "reason": "goodwill", "adjustmentId": f"adjustment-{number}"}


def _status(rng: random.Random, customer: str, number: int) -> tuple[str, dict[str, Any]]:
    return "ChangeStatus", {"newStatus": rng.choice(["ACTIVE", "ACTIVE", "INACTIVE"]), "reason": "asked for"}


def _address(rng: random.Random, customer: str, number: int) -> tuple[str, dict[str, Any]]:
    return "AddDeliveryAddress", {
        "street": f"Street {number}",
        "city": "Ulm",
        "zipCode": "1",
        "country": "DE",
    }


def _preferences(rng: random.Random, customer: str, number: int) -> tuple[str, dict[str, Any]]:
    return "UpdatePreferences", {"marketingEmails": rng.random() < 0.5}


_COMMANDS: tuple[Callable[[random.Random, str, int], tuple[str, dict[str, Any]]], ...] = (
    _new_profile,
    _redemption,
    _adjustment,
    _status,
    _address,
    _preferences,
)


def left_to_do(installation: Installation, messages: Sequence[Message]) -> list[str]:
    """Every command without an answer and every order that is not counted, however often the others came."""
    answers = Counter(result["commandId"] for result in installation.results())
    counted = {event["data"]["orderId"] for event in installation.events() if _is_spending(event)}
    orders = {bought.order_id for orders in _orders(messages).values() for bought in orders}
    unanswered = (_deliveries(messages) - answers).elements()
    return [*(f"command {each}" for each in unanswered), *(f"order {each}" for each in orders - counted)]


def differences(installation: Installation, messages: Sequence[Message]) -> list[str]:
    """Everything in events, results and tables that is not as the contract says; nothing, if all is well."""
    events, results, customers = installation.events(), installation.results(), installation.customers()
    of_customer: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        of_customer[event["subject"]].append(event)
    found = [f"doubled event {event_id}" for event_id in _doubled(event["id"] for event in events)]
    found += _wrong_answers(results, _deliveries(messages))
    commands = {value["commandId"]: value for value in _values(messages, "customer.commands")}
    applied = {result["commandId"] for result in results if result["outcome"] == "APPLIED"}
    moved: Counter[str] = Counter()
    for value in (commands[command_id] for command_id in applied):
        sign = {"RedeemPoints": -1, "AdjustPoints": 1}.get(value["commandType"], 0)
        moved[value["customerId"]] += sign * value["data"].get("points", 0)
    for customer, orders in _orders(messages).items():
        wanted = figures(orders)
        found += _wrong_events(customer, of_customer[customer], wanted)
        found += _wrong_row(customer, customers.get(customer, {}), wanted, moved[customer])
        if customers.get(customer, {}).get("sequence") != len(of_customer[customer]):
            found.append(f"sequence in the row of {customer}")
    return found + _wrong_emails(customers, installation.email_owners())


def _wrong_answers(results: Iterable[Mapping[str, Any]], deliveries: Counter[str]) -> list[str]:
    answers: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for result in results:
        answers[result["commandId"]].append(result)
    found = [f"answers to {each}" for each, times in deliveries.items() if len(answers[each]) != times]
    return found + [
        f"another answer to {each}" for each, got in answers.items() if any(a != got[0] for a in got)
    ]


def _wrong_events(customer: str, events: Sequence[Mapping[str, Any]], wanted: Figures) -> list[str]:
    found = []
    if [event["sequence"] for event in events] != [str(number + 1) for number in range(len(events))]:
        found.append(f"sequence of {customer}")
    spending = [event["data"] for event in events if _is_spending(event)]
    if len(spending) != wanted.orders or len({data["orderId"] for data in spending}) != wanted.orders:
        found.append(f"orders counted for {customer}")
    if sum(_cents(data["spendingAmount"]) for data in spending) != wanted.spent_cents:
        found.append(f"spending published for {customer}")
    vips = sum(event["type"] == "CustomerVipUpgradedEvent" for event in events)
    levels = [
        event["data"]["newLevel"] for event in events if event["type"] == "MembershipLevelUpgradedEvent"
    ]
    if vips != wanted.vip or (levels or ["STANDARD"])[-1] != wanted.level:
        found.append(f"levels published for {customer}")
    return found


def _wrong_row(customer: str, row: Mapping[str, Any], wanted: Figures, moved: int) -> list[str]:
    """moved: points by commands, those that were redeemed subtracted."""
    got = Figures(
        row.get("spending", {}).get("USD", {}).get("total", 0),
        row.get("order_count", 0),
        row.get("lifetime_earned", 0),
        row.get("level", "STANDARD"),
        "vip_since" in row,
    )
    found = [] if got == wanted else [f"row of {customer}: {got} instead of {wanted}"]
    if row.get("points", 0) != wanted.earned + moved:
        found.append(f"points of {customer}")
    return found


def _wrong_emails(customers: Mapping[str, Mapping[str, Any]], owners: Sequence[str]) -> list[str]:
    found = [f"claims of {owner}" for owner in _doubled(owners)]
    found += [f"claim without customer {owner}" for owner in set(owners) - set(customers)]
    found += [f"customer without claim {customer}" for customer in set(customers) - set(owners)]
    return found + [f"email {email}" for email in _doubled(row["email"] for row in customers.values())]


def _doubled(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _is_spending(event: Mapping[str, Any]) -> bool:
    return bool(event["type"] == "CustomerSpendingUpdatedEvent")


def _values(messages: Iterable[Message], topic: str) -> list[dict[str, Any]]:
    return [json.loads(message.value) for message in messages if message.topic == topic]


def _deliveries(messages: Iterable[Message]) -> Counter[str]:
    return Counter(value["commandId"] for value in _values(messages, "customer.commands"))


def _orders(messages: Iterable[Message]) -> dict[str, list[Order]]:
    """Per customer, those without orders included."""
    found: dict[str, list[Order]] = defaultdict(list)
    for value in _values(messages, "customer.commands"):
        found[value["customerId"]] = []
    for value in _values(messages, "order.completed"):
        day = date.fromisoformat(value["occurredOn"][:10])
        found[value["customerId"]].append(Order(value["orderId"], _cents(value["totalAmount"]), day))
    return found


def _cents(money: Mapping[str, str]) -> int:
    return int(money["amount"].replace(".", ""))
