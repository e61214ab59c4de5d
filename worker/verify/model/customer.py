"""One customer, recomputed in plain values from the registration, orders, payments and returns.

Other commands are in worker.verify.model.commands. Each method that publishes returns the events that the contract
asks for, as (type, data) pairs.
"""

import hashlib
import uuid
from typing import Any

from worker.verify.model.rules import History, Order, Rules, RuleSet
from worker.verify.reading.command_data import LEVELS
from worker.verify.reading.inputs import Command, Purchase
from worker.verify.reading.text import amount_text, day_text, instant_text

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
    """The UUIDv5 of the text in the contract's namespace."""
    return str(uuid.uuid5(NAMESPACE, text))


def email_hash(email: str) -> str:
    """The key of an email claim: SHA-256 of the email, in hex."""
    return hashlib.sha256(email.encode()).hexdigest()


def money(minor: int, currency: str) -> dict[str, str]:
    """Money in the format of published events. minor: minor units."""
    return {"amount": amount_text(minor, currency), "currency": currency}


class Customer:
    """The state of a registered customer. Times in ms since 1970 UTC; amounts in minor units."""

    def __init__(self, command: Command, rules: Rules) -> None:
        """Create the customer of a valid registration. `registered` adds the address, if there is one."""
        given = command.fields or {}
        self.rules = rules
        self.id = command.customer_id
        self.name, self.email, self.phone = given["name"], given["email"], given["phone"]
        self.birth_date = given["birthDate"]
        self.status, self.level = "ACTIVE", "STANDARD"
        self.vip_since: int | None = None
        self.points = self.debt = self.earned = self.redeemed = self.reversed = 0
        self.restored = self.adjusted = 0
        self.preferences = {**_PREFERENCES, **given["preferences"]}
        self.addresses: list[dict[str, Any]] = []
        self.payment_methods: list[dict[str, Any]] = []
        self.history = History(rules)
        self.payments: dict[str, Purchase] = {}
        self.returns: dict[str, tuple[Purchase, int]] = {}  # (the return, points reversed)
        self.redemptions: dict[str, tuple[int, int, str | None]] = {}  # (points, issued at, orderId)
        self.cancelled: dict[str, int] = {}  # redemptionId -> when the cancellation was issued
        self.adjustments: dict[str, tuple[int, int]] = {}  # (points, issued at)
        self.created_at = command.issued_at or 0
        self.email_claim: str | None = command.id
        self.erased = False
        self.version = 1
        self.upgraded: list[Any] = []  # the last upgrade: old and new level, total and currency, rules
        self.window: list[
            Any
        ] = []  # the window that made a VIP: first and last day, spent and currency, rules

    # -- a registration's events

    def registered(self, command: Command) -> Published:
        """The events of the registration. Adds the registration's address as the default address, if there is one."""
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
        """Count an order. The caller makes sure that it has not counted before."""
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
        """Count a payment; publishes nothing. The caller makes sure that it has not counted before."""
        self.payments[payment.id] = payment
        self.version += 1

    def can_take_back(self, back: Purchase) -> bool:
        """Whether the return's order has counted in the same currency, and enough of its amount is left."""
        order = self.history.orders.get(back.order_id)
        return (
            order is not None
            and order.currency == back.currency
            and back.amount <= self.history.left(order).amount
        )

    def count_return(self, back: Purchase) -> Published:
        """Count a return. The caller makes sure that it has not counted before and that `can_take_back` holds."""
        order = self.history.orders[back.order_id]
        before = self.rules.points(self.history.left(order))
        self.history.take_back(order, back.amount)
        lost = before - self.rules.points(self.history.left(order))
        self.returns[back.id] = back, lost
        self.version += 1
        published: Published = [self._spending(-back.amount, order, "REFUND")]
        if lost:
            self.reversed += lost
            self.points, self.debt = self.balanced(-lost)
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
        """The points that the whole order earns, and the version of the rules on the order's day."""
        return self.rules.points(order), self.rules.on(order.day).version

    # -- the end

    def erase(self) -> None:
        """Delete personal data. Totals stay, and so do the orders, payments and returns behind them."""
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

    def balanced(self, change: int) -> tuple[int, int]:
        """Points and debt after a change. A missing amount becomes debt; new points pay the debt first."""
        worth = self.points - self.debt + change
        return max(worth, 0), max(-worth, 0)

    def _earn(self, order: Order) -> Published:
        points, rules = self.rules.points(order), self.rules.on(order.day)
        if points == 0:
            return []
        self.points, self.debt = self.balanced(points)
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
        """Set a level and return its event. by: the rules that gave it."""
        old, self.level = self.level, new
        total = self.history.counted(by.currency)
        self.upgraded = [old, new, total, by.currency, by.version]
        spent = money(total, by.currency)
        data = {"oldLevel": old, "newLevel": new, "totalSpending": spent, "rulesVersion": by.version}
        return [("MembershipLevelUpgradedEvent", data)]

    def check_vip(self) -> Published:
        """Set or correct vip_since for a PLATINUM customer with a full VIP window. Only the first time publishes."""
        window = self.history.vip_window() if self.level == "PLATINUM" else None
        if window is None:
            return []
        was_vip, self.vip_since = self.vip_since is not None, window.filled_at
        if was_vip:
            return []  # a late order may make the customer a VIP earlier; that publishes no second event
        rules = window.rules
        self.window = [window.first, window.last, window.spent, rules.currency, rules.version]
        data = {
            "membershipLevel": "PLATINUM",
            "annualSpending": money(window.spent, window.rules.currency),
            "windowStart": day_text(window.first),
            "windowEnd": day_text(window.last),
            "rulesVersion": window.rules.version,
        }
        return [("CustomerVipUpgradedEvent", data)]

    def address(self, address_id: str) -> dict[str, Any] | None:
        """The saved address with this id; None when the customer has none."""
        return next((known for known in self.addresses if known["id"] == address_id), None)

    def add_address(
        self, command: Command, address: dict[str, str], label: str | None, *, is_default: bool
    ) -> Published:
        """Add an address and return its event. Its id is derived from the command's id."""
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
        """Make this address the only default."""
        self.addresses = [{**known, "isDefault": known["id"] == address_id} for known in self.addresses]
