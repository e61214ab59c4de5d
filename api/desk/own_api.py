"""The desk's way to the data: this worker's own API, asked without a connection.

A request to it is the visitor's request with another target and body. It has the visitor's token as a bearer token. So it
gets the same checks as one of a program. It is forwarded to the owner of the customer, or answered from the copy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from api.dispatch import answer_within
from api.endpoints import Operation
from api.problems import Problem, owner_away
from api.request import IDEMPOTENCY_KEY, Context
from api.views import ProblemView

Document = TypeVar("Document")

_JSON = "application/json"


class Answer(msgspec.Struct, frozen=True):
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def age_s(self) -> int | None:
        """The age of a stale copy, in seconds; None for an answer of the owner."""
        age = self.headers.get(hdrs.AGE, "")
        return int(age) if age.isdecimal() else None

    def read(self, kind: type[Document]) -> Document:
        """The body of a success. Raises Problem: the API's own, or 503 for a body that no worker of this release sends."""
        if self.status >= 400:
            raise self.problem()
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError:
            raise owner_away() from None

    def problem(self) -> Problem:
        """The error in the body."""
        try:
            found = msgspec.json.decode(self.body, type=ProblemView)
            detail = "" if found.detail is msgspec.UNSET else found.detail
            return Problem(found.code, detail, errors=[(each.field, each.code) for each in found.errors])
        except (msgspec.DecodeError, KeyError):
            return Problem("INTERNAL_ERROR")


class OwnApi:
    """This worker's API. operations: of which it consists; context: what its views share."""

    def __init__(self, operations: Sequence[Operation], context: Context) -> None:
        self._operations = {each.name: each for each in operations}
        self._writes = {each.command_type: each for each in operations if each.command_type is not None}
        self.context = context

    def write_of(self, command_type: str) -> Operation:
        """The operation that makes such a command. Raises KeyError if there is none."""
        return self._writes[command_type]

    async def ask(
        self,
        visitor: web.Request,
        token: str | None,
        name: str,
        ids: Mapping[str, str],
        query: Mapping[str, str] = {},
    ) -> Answer:
        """The answer to a read.

        Args:
            visitor: the request of the visitor, whose body is not read yet.
            token: the visitor's token; None without one.
            name: of the operation.
            ids: the values in its path.
            query: its parameters.
        """
        operation = self._operations[name]
        return await self._answer(visitor, operation, ids, query, b"", self._headers(visitor, token))

    async def send(
        self,
        visitor: web.Request,
        token: str | None,
        operation: Operation,
        ids: Mapping[str, str],
        body: Mapping[str, Any] | None,
        key: str,
        if_match: str | None,
    ) -> Answer:
        """The answer to a write.

        Args:
            visitor: as in `ask`.
            token: as in `ask`.
            operation: of the write.
            ids: the values in its path.
            body: None for none.
            key: the Idempotency-Key.
            if_match: the entity tag that the customer must have; None for any.
        """
        headers = self._headers(visitor, token)
        headers[IDEMPOTENCY_KEY] = key
        if if_match is not None:
            headers[hdrs.IF_MATCH] = if_match
        content = b""
        if body is not None:
            headers[hdrs.CONTENT_TYPE] = _JSON
            content = msgspec.json.encode(body)
        return await self._answer(visitor, operation, ids, {}, content, headers)

    async def _answer(
        self,
        visitor: web.Request,
        operation: Operation,
        ids: Mapping[str, str],
        query: Mapping[str, str],
        body: bytes,
        headers: CIMultiDict[str],
    ) -> Answer:
        path = operation.path.format_map({name: quote(value, safe="") for name, value in ids.items()})
        target = URL(f"{path}?{urlencode(query)}" if query else path, encoded=True)
        request = visitor.clone(method=operation.method, rel_url=target, headers=headers)
        response = cast(web.Response, await answer_within(operation, self.context, request, ids, body))
        return Answer(response.status, response.headers, bytes(cast(bytes, response.body or b"")))

    @staticmethod
    def _headers(visitor: web.Request, token: str | None) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = CIMultiDict()
        if hdrs.HOST in visitor.headers:
            headers[hdrs.HOST] = visitor.headers[hdrs.HOST]
        if token is not None:
            headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return headers
