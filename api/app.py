"""Puts the HTTP API together; worker.app mounts it in Faust's web server, tests in a plain aiohttp application.

Limits: 64 KiB a body, 8 KiB a header or request line, 128 headers; a client that takes more than 10 s for its headers
or its body, or stays idle that long, is closed. No CORS headers are ever sent.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from aiohttp import web

from api.auth import Authenticator
from api.bodies import MAX_BODY_BYTES
from api.calls import Context, SentCommands
from api.forwarding import Forwarder
from api.openapi import document
from api.operations import Operation
from api.pages import scrape
from api.read_copy import ReadCopy
from api.rendering import Renderings
from api.routing import answer_everything, routes_of
from api.table import CUSTOMER_OPERATIONS, METRICS, PAGE_OPERATIONS
from api.unreadable import answer_without_repeating
from worker.gateway import Gateway
from worker.settings import Settings
from worker.wire import asyncapi

CLIENT_SECONDS = 10.0

_SERVER_OPTIONS = {
    "keepalive_timeout": CLIENT_SECONDS,  # also ends a connection whose request headers do not arrive
    "lingering_time": 1.0,  # reads on after an early answer, so that the client sees it
    "auto_decompress": False,
    "max_line_size": 8_190,
    "max_field_size": 8_190,
    "max_headers": 128,
}


class ApiParts(msgspec.Struct, frozen=True):
    """What an aiohttp application needs to serve the API. lifespan: for Application.cleanup_ctx."""

    operations: tuple[Operation, ...]
    routes: list[web.RouteDef]
    lifespan: Callable[[web.Application], AsyncIterator[None]]
    client_max_size: int = MAX_BODY_BYTES

    def application_options(self) -> dict[str, Any]:
        """The arguments of aiohttp.web.Application, for Faust's web_application_options."""
        return {
            "client_max_size": self.client_max_size,
            "handler_args": dict(_SERVER_OPTIONS),
        }

    def mount(self, application: web.Application) -> None:
        """Adds routes and lifespan to an application that was made with application_options()."""
        application.router.add_routes(self.routes)
        answer_everything(application.router, self.routes)
        application.cleanup_ctx.append(self.lifespan)

    def application(self) -> web.Application:
        """An application of its own."""
        application = web.Application(**self.application_options())
        self.mount(application)
        return application


def build(settings: Settings, gateway: Gateway, rules_currency: str) -> ApiParts:
    """The API over a worker. Raises ConfigurationError when the JWKS file cannot be used.

    /metrics is among the routes unless METRICS_PORT moves it; then metrics_application() serves it.
    """
    answer_without_repeating()
    pages = PAGE_OPERATIONS if settings.metrics_port is not None else (*PAGE_OPERATIONS, METRICS)
    operations = (*CUSTOMER_OPERATIONS, *pages)
    read_copy = None
    if settings.redis_url is not None:
        read_copy = ReadCopy(settings.redis_url.get_secret_value(), settings.app_id, gateway, rules_currency)
    context = Context(
        gateway=gateway,
        renderings=Renderings(rules_currency),
        authenticator=Authenticator(settings),
        forwarder=Forwarder(),
        read_copy=read_copy,
        sent=SentCommands(),
        openapi=msgspec.json.encode(document(operations, authenticated=settings.authenticated)),
        asyncapi=msgspec.json.encode(asyncapi.document(settings.catalogue())),
    )
    routes = routes_of(operations, context)
    return ApiParts(operations, routes, _lifespan(context))


def metrics_application() -> web.Application:
    """/metrics alone, for METRICS_PORT."""
    application = web.Application()
    application.router.add_get("/metrics", scrape)
    return application


def _lifespan(context: Context) -> Callable[[web.Application], AsyncIterator[None]]:
    async def lifespan(application: web.Application) -> AsyncIterator[None]:
        application.on_response_prepare.clear()  # Faust's CORS, which is off, would still look at every answer
        async with AsyncExitStack() as running:
            await running.enter_async_context(context.forwarder.running())
            if context.read_copy is not None:
                await running.enter_async_context(context.read_copy.running())
            yield

    return lifespan
