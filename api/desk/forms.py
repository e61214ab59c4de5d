"""The forms of a customer's page: one for each command that the desk gives.

Rules:
- A field has the name that it has in the API. So an error of the API finds its field.
- A form says what it will do before it is sent.
- What is in a field goes to the API as it is. The API checks it, and the desk does not check it a second time. Only the
  id that an erasure asks for never leaves the desk.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

import msgspec

from api.auth import Access
from api.desk.words import grouped, title
from api.endpoints import Operation
from api.problems import Problem, invalid
from api.views import LEDGER_LINES, CustomerView, DeliveryAddressView, PaymentMethodView, RewardPointsView
from worker.domain.rejections import RejectionCode
from worker.domain.values import (
    LEVELS,
    CustomerStatus,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    PaymentMethodType,
)

ERASURE = "EraseCustomer"
TYPED_ID = "customerId"

Kind = Literal["text", "number", "email", "tel", "select", "checkbox", "checkboxes", "hidden"]
Values = Mapping[str, Sequence[str]]

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")


class Field(msgspec.Struct, frozen=True):
    """A field of a form.

    Attributes:
        name: of the API.
        label: for people.
        kind: how it is filled in.
        values: what it holds at first; several only for checkboxes.
        options: (value, label) of a select or of checkboxes.
        needed: whether it must not be empty.
        hint: what to fill in; may be empty.
        within: the object of the API's body that holds it; empty for the body itself.
    """

    name: str
    label: str
    kind: Kind = "text"
    values: Sequence[str] = ()
    options: Sequence[tuple[str, str]] = ()
    needed: bool = False
    hint: str = ""
    within: str = ""

    @property
    def value(self) -> str:
        """What it holds at first."""
        return self.values[0] if self.values else ""


class Form(msgspec.Struct, frozen=True):
    """A form that gives one command.

    Attributes:
        command: its type.
        heading: what it is for.
        says: what it will do.
        button: the text of its button.
        fields: in the order of the page.
        guarded: whether it changes values that the page showed, so that it needs their version.
        danger: whether nothing brings back what it removes.
        errors: field → what is wrong with it; the empty field is the whole form.
        key: the Idempotency-Key.
        open: whether it is shown unfolded.
    """

    command: str
    heading: str
    says: str
    button: str
    fields: tuple[Field, ...]
    guarded: bool = False
    danger: bool = False
    errors: Mapping[str, str] = {}
    key: str = msgspec.field(default_factory=lambda: uuid4().hex)
    open: bool = False

    @property
    def mark(self) -> str:
        """The id of what it is about, which tells forms of one command apart; empty where it is typed or not needed."""
        return next((field.value for field in self.fields if field.kind == "hidden"), "")


class Shown(msgspec.Struct, frozen=True):
    """What the forms of a page are made from."""

    customer: CustomerView
    points: RewardPointsView


class Refusal(msgspec.Struct, frozen=True):
    """A form that was refused: its command, what was sent, and why."""

    command: str
    sent: Values
    problem: Problem

    @property
    def mark(self) -> str:
        """The mark of the form."""
        hidden = [field.name for field in FIELDS[self.command] if field.kind == "hidden"]
        return _first(self.sent, hidden[0]) if hidden else ""


def refused(form: Form, refusal: Refusal) -> Form:
    """The form with what was sent in its fields, the errors at them, and a new key."""
    fields = tuple(
        field
        if field.kind == "hidden"
        else msgspec.structs.replace(field, values=refusal.sent.get(field.name, ()))
        for field in form.fields
    )
    errors = _errors(fields, refusal.problem)
    return msgspec.structs.replace(form, fields=fields, errors=errors, key=uuid4().hex, open=True)


def _errors(fields: Sequence[Field], problem: Problem) -> dict[str, str]:
    """Field → what is wrong with it; the empty field is the whole form."""
    by_name = {field.name: field for field in fields if field.kind != "hidden"}
    errors: dict[str, str] = {}
    for each in problem.errors:
        name = next((part for part in reversed(each.field.split(".")) if part in by_name), "")
        left_empty = name != "" and by_name[name].needed and not by_name[name].value.strip()
        code = "required" if left_empty else each.code
        errors.setdefault(name, _FAULTS.get(code, title(code)))
    if not errors:
        name = next((each for each in _FIELDS_OF_CODE.get(problem.code, ()) if each in by_name), "")
        texts = _AT_FIELD if name else _REFUSALS
        errors[name] = texts.get(problem.code) or problem.detail or title(problem.code)
    return errors


def body_of(command: str, operation: Operation, sent: Values) -> tuple[dict[str, str], dict[str, Any] | None]:
    """The values in the path and the body of the API's request, from what was sent. The body may be None.

    Raises:
        Problem: 400 without an id that the path needs.
    """
    ids: dict[str, str] = {}
    body: dict[str, Any] = {}
    for field in FIELDS[command]:
        value = _value_of(field, sent.get(field.name, ()))
        if field.name == TYPED_ID or value is None:
            continue
        if f"{{{field.name}}}" in operation.path:
            ids[field.name] = value
        else:
            (body.setdefault(field.within, {}) if field.within else body)[field.name] = value
    missing = [each.name for each in FIELDS[command] if each.kind == "hidden" and each.name not in ids]
    if missing:
        raise invalid(*((name, "required") for name in missing))
    return ids, body if operation.takes_body else None


def _value_of(field: Field, given: Sequence[str]) -> Any:
    """The JSON value of a field; None for one that is left out, because it is empty and need not be filled in."""
    if field.kind == "checkboxes":
        return list(given)
    text = given[0] if given else ""
    if field.kind == "hidden":
        return text or None
    text = text.strip()
    if field.kind == "checkbox":
        return text == "on"
    if field.kind == "number" and _INTEGER.fullmatch(text):
        return int(text)
    return text if text or field.needed else None


def _first(sent: Values, name: str) -> str:
    return next(iter(sent.get(name, ())), "")


# The fields.


def _choices(values: Iterable[Any]) -> list[tuple[str, str]]:
    return [(str(value), title(str(value))) for value in values]


_REASON = Field("reason", "Reason", needed=True, hint="It stands in the event and stays with the customer.")
_ADDRESS_ID = Field("addressId", "Address", "hidden")

FIELDS: Mapping[str, tuple[Field, ...]] = {
    "UpdateProfile": (
        Field("name", "Name", needed=True),
        Field("email", "Email", "email", needed=True),
        Field("phone", "Phone", "tel", hint="With the country code. Empty removes it."),
    ),
    "ChangeStatus": (Field("newStatus", "New status", "select", needed=True), _REASON),
    "UpgradeMembership": (Field("newLevel", "New level", "select", needed=True), _REASON),
    "RedeemPoints": (
        Field("points", "Points", "number", needed=True),
        _REASON,
        Field("redemptionId", "Redemption id", needed=True, hint="Counts once."),
        Field("orderId", "Order id", hint="If the points pay for an order."),
    ),
    "CancelRedemption": (Field("redemptionId", "Redemption id", "hidden"), _REASON),
    "AdjustPoints": (
        Field("points", "Points", "number", needed=True, hint="Such as 50, or -50 to take points away."),
        _REASON,
        Field("adjustmentId", "Adjustment id", needed=True, hint="Counts once."),
    ),
    "AddDeliveryAddress": (
        Field("street", "Street", needed=True),
        Field("zipCode", "ZIP code", needed=True),
        Field("city", "City", needed=True),
        Field("country", "Country", needed=True, hint="Two capitals, such as DE."),
        Field("label", "Label", hint="Such as Home."),
        Field("isDefault", "Default address", "checkbox"),
    ),
    "SetDefaultDeliveryAddress": (_ADDRESS_ID,),
    "RemoveDeliveryAddress": (_ADDRESS_ID,),
    "UpdatePreferences": (
        Field("marketingEmails", "Marketing emails", "checkbox"),
        Field("language", "Language", needed=True, hint="BCP 47, such as de-DE."),
        Field("currency", "Currency", needed=True, hint="ISO 4217, such as EUR."),
        Field(
            "enabledTypes",
            "Notifications about",
            "checkboxes",
            options=_choices(NotificationType),
            within="notifications",
        ),
        Field(
            "enabledChannels",
            "Notifications by",
            "checkboxes",
            options=_choices(NotificationChannel),
            within="notifications",
        ),
    ),
    "AddPaymentMethod": (
        Field("type", "Type", "select", options=_choices(PaymentMethodType), needed=True),
        Field("last4", "Last four digits", needed=True, hint="Never a whole card number."),
        Field("provider", "Provider"),
        Field("expiry", "Expiry", hint="YYYY-MM"),
    ),
    "RemovePaymentMethod": (Field("paymentMethodId", "Payment method", "hidden"),),
    ERASURE: (Field("reason", "Reason", needed=True), Field(TYPED_ID, "Customer id", needed=True)),
}
"""The fields of each command's form, before they hold anything."""

COMMANDS = tuple(FIELDS)


def _fields(
    command: str,
    values: Mapping[str, Sequence[str]] = {},
    options: Mapping[str, Sequence[tuple[str, str]]] = {},
    hints: Mapping[str, str] = {},
) -> tuple[Field, ...]:
    """The fields of a command's form for one customer. Each argument is by field."""
    return tuple(
        msgspec.structs.replace(
            field,
            values=values.get(field.name, ()),
            options=options.get(field.name, field.options),
            hint=hints.get(field.name, field.hint),
        )
        for field in FIELDS[command]
    )


# The forms.


def _profile(shown: Shown) -> list[Form]:
    customer = shown.customer
    values = {"name": [customer.name], "email": [customer.email], "phone": [customer.phone or ""]}
    says = "Replaces name, email and phone. A new email must be free; the old one becomes free."
    fields = _fields("UpdateProfile", values)
    return [Form("UpdateProfile", "Change the profile", says, "Save profile", fields, guarded=True)]


_NEXT_STATUS: Mapping[str, tuple[CustomerStatus, ...]] = {
    CustomerStatus.ACTIVE: (CustomerStatus.INACTIVE, CustomerStatus.SUSPENDED),
    CustomerStatus.INACTIVE: (CustomerStatus.ACTIVE, CustomerStatus.SUSPENDED),
    CustomerStatus.SUSPENDED: (CustomerStatus.ACTIVE,),
}


def _status(shown: Shown) -> list[Form]:
    status = shown.customer.status
    fields = _fields("ChangeStatus", options={"newStatus": _choices(_NEXT_STATUS[status])})
    says = f"Now {title(status).lower()}. Only an active customer can redeem points. Orders count in every status."
    return [Form("ChangeStatus", "Change the status", says, "Change status", fields)]


def _level(shown: Shown) -> list[Form]:
    level = shown.customer.membership_level
    higher = LEVELS[LEVELS.index(MembershipLevel(level)) + 1 :]
    if not higher:
        return []
    fields = _fields("UpgradeMembership", options={"newLevel": _choices(higher)})
    says = f"Raises the level above {title(level)} for ever: a level never falls."
    return [Form("UpgradeMembership", "Raise the level", says, "Raise level", fields)]


def _redeem(shown: Shown) -> list[Form]:
    balance = grouped(shown.points.balance)
    fields = _fields("RedeemPoints", {"redemptionId": [uuid4().hex]}, hints={"points": f"1 to {balance}."})
    says = f"Takes the points from the balance of {balance}. The redemption can be cancelled later."
    return [Form("RedeemPoints", "Redeem points", says, "Redeem", fields)]


def _cancel(shown: Shown) -> list[Form]:
    lines = shown.points.ledger
    restored = {line.redemption_id for line in lines if line.type == "RESTORE"}
    older = [_cancel_older()] if len(lines) >= LEDGER_LINES else []
    return [
        Form(
            "CancelRedemption",
            f"Cancel redemption {line.redemption_id}",
            f"Gives all {grouped(line.points)} points back. They pay a debt first.",
            "Cancel redemption",
            _fields("CancelRedemption", {"redemptionId": [line.redemption_id]}),
        )
        for line in lines
        if line.type == "REDEEM" and line.redemption_id is not None and line.redemption_id not in restored
    ] + older


def _cancel_older() -> Form:
    """The form for a redemption that is not among the lines of the page."""
    redemption_id = Field("redemptionId", "Redemption id", needed=True, hint="As the timeline shows it.")
    says = "Gives all points of the redemption back, once. They pay a debt first."
    return Form(
        "CancelRedemption", "Cancel an older redemption", says, "Cancel redemption", (redemption_id, _REASON)
    )


def _adjust(shown: Shown) -> list[Form]:
    says = (
        f"Adds points to the balance of {grouped(shown.points.balance)}, or takes some away. "
        "Added points pay a debt first."
    )
    fields = _fields("AdjustPoints", {"adjustmentId": [uuid4().hex]})
    return [Form("AdjustPoints", "Adjust points", says, "Adjust", fields)]


def _address(shown: Shown) -> list[Form]:
    says = "Adds an address. The first one is the default in any case."
    fields = _fields("AddDeliveryAddress")
    return [Form("AddDeliveryAddress", "Add an address", says, "Add address", fields)]


def _about_address(
    command: str, says: Callable[[DeliveryAddressView], str], button: str
) -> Callable[[Shown], list[Form]]:
    def made(shown: Shown) -> list[Form]:
        return [
            Form(command, button, says(address), button, _fields(command, {"addressId": [address.id]}))
            for address in shown.customer.addresses
            if command == "RemoveDeliveryAddress" or not address.is_default
        ]

    return made


def _preferences(shown: Shown) -> list[Form]:
    now = shown.customer.preferences
    values = {
        "marketingEmails": ["on"] if now.marketing_emails else [],
        "language": [now.language],
        "currency": [now.currency],
        "enabledTypes": now.enabled_types,
        "enabledChannels": now.enabled_channels,
    }
    says = "Replaces the preferences by these."
    fields = _fields("UpdatePreferences", values)
    return [
        Form("UpdatePreferences", "Change the preferences", says, "Save preferences", fields, guarded=True)
    ]


def _payment_method(shown: Shown) -> list[Form]:
    says = "Adds a payment method, without the number of the card."
    fields = _fields("AddPaymentMethod")
    return [Form("AddPaymentMethod", "Add a payment method", says, "Add payment method", fields)]


def _remove_payment_method(shown: Shown) -> list[Form]:
    def says(method: PaymentMethodView) -> str:
        return f"Removes the payment method that ends in {method.last4}."

    return [
        Form(
            "RemovePaymentMethod",
            "Remove",
            says(method),
            "Remove",
            _fields("RemovePaymentMethod", {"paymentMethodId": [method.id]}),
        )
        for method in shown.customer.payment_methods
    ]


def _erase(shown: Shown) -> list[Form]:
    fields = _fields(ERASURE, hints={TYPED_ID: f"Type {shown.customer.id} to confirm."})
    says = (
        "Removes name, email, phone, birth date, addresses, payment methods and preferences for ever. "
        "The figures stay. Later orders of this customer are refused."
    )
    return [Form(ERASURE, "Erase the customer", says, "Erase for ever", fields, danger=True)]


_FORMS: Mapping[str, Callable[[Shown], list[Form]]] = {
    "UpdateProfile": _profile,
    "ChangeStatus": _status,
    "UpgradeMembership": _level,
    "RedeemPoints": _redeem,
    "CancelRedemption": _cancel,
    "AdjustPoints": _adjust,
    "AddDeliveryAddress": _address,
    "SetDefaultDeliveryAddress": _about_address(
        "SetDefaultDeliveryAddress", lambda _: "Makes this the default address.", "Make default"
    ),
    "RemoveDeliveryAddress": _about_address(
        "RemoveDeliveryAddress",
        lambda address: (
            "Removes this address."
            + (" The first one left becomes the default." if address.is_default else "")
        ),
        "Remove",
    ),
    "UpdatePreferences": _preferences,
    "AddPaymentMethod": _payment_method,
    "RemovePaymentMethod": _remove_payment_method,
    ERASURE: _erase,
}


def offered(
    shown: Shown, may: Callable[[Access], bool], access_of: Callable[[str], Access]
) -> dict[str, list[Form]]:
    """The forms by command, of those commands that the visitor may give.

    Args:
        shown: what the page shows.
        may: whether the visitor has a scope.
        access_of: the scope that a command needs.
    """
    return {command: _FORMS[command](shown) if may(access_of(command)) else [] for command in COMMANDS}


_FIELDS_OF_CODE: Mapping[str, tuple[str, ...]] = {
    RejectionCode.INSUFFICIENT_POINTS: ("points",),
    RejectionCode.CUSTOMER_EMAIL_EXISTS: ("email",),
    RejectionCode.STATUS_TRANSITION_NOT_ALLOWED: ("newStatus",),
    RejectionCode.MEMBERSHIP_DOWNGRADE_NOT_ALLOWED: ("newLevel",),
    RejectionCode.IDEMPOTENCY_CONFLICT: ("redemptionId", "adjustmentId"),
    RejectionCode.REDEMPTION_NOT_FOUND: ("redemptionId",),
}
_AT_FIELD: Mapping[str, str] = {
    RejectionCode.INSUFFICIENT_POINTS: "The balance has fewer points.",
    RejectionCode.CUSTOMER_EMAIL_EXISTS: "Another customer has this email.",
    RejectionCode.STATUS_TRANSITION_NOT_ALLOWED: "The status cannot change to this one.",
    RejectionCode.MEMBERSHIP_DOWNGRADE_NOT_ALLOWED: "A level never falls.",
    RejectionCode.IDEMPOTENCY_CONFLICT: "This id stands for something else already. Use another one.",
    RejectionCode.REDEMPTION_NOT_FOUND: "The customer has no redemption with this id.",
}
_REFUSALS: Mapping[str, str] = {
    RejectionCode.CUSTOMER_NOT_ACTIVE: "The customer is not active. Only an active customer can redeem points.",
    RejectionCode.ADDRESS_EXISTS: "The customer has exactly this address already.",
    RejectionCode.ADDRESS_LIMIT_REACHED: "The customer has as many addresses as one can have.",
    RejectionCode.PAYMENT_METHOD_LIMIT_REACHED: "The customer has as many payment methods as one can have.",
    RejectionCode.VERSION_CONFLICT: "The customer changed meanwhile. The page shows the latest values.",
    RejectionCode.IDEMPOTENCY_CONFLICT: "This form was sent before, with other values. Check them, and send it again.",
    "UNAVAILABLE": "Nothing was done, because Kafka or the worker that has this customer does not answer. Try again.",
}
_FAULTS: Mapping[str, str] = {
    "required": "Fill this in.",
    "wrong_type": "This is not a number.",
    "unknown_value": "This is none of the values.",
    "too_short": "This is too short.",
    "too_long": "This is too long.",
    "out_of_range": "This number is out of range.",
    "invalid": "This is not valid.",
    "invalid_format": "This has not the right form.",
    "control_characters": "This holds characters that nobody can see.",
    "card_number": "This holds a full card number, which must not be stored.",
    "invalid_email": "This is not an email.",
    "invalid_phone": "This is not a phone number with its country code.",
    "invalid_date": "This is not a date.",
    "unknown_country": "This is not a country's code, such as DE.",
    "unknown_currency": "This is not a currency's code, such as EUR.",
    "invalid_language": "This is not a language's code, such as de-DE.",
    "not_the_id": "This is not the id of this customer.",
}
