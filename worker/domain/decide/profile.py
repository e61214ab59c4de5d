"""Personal data of a customer: registration, profile, status, preferences and erasure."""

from worker.domain.events import (
    CustomerCreated,
    CustomerErased,
    CustomerProfileUpdated,
    CustomerStatusChanged,
    DeliveryAddressAdded,
    Event,
    NotificationPreferencesUpdated,
)
from worker.domain.ids import derived_id
from worker.domain.messages import (
    ChangeStatus,
    EraseCustomer,
    RegisterCustomer,
    UpdatePreferences,
    UpdateProfile,
)
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.state import Customer
from worker.domain.values import (
    CustomerStatus,
    DeliveryAddress,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    Preferences,
    PreferencesPatch,
)

_TRANSITIONS = {
    CustomerStatus.ACTIVE: (CustomerStatus.INACTIVE, CustomerStatus.SUSPENDED),
    CustomerStatus.INACTIVE: (CustomerStatus.ACTIVE, CustomerStatus.SUSPENDED),
    CustomerStatus.SUSPENDED: (CustomerStatus.ACTIVE,),
}


def register(command: RegisterCustomer) -> tuple[Event, ...]:
    """The events of a registration. They hold only once the email has been claimed."""
    created = CustomerCreated(
        name=command.name,
        email=command.email,
        phone=command.phone,
        birth_date=command.birth_date,
        level=MembershipLevel.STANDARD,
        status=CustomerStatus.ACTIVE,
        preferences=_patched(Preferences(), command.preferences),
        registered_at=command.issued_at,
        customer_id=command.customer_id,
    )
    if command.address is None:
        return (created,)
    address = DeliveryAddress(derived_id(command.command_id), command.address, is_default=True)
    return (created, DeliveryAddressAdded(address, total_count=1))


def update_profile(customer: Customer, command: UpdateProfile) -> tuple[Event, ...]:
    """The change of profile; () when nothing differs. A new email holds only once it has been claimed."""
    changed = tuple(
        field for field in ("name", "email", "phone") if getattr(command, field) != getattr(customer, field)
    )
    if not changed:
        return ()
    return (CustomerProfileUpdated(command.name, command.email, command.phone, changed),)


def change_status(customer: Customer, command: ChangeStatus) -> tuple[Event, ...]:
    """Move to another status; () when it is the current one. Raises Rejected STATUS_TRANSITION_NOT_ALLOWED."""
    old, new = customer.status, command.new_status
    if new == old:
        return ()
    if new not in _TRANSITIONS[old]:
        raise Rejected(RejectionCode.STATUS_TRANSITION_NOT_ALLOWED, f"{old} to {new}")
    return (CustomerStatusChanged(old, new, command.reason),)


def update_preferences(customer: Customer, command: UpdatePreferences) -> tuple[Event, ...]:
    """Change the preferences that the command names; () when none differs."""
    old = customer.preferences
    new = _patched(old, command.preferences)
    if new == old:
        return ()
    return (NotificationPreferencesUpdated(old, new),)


def erase(command: EraseCustomer) -> tuple[Event, ...]:
    """Erase a customer of any status. `decide` rejects the command for a customer who is erased already."""
    return (CustomerErased(command.reason),)


def _patched(old: Preferences, patch: PreferencesPatch | None) -> Preferences:
    """The preferences with the fields that the patch names. Types and channels are unique and in the enums' order."""
    if patch is None:
        return old
    types, channels = patch.enabled_types, patch.enabled_channels
    return Preferences(
        marketing_emails=old.marketing_emails if patch.marketing_emails is None else patch.marketing_emails,
        language=old.language if patch.language is None else patch.language,
        currency=old.currency if patch.currency is None else patch.currency,
        enabled_types=old.enabled_types
        if types is None
        else tuple(t for t in NotificationType if t in types),
        enabled_channels=(
            old.enabled_channels
            if channels is None
            else tuple(c for c in NotificationChannel if c in channels)
        ),
    )
