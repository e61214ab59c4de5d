"""`customer-context explain ID`: why a customer has this level, VIP and balance, and what changed the customer last.

It asks a worker over HTTP. It follows no redirect and uses no proxy, because its token is for the worker alone.
"""

import http.client
import json
import sys
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from worker.cli.context import settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import Screen, emit, shown
from worker.settings import PREFIX, Settings

_WITHIN_S = 10.0
_TOKEN_S = 60
_MOST_BYTES = 4 << 20  # of an answer
_MOST_CHARS = 8_192  # of a token
_SAID = {
    401: "the worker wants a token: name a file with one by --token-file",
    403: "the token may not read this customer",
    404: "no such customer is registered",
    410: "the customer was erased, and nobody gets anything of one",
    503: "the worker that owns the customer is away; try again",
}


def register(app: typer.Typer) -> None:
    """Add `explain` to the console script."""
    app.command(
        "explain",
        epilog="Examples: customer-context explain c-1 · customer-context explain c-1 --limit 50 --json",
    )(explain)


def explain(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(metavar="ID", help="The customerId.")],
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100, help="How many of the last changes to show.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="A worker. Default: the one of the settings.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            allow_dash=True,
            help="A bearer token with the scope customers:read.",
        ),
    ] = None,
) -> None:
    """Explain a customer in sentences: level, VIP and points, what is missing to more, and the last changes.

    It asks a running worker. With AUTH_JWT_SECRET in the settings it makes its own token, which is valid for a minute.
    """
    settings = settings_of(context)
    worker, token = _url(settings, url), _token(settings, token_file)
    path = f"/api/v1/customers/{quote(customer, safe='')}"
    explanation = _asked(settings, worker, f"{path}/explanation", token)
    timeline = _asked(settings, worker, f"{path}/timeline?limit={limit}", token)
    if as_json:
        emit(json.dumps({"explanation": explanation, "timeline": timeline}))
    else:
        _print(explanation["sentences"], timeline["entries"])


def _url(settings: Settings, given: str | None) -> str:
    if given is None and settings.advertised_url is None and settings.web_port == 0:
        raise CommandFailed("The worker took any free port: name its address with --url.")
    url = (given or settings.public_url(settings.web_port)).rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise CommandFailed("--url is an address such as http://127.0.0.1:6066.")
    return url


def _token(settings: Settings, file: Path | None) -> str | None:
    if file is not None:
        with nullcontext(sys.stdin) if str(file) == "-" else file.open(errors="replace") as opened:
            token = opened.read(_MOST_CHARS).strip()
        if not token.isascii() or not token.isprintable():
            raise CommandFailed("The file holds no token.")
        return token
    if settings.auth_jwt_secret is None:
        return None
    import jwt  # takes longer than all else, and most have no use for it

    claims: dict[str, Any] = {
        "sub": "customer-context explain",
        "scope": "customers:read",
        "exp": int(time.time()) + _TOKEN_S,
    }
    claims |= {"aud": settings.auth_audience} if settings.auth_audience else {}
    claims |= {"iss": settings.auth_issuer} if settings.auth_issuer else {}
    return jwt.encode(claims, settings.auth_jwt_secret.get_secret_value(), algorithm="HS256")


def _asked(settings: Settings, worker: str, path: str, token: str | None) -> Any:
    try:
        status, body = _got(settings, worker, path, token)
        answer = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CommandFailed(
            f"No worker answers at {worker} ({type(error).__name__}). Start one, or name another with --url; "
            f"{PREFIX}ADVERTISED_URL and {PREFIX}WEB_PORT say where one is looked for."
        ) from None
    if status != http.client.OK:
        code = answer.get("code", status) if isinstance(answer, dict) else status
        raise CommandFailed(f"{worker} says {code}: {_SAID.get(status, 'see the log of the worker')}.")
    return answer


def _got(settings: Settings, worker: str, path: str, token: str | None) -> tuple[int, bytes]:
    address = urlsplit(worker)
    host = address.hostname or ""
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        context = settings.peer_ssl_context()
        connection = http.client.HTTPSConnection(host, address.port, timeout=_WITHIN_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, address.port, timeout=_WITHIN_S)
    with closing(connection):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        connection.request("GET", address.path + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST_BYTES)


def _print(sentences: list[str], entries: list[dict[str, Any]]) -> None:
    screen = Screen()
    for sentence in sentences:
        screen.say(shown(sentence))
    screen.say("")
    for entry in entries:
        named = " ".join(str(each) for each in (entry["input"], entry["inputId"]) if each is not None)
        by = "" if entry["actor"] is None else f", by {entry['actor']}"
        at = "" if entry["at"] is None else f"  {entry['at']}"
        screen.say(shown(f"version {entry['version']}{at}  {named}{by}".rstrip()))
        for sentence in entry["why"]:
            screen.say(f"  {shown(sentence)}")
