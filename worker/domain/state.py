"""The aggregate as it is stored: the customer's profile, spending and points.

One partition loop owns a Customer, and only worker.domain.evolve changes it. Its size does not grow with the number
of orders, because it keeps spending per day. It keeps only the days that a late order can still affect.

Many thousand customers stay decoded in memory. A garbage collection of them would hold the event loop. So the
structs are outside the collection (gc=False). They may be, because nothing in them refers back.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec

from worker.domain.changes import NO_DETAILS, Change, Details
from worker.domain.days import Days
from worker.domain.messages import RegisterCustomer, UpdateProfile
from worker.domain.values import CustomerStatus, DeliveryAddress, MembershipLevel, PaymentMethod, Preferences


class Spending(msgspec.Struct, omit_defaults=True, gc=False):
    """Spending in one currency, in minor units. Sums are gross, because levels and VIP count gross spending.

    Attributes:
        total: lifetime spending.
        annual: spending of the 365 days that end on `annual_day`.
        annual_day: the day of the customer's latest order in any currency, since 1970 UTC.
        days: spending per UTC day, from worker.domain.spending.recent_from on.
        returned: the returned part of `total`.
        returned_days: the returned part of `annual`, by the day of the order.
    """

    total: int = 0
    annual: int = 0
    annual_day: int = 0
    days: Days = msgspec.field(default_factory=Days)
    returned: int = 0
    returned_days: dict[int, int] = msgspec.field(default_factory=dict)


class Filled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The order that fills the earliest full VIP window. It is stored so that a late order need not search for it.

    Attributes:
        at: the time of that order, ms since 1970 UTC.
        before: the amount that counts in its window from orders before `at`, in minor units. It may fill the window by
            itself only when no order of that day before `at` counts.
    """

    at: int
    before: int


class Customer(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The aggregate root. Times are ms since 1970 UTC; version and sequence count from 1.

    Attributes:
        spending: by the orders' own currency.
        lifetime_restored: the points of cancelled redemptions, which lifetime_redeemed still includes.
        lifetime_adjusted: corrections by hand, added up; may be negative.
        converted: by the rules' currency, the converted amounts of orders in other currencies.
        filled: kept at every level; None while no window is full.
        tracked: whether `filled` is up to date, and days that left `spending` have rows of their own.
            False when an earlier version of the program wrote the row.
        erased: never becomes False again. Name and email are then empty, other personal fields have their defaults.
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
    lifetime_restored: int = 0
    lifetime_adjusted: int = 0
    spending: dict[str, Spending] = msgspec.field(default_factory=dict)
    converted: dict[str, Spending] = msgspec.field(default_factory=dict)
    order_count: int = 0
    last_order_at: int | None = None
    paid: dict[str, int] = msgspec.field(default_factory=dict)
    payment_count: int = 0
    last_payment_at: int | None = None
    addresses: tuple[DeliveryAddress, ...] = ()
    preferences: Preferences = Preferences()
    payment_methods: tuple[PaymentMethod, ...] = ()
    created_at: int = 0
    updated_at: int = 0
    version: int = 0
    sequence: int = 0
    erased: bool = False
    filled: Filled | None = None
    tracked: bool = False


class PendingClaim(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A command that waits for the answer to its email claim. The claim's id is the command's id."""

    command: RegisterCustomer | UpdateProfile
    fingerprint: str


class CustomerRow(msgspec.Struct, omit_defaults=True, gc=False):
    """A row of the customers table.

    The last four fields say which work agents.parking.release still has to do, one step at a time.

    Attributes:
        customer: None while nobody is registered with this id.
        email_claim: the id of the claim that holds the customer's email.
        pending_claim: the command that waits for the answer to its email claim.
        waiting: how many orders, payments and returns wait for the registration, and how many returns for their order.
        queued: how many inputs wait behind other work of the customer, such as the pending claim.
        queue_end: the number of the last queued input, counted from 1 since the queue was last empty.
        waiting_since: ms since 1970 UTC; no waiting input is older. None when nothing waits, or when an earlier
            version of the program wrote the row.
        returns_of: the order whose waiting returns are applied next.
        releasing: the sort key in the waiting index up to which inputs were applied.
        forgetting: the commandId up to which results of an erased customer were cleared.
        behind: how many of the queued inputs are orders, payments and returns.
    """

    customer: Customer | None = None
    email_claim: str | None = None
    pending_claim: PendingClaim | None = msgspec.field(
        default=None, name="pending"
    )  # the name in stored rows
    waiting: int = 0
    queued: int = 0
    queue_end: int = 0
    waiting_since: int | None = None
    returns_of: str | None = None
    releasing: str | None = None
    forgetting: str | None = None
    behind: int = 0

    @property
    def busy(self) -> bool:
        """Whether further inputs of the customer have to queue behind unfinished work."""
        working_off = self.queued > 0 and self.pending_claim is None
        return self.releasing is not None or self.returns_of is not None or self.behind > 0 or working_off


# Kinds of ledger lines: the middle part of a ledger key.
ORDER = "O"
PAYMENT = "P"
REDEMPTION = "R"
RETURN = "T"
CANCELLATION = "C"  # of a redemption; its id is the redemptionId
ADJUSTMENT = "A"
COMMAND = "K"  # any other command that changed the customer; its id is the version, because a commandId may come again


class LedgerLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One input that changed the customer, of the kinds above. Lines are never deleted.

    Attributes:
        amount: minor units; 0 for a command.
        points: earned, redeemed, reversed, restored or adjusted; only an adjustment's may be negative.
        occurred_at: ms since 1970 UTC.
        sequence: the customer's event sequence afterwards. An input that changes points raises it. So lines that
            changed points have the same order by sequence as by version.
        order_id: the order of a redemption, its cancellation or a return.
        returned: the returned part of an order's amount, the only field that ever changes.
        change: what the input did to the customer; None when an earlier version of the program wrote the line.
    """

    amount: int
    currency: str
    points: int
    occurred_at: int
    rules_version: str
    sequence: int
    order_id: str | None = None
    returned: int = 0
    change: Change | None = None

    @property
    def details(self) -> Details:
        """The details of the change; empty ones if it has none."""
        change = self.change
        return NO_DETAILS if change is None or change.details is None else change.details


class HistoryKey(NamedTuple):
    """The key by which the points history is ordered. The history begins with the greatest one.

    Attributes:
        occurred_at: of the line.
        sequence: of the line. It orders lines of the same time as their versions do.
    """

    occurred_at: int
    sequence: int

    @classmethod
    def of(cls, line: LedgerLine) -> "HistoryKey":
        """The key of a line."""
        return cls(line.occurred_at, line.sequence)


class VersionEntry(NamedTuple):
    """A ledger line, and the version that its input made."""

    version: int
    kind: str
    id: str
    line: LedgerLine


# Kinds of days that a customer's row no longer keeps.
SPENT = "S"
CONVERTED = "C"


class PastOrder(NamedTuple):
    """The fields of a counted order that VIP windows need. amount: minor units of currency."""

    occurred_at: int
    amount: int
    currency: str


class Ledger(Protocol):
    """The lines of one customer, as the decider sees them (uncommitted ones of the running batch included)."""

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        """The line of that kind and id, or None."""

    def orders_before(self, end: int, first: int) -> Iterator[PastOrder]:
        """Iterate over counted orders from `first` (included) to `end` (excluded), the latest first.

        first, end: ms since 1970 UTC. Orders are read one at a time, so a caller may stop early.
        """

    def old_days(self, kind: str, currency: str, first: int, last: int) -> Mapping[int, int]:
        """Minor units per day, of the days first to last that the customer's row no longer keeps.

        kind: SPENT for days of Customer.spending, CONVERTED for days of Customer.converted.
        """
