"""Values of the Customer Context. Every amount is whole minor units, every time is whole milliseconds since 1970 UTC."""

from enum import StrEnum

import msgspec


class MembershipLevel(StrEnum):
    """Levels in ascending order; a customer never falls."""

    STANDARD = "STANDARD"
    SILVER = "SILVER"
    GOLD = "GOLD"
    PLATINUM = "PLATINUM"


LEVELS = tuple(MembershipLevel)
RANK = {level: rank for rank, level in enumerate(LEVELS)}


class CustomerStatus(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    SUSPENDED = "SUSPENDED"


class PaymentMethodType(StrEnum):
    CREDIT_CARD = "CREDIT_CARD"
    DEBIT_CARD = "DEBIT_CARD"
    BANK_TRANSFER = "BANK_TRANSFER"
    DIGITAL_WALLET = "DIGITAL_WALLET"
    MOBILE_PAYMENT = "MOBILE_PAYMENT"
    GIFT_CARD = "GIFT_CARD"
    STORE_CREDIT = "STORE_CREDIT"


class NotificationType(StrEnum):
    ORDER = "ORDER"
    DELIVERY = "DELIVERY"
    PAYMENT = "PAYMENT"
    MEMBERSHIP = "MEMBERSHIP"
    POINTS = "POINTS"
    PROMOTION = "PROMOTION"


class NotificationChannel(StrEnum):
    EMAIL = "EMAIL"
    SMS = "SMS"
    PUSH = "PUSH"
    IN_APP = "IN_APP"


class Money(msgspec.Struct, frozen=True):
    """An amount of one currency. minor: whole minor units (cents for USD); may be negative for a refund."""

    minor: int
    currency: str


class Address(msgspec.Struct, frozen=True):
    """Where a parcel goes. country: ISO 3166-1 alpha-2."""

    street: str
    city: str
    zip_code: str
    country: str


class DeliveryAddress(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entity of the customer. id: UUIDv5 of the command that added it."""

    id: str
    address: Address
    label: str | None = None
    is_default: bool = False


class PaymentMethod(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the customer pays with; never a card number. expiry: YYYY-MM."""

    id: str
    type: PaymentMethodType
    last4: str
    provider: str | None = None
    expiry: str | None = None


class Preferences(msgspec.Struct, frozen=True):
    """What the customer wants to hear, where, in which language and currency. Tuples keep the enums' order."""

    marketing_emails: bool = False
    language: str = "en-US"
    currency: str = "USD"
    enabled_types: tuple[NotificationType, ...] = (NotificationType.ORDER, NotificationType.DELIVERY)
    enabled_channels: tuple[NotificationChannel, ...] = (NotificationChannel.EMAIL,)


class PreferencesPatch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of preferences; None leaves a field as it is."""

    marketing_emails: bool | None = None
    language: str | None = None
    currency: str | None = None
    enabled_types: tuple[NotificationType, ...] | None = None
    enabled_channels: tuple[NotificationChannel, ...] | None = None
