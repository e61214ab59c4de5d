"""One customer as the rules make them: a command, an order or a payment at a time, in plain values.

Each method returns what the contract says is published, as (type, data) pairs, and changes the state.
"""

import hashlib
import uuid
from typing import Any, NamedTuple

from worker.verify.command_data import LEVELS
from worker.verify.inputs import Command, Purchase
from worker.verify.rules import History, Order, Rules
from worker.verify.text import DAY_MS, amount_text, day_text, instant_text

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "customer-context")
MAX_ADDRESSES = 10
STATE_ONLY = ("SetDefaultDeliveryAddress", "AddPaymentMethod", "RemovePaymentMethod")

_MAY_FOLLOW = {
    "ACTIVE": ("INACTIVE", "SUSPENDED"),
    "INACTIVE": ("ACTIVE", "SUSPENDED"),
    "SUSPENDED": ("ACTIVE",),
}
_PREFERENCES = {
    "marketingEmails": False,
    "language": "en-US",
    "currency": "USD",
    "enabledTypes": ["ORDER", "DELIVERY"],
    "enabledChannels": ["EMAIL"],
}

Published = list[tuple[str, dict[str, Any]]]


class Outcome(NamedTuple):
    """What a command leads to. code: None when applied; changes: whether the state (and the version) changes."""

    code: str | None
    published: Published
    changes: bool


_ALREADY_TRUE = Outcome(None, [], changes=False)


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
        self._rules = rules
        self.id = command.customer_id
        self.name, self.email, self.phone = given["name"], given["email"], given["phone"]
        self.birth_date = given["birthDate"]
        self.status, self.level = "ACTIVE", "STANDARD"
        self.vip_since: int | None = None
        self.points = self.earned = self.redeemed = 0
        self.preferences = {**_PREFERENCES, **given["preferences"]}
        self.addresses: list[dict[str, Any]] = []
        self.payment_methods: list[dict[str, Any]] = []
        self.history = History()
        self.payments: dict[str, Purchase] = {}
        self.redemptions: dict[str, tuple[int, int, str | None]] = {}  # (points, issued at, orderId)
        self.created_at = command.issued_at or 0
        self.email_claim = command.id
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
            published += self._add_address(command, address, None, is_default=True)
        return published

    # -- commands

    def try_command(self, command: Command, *, commit: bool, granted: bool = True) -> Outcome:
        """The outcome of a valid command whose expectedVersion was right. commit: whether to change the state.

        granted: whether the email, if this changes it, was free.
        """
        given = dict(command.fields or {})
        decide = getattr(self, f"_{_snake(command.kind)}")
        outcome: Outcome = decide(command, given, commit, granted)
        if commit and outcome.changes:
            self.version += 1
        return outcome

    def _update_profile(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        fields = ("name", "email", "phone")
        changed = [field for field in fields if given[field] != getattr(self, field)]
        if not changed:
            return _ALREADY_TRUE
        if "email" in changed and not granted:
            return _rejected("CUSTOMER_EMAIL_EXISTS")
        if commit:
            self.name, self.email, self.phone = (given[field] for field in fields)
            if "email" in changed:
                self.email_claim = command.id
        return _applied(
            "CustomerProfileUpdatedEvent",
            newName=given["name"],
            newEmail=given["email"],
            newPhone=given["phone"],
            changedFields=changed,
        )

    def _change_status(self, command: Command, given: dict[str, Any], commit: bool, granted: bool) -> Outcome:
        old, new = self.status, given["newStatus"]
        if old == new:
            return _ALREADY_TRUE
        if new not in _MAY_FOLLOW[old]:
            return _rejected("STATUS_TRANSITION_NOT_ALLOWED")
        if commit:
            self.status = new
        return _applied("CustomerStatusChangedEvent", oldStatus=old, newStatus=new, reason=given["reason"])

    def _update_preferences(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        old = self.preferences
        new = {**old, **given["preferences"]}
        if old == new:
            return _ALREADY_TRUE
        if commit:
            self.preferences = new
        return _applied("NotificationPreferencesUpdatedEvent", oldPreferences=old, newPreferences=new)

    def _add_delivery_address(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        if any(known["id"] == id_of(command.id) for known in self.addresses):
            return _ALREADY_TRUE
        if any(known["address"] == given["address"] for known in self.addresses):
            return _rejected("ADDRESS_EXISTS")
        if len(self.addresses) >= MAX_ADDRESSES:
            return _rejected("ADDRESS_LIMIT_REACHED")
        before = [dict(known) for known in self.addresses]
        is_default = given["isDefault"] or not self.addresses
        published = self._add_address(command, given["address"], given["label"], is_default=is_default)
        if not commit:
            self.addresses = before
        return Outcome(None, published, changes=True)

    def _remove_delivery_address(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        removed = self._address(given["addressId"])
        if removed is None:
            return _rejected("ADDRESS_NOT_FOUND")
        left = [dict(known) for known in self.addresses if known is not removed]
        new_default = left[0]["id"] if left and removed["isDefault"] else None
        if new_default is not None:
            left[0]["isDefault"] = True
        if commit:
            self.addresses = left
        return _applied(
            "DeliveryAddressRemovedEvent",
            addressId=removed["id"],
            removedAddress=removed["address"],
            remainingAddressCount=len(left),
            newDefaultAddressId=new_default,
        )

    def _set_default_delivery_address(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        chosen = self._address(given["addressId"])
        if chosen is None:
            return _rejected("ADDRESS_NOT_FOUND")
        if chosen["isDefault"]:
            return _ALREADY_TRUE
        if commit:
            self._make_default(chosen["id"])
        return Outcome(None, [], changes=True)

    def _add_payment_method(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        if any(known["id"] == id_of(command.id) for known in self.payment_methods):
            return _ALREADY_TRUE
        if commit:
            self.payment_methods.append({"id": id_of(command.id), **given})
        return Outcome(None, [], changes=True)

    def _remove_payment_method(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        left = [known for known in self.payment_methods if known["id"] != given["paymentMethodId"]]
        if len(left) == len(self.payment_methods):
            return _rejected("PAYMENT_METHOD_NOT_FOUND")
        if commit:
            self.payment_methods = left
        return Outcome(None, [], changes=True)

    def _redeem_points(self, command: Command, given: dict[str, Any], commit: bool, granted: bool) -> Outcome:
        redemption, points = given["redemptionId"], given["points"]
        if redemption in self.redemptions:
            same = self.redemptions[redemption][0] == points
            return _ALREADY_TRUE if same else _rejected("IDEMPOTENCY_CONFLICT")
        if self.status != "ACTIVE":
            return _rejected("CUSTOMER_NOT_ACTIVE")
        if points > self.points:
            return _rejected("INSUFFICIENT_POINTS")
        remaining = self.points - points
        if commit:
            self.points, self.redeemed = remaining, self.redeemed + points
            self.redemptions[redemption] = points, command.issued_at or 0, given["orderId"]
        return _applied(
            "RewardPointsRedeemedEvent",
            pointsRedeemed=points,
            remainingPoints=remaining,
            reason=given["reason"],
            redemptionId=redemption,
            orderId=given["orderId"],
        )

    def _upgrade_membership(
        self, command: Command, given: dict[str, Any], commit: bool, granted: bool
    ) -> Outcome:
        old, new = self.level, given["newLevel"]
        if old == new:
            return _ALREADY_TRUE
        if LEVELS.index(new) < LEVELS.index(old):
            return _rejected("MEMBERSHIP_DOWNGRADE_NOT_ALLOWED")
        rules = self._rules.on((command.issued_at or 0) // DAY_MS)
        before = self.level, self.vip_since
        spent = self.history.total(rules.currency)
        published = self._upgrade(new, money(spent, rules.currency), rules.version) + self._check_vip()
        if not commit:
            self.level, self.vip_since = before
        return Outcome(None, published, changes=True)

    # -- purchases

    def count_order(self, purchase: Purchase) -> Published:
        """An order that had not counted before."""
        order = Order(purchase.occurred_at, purchase.id, purchase.amount, purchase.currency)
        self.history.add(order)
        currency = order.currency
        spent = money(self.history.total(currency), currency)
        spending = {
            "spendingAmount": money(order.amount, currency),
            "totalSpending": spent,
            "annualSpending": money(self.history.annual(currency), currency),
            "orderId": order.id,
            "spendingType": "PURCHASE",
        }
        published: Published = [("CustomerSpendingUpdatedEvent", spending)]
        published += self._earn(order)
        if self.level != "PLATINUM":
            reached, by = self.history.level(self._rules, order.day)
            if by is not None and LEVELS.index(reached) > LEVELS.index(self.level):
                published += self._upgrade(reached, spent, by.version)
        if self.vip_since is None or order.at < self.vip_since:
            published += self._check_vip()
        self.version += 1
        return published

    def count_payment(self, payment: Purchase) -> None:
        """A payment that had not counted before; nothing is published."""
        self.payments[payment.id] = payment
        self.version += 1

    def points_of(self, order: Order) -> tuple[int, str]:
        """What the order earned, and the version of the rules of its day."""
        return self._rules.points(order), self._rules.on(order.day).version

    # -- parts

    def _earn(self, order: Order) -> Published:
        points = self._rules.points(order)
        if points == 0:
            return []
        self.points += points
        self.earned += points
        earned = {
            "pointsEarned": points,
            "totalPoints": self.points,
            "debt": 0,
            "reason": "ORDER_COMPLETED",
            "orderId": order.id,
            "eligibleAmount": money(order.amount, order.currency),
            "rulesVersion": self._rules.on(order.day).version,
        }
        return [("RewardPointsEarnedEvent", earned)]

    def _upgrade(self, new: str, spent: dict[str, str], rules_version: str) -> Published:
        old, self.level = self.level, new
        data = {"oldLevel": old, "newLevel": new, "totalSpending": spent, "rulesVersion": rules_version}
        return [("MembershipLevelUpgradedEvent", data)]

    def _check_vip(self) -> Published:
        window = self.history.vip_window(self._rules) if self.level == "PLATINUM" else None
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

    def _address(self, address_id: str) -> dict[str, Any] | None:
        return next((known for known in self.addresses if known["id"] == address_id), None)

    def _add_address(
        self, command: Command, address: dict[str, str], label: str | None, *, is_default: bool
    ) -> Published:
        address_id = id_of(command.id)
        self.addresses.append({"id": address_id, "address": address, "label": label, "isDefault": False})
        if is_default:
            self._make_default(address_id)
        data = {
            "addressId": address_id,
            "address": address,
            "label": label,
            "isDefault": is_default,
            "totalAddressCount": len(self.addresses),
        }
        return [("DeliveryAddressAddedEvent", data)]

    def _make_default(self, address_id: str) -> None:
        self.addresses = [{**known, "isDefault": known["id"] == address_id} for known in self.addresses]


def _snake(kind: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in kind).lstrip("_")


def _applied(type_name: str, **data: Any) -> Outcome:
    return Outcome(None, [(type_name, data)], changes=True)


def _rejected(code: str) -> Outcome:
    return Outcome(code, [], changes=False)
