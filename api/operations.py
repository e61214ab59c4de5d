"""What an endpoint is: its route, who may use it, what it takes and what it answers.

The routes, the authorisation and the OpenAPI document all come from the same list, so that none is without a rule.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec
from aiohttp import web

from api.auth import Access
from api.calls import Call

View = Callable[[Call], Awaitable[web.StreamResponse]]
Method = Literal["GET", "POST", "PUT", "DELETE"]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    path: with {customerId} and the like. command_type: the command that a write becomes. answers: status → the type
    of its body, None for no body, a media type for what is not JSON. needs_body: of one that takes a body; False: it may
    be left out. errors: the contract's main ones; those that any
    request can meet are added by the document. query: the required query parameters, with what they hold.
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
    query: Mapping[str, str] = {}

    @property
    def is_write(self) -> bool:
        return self.method != "GET"
