"""What one input did to a customer, as it stands in its ledger line. The timeline is made of it.

It holds ids, figures and names of fields. It never holds a name, an email, an address or the text of a reason.
"""

import msgspec

from worker.domain.values import MembershipLevel


class Upgrade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A higher level. total: the lifetime spending that counts, in minor units of `currency`."""

    old: MembershipLevel
    new: MembershipLevel
    total: int
    currency: str
    rules_version: str


class FullWindow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The window of days, both included, that made the customer VIP. spent: minor units of `currency`."""

    start: int
    end: int
    spent: int
    currency: str
    rules_version: str


class Details(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the other fields of a line do not say.

    Attributes:
        command_id: of a command.
        command: its commandType.
        actor: who gave it, if somebody is named.
        events: the names of the events that a command published.
        fields: the names of the profile fields or preferences that changed.
        before: the status before.
        after: the status after.
        addresses: how many the customer has after one was added or removed.
        upgrade: the level that was reached.
        window: the window that made the customer VIP.
        vip_since: the earlier time to which a late order moved the beginning of VIP, ms since 1970 UTC.
    """

    command_id: str | None = None
    command: str | None = None
    actor: str | None = None
    events: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    addresses: int | None = None
    upgrade: Upgrade | None = None
    window: FullWindow | None = None
    vip_since: int | None = None


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The customer after the input. at: when the worker processed it, ms since 1970 UTC."""

    version: int
    at: int
    balance: int
    debt: int
    level: MembershipLevel
    vip: bool
    details: Details | None = None


NO_DETAILS = Details()
