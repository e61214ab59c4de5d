"""Who visits the desk, and which forms are ours (contract, section 8).

Rules:
- The visitor's token is in a cookie. No script can read it, and no other site can make a browser send it. It holds the
  token itself, so it works on every worker. It ends no later than the
  token.
- The API does not look at the cookie.
- Each form has a token of its own: a MAC over the visitor's token and the path that the form is sent to. Its key comes
  from the secret or the keys of the authentication. So a form of one worker may be sent to another one. While HTTP is
  open, each worker makes up a key, which its processes share.
- A form from another origin is refused, whatever else it has.
"""

import hmac
import time
from hashlib import sha256

from aiohttp import hdrs, web
from multidict import istr
from yarl import URL

from api.auth import Authenticator, Principal
from api.desk.words import path_part
from api.tokens import LEEWAY_SECONDS
from worker.settings import Settings

HOME = "/desk"
LOGIN = f"{HOME}/login"
MAX_COOKIE_CHARS = 4_000  # a browser keeps no longer cookie

_COOKIE = "customer_context_desk"
_FETCH_SITE = istr("Sec-Fetch-Site")
_OURS = frozenset({"same-origin", "none"})


class Sessions:
    """The cookies and the tokens of forms.

    Args:
        settings: the worker's settings.
        authenticator: checks tokens.
        made_up: the key of forms while HTTP is open.
    """

    def __init__(self, settings: Settings, authenticator: Authenticator, made_up: bytes) -> None:
        url = settings.advertised_url or ""
        self._advertised = _authority(url)
        self._secure = url.startswith("https:")
        self._authenticator = authenticator
        self._made_up = made_up
        self.needed = settings.authenticated

    def token_of(self, request: web.Request) -> str | None:
        """The token in the request's cookie; None without one, and while HTTP is open."""
        token = request.cookies.get(_COOKIE) if self.needed else None
        return token if token is not None and token.isascii() else None

    def keep(self, response: web.StreamResponse, token: str, seconds: int) -> None:
        """Put a token into the visitor's cookie. seconds: how long a browser keeps it."""
        response.set_cookie(
            _COOKIE,
            token,
            max_age=seconds,
            path=HOME,
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )

    def forget(self, response: web.StreamResponse) -> None:
        """Remove the visitor's cookie."""
        response.del_cookie(_COOKIE, path=HOME)

    def form_token(self, visitor: str | None, path: str) -> str:
        """The token of a form. visitor: the visitor's token; None without one. path: where the form is sent to."""
        return hmac.new(self._key(), f"{visitor or ''}\n{path}".encode(), sha256).hexdigest()

    def is_ours(self, request: web.Request, visitor: str | None, path: str, given: str) -> bool:
        """Whether a form with this token comes from a page that this visitor got, and from our own origin."""
        expected = self.form_token(visitor, path)
        return self._same_origin(request) and hmac.compare_digest(expected.encode(), given.encode())

    def _key(self) -> bytes:
        digest = self._authenticator.keys_digest()
        return self._made_up if digest is None else sha256(b"forms of the desk\0" + digest).digest()

    def _same_origin(self, request: web.Request) -> bool:
        if request.headers.get(_FETCH_SITE, "none") not in _OURS:
            return False
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:  # no browser: another site cannot make one leave it out
            return True
        given = _authority(origin)
        return given is not None and given in (_authority(f"http://{request.host}"), self._advertised)


def _authority(url: str) -> tuple[str, int | None] | None:
    """Host and port, to compare; the scheme may differ behind a proxy that ends TLS. None for a text without a host."""
    try:
        found = URL(url)
        return None if found.host is None else (found.host, found.explicit_port)
    except ValueError:
        return None


def seconds_left(principal: Principal) -> int:
    """How long a token is still valid, without the leeway; at least 0. principal: of the token."""
    return max(0, int(principal.expires_at - LEEWAY_SECONDS - time.time()))


def home_of(principal: Principal) -> str:
    """The path of a visitor's first page: the board, or the customer whom a token reaches alone."""
    if principal.reaches(None) or principal.customer_id is None:
        return HOME
    return f"{HOME}/customers/{path_part(principal.customer_id)}"


def inside(path: str, home: str = HOME) -> str:
    """The path of the desk to which a visitor wanted to go; the first page for any other text.

    Args:
        path: where the visitor wanted to go.
        home: the path of the visitor's first page.
    """
    fine = path == home or path.startswith((f"{home}/", f"{home}?"))
    harmless = path.isascii() and path.isprintable() and "\\" not in path and " " not in path
    return path if fine and harmless and not path.startswith(LOGIN) else home
