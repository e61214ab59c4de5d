"""One customer as the rules make them, in plain values: the registration, orders, payments and returns; commands are
in worker.verify.commands.

Each method that changes the state returns what the contract says is published, as (type, data) pairs.
"""

import hashlib
import uuid
from typing import Any

from worker.verify.command_data import LEVELS
from worker.verify.inputs import Command, Purchase
from worker.verify.rules import History, Order, Rules, RuleSet
from worker.verify.text import amount_text, day_text, instant_text

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "customer-context")

_PREFERENCES = {
    "marketingEmails": False,
    "language": "en-US",
    "currency": "USD",
    "enabledTypes": ["ORDER", "DELIVERY"],
    "enabledChannels": ["EMAIL"],
}

Published = list[tuple[str, dict[str, Any]]]


def id_of(text: str) -> str:
    """UUIDv5 in the contract's namespace."""
    return str(uuid.uuid5(NAMESPACE, text))


def email_hash(email: str) -> str:
    """SHA-256 in hex: the key under which an email is claimed."""
    return hashlib.sha256(email.encode()).hexdigest()


def money(minor: int, currency: str) -> dict[str, str]:
    """Money as it is published."""
    return {"amount": amount_text(minor, currency), "currency": currency}


class Customer:
    """The state of a registered customer. Times in ms since 1970 UTC; amounts in minor units."""

    def __init__(self, command: Command, rules: Rules) -> None:
        """From a valid registration; the address, if any, is the first."""
        given = command.fields or {}
        self.rules = rules
        self.id = command.customer_id
        self.name, self.email, self.phone = given["name"], given["email"], given["phone"]
        self.birth_date = given["birthDate"]
        self.status, self.level = "ACTIVE", "STANDARD"
        self.vip_since: int | None = None
        self.points = self.debt = self.earned = self.redeemed = self.reversed = 0
        self.preferences = {**_PREFERENCES, **given["preferences"]}
        self.addresses: list[dict[str, Any]] = []
        self.payment_methods: list[dict[str, Any]] = []
        self.history = History(rules)
        self.payments: dict[str, Purchase] = {}
        self.returns: dict[str, tuple[Purchase, int]] = {}  # (the return, points reversed)
        self.redemptions: dict[str, tuple[int, int, str | None]] = {}  # (points, issued at, orderId)
        self.created_at = command.issued_at or 0
        self.email_claim: str | None = command.id
        self.erased = False
        self.version = 1

    # -- a registration's events

    def registered(self, command: Command) -> Published:
        """What the registration publishes."""
        created = {
            "customerName": self.name,
            "email": self.email,
            "phone": self.phone,
            "membershipLevel": self.level,
            "status": self.status,
            "preferences": dict(self.preferences),
            "registeredAt": instant_text(self.created_at),
        }
        published: Published = [("CustomerCreatedEvent", created)]
        address = (command.fields or {})["address"]
        if address is not None:
            published += self.add_address(command, address, None, is_default=True)
        return published

    # -- purchases

    def count_order(self, purchase: Purchase) -> Published:
        """An order that had not counted before."""
        order = Order(purchase.occurred_at, purchase.id, purchase.amount, purchase.currency)
        self.history.add(order)
        published: Published = [self._spending(order.amount, order, "PURCHASE"), *self._earn(order)]
        if self.level != "PLATINUM":
            reached, by = self.history.level(order.day)
            if by is not None and LEVELS.index(reached) > LEVELS.index(self.level):
                published += self.upgrade(reached, by)
        if self.vip_since is None or order.at < self.vip_since:
            published += self.check_vip()
        self.version += 1
        return published

    def count_payment(self, payment: Purchase) -> None:
        """A payment that had not counted before; nothing is published."""
        self.payments[payment.id] = payment
        self.version += 1

    def can_take_back(self, back: Purchase) -> bool:
        """Whether its order has counted, in that currency, and so much of it is left."""
        order = self.history.orders.get(back.order_id)
        return (
            order is not None
            and order.currency == back.currency
            and back.amount <= self.history.left(order).amount
        )

    def count_return(self, back: Purchase) -> Published:
        """A return that had not counted before, of an order that can be returned."""
        order = self.history.orders[back.order_id]
        before = self.rules.points(self.history.left(order))
        self.history.take_back(order, back.amount)
        lost = before - self.rules.points(self.history.left(order))
        self.returns[back.id] = back, lost
        self.version += 1
        published: Published = [self._spending(-back.amount, order, "REFUND")]
        if lost:
            self.reversed += lost
            self._balance(-lost)
            reversed_ = {
                "pointsReversed": lost,
                "totalPoints": self.points,
                "debt": self.debt,
                "orderId": order.id,
                "returnId": back.id,
            }
            published.append(("RewardPointsReversedEvent", reversed_))
        return published

    def points_of(self, order: Order) -> tuple[int, str]:
        """What the order earned, and the version of the rules of its day."""
        return self.rules.points(order), self.rules.on(order.day).version

    # -- the end

    def erase(self) -> None:
        """Forget who the customer was; the figures and what they come from stay."""
        self.erased = True
        self.name = self.email = ""
        self.phone = self.birth_date = self.email_claim = None
        self.addresses, self.payment_methods = [], []
        self.preferences = dict(_PREFERENCES)

    # -- parts

    def _spending(self, amount: int, order: Order, spending_type: str) -> tuple[str, dict[str, Any]]:
        currency = order.currency
        data = {
            "spendingAmount": money(amount, currency),
            "totalSpending": money(self.history.net_total(currency), currency),
            "annualSpending": money(self.history.net_annual(currency), currency),
            "orderId": order.id,
            "spendingType": spending_type,
        }
        return "CustomerSpendingUpdatedEvent", data

    def _balance(self, change: int) -> None:
        """Add to the points, or take away; what they cannot give is owed, and what is owed is paid first."""
        worth = self.points - self.debt + change
        self.points, self.debt = max(worth, 0), max(-worth, 0)

    def _earn(self, order: Order) -> Published:
        points, rules = self.rules.points(order), self.rules.on(order.day)
        if points == 0:
            return []
        self._balance(points)
        self.earned += points
        earned = {
            "pointsEarned": points,
            "totalPoints": self.points,
            "debt": self.debt,
            "reason": "ORDER_COMPLETED",
            "orderId": order.id,
            "eligibleAmount": money(self.rules.eligible(order), rules.currency),
            "rulesVersion": rules.version,
        }
        return [("RewardPointsEarnedEvent", earned)]

    def upgrade(self, new: str, by: RuleSet) -> Published:
        old, self.level = self.level, new
        spent = money(self.history.counted(by.currency), by.currency)
        data = {"oldLevel": old, "newLevel": new, "totalSpending": spent, "rulesVersion": by.version}
        return [("MembershipLevelUpgradedEvent", data)]

    def check_vip(self) -> Published:
        window = self.history.vip_window() if self.level == "PLATINUM" else None
        if window is None:
            return []
        was_vip, self.vip_since = self.vip_since is not None, window.filled_at
        if was_vip:
            return []  # a late order may have moved it back, without a second event
        data = {
            "membershipLevel": "PLATINUM",
            "annualSpending": money(window.spent, window.rules.currency),
            "windowStart": day_text(window.first),
            "windowEnd": day_text(window.last),
            "rulesVersion": window.rules.version,
        }
        return [("CustomerVipUpgradedEvent", data)]

    def address(self, address_id: str) -> dict[str, Any] | None:
        return next((known for known in self.addresses if known["id"] == address_id), None)

    def add_address(
        self, command: Command, address: dict[str, str], label: str | None, *, is_default: bool
    ) -> Published:
        address_id = id_of(command.id)
        self.addresses.append({"id": address_id, "address": address, "label": label, "isDefault": False})
        if is_default:
            self.make_default(address_id)
        data = {
            "addressId": address_id,
            "address": address,
            "label": label,
            "isDefault": is_default,
            "totalAddressCount": len(self.addresses),
        }
        return [("DeliveryAddressAddedEvent", data)]

    def make_default(self, address_id: str) -> None:
        self.addresses = [{**known, "isDefault": known["id"] == address_id} for known in self.addresses]
