"""The pages of the desk: route, scope and view. Without a token a visitor is led to the login."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from api.auth import Access
from api.desk import board, customer, files, letters, login, rules, search
from api.desk.letters import LETTERS
from api.desk.session import HOME, LOGIN
from api.desk.visit import Desk, Visit, see_other, show_page
from api.dispatch import answering, leave_to_the_view
from api.problems import Problem, invalid
from api.request import Call, correlation_id
from worker.wire.ids import fault_of_id

View = Callable[[Visit], Awaitable[web.StreamResponse]]


class Page(msgspec.Struct, frozen=True):
    """One method of one path of the desk. access: the scope that its visitor needs."""

    method: Literal["GET", "POST"]
    path: str
    access: Access
    view: View


_CUSTOMER = "/desk/customers/{customerId}"

PAGES: tuple[Page, ...] = (
    Page("GET", "/desk", Access.READ, board.show),
    Page("GET", "/desk/live", Access.READ, board.stream),
    Page("POST", "/desk/search", Access.READ, search.find),
    Page("GET", LETTERS, Access.ADMIN, letters.show_list),
    Page("GET", f"{LETTERS}/{{offset}}", Access.ADMIN, letters.show_one),
    Page("POST", f"{LETTERS}/{{offset}}/replay", Access.ADMIN, letters.replay),
    Page("GET", _CUSTOMER, Access.READ, customer.show),
    Page("GET", f"{_CUSTOMER}/commands/{{commandId}}", Access.READ, customer.show_command),
    Page("POST", f"{_CUSTOMER}/{{commandType}}", Access.WRITE, customer.submit),
    Page("GET", "/desk/rules", Access.READ, rules.show),
    Page("GET", LOGIN, Access.OPEN, login.show),
    Page("POST", LOGIN, Access.OPEN, login.enter),
    Page("POST", "/desk/logout", Access.OPEN, login.leave),
    Page("GET", "/desk/files/{file}", Access.OPEN, files.show),
)


def routes_of(desk: Desk) -> list[web.RouteDef]:
    """A route for each page."""
    return [
        web.route(each.method, each.path, _endpoint(each, desk), expect_handler=leave_to_the_view)
        for each in PAGES
    ]


def _endpoint(page: Page, desk: Desk) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def enter(request: web.Request) -> web.StreamResponse:
        token = desk.sessions.token_of(request)
        try:
            visit = _admitted(page, desk, request, token)
            return await page.view(visit)
        except Problem as problem:
            if problem.status == 401:
                return _to_login(request, desk)
            raise

    def show(request: web.Request, problem: Problem) -> web.Response:
        return _failed(desk, request, problem)

    return answering(enter, page.path, desk.api.context.check_host, show)


def _admitted(page: Page, desk: Desk, request: web.Request, token: str | None) -> Visit:
    context, ids = desk.api.context, request.match_info
    given = () if token is None else (f"Bearer {token}",)
    principal = context.authenticator.admit(page.access, given, ids.get("customerId"))
    for name, value in ids.items():
        if fault_of_id(value) is not None:
            raise invalid((name, "invalid"))
    call = Call(context, request, ids, principal, correlation_id(request))
    return Visit(desk, call, request.clone(), token)


def _to_login(request: web.Request, desk: Desk) -> web.Response:
    wanted = request.path_qs if request.method == "GET" else "/desk"
    response = see_other(f"{LOGIN}?{urlencode({'next': wanted})}")
    desk.sessions.forget(response)
    return response


def _known(desk: Desk, request: web.Request, problem: Problem) -> Visit | None:
    """The visit that failed, so that its page offers what the visitor may do; None for a stranger."""
    context, token = desk.api.context, desk.sessions.token_of(request)
    if problem.code == "MISDIRECTED_REQUEST" or (desk.sessions.needed and token is None):
        return None
    try:
        principal = context.authenticator.who(token or "")
    except Problem:
        return None
    call = Call(context, request, request.match_info, principal, None)
    return Visit(desk, call, request, token)


def _failed(desk: Desk, request: web.Request, problem: Problem) -> web.Response:
    visit = _known(desk, request, problem)
    title = HTTPStatus(problem.status).phrase
    if visit is None:
        response = show_page(
            "failed.html", problem.status, title=title, problem=problem, visit=None, home=HOME
        )
    else:
        response = visit.page("failed.html", problem.status, title=title, problem=problem)
    for name, value in problem.headers.items():
        response.headers[name] = value
    return response
