"""Delivery addresses: at most ten, no exact duplicate, and exactly one default unless there is none."""

from worker.domain.events import (
    DefaultDeliveryAddressSet,
    DeliveryAddressAdded,
    DeliveryAddressRemoved,
    Event,
)
from worker.domain.ids import derived_id
from worker.domain.messages import AddDeliveryAddress, RemoveDeliveryAddress, SetDefaultDeliveryAddress
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.state import Customer
from worker.domain.values import DeliveryAddress

MAX_ADDRESSES = 10


def add_address(customer: Customer, command: AddDeliveryAddress) -> tuple[Event, ...]:
    """Add an address; () when this command added it before. The first address always becomes the default.

    Raises:
        Rejected: ADDRESS_EXISTS for an equal address, ADDRESS_LIMIT_REACHED for an eleventh.
    """
    address_id = derived_id(command.command_id)
    for known in customer.addresses:
        if known.id == address_id:
            return ()  # the same command, delivered again after its result was forgotten
        if known.address == command.address:
            raise Rejected(RejectionCode.ADDRESS_EXISTS, f"as {known.id}")
    if len(customer.addresses) >= MAX_ADDRESSES:
        raise Rejected(RejectionCode.ADDRESS_LIMIT_REACHED, f"at most {MAX_ADDRESSES}")
    is_default = command.is_default or not customer.addresses
    added = DeliveryAddress(address_id, command.address, command.label, is_default)
    return (DeliveryAddressAdded(added, total_count=len(customer.addresses) + 1),)


def remove_address(customer: Customer, command: RemoveDeliveryAddress) -> tuple[Event, ...]:
    """Remove an address. When it was the default, the first of the remaining addresses becomes the default.

    Raises:
        Rejected: ADDRESS_NOT_FOUND.
    """
    removed = _find(customer, command.address_id)
    left = [address for address in customer.addresses if address is not removed]
    new_default = left[0].id if left and removed.is_default else None
    return (DeliveryAddressRemoved(removed.id, removed.address, len(left), new_default),)


def set_default_address(customer: Customer, command: SetDefaultDeliveryAddress) -> tuple[Event, ...]:
    """Make an address the default; () when it is. Raises Rejected ADDRESS_NOT_FOUND."""
    if _find(customer, command.address_id).is_default:
        return ()
    return (DefaultDeliveryAddressSet(command.address_id),)


def _find(customer: Customer, address_id: str) -> DeliveryAddress:
    for address in customer.addresses:
        if address.id == address_id:
            return address
    raise Rejected(RejectionCode.ADDRESS_NOT_FOUND)
