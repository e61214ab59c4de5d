"""What each kind of command does to a customer. The checks run in the contract's order."""

from typing import Any, NamedTuple

from worker.verify.model.customer import Customer, Published, id_of
from worker.verify.reading.command_data import LEVELS
from worker.verify.reading.inputs import Command
from worker.verify.reading.text import DAY_MS

MAX_ADDRESSES = 10
MAX_PAYMENT_METHODS = 20
STATE_ONLY = ("SetDefaultDeliveryAddress", "AddPaymentMethod", "RemovePaymentMethod")

_MAY_FOLLOW = {
    "ACTIVE": ("INACTIVE", "SUSPENDED"),
    "INACTIVE": ("ACTIVE", "SUSPENDED"),
    "SUSPENDED": ("ACTIVE",),
}


class Outcome(NamedTuple):
    """What a command leads to.

    Attributes:
        code: the rejection code; None when the command is applied.
        published: the events to publish, as (type, data).
        changes: whether the state and the version change.
    """

    code: str | None
    published: Published
    changes: bool


_ALREADY_TRUE = Outcome(None, [], changes=False)


def try_command(customer: Customer, command: Command, *, commit: bool, granted: bool = True) -> Outcome:
    """The outcome of a valid command with the right expectedVersion.

    Args:
        customer: the registered customer.
        command: any kind but RegisterCustomer.
        commit: whether to change the customer's state.
        granted: whether the new email was free. Only matters when the command changes the email.
    """
    given = dict(command.fields or {})
    outcome = _KINDS[command.kind](customer, command, given, commit, granted)
    if commit and outcome.changes:
        customer.version += 1
    return outcome


def _update_profile(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    fields = ("name", "email", "phone")
    changed = [field for field in fields if given[field] != getattr(customer, field)]
    if not changed:
        return _ALREADY_TRUE
    if "email" in changed and not granted:
        return _rejected("CUSTOMER_EMAIL_EXISTS")
    if commit:
        customer.name, customer.email, customer.phone = (given[field] for field in fields)
        if "email" in changed:
            customer.email_claim = command.id
    return _applied(
        "CustomerProfileUpdatedEvent",
        newName=given["name"],
        newEmail=given["email"],
        newPhone=given["phone"],
        changedFields=changed,
    )


def _change_status(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    old, new = customer.status, given["newStatus"]
    if old == new:
        return _ALREADY_TRUE
    if new not in _MAY_FOLLOW[old]:
        return _rejected("STATUS_TRANSITION_NOT_ALLOWED")
    if commit:
        customer.status = new
    return _applied("CustomerStatusChangedEvent", oldStatus=old, newStatus=new, reason=given["reason"])


def _update_preferences(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    old = customer.preferences
    new = {**old, **given["preferences"]}
    if old == new:
        return _ALREADY_TRUE
    if commit:
        customer.preferences = new
    return _applied("NotificationPreferencesUpdatedEvent", oldPreferences=old, newPreferences=new)


def _add_delivery_address(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    if any(known["id"] == id_of(command.id) for known in customer.addresses):
        return _ALREADY_TRUE
    if any(known["address"] == given["address"] for known in customer.addresses):
        return _rejected("ADDRESS_EXISTS")
    if len(customer.addresses) >= MAX_ADDRESSES:
        return _rejected("ADDRESS_LIMIT_REACHED")
    before = [dict(known) for known in customer.addresses]
    is_default = given["isDefault"] or not customer.addresses
    published = customer.add_address(command, given["address"], given["label"], is_default=is_default)
    if not commit:
        customer.addresses = before
    return Outcome(None, published, changes=True)


def _remove_delivery_address(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    removed = customer.address(given["addressId"])
    if removed is None:
        return _rejected("ADDRESS_NOT_FOUND")
    left = [dict(known) for known in customer.addresses if known is not removed]
    new_default = left[0]["id"] if left and removed["isDefault"] else None
    if new_default is not None:
        left[0]["isDefault"] = True
    if commit:
        customer.addresses = left
    return _applied(
        "DeliveryAddressRemovedEvent",
        addressId=removed["id"],
        removedAddress=removed["address"],
        remainingAddressCount=len(left),
        newDefaultAddressId=new_default,
    )


def _set_default_delivery_address(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    chosen = customer.address(given["addressId"])
    if chosen is None:
        return _rejected("ADDRESS_NOT_FOUND")
    if chosen["isDefault"]:
        return _ALREADY_TRUE
    if commit:
        customer.make_default(chosen["id"])
    return Outcome(None, [], changes=True)


def _add_payment_method(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    if any(known["id"] == id_of(command.id) for known in customer.payment_methods):
        return _ALREADY_TRUE
    if len(customer.payment_methods) >= MAX_PAYMENT_METHODS:
        return _rejected("PAYMENT_METHOD_LIMIT_REACHED")
    if commit:
        customer.payment_methods.append({"id": id_of(command.id), **given})
    return Outcome(None, [], changes=True)


def _remove_payment_method(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    left = [known for known in customer.payment_methods if known["id"] != given["paymentMethodId"]]
    if len(left) == len(customer.payment_methods):
        return _rejected("PAYMENT_METHOD_NOT_FOUND")
    if commit:
        customer.payment_methods = left
    return Outcome(None, [], changes=True)


def _redeem_points(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    redemption, points = given["redemptionId"], given["points"]
    if redemption in customer.redemptions:
        same = customer.redemptions[redemption][0] == points and redemption not in customer.cancelled
        return _ALREADY_TRUE if same else _rejected("IDEMPOTENCY_CONFLICT")
    if customer.status != "ACTIVE":
        return _rejected("CUSTOMER_NOT_ACTIVE")
    if points > customer.points:
        return _rejected("INSUFFICIENT_POINTS")
    remaining = customer.points - points
    if commit:
        customer.points, customer.redeemed = remaining, customer.redeemed + points
        customer.redemptions[redemption] = points, command.issued_at or 0, given["orderId"]
    return _applied(
        "RewardPointsRedeemedEvent",
        pointsRedeemed=points,
        remainingPoints=remaining,
        reason=given["reason"],
        redemptionId=redemption,
        orderId=given["orderId"],
    )


def _cancel_redemption(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    redemption = given["redemptionId"]
    if redemption in customer.cancelled:
        return _ALREADY_TRUE
    if redemption not in customer.redemptions:
        return _rejected("REDEMPTION_NOT_FOUND")
    points, _, _ = customer.redemptions[redemption]
    balance, debt = customer.balanced(points)
    if commit:
        customer.points, customer.debt = balance, debt
        customer.restored += points
        customer.cancelled[redemption] = command.issued_at or 0
    return _applied(
        "RewardPointsRestoredEvent",
        pointsRestored=points,
        totalPoints=balance,
        debt=debt,
        reason=given["reason"],
        redemptionId=redemption,
    )


def _adjust_points(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    adjustment, points = given["adjustmentId"], given["points"]
    if adjustment in customer.adjustments:
        same = customer.adjustments[adjustment][0] == points
        return _ALREADY_TRUE if same else _rejected("IDEMPOTENCY_CONFLICT")
    if -points > customer.points:
        return _rejected("INSUFFICIENT_POINTS")
    balance, debt = customer.balanced(points)
    if commit:
        customer.points, customer.debt = balance, debt
        customer.adjusted += points
        customer.adjustments[adjustment] = points, command.issued_at or 0
    return _applied(
        "RewardPointsAdjustedEvent",
        points=points,
        totalPoints=balance,
        debt=debt,
        reason=given["reason"],
        adjustmentId=adjustment,
    )


def _upgrade_membership(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    old, new = customer.level, given["newLevel"]
    if old == new:
        return _ALREADY_TRUE
    if LEVELS.index(new) < LEVELS.index(old):
        return _rejected("MEMBERSHIP_DOWNGRADE_NOT_ALLOWED")
    rules = customer.rules.on((command.issued_at or 0) // DAY_MS)
    before = customer.level, customer.vip_since
    published = customer.upgrade(new, rules) + customer.check_vip()
    if not commit:
        customer.level, customer.vip_since = before
    return Outcome(None, published, changes=True)


def _erase(
    customer: Customer, command: Command, given: dict[str, Any], commit: bool, granted: bool
) -> Outcome:
    if commit:
        customer.erase()
    return _applied("CustomerErasedEvent", reason=given["reason"])


def _applied(type_name: str, **data: Any) -> Outcome:
    return Outcome(None, [(type_name, data)], changes=True)


def _rejected(code: str) -> Outcome:
    return Outcome(code, [], changes=False)


_KINDS = {
    "UpdateProfile": _update_profile,
    "ChangeStatus": _change_status,
    "UpdatePreferences": _update_preferences,
    "AddDeliveryAddress": _add_delivery_address,
    "RemoveDeliveryAddress": _remove_delivery_address,
    "SetDefaultDeliveryAddress": _set_default_delivery_address,
    "AddPaymentMethod": _add_payment_method,
    "RemovePaymentMethod": _remove_payment_method,
    "RedeemPoints": _redeem_points,
    "CancelRedemption": _cancel_redemption,
    "AdjustPoints": _adjust_points,
    "UpgradeMembership": _upgrade_membership,
    "EraseCustomer": _erase,
}
