"""The aggregate as it is stored: who the customer is, what they spent, what they earned.

A Customer is owned by one partition loop; only worker.domain.evolve changes it. Its size does not grow with the
number of orders: spending is kept per day, for as long as a late order can still matter.
"""

from typing import Protocol

import msgspec

from worker.domain.days import Days
from worker.domain.messages import RegisterCustomer, UpdateProfile
from worker.domain.values import CustomerStatus, DeliveryAddress, MembershipLevel, PaymentMethod, Preferences


class Spending(msgspec.Struct, omit_defaults=True):
    """What was spent in one currency, in minor units. Gross but for the last two, for levels and VIP count it so.

    total: since ever. days: per UTC day number (days since 1970), from worker.domain.spending.kept_from on. annual: the
    365 days that end on `annual_day`, the day of the customer's latest order in any currency. returned: what of the
    total was returned. returned_days: what of those 365 days was returned, per day of the order.
    """

    total: int = 0
    annual: int = 0
    annual_day: int = 0
    days: Days = msgspec.field(default_factory=Days)
    returned: int = 0
    returned_days: dict[int, int] = msgspec.field(default_factory=dict)


class Customer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The aggregate root. Times in ms since 1970 UTC; version and sequence count from 1.

    spending: by the orders' own currency. converted: by the rules' currency, what orders in currencies with a rate
    counted as beside what was spent in it; empty until there is one.
    erased: for ever; then name and email are empty, and whatever else says who the customer was is as by default.
    """

    id: str
    name: str
    email: str
    phone: str | None = None
    birth_date: str | None = None
    status: CustomerStatus = CustomerStatus.ACTIVE
    level: MembershipLevel = MembershipLevel.STANDARD
    vip_since: int | None = None
    points: int = 0
    debt: int = 0
    lifetime_earned: int = 0
    lifetime_redeemed: int = 0
    lifetime_reversed: int = 0
    spending: dict[str, Spending] = msgspec.field(default_factory=dict)
    converted: dict[str, Spending] = msgspec.field(default_factory=dict)
    order_count: int = 0
    last_order_at: int | None = None
    paid: dict[str, int] = msgspec.field(default_factory=dict)
    payment_count: int = 0
    last_payment_at: int | None = None
    addresses: list[DeliveryAddress] = msgspec.field(default_factory=list)
    preferences: Preferences = Preferences()
    payment_methods: list[PaymentMethod] = msgspec.field(default_factory=list)
    created_at: int = 0
    updated_at: int = 0
    version: int = 0
    sequence: int = 0
    erased: bool = False


class PendingClaim(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command that waits for the answer to its email claim. The claim's id is the command's id."""

    command: RegisterCustomer | UpdateProfile
    fingerprint: str


class CustomerRow(msgspec.Struct, omit_defaults=True):
    """A row of the customers table.

    customer: None while unknown. email_claim: the id of the claim that holds the customer's email. waiting: how many
    orders, payments and returns wait, for the registration or, returns alone, for their order. queued: how many
    commands wait for the pending claim; queue_end: the number of the last one, counted from 1 since the queue was last
    empty. waiting_since: ms since 1970 UTC; no input that waits has an older timestamp. None: nothing waits, or an
    earlier version wrote the row.
    """

    customer: Customer | None = None
    email_claim: str | None = None
    pending: PendingClaim | None = None
    waiting: int = 0
    queued: int = 0
    queue_end: int = 0
    waiting_since: int | None = None


# Kinds of ledger lines: the middle part of a ledger key.
ORDER = "O"
PAYMENT = "P"
REDEMPTION = "R"
RETURN = "T"


class LedgerLine(msgspec.Struct, frozen=True, array_like=True):
    """One order, payment, redemption or return that counted, for ever.

    amount: minor units (0 for a redemption); points: earned, redeemed or reversed; occurred_at: ms since 1970 UTC;
    sequence: the customer's event sequence after it, which orders the points history; order_id: of a redemption or a
    return; returned: what of an order's amount was returned so far, all that ever changes in a line.
    """

    amount: int
    currency: str
    points: int
    occurred_at: int
    rules_version: str
    sequence: int
    order_id: str | None = None
    returned: int = 0


class Ledger(Protocol):
    """The lines of one customer, as the decider sees them (uncommitted ones of the running batch included)."""

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        """The line of that order, payment, redemption or return, or None."""

    def orders(self) -> "list[tuple[str, LedgerLine]]":
        """Every order that counted, as (orderId, line), in no particular order."""
