"""The endpoints for health, metrics and documentation. They need no token.

Rules:
- The pages load nothing from another host, and no inline script or style runs.
- The files of Swagger UI are read from an installed Python distribution. None of its code is imported.
"""

from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.problems import Problem
from api.request import Call
from api.responses import CONTENT_SECURITY_POLICY, POLICY, raw_response
from api.views import HealthView, encode

_OURS = Path(__file__).parent
_SWAGGER_UI = "mkdocs-swagger-ui-tag"
_HTML, _SCRIPT, _STYLE = "text/html", "text/javascript", "text/css"
_FILES = {
    "topics": _HTML,
    "topics.css": _STYLE,
    "topics.js": _SCRIPT,
    "http.js": _SCRIPT,
    "swagger-ui.css": _STYLE,
    "swagger-ui-bundle.js": _SCRIPT,
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        POLICY,
    )
)


async def live(call: Call) -> web.Response:
    """Liveness: 200 as long as the event loop runs."""
    return raw_response(encode(HealthView("alive", call.context.app_id)))


async def ready(call: Call) -> web.Response:
    """Readiness: 200 if the worker processes its assigned partitions. Raises Problem 503 with the reasons if not.

    A worker of several processes is ready when all of them are.
    """
    readiness = call.gateway.readiness()
    if call.context.siblings is not None:
        readiness = await call.context.siblings.readiness(readiness)
    if not readiness.ready:
        raise Problem("UNAVAILABLE", "This worker is not ready.", reasons=readiness.reasons)
    return raw_response(encode(HealthView("ready", call.context.app_id)))


async def metrics(call: Call) -> web.Response:
    """The metrics of this worker in Prometheus's text format, those of all its processes."""
    siblings = call.context.siblings
    body = generate_latest() if siblings is None else await siblings.metrics()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def board(call: Call) -> web.Response:
    """The figures of this process alone, for its siblings."""
    return raw_response(encode(call.gateway.board()))


async def openapi(call: Call) -> web.Response:
    """The OpenAPI document of this API (api.openapi)."""
    return raw_response(call.context.openapi)


async def asyncapi(call: Call) -> web.Response:
    """The AsyncAPI document of the topics (worker.wire.asyncapi)."""
    return raw_response(call.context.asyncapi)


async def docs(call: Call) -> web.Response:
    """The page that shows the OpenAPI document in Swagger UI, where every endpoint can be tried."""
    return _file("http.html", _HTML)


async def docs_file(call: Call) -> web.Response:
    """The page of the topics, and the scripts and styles of both pages. Raises Problem 404 for any other file."""
    name = call.ids["file"]
    if name not in _FILES:
        raise Problem("NOT_FOUND")
    return _file(name, _FILES[name])


def _file(name: str, media_type: str) -> web.Response:
    headers = {CONTENT_SECURITY_POLICY: _POLICY} if media_type == _HTML else None
    return web.Response(body=_content(name), content_type=media_type, charset="utf-8", headers=headers)


@cache
def _content(name: str) -> bytes:
    if not name.startswith("swagger-ui"):
        return (_OURS / name if "." in name else _OURS / f"{name}.html").read_bytes()
    folder = "javascripts" if name.endswith(".js") else "stylesheets"
    path = distribution(_SWAGGER_UI).locate_file(f"mkdocs_swagger_ui_tag/swagger-ui/{folder}/{name}")
    return Path(str(path)).read_bytes()
