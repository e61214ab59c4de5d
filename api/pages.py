"""Health, metrics and documentation: what operators and developers look at, without a token."""

from importlib.resources import files

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.answers import raw_response
from api.calls import Call
from api.contracts import HealthView, encode
from api.problems import Problem

_FRESH = {"Cache-Control": "no-store"}
_DOCS = files("api").joinpath("docs.html").read_text(encoding="utf-8")
_DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


async def live(call: Call) -> web.Response:
    """200 while the event loop turns."""
    return raw_response(encode(HealthView("alive")), headers=_FRESH)


async def ready(call: Call) -> web.Response:
    """200 when the worker processes what it was assigned, else 503 with the reasons."""
    readiness = call.gateway.readiness()
    if not readiness.ready:
        raise Problem("UNAVAILABLE", "This worker is not ready.", reasons=readiness.reasons)
    return raw_response(encode(HealthView("ready")), headers=_FRESH)


async def metrics(call: Call) -> web.Response:
    """What Prometheus scrapes."""
    return await scrape(call.request)


async def scrape(request: web.Request) -> web.Response:
    """The same, for a port of its own."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST, **_FRESH})


async def openapi(call: Call) -> web.Response:
    """The OpenAPI document of all this."""
    return raw_response(call.context.openapi, headers={"Cache-Control": "no-cache"})


async def asyncapi(call: Call) -> web.Response:
    """The AsyncAPI document of the topics."""
    return raw_response(call.context.asyncapi, headers={"Cache-Control": "no-cache"})


async def docs(call: Call) -> web.Response:
    """Both documents as a page, which needs no other host."""
    headers = {"Content-Security-Policy": _DOCS_POLICY, "X-Content-Type-Options": "nosniff"}
    return web.Response(text=_DOCS, content_type="text/html", headers=headers)
