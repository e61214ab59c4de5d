"""Request bodies: JSON, UTF-8, at most 64 KiB, and sent within 10 seconds."""

import asyncio
from typing import Any

from aiohttp import web

from api.problems import Problem, invalid
from worker.domain.rejections import DeadLettered
from worker.wire.strict_json import read_object

MAX_BODY_BYTES = 65_536
BODY_SECONDS = 10.0


async def read_body(request: web.Request) -> bytes:
    """The raw body. Raises Problem 408 or 413."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise Problem("BODY_TOO_LARGE", f"A body has at most {MAX_BODY_BYTES} bytes.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Problem("REQUEST_TIMEOUT", "The body did not arrive in time.") from None
    except (web.RequestPayloadError, ConnectionResetError):  # the client went away
        raise invalid(("body", "incomplete")) from None


async def read_json(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises Problem 400, 408, 413 or 415."""
    body = await read_body(request)
    _check_media_type(request)
    try:
        return read_object(body)
    except DeadLettered:
        raise invalid(("body", "not_a_json_object")) from None


async def read_optional_json(request: web.Request) -> dict[str, Any] | None:
    """The JSON object in the body, None without a body. Raises as read_json does."""
    return await read_json(request) if await read_body(request) else None


def _check_media_type(request: web.Request) -> None:
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    charset = (request.charset or "utf-8").lower()
    if request.content_type != "application/json" or coding != "identity" or charset not in ("utf-8", "utf8"):
        raise Problem("UNSUPPORTED_MEDIA_TYPE", "Send application/json, in UTF-8 and not compressed.")
