"""The list of all endpoints: route, required scope, input and answers.

The routes, the authorisation and the OpenAPI document come from this list. So every route has a scope.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec
from aiohttp import web

from api import explanation, history, pages, reads, spending, timeline, writes
from api.auth import Access
from api.request import Call
from api.responses import CUSTOMERS
from api.views import (
    LEDGER_LINES,
    MOST_HISTORY_LINES,
    CustomerView,
    DeliveryAddressView,
    ExplanationView,
    HealthView,
    MonthlySpendingView,
    PaymentMethodView,
    PendingCommandView,
    PointsHistoryView,
    PreferencesView,
    RewardPointsView,
    TimelineView,
)
from worker.processes.siblings import BOARD_PATH, METRICS_PATH, READY_PATH
from worker.wire.results import CommandResult

_ONE = f"{CUSTOMERS}/{{customerId}}"

View = Callable[[Call], Awaitable[web.StreamResponse]]
Method = Literal["GET", "POST", "PUT", "DELETE"]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query parameter. text: its description; schema: its JSON Schema."""

    text: str
    required: bool = False
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    Attributes:
        name: the operationId in the OpenAPI document.
        method: the HTTP method.
        path: the template, such as /api/v1/customers/{customerId}.
        access: the required scope.
        view: the function that answers.
        summary: one line for the documentation.
        answers: status → the type of the body; None without a body, media types, with commas, for a body without a model.
        command_type: the command that a write becomes; None for a read.
        takes_body: whether the request has a body.
        needs_body: False if the body may be left out.
        errors: the contract's main error statuses. The OpenAPI document adds those that any request can have.
        query: the query parameters, by name.
        may_be_copied: whether the answer may come from the read copy.
    """

    name: str
    method: Method
    path: str
    access: Access
    view: View
    summary: str
    answers: Mapping[int, Any]
    command_type: str | None = None
    takes_body: bool = False
    needs_body: bool = True
    errors: tuple[int, ...] = ()
    query: Mapping[str, Query] = {}
    may_be_copied: bool = False

    @property
    def is_write(self) -> bool:
        """Whether a request becomes a command."""
        return self.method != "GET"


_PAGED: Mapping[str, Query] = {
    "limit": Query(
        text="The most entries of the page.",
        schema={
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_HISTORY_LINES,
            "default": LEDGER_LINES,
        },
    ),
    "before": Query(text="The cursor `next` of the page before. Without it, the first page."),
}


def _write(
    name: str,
    method: Method,
    path: str,
    command_type: str,
    data: writes.Data,
    show: writes.Show,
    success: tuple[int, object],
    *,
    errors: tuple[int, ...],
    summary: str,
    access: Access = Access.WRITE,
) -> Operation:
    """The operation of a write. It answers with `success`, or with 202 while the command has no result."""
    return Operation(
        name=name,
        method=method,
        path=path,
        access=access,
        view=writes.write(command_type, data, show),
        summary=summary,
        command_type=command_type,
        takes_body=data.in_body,
        needs_body=not data.optional,
        answers={success[0]: success[1], 202: PendingCommandView},
        errors=errors,
    )


# aiohttp tries routes in this order. getCustomer is first, because it gets the most requests.
CUSTOMER_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="getCustomer",
        method="GET",
        path=_ONE,
        access=Access.READ,
        view=reads.get_customer,
        summary="Show a customer",
        answers={200: CustomerView, 304: None},
        errors=(404, 410),
        may_be_copied=True,
    ),
    _write(
        "registerCustomer",
        "POST",
        CUSTOMERS,
        "RegisterCustomer",
        writes.BODY,
        writes.show_created,
        (201, CustomerView),
        errors=(409, 422),
        summary="Register a customer",
    ),
    Operation(
        name="findCustomer",
        method="GET",
        path=CUSTOMERS,
        access=Access.ADMIN,
        view=reads.find_customer,
        summary="Find the customer with an email",
        answers={200: CustomerView, 304: None},
        errors=(404,),
        query={
            "email": Query(
                text="The email, in any spelling that means the same.",
                required=True,
                schema={"type": "string", "minLength": 1},
            )
        },
        may_be_copied=True,
    ),
    _write(
        "updateProfile",
        "PUT",
        _ONE,
        "UpdateProfile",
        writes.PROFILE,
        writes.show_customer,
        (200, CustomerView),
        errors=(404, 409, 410, 412, 422),
        summary="Replace name, email and phone; an absent phone clears it",
    ),
    _write(
        "changeStatus",
        "PUT",
        f"{_ONE}/status",
        "ChangeStatus",
        writes.BODY,
        writes.show_customer,
        (200, CustomerView),
        errors=(404, 409, 410, 412, 422),
        summary="Change the status",
        access=Access.ADMIN,
    ),
    _write(
        "upgradeMembership",
        "PUT",
        f"{_ONE}/membership",
        "UpgradeMembership",
        writes.BODY,
        writes.show_customer,
        (200, CustomerView),
        errors=(404, 409, 410, 412, 422),
        summary="Raise the membership level",
        access=Access.ADMIN,
    ),
    _write(
        "updatePreferences",
        "PUT",
        f"{_ONE}/preferences",
        "UpdatePreferences",
        writes.PREFERENCES,
        writes.show_preferences,
        (200, PreferencesView),
        errors=(404, 410, 412, 422),
        summary="Change preferences; absent fields stay",
    ),
    _write(
        "addDeliveryAddress",
        "POST",
        f"{_ONE}/addresses",
        "AddDeliveryAddress",
        writes.BODY,
        writes.show_address,
        (201, DeliveryAddressView),
        errors=(404, 409, 410, 412, 422),
        summary="Add a delivery address; the first is the default",
    ),
    _write(
        "removeDeliveryAddress",
        "DELETE",
        f"{_ONE}/addresses/{{addressId}}",
        "RemoveDeliveryAddress",
        writes.ADDRESS_ID,
        writes.show_nothing,
        (204, None),
        errors=(404, 410, 412, 422),
        summary="Remove a delivery address",
    ),
    _write(
        "setDefaultDeliveryAddress",
        "PUT",
        f"{_ONE}/addresses/{{addressId}}/default",
        "SetDefaultDeliveryAddress",
        writes.ADDRESS_ID,
        writes.show_nothing,
        (204, None),
        errors=(404, 410, 412, 422),
        summary="Make an address the default",
    ),
    Operation(
        name="getRewardPoints",
        method="GET",
        path=f"{_ONE}/reward-points",
        access=Access.READ,
        view=reads.get_reward_points,
        summary="Show the reward points and their latest history",
        answers={200: RewardPointsView, 304: None},
        errors=(404, 410),
        may_be_copied=True,
    ),
    Operation(
        name="getPointsHistory",
        method="GET",
        path=f"{_ONE}/reward-points/history",
        access=Access.READ,
        view=history.get_points_history,
        summary="Show what moved the reward points, page by page, newest first",
        answers={200: PointsHistoryView},
        errors=(404, 410),
        query=_PAGED,
        may_be_copied=True,
    ),
    Operation(
        name="getTimeline",
        method="GET",
        path=f"{_ONE}/timeline",
        access=Access.READ,
        view=timeline.get_timeline,
        summary="Show each input that changed the customer, and why, page by page, newest first",
        answers={200: TimelineView},
        errors=(404, 410),
        query=_PAGED,
        may_be_copied=True,
    ),
    Operation(
        name="getExplanation",
        method="GET",
        path=f"{_ONE}/explanation",
        access=Access.READ,
        view=explanation.get_explanation,
        summary="Explain level, VIP and points, and what is missing to more",
        answers={200: ExplanationView},
        errors=(404, 410),
        may_be_copied=True,
    ),
    Operation(
        name="getMonthlySpending",
        method="GET",
        path=f"{_ONE}/spending",
        access=Access.READ,
        view=spending.get_monthly_spending,
        summary="Show the orders of twelve months, for a chart",
        answers={200: MonthlySpendingView},
        errors=(404, 410),
    ),
    _write(
        "redeemPoints",
        "POST",
        f"{_ONE}/reward-points/redemptions",
        "RedeemPoints",
        writes.BODY,
        writes.show_points,
        (201, RewardPointsView),
        errors=(404, 409, 410, 412, 422),
        summary="Redeem reward points",
    ),
    _write(
        "cancelRedemption",
        "POST",
        f"{_ONE}/reward-points/redemptions/{{redemptionId}}/cancellation",
        "CancelRedemption",
        writes.CANCELLATION,
        writes.show_points_left,
        (200, RewardPointsView),
        errors=(404, 410, 412, 422),
        summary="Cancel a redemption; all its points come back",
    ),
    _write(
        "adjustPoints",
        "POST",
        f"{_ONE}/reward-points/adjustments",
        "AdjustPoints",
        writes.BODY,
        writes.show_points,
        (201, RewardPointsView),
        errors=(404, 409, 410, 412, 422),
        summary="Add reward points, or take some away, with a reason",
        access=Access.ADMIN,
    ),
    _write(
        "addPaymentMethod",
        "POST",
        f"{_ONE}/payment-methods",
        "AddPaymentMethod",
        writes.BODY,
        writes.show_payment_method,
        (201, PaymentMethodView),
        errors=(404, 409, 410, 412, 422),
        summary="Add a payment method; only the last four digits of a card",
    ),
    _write(
        "removePaymentMethod",
        "DELETE",
        f"{_ONE}/payment-methods/{{paymentMethodId}}",
        "RemovePaymentMethod",
        writes.PAYMENT_METHOD_ID,
        writes.show_nothing,
        (204, None),
        errors=(404, 410, 412, 422),
        summary="Remove a payment method",
    ),
    _write(
        "eraseCustomer",
        "DELETE",
        _ONE,
        "EraseCustomer",
        writes.REASON,
        writes.show_gone,
        (204, None),
        errors=(404, 410, 412, 422),
        summary="Erase a customer for ever: name, email, phone, birth date, addresses, payment methods, preferences",
        access=Access.ADMIN,
    ),
    Operation(
        name="getCommand",
        method="GET",
        path=f"{_ONE}/commands/{{commandId}}",
        access=Access.READ,
        view=reads.get_command,
        summary="Show what became of a command",
        answers={200: CommandResult, 202: PendingCommandView},
        errors=(404, 410),
    ),
)

METRICS = Operation(
    name="getMetrics",
    method="GET",
    path=METRICS_PATH,
    access=Access.OPEN,
    view=pages.metrics,
    summary="Metrics for Prometheus",
    answers={200: "text/plain"},
)

READINESS = Operation(
    name="getReadiness",
    method="GET",
    path=READY_PATH,
    access=Access.OPEN,
    view=pages.ready,
    summary="Whether this worker processes what it was assigned",
    answers={200: HealthView},
)

STATE_OPERATIONS = (
    READINESS,
    METRICS,
    Operation(
        name="getBoard",
        method="GET",
        path=BOARD_PATH,
        access=Access.OPEN,
        view=pages.board,
        summary="The board of this process",
        answers={200: "application/json"},
    ),
)
"""What processes of one worker ask each other. No client can: it is served on a socket of its own."""

PAGE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="getLiveness",
        method="GET",
        path="/health/live",
        access=Access.OPEN,
        view=pages.live,
        summary="Whether the process runs",
        answers={200: HealthView},
    ),
    READINESS,
    Operation(
        name="getOpenApi",
        method="GET",
        path="/openapi.json",
        access=Access.OPEN,
        view=pages.openapi,
        summary="This document",
        answers={200: "application/json"},
    ),
    Operation(
        name="getAsyncApi",
        method="GET",
        path="/asyncapi.json",
        access=Access.OPEN,
        view=pages.asyncapi,
        summary="The topics and their messages, as AsyncAPI",
        answers={200: "application/json"},
    ),
    Operation(
        name="getDocs",
        method="GET",
        path="/docs",
        access=Access.OPEN,
        view=pages.docs,
        summary="This document as a page, on which every endpoint can be tried",
        answers={200: "text/html"},
    ),
    Operation(
        name="getDocsFile",
        method="GET",
        path="/docs/{file}",
        access=Access.OPEN,
        view=pages.docs_file,
        summary="The page of the topics, `topics`, and the scripts and styles of both pages",
        answers={200: "text/html, text/css, text/javascript"},
        errors=(400, 404),
    ),
)
