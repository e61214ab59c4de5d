"""The page of one customer: who they are, why they have their level and points, and what can be done."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from api.auth import Access
from api.desk import charts
from api.desk.forms import (
    COMMANDS,
    ERASURE,
    TYPED_ID,
    Form,
    Refusal,
    Shown,
    Values,
    body_of,
    offered,
    refused,
)
from api.desk.own_api import Answer
from api.desk.visit import FORM_KEY, Visit, see_other
from api.endpoints import Operation
from api.problems import Problem
from api.request import CORRELATION_ID
from api.views import (
    CustomerView,
    ExplanationView,
    MonthlySpendingView,
    RewardPointsView,
    TimelineView,
)
from worker.domain.rejections import RejectionCode
from worker.letter_box import LetterPage, LettersUnavailable
from worker.wire.results import CommandResult

FORM_VERSION = "version"

_MOST_KEY_CHARS = 100
_MOST_LETTERS = 10
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))


async def show(visit: Visit) -> web.Response:
    """The page. Raises Problem 404, 410 or 503."""
    return await _page(visit)


async def show_command(visit: Visit) -> web.Response:
    """What became of a command; it looks again by itself while there is no result. Raises Problem 404."""
    answer = await visit.ask("getCommand", visit.call.ids)
    pending = answer.status == 202
    result = None if pending else answer.read(CommandResult)
    return visit.page("command.html", title="Command", result=result, back=path_of(visit.call.customer_id))


async def submit(visit: Visit) -> web.Response:
    """Give the command of a form.

    Returns:
        303 to the customer, or to the command while it has no result. 422 with the form again if it was refused.

    Raises:
        Problem: 403 for a forged form or too little scope, 404 for a command that the desk does not give.
    """
    command = visit.call.ids["commandType"]
    sent = await visit.form()
    if command not in COMMANDS:
        raise Problem("NOT_FOUND")
    operation = visit.desk.api.write_of(command)
    _check_scope(visit, operation)
    if command == ERASURE and _first(sent, TYPED_ID).strip() != visit.call.customer_id:
        wrong = Problem(RejectionCode.VALIDATION_FAILED, errors=[(TYPED_ID, "not_the_id")])
        return await _page(visit, Refusal(command, sent, wrong))
    try:
        ids, body = body_of(command, operation, sent)
    except Problem as problem:
        return await _again(visit, Refusal(command, sent, problem))
    answer = await _send(visit, operation, sent, ids, body)
    if answer.status >= 400:
        return await _again(visit, Refusal(command, sent, answer.problem()))
    return see_other(_after(visit, command, answer))


def path_of(customer_id: str) -> str:
    """The path of a customer's page, percent-encoded."""
    return f"/desk/customers/{quote(customer_id, safe='')}"


def _check_scope(visit: Visit, operation: Operation) -> None:
    if not visit.may(operation.access):
        raise Problem("FORBIDDEN", f"The token lacks the scope {operation.access}.")


async def _send(
    visit: Visit, operation: Operation, sent: Values, ids: Mapping[str, str], body: Mapping[str, Any] | None
) -> Answer:
    key = _first(sent, FORM_KEY)
    if not 0 < len(key) <= _MOST_KEY_CHARS or not _VISIBLE.issuperset(key):
        raise Problem("FORBIDDEN", "The form has no key. Load the page again.")
    version = _first(sent, FORM_VERSION)
    return await visit.send(
        operation,
        {"customerId": visit.call.customer_id, **ids},
        body,
        key,
        f'"{version}"' if version.isdecimal() else None,
    )


async def _again(visit: Visit, refusal: Refusal) -> web.Response:
    """The page with the refused form. Raises the problem if there is nothing to show any more."""
    problem = refusal.problem
    if problem.code in (RejectionCode.CUSTOMER_NOT_FOUND, RejectionCode.CUSTOMER_ERASED, "FORBIDDEN"):
        raise problem
    return await _page(visit, refusal)


def _after(visit: Visit, command: str, answer: Answer) -> str:
    here, command_id = path_of(visit.call.customer_id), answer.headers[CORRELATION_ID]
    if answer.status == 202 or command == ERASURE:
        return f"{here}/commands/{quote(command_id, safe='')}"
    return f"{here}?{urlencode({'done': command_id})}"


def _first(sent: Values, name: str) -> str:
    return next(iter(sent.get(name, ())), "")


async def _page(visit: Visit, refusal: Refusal | None = None) -> web.Response:
    """The page. refusal: of the form that was refused; None if none was."""
    ids, before = {"customerId": visit.call.customer_id}, visit.call.request.query.get("before")
    letters = await _letters(visit)
    found, points, explained, entries, spent = await _answers(
        visit,
        partial(visit.ask, "getCustomer", ids),
        partial(visit.ask, "getRewardPoints", ids),
        partial(visit.ask, "getExplanation", ids),
        partial(visit.ask, "getTimeline", ids, {} if before is None else {"before": before}),
        partial(visit.ask, "getMonthlySpending", ids),
    )
    customer = found.read(CustomerView)
    shown = Shown(customer, points.read(RewardPointsView))
    spending = None if spent.status == 503 else spent.read(MonthlySpendingView)
    forms = offered(shown, visit.may, lambda command: _access_of(visit, command))
    is_at_form = refusal is not None and _mark(forms, refusal)
    return visit.page(
        "customer.html",
        200 if refusal is None else 422,
        title=customer.name,
        customer=customer,
        points=shown.points,
        explanation=explained.read(ExplanationView),
        timeline=entries.read(TimelineView),
        paged=before is not None,
        chart=None if spending is None else charts.months(spending.months),
        months=() if spending is None else spending.months,
        age_s=found.age_s,
        letters=letters,
        forms=forms,
        done=await _done(visit) if refusal is None else None,
        refusal=None if is_at_form else refusal,
        here=path_of(customer.id),
    )


async def _answers(visit: Visit, *asked: Callable[[], Awaitable[Answer]]) -> Sequence[Answer]:
    """The answers to several reads of the customer.

    Reads of a customer who is here wait for nothing. A task for each would add turns of the loop, and in each turn a
    batch may come first. Reads that are forwarded go out together.
    """
    gateway = visit.call.gateway
    if gateway.holds(gateway.partition_of(visit.call.customer_id)):
        return [await ask() for ask in asked]
    return await asyncio.gather(*(ask() for ask in asked))


def _mark(forms: dict[str, list[Form]], refusal: Refusal) -> bool:
    """Put what was sent and the errors into the form that was refused. Returns whether the page still has that form.

    A form into which the id was typed has no mark, and comes after those that have one.
    """
    made = forms[refusal.command]
    for at, form in enumerate(made):
        if form.mark in (refusal.mark, ""):
            made[at] = refused(form, refusal)
            return True
    return False


def _access_of(visit: Visit, command: str) -> Access:
    return visit.desk.api.write_of(command).access


async def _done(visit: Visit) -> CommandResult | None:
    """The result of the command that led here; None without one."""
    command_id = visit.call.request.query.get("done")
    if not command_id:
        return None
    ids: dict[str, Any] = {"customerId": visit.call.customer_id, "commandId": command_id}
    answer = await visit.ask("getCommand", ids)
    return answer.read(CommandResult) if answer.status == 200 else None


async def _letters(visit: Visit) -> LetterPage | None:
    """The customer's dead letters; None for a visitor who may not see them, and while they cannot be read."""
    if not visit.may(Access.ADMIN):
        return None
    try:
        return await visit.call.gateway.letters.page(_MOST_LETTERS, customer_id=visit.call.customer_id)
    except LettersUnavailable:
        return None
