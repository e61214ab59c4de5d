"""Commands. The checks come in the contract's order: exists or erased, expectedVersion, already true, the rule.

Whether an email is free is not decided here, but by the partition that owns the email. `claimed_email` tells which
email must be claimed before the events may be applied.
"""

from typing import assert_never

from worker.domain.decide.addresses import add_address, remove_address, set_default_address
from worker.domain.decide.levels import upgrade_membership
from worker.domain.decide.payments import add_payment_method, remove_payment_method
from worker.domain.decide.points import adjust_points, cancel_redemption, redeem_points
from worker.domain.decide.profile import change_status, erase, register, update_preferences, update_profile
from worker.domain.events import Event
from worker.domain.messages import (
    AddDeliveryAddress,
    AddPaymentMethod,
    AdjustPoints,
    AnyCommand,
    CancelRedemption,
    ChangeStatus,
    EraseCustomer,
    RedeemPoints,
    RegisterCustomer,
    RemoveDeliveryAddress,
    RemovePaymentMethod,
    SetDefaultDeliveryAddress,
    UpdatePreferences,
    UpdateProfile,
    UpgradeMembership,
)
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.rules import RuleBook
from worker.domain.state import Customer, Ledger


def decide(
    customer: Customer | None, command: AnyCommand, rules: RuleBook, ledger: Ledger
) -> tuple[Event, ...]:
    """The events that the command causes; () when its outcome is already true. Raises Rejected."""
    if customer is not None and customer.erased:
        raise Rejected(RejectionCode.CUSTOMER_ERASED)
    if isinstance(command, RegisterCustomer):
        if customer is not None:
            raise Rejected(RejectionCode.CUSTOMER_ALREADY_EXISTS)
        _check_version(command.expected_version, 0)
        return register(command)
    if customer is None:
        raise Rejected(RejectionCode.CUSTOMER_NOT_FOUND)
    _check_version(command.expected_version, customer.version)
    return _change(customer, command, rules, ledger)


def claimed_email(customer: Customer | None, command: AnyCommand) -> str | None:
    """The email to claim before the command's events may be applied, or None. Call it before they are applied."""
    if isinstance(command, RegisterCustomer):
        return command.email if customer is None else None
    if isinstance(command, UpdateProfile) and customer is not None and command.email != customer.email:
        return command.email
    return None


def released_email(customer: Customer | None, command: AnyCommand) -> str | None:
    """The email to release once the command's events are applied, or None. Call it before they are applied."""
    if customer is None or customer.erased:
        return None
    if isinstance(command, EraseCustomer):
        return customer.email
    if isinstance(command, UpdateProfile) and command.email != customer.email:
        return customer.email
    return None


def _check_version(expected: int | None, actual: int) -> None:
    if expected is not None and expected != actual:
        raise Rejected(
            RejectionCode.VERSION_CONFLICT, f"expected version {expected}, the version is {actual}"
        )


def _change(customer: Customer, command: AnyCommand, rules: RuleBook, ledger: Ledger) -> tuple[Event, ...]:
    match command:
        case RegisterCustomer():
            raise ValueError("a registration does not change a customer")
        case UpdateProfile():
            return update_profile(customer, command)
        case ChangeStatus():
            return change_status(customer, command)
        case AddDeliveryAddress():
            return add_address(customer, command)
        case RemoveDeliveryAddress():
            return remove_address(customer, command)
        case SetDefaultDeliveryAddress():
            return set_default_address(customer, command)
        case UpdatePreferences():
            return update_preferences(customer, command)
        case AddPaymentMethod():
            return add_payment_method(customer, command)
        case RemovePaymentMethod():
            return remove_payment_method(customer, command)
        case RedeemPoints():
            return redeem_points(customer, command, ledger)
        case CancelRedemption():
            return cancel_redemption(customer, command, ledger)
        case AdjustPoints():
            return adjust_points(customer, command, ledger)
        case UpgradeMembership():
            return upgrade_membership(customer, command, rules, ledger)
        case EraseCustomer():
            return erase(command)
        case _:
            assert_never(command)
