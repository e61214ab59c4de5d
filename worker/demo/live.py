"""Live traffic: a few customers of today who register, buy, pay, move and redeem, one action at a time.

Some redemptions are cancelled, and some points are adjusted, as support does.
"""

import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from worker.demo import messages
from worker.demo.messages import Message
from worker.demo.people import name_of
from worker.kafka.topics import Catalogue, Topic

_MOST_CUSTOMERS = 25
_MOST_CENTS = 45_000
_STREETS = ("Harbour Street", "Mill Lane", "Station Road", "Church Walk", "Orchard Close")
_CITIES = (
    ("Utrecht", "3511 AB", "NL"),
    ("Porto", "4000-069", "PT"),
    ("Graz", "8010", "AT"),
    ("Lyon", "69001", "FR"),
)


Action = tuple[tuple[Topic, Message], ...]
"""Messages to send together, each with its topic."""


class LiveTraffic:
    """An endless source of actions. Ids are new in every run, so no run repeats another's."""

    def __init__(self, topics: Catalogue, chance: random.Random) -> None:
        self._topics = topics
        self._chance = chance
        self._customers: list[str] = []
        self._redemptions: dict[str, str] = {}  # customerId → the latest redemption

    def next(self) -> Action:
        """The next action; the first one registers a customer."""
        chance = self._chance
        new = len(self._customers) < _MOST_CUSTOMERS and chance.random() < 0.25
        if new or not self._customers:
            return self._register()
        customer = chance.choice(self._customers)
        kinds = (self._buy, self._move, self._redeem, self._cancel, self._adjust, self._choose)
        kind = chance.choices(kinds, (16, 2, 2, 1, 1, 2))[0]
        return kind(customer)

    def _register(self) -> Action:
        number = self._chance.randrange(2_500)
        customer = f"live-{_new_id()[:8]}"
        self._customers.append(customer)
        data = {"name": name_of(number), "email": f"{customer}@example.com"}
        return self._command("RegisterCustomer", customer, data)

    def _buy(self, customer: str) -> Action:
        amount, order = f"{self._chance.randrange(500, _MOST_CENTS) / 100:.2f}", _new_id()
        bought = messages.order_completed(_new_id(), order, customer, amount, _now())
        paid = messages.payment_completed(_new_id(), _new_id(), order, customer, amount, _now())
        return ((self._topics.orders, bought), (self._topics.payments, paid))

    def _move(self, customer: str) -> Action:
        city, zip_code, country = self._chance.choice(_CITIES)
        street = f"{self._chance.choice(_STREETS)} {self._chance.randrange(1, 200)}"
        data = {"street": street, "city": city, "zipCode": zip_code, "country": country}
        return self._command("AddDeliveryAddress", customer, data)

    def _redeem(self, customer: str) -> Action:
        redemption = self._redemptions[customer] = _new_id()
        data = {"points": self._chance.randrange(1, 6), "reason": "voucher", "redemptionId": redemption}
        return self._command("RedeemPoints", customer, data)

    def _cancel(self, customer: str) -> Action:
        redemption = self._redemptions.pop(customer, None)
        if redemption is None:
            return self._redeem(customer)
        data = {"redemptionId": redemption, "reason": "the order failed"}
        return self._command("CancelRedemption", customer, data)

    def _adjust(self, customer: str) -> Action:
        points = self._chance.choice((-2, 5, 10))
        data = {"points": points, "reason": "goodwill of support", "adjustmentId": _new_id()}
        return self._command("AdjustPoints", customer, data)

    def _choose(self, customer: str) -> Action:
        return self._command("UpdatePreferences", customer, {"marketingEmails": self._chance.random() < 0.5})

    def _command(self, command_type: str, customer: str, data: Mapping[str, object]) -> Action:
        message = messages.command(_new_id(), command_type, customer, _now(), data)
        return ((self._topics.commands, message),)


def _new_id() -> str:
    return str(uuid.uuid4())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
