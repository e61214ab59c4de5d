"""The login: it takes a token once and keeps it in a cookie. While HTTP is open there is none."""

import re

from aiohttp import web

from api.auth import Access
from api.desk.session import LOGIN, MAX_COOKIE_CHARS, home_of, inside, seconds_left
from api.desk.visit import Visit, see_other
from api.problems import Problem

_NOT_VALID = "The token is not valid, or it has expired."
_SCHEME = re.compile(r"\A(?:authorization:\s*)?bearer\s+", re.IGNORECASE)


async def show(visit: Visit) -> web.Response:
    """The form that takes a token."""
    _check_needed(visit)
    return _form(visit, visit.call.request.query.get("next", ""), error=None)


async def enter(visit: Visit) -> web.Response:
    """Keep the token of the form, and lead on. A token that is no good shows the form again, with 422."""
    _check_needed(visit)
    fields = await visit.form()
    token = _SCHEME.sub("", fields.get("token", [""])[0].strip())
    wanted = fields.get("next", [""])[0]
    if len(token) > MAX_COOKIE_CHARS:
        return _form(
            visit, wanted, error=f"The token has over {MAX_COOKIE_CHARS} characters. No cookie holds it."
        )
    try:
        principal = visit.call.context.authenticator.who(token)
    except Problem:
        return _form(visit, wanted, error=_NOT_VALID)
    seconds = seconds_left(principal)
    if seconds == 0:
        return _form(visit, wanted, error=_NOT_VALID)
    if not principal.allows(Access.READ):
        return _form(visit, wanted, error=f"The token lacks the scope {Access.READ}.")
    response = see_other(inside(wanted, home_of(principal)))
    visit.desk.sessions.keep(response, token, seconds)
    return response


async def leave(visit: Visit) -> web.Response:
    """Forget the token."""
    _check_needed(visit)
    await visit.form()
    response = see_other(LOGIN)
    visit.desk.sessions.forget(response)
    return response


def _check_needed(visit: Visit) -> None:
    if not visit.desk.sessions.needed:
        raise Problem("NOT_FOUND", "No login is needed, because no authentication is configured.")


def _form(visit: Visit, wanted: str, error: str | None) -> web.Response:
    return visit.page(
        "login.html", 200 if error is None else 422, title="Log in", wanted=inside(wanted), error=error
    )
