"""The script and the style of the desk."""

from functools import cache
from pathlib import Path

from aiohttp import web

from api.desk.visit import Visit, make_ours
from api.problems import Problem

_FILES = {"desk.css": "text/css", "desk.js": "text/javascript", "icon.svg": "image/svg+xml"}
_FOLDER = Path(__file__).parent / "files"


async def show(visit: Visit) -> web.Response:
    """A file of the desk. Raises Problem 404 for any other name."""
    name = visit.call.ids["file"]
    if name not in _FILES:
        raise Problem("NOT_FOUND")
    response = web.Response(body=_content(name), content_type=_FILES[name], charset="utf-8")
    make_ours(response)
    return response


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
