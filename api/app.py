"""Assembles the HTTP API. worker.app mounts it in Faust's web server, tests in a plain aiohttp application.

Limits beside those of api.limits: a header or the request line has at most 8 KiB, a request at most 128 headers. The
connection of a client that is too slow with headers or body, or idle too long, is closed. No CORS headers are sent.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from secrets import token_bytes
from typing import Any

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from api.auth import Authenticator, host_check
from api.desk import routes as desk
from api.desk.live import Live
from api.desk.own_api import OwnApi
from api.desk.session import Sessions
from api.desk.visit import Desk
from api.dispatch import answer_everything, answering, leave_to_the_view, routes_of
from api.endpoints import CUSTOMER_OPERATIONS, METRICS, PAGE_OPERATIONS, STATE_OPERATIONS, Operation
from api.limits import Limits
from api.openapi import document
from api.owner import Forwarder
from api.read_copy import ReadCopy
from api.request import Context, SentCommands
from api.views import Renderings
from worker.domain.rules import RuleBook
from worker.gateway import Gateway
from worker.processes.place import Place
from worker.processes.siblings import Siblings
from worker.settings import Settings
from worker.wire import asyncapi

_LIMITS = Limits()
_SERVER_OPTIONS = {
    "lingering_time": 1.0,  # seconds of reading a body after an early answer
    "auto_decompress": False,
    "max_line_size": 8_190,
    "max_field_size": 8_190,
    "max_headers": 128,
}


class ApiParts(msgspec.Struct, frozen=True):
    """The operations, routes and shared context with which an aiohttp application serves the API."""

    operations: tuple[Operation, ...]
    routes: list[web.RouteDef]
    context: Context

    def application_options(self) -> dict[str, Any]:
        """The arguments of aiohttp.web.Application, for Faust's web_application_options."""
        return {
            "client_max_size": self.context.limits.body_bytes,
            # keepalive_timeout also ends a connection whose request headers do not arrive.
            "handler_args": {**_SERVER_OPTIONS, "keepalive_timeout": self.context.limits.client_s},
        }

    def mount(self, application: web.Application) -> None:
        """Add the routes and background tasks to an application that was made with application_options()."""
        self._add(application, self.routes)
        application.cleanup_ctx.append(_lifespan(self.context))

    def application(self) -> web.Application:
        """A new aiohttp application that serves the API."""
        application = web.Application(**self.application_options())
        self.mount(application)
        return application

    def metrics_application(self) -> web.Application:
        """A new aiohttp application that serves only /metrics, for METRICS_PORT."""
        application = web.Application(**self.application_options())
        self._add(application, routes_of((METRICS,), self.context))
        return application

    def state_application(self) -> web.Application:
        """A new aiohttp application that tells the state of this process alone, for its siblings."""
        application = web.Application(**self.application_options(), middlewares=(self._for_siblings,))
        alone = msgspec.structs.replace(self.context, siblings=None)
        self._add(application, routes_of(STATE_OPERATIONS, alone))
        return application

    @web.middleware
    async def _for_siblings(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what no sibling asks."""
        if self.context.siblings is None or not self.context.siblings.asks(request.headers):
            raise web.HTTPForbidden
        return await handler(request)

    def _add(self, application: web.Application, routes: list[web.RouteDef]) -> None:
        application.router.add_routes(routes)
        answer_everything(application.router, routes, self.context.check_host)


def build(
    settings: Settings,
    gateway: Gateway,
    rules: RuleBook,
    limits: Limits = _LIMITS,
    place: Place | None = None,
) -> ApiParts:
    """Build the API of a worker. /metrics is among its routes unless METRICS_PORT is set.

    Args:
        settings: the worker's settings.
        gateway: the worker behind the API.
        rules: the rules file.
        limits: sizes and time limits.
        place: of this process among those of its worker; None if it is the only one.

    Raises:
        ConfigurationError: the JWKS file cannot be used.
    """
    pages = PAGE_OPERATIONS if settings.metrics_port is not None else (*PAGE_OPERATIONS, METRICS)
    operations = (*CUSTOMER_OPERATIONS, *pages)
    read_copy = None
    if settings.redis_url is not None:
        read_copy = ReadCopy(settings.redis_url.get_secret_value(), settings.app_id, gateway, rules)
    context = Context(
        app_id=settings.app_id,
        gateway=gateway,
        renderings=Renderings(rules.currency),
        rules=rules,
        authenticator=Authenticator(settings, limits),
        forwarder=Forwarder(settings.peers(), settings.peer_ssl_context(), limits),
        read_copy=read_copy,
        check_host=host_check(settings),
        sent=SentCommands(),
        openapi=msgspec.json.encode(
            document(operations, authenticated=settings.authenticated, contact=settings.contact())
        ),
        asyncapi=msgspec.json.encode(asyncapi.document(settings.catalogue(), settings.contact())),
        limits=limits,
        siblings=None if place is None else Siblings(place),
    )
    routes = [
        *routes_of(operations, context),
        _home(settings, context),
        *_desk_routes(settings, operations, context, token_bytes(32) if place is None else place.secret),
    ]
    return ApiParts(operations, routes, context)


def _home(settings: Settings, context: Context) -> web.RouteDef:
    """The route of `/`, which leads to the desk, or to /docs where it is off."""

    async def lead_on(_request: web.Request) -> web.Response:
        return web.Response(status=303, headers={hdrs.LOCATION: "/desk" if settings.desk else "/docs"})

    handler = answering(lead_on, "/", context.check_host)
    return web.get("/", handler, expect_handler=leave_to_the_view)


def _desk_routes(
    settings: Settings, operations: Sequence[Operation], context: Context, form_key: bytes
) -> list[web.RouteDef]:
    if not settings.desk:
        return []
    return desk.routes_of(
        Desk(OwnApi(operations, context), Sessions(settings, context.authenticator, form_key), Live())
    )


def _lifespan(context: Context) -> Callable[[web.Application], AsyncIterator[None]]:
    async def lifespan(application: web.Application) -> AsyncIterator[None]:
        application.on_response_prepare.clear()  # else Faust's CORS hook, which is off, still runs for every answer
        async with AsyncExitStack() as running:
            await running.enter_async_context(context.authenticator.running())
            await running.enter_async_context(context.forwarder.running())
            if context.read_copy is not None:
                await running.enter_async_context(context.read_copy.running())
            if context.siblings is not None:
                await running.enter_async_context(context.siblings.running())
            yield

    return lifespan
