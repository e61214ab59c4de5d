"""One request to the desk: who sent it, what it may do, the API behind it, and the page that answers it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import hdrs, web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.auth import Access, Principal
from api.desk import words
from api.desk.live import Live
from api.desk.own_api import Answer, OwnApi
from api.desk.session import Sessions, home_of
from api.endpoints import Operation
from api.problems import Problem, invalid
from api.request import Call
from api.responses import CONTENT_SECURITY_POLICY

POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
FORM_TOKEN = "formToken"  # noqa: S105 - the name of a field
FORM_KEY = "idempotencyKey"

_FORM_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 100
_TEMPLATES = Path(__file__).parent / "templates"


class Desk(msgspec.Struct, frozen=True):
    """What all pages share. api: this worker's own; sessions: cookies and tokens of forms; live: the streams."""

    api: OwnApi
    sessions: Sessions
    live: Live


class Visit(msgspec.Struct, frozen=True):
    """A request to a page, after its checks.

    Attributes:
        desk: what all pages share.
        call: the request, with its principal and the values in the path.
        blank: a copy of the request without a body, with which the API is asked.
        token: the visitor's token; None without one.
    """

    desk: Desk
    call: Call
    blank: web.Request
    token: str | None

    @property
    def path(self) -> str:
        """The path of the request."""
        return self.call.path

    @property
    def principal(self) -> Principal:
        """Who visits."""
        return self.call.principal

    def may(self, access: Access) -> bool:
        """Whether the visitor has that scope."""
        return self.principal.allows(access)

    async def ask(self, name: str, ids: Mapping[str, str], query: Mapping[str, str] = {}) -> Answer:
        """The API's answer to a read. name: of the operation; ids: the values in its path."""
        return await self.desk.api.ask(self.blank, self.token, name, ids, query)

    async def send(
        self,
        operation: Operation,
        ids: Mapping[str, str],
        body: Mapping[str, Any] | None,
        key: str,
        if_match: str | None,
    ) -> Answer:
        """The API's answer to a write. Arguments as in OwnApi.send."""
        return await self.desk.api.send(self.blank, self.token, operation, ids, body, key, if_match)

    def form_token(self, path: str) -> str:
        """The token of a form that is sent to that path."""
        return self.desk.sessions.form_token(self.token, path)

    async def form(self) -> dict[str, list[str]]:
        """The values of each field of the form that was sent.

        Raises:
            Problem: 403 for a form that is not ours, 400, 408, 413 or 415.
        """
        if self.call.request.content_type != _FORM_TYPE:
            raise Problem("UNSUPPORTED_MEDIA_TYPE", "Send the form as a browser does.")
        try:
            text = (await self.call.body()).decode()
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise invalid(("form", "invalid")) from None
        fields: dict[str, list[str]] = {}
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        given = fields.pop(FORM_TOKEN, [""])[0]
        if not self.desk.sessions.is_ours(self.call.request, self.token, self.path, given):
            raise Problem("FORBIDDEN", "The form did not come from a page of this desk. Load the page again.")
        return fields

    def page(self, template: str, status: int = 200, **values: Any) -> web.Response:
        """The answer with a page. template: its file; values: what it shows."""
        return show_page(
            template,
            status,
            visit=self,
            admin=self.may(Access.ADMIN),
            writer=self.may(Access.WRITE),
            bound=not self.principal.reaches(None),
            home=home_of(self.principal),
            login=self.desk.sessions.needed,
            **values,
        )


def show_page(template: str, status: int, **values: Any) -> web.Response:
    """An answer with a page, with the headers of the desk."""
    text = render(template, **values)
    response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
    make_ours(response)
    return response


def render(template: str, **values: Any) -> str:
    """The text of a template. values: what it shows."""
    return _environment().get_template(template).render(**values)


def see_other(path: str) -> web.Response:
    """303: the browser gets that path next. path: percent-encoded."""
    response = web.Response(status=303, headers={hdrs.LOCATION: path})
    make_ours(response)
    return response


def make_ours(response: web.StreamResponse) -> None:
    """Set those headers of a page that are not the API's.

    Without a referrer, a browser sends the origin `null` with a form, so the referrer stays within the desk.
    """
    response.headers[CONTENT_SECURITY_POLICY] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # else each page looks at the times of its files
    )
    environment.filters |= words.FILTERS
    environment.globals |= {"FORM_TOKEN": FORM_TOKEN, "FORM_KEY": FORM_KEY}
    return environment
