"""Values of the Customer Context. Amounts are whole minor units, times are whole milliseconds since 1970 UTC."""

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
    """Only an ACTIVE customer may redeem points; orders count in every status."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    SUSPENDED = "SUSPENDED"


class PaymentMethodType(StrEnum):
    """Kinds of payment methods that a customer may have."""

    CREDIT_CARD = "CREDIT_CARD"
    DEBIT_CARD = "DEBIT_CARD"
    BANK_TRANSFER = "BANK_TRANSFER"
    DIGITAL_WALLET = "DIGITAL_WALLET"
    MOBILE_PAYMENT = "MOBILE_PAYMENT"
    GIFT_CARD = "GIFT_CARD"
    STORE_CREDIT = "STORE_CREDIT"


class NotificationType(StrEnum):
    """Subjects that a customer may want to be told about."""

    ORDER = "ORDER"
    DELIVERY = "DELIVERY"
    PAYMENT = "PAYMENT"
    MEMBERSHIP = "MEMBERSHIP"
    POINTS = "POINTS"
    PROMOTION = "PROMOTION"


class NotificationChannel(StrEnum):
    """Ways by which a customer may be told."""

    EMAIL = "EMAIL"
    SMS = "SMS"
    PUSH = "PUSH"
    IN_APP = "IN_APP"


class Money(msgspec.Struct, frozen=True, gc=False):
    """An amount of one currency. minor: whole minor units (cents for USD); may be negative for a refund."""

    minor: int
    currency: str


class Address(msgspec.Struct, frozen=True, gc=False):
    """A postal address. country: ISO 3166-1 alpha-2."""

    street: str
    city: str
    zip_code: str
    country: str


class DeliveryAddress(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A delivery address of a customer. id: the UUIDv5 of the commandId that added it."""

    id: str
    address: Address
    label: str | None = None
    is_default: bool = False


class PaymentMethod(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A payment method, without a full card number. id: the UUIDv5 of the commandId that added it; expiry: YYYY-MM."""

    id: str
    type: PaymentMethodType
    last4: str
    provider: str | None = None
    expiry: str | None = None


class Preferences(msgspec.Struct, frozen=True, gc=False):
    """The notifications, channels, language and currency that a customer chose. Tuples keep the enums' order."""

    marketing_emails: bool = False
    language: str = "en-US"
    currency: str = "USD"
    enabled_types: tuple[NotificationType, ...] = (NotificationType.ORDER, NotificationType.DELIVERY)
    enabled_channels: tuple[NotificationChannel, ...] = (NotificationChannel.EMAIL,)


class PreferencesPatch(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A change of preferences; None leaves a field as it is."""

    marketing_emails: bool | None = None
    language: str | None = None
    currency: str | None = None
    enabled_types: tuple[NotificationType, ...] | None = None
    enabled_channels: tuple[NotificationChannel, ...] | None = None
