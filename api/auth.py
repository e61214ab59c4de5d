"""Authorisation by bearer JWTs (contract, section 7). While HTTP is open, the `Host` header is checked instead.

HTTP is open without a secret and without a JWKS file. Then everybody may do everything.

Rules:
- customers:admin includes customers:read and customers:write.
- A token with `customer_id` reaches only that customer, unless it also has customers:admin.
- While HTTP is open, the settings only allow a loopback address.
- While HTTP is open, the host must be a loopback name or that of ADVERTISED_URL (contract, end of section 5). This stops
  DNS rebinding: a web page gives its own name an address of this machine, and the browser lets it read the answers.
- The port of the host is not compared, because a forwarded port differs.
- An absent or malformed host is refused. X-Forwarded-Host and Forwarded are ignored.
- A request line with a whole URL names a host, too. Both hosts have to be accepted.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

import msgspec
from aiohttp import hdrs, web
from yarl import URL

from api.limits import Limits
from api.problems import Problem
from api.tokens import LEEWAY_SECONDS, BadToken, Claims, JwksFile, Keys, SharedSecret, Verifier
from worker.addresses import is_loopback, plain
from worker.engine.lasting import lasting
from worker.settings import Settings
from worker.wire.ids import fault_of_id

_CACHED_TOKENS = 1_024
_ACTOR_DIGITS = 16
_LIMITS = Limits()
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{0,5})?")

Check = Callable[[web.BaseRequest], None]


class Access(StrEnum):
    """The scope that a route requires. OPEN: no token is needed."""

    OPEN = "open"
    READ = "customers:read"
    WRITE = "customers:write"
    ADMIN = "customers:admin"


class Principal(msgspec.Struct, frozen=True):
    """The rights of whoever sent a request.

    Attributes:
        subject: the token's `sub`, or empty.
        scopes: the token's scopes.
        customer_id: the only customer that it may reach; None for all.
        expires_at: until when the token is accepted, in seconds since 1970 UTC, leeway included.
    """

    subject: str = ""
    scopes: frozenset[str] = frozenset()
    customer_id: str | None = None
    expires_at: float = float("inf")

    @property
    def actor(self) -> str | None:
        """The actor of commands (contract, section 3): the subject, or the start of its hash; None without a subject.

        A subject that may be an email, or that is no valid id, is hashed.
        """
        if not self.subject:
            return None
        if "@" in self.subject or fault_of_id(self.subject) is not None:
            return sha256(self.subject.encode()).hexdigest()[:_ACTOR_DIGITS]
        return self.subject

    def allows(self, access: Access) -> bool:
        """Whether the scopes include the required one."""
        return access is Access.OPEN or access.value in self.scopes or Access.ADMIN.value in self.scopes

    def reaches(self, customer_id: str | None) -> bool:
        """Whether it may reach that customer. None: a route without a customer in its path."""
        return (
            self.customer_id is None or Access.ADMIN.value in self.scopes or self.customer_id == customer_id
        )


EVERYONE = Principal(scopes=frozenset({Access.ADMIN.value}))


class Authenticator:
    """Turns an Authorization header into a Principal. Verified tokens are cached until they expire."""

    def __init__(self, settings: Settings, limits: Limits = _LIMITS) -> None:
        """Read the keys. Raises ConfigurationError if the JWKS file cannot be used."""
        self._look_every_s = limits.keys_s
        self._keys = _keys_of(settings)
        self._verifier = (
            None if self._keys is None else Verifier(self._keys, settings.auth_audience, settings.auth_issuer)
        )
        self._verified: dict[str, Principal] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the JWKS file again whenever it changes, until the block ends."""
        if not isinstance(self._keys, JwksFile):
            yield
            return
        following = lasting(asyncio.create_task(self._follow(self._keys), name="keys of tokens"))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def keys_digest(self) -> bytes | None:
        """A hash of the keys, for secrets that all workers of an application share; None while HTTP is open."""
        return None if self._keys is None else self._keys.digest()

    def who(self, token: str) -> Principal:
        """The principal of a token. Raises Problem 401 if it is not valid."""
        return EVERYONE if self._verifier is None else self._principal(self._verifier, [f"Bearer {token}"])

    def admit(self, access: Access, authorization: Sequence[str], customer_id: str | None) -> Principal:
        """Check that the request has the required scope and may reach the customer.

        Args:
            access: what the route requires.
            authorization: all Authorization headers. More than one is refused, because a proxy may read another one.
            customer_id: the customer in the path; None without one.

        Returns:
            The principal of the token.

        Raises:
            Problem: 401 without a valid token, 403 if its rights are not sufficient.
        """
        if access is Access.OPEN or self._verifier is None:
            return EVERYONE
        principal = self._principal(self._verifier, authorization)
        if not principal.allows(access):
            raise _too_little(access)
        if not principal.reaches(customer_id):
            raise _too_little(Access.ADMIN)
        return principal

    def _principal(self, verifier: Verifier, given: Sequence[str]) -> Principal:
        if not given:
            raise Problem("UNAUTHENTICATED", "A bearer token is needed.", headers=_challenge())
        if len(given) > 1:
            raise _bad_token()
        known = self._verified.get(given[0])
        if known is not None and time.time() < known.expires_at:
            return known
        principal = _verified(verifier, given[0])
        if len(self._verified) >= _CACHED_TOKENS:
            self._verified.clear()
        self._verified[given[0]] = principal
        return principal

    async def _follow(self, file: JwksFile) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            if await asyncio.to_thread(file.refresh):
                self._verified.clear()  # a removed key may have signed some of them


def host_check(settings: Settings) -> Check | None:
    """A check that raises Problem 421 for a request with a foreign host; None if requests need a token."""
    if settings.authenticated:
        return None
    own = None if settings.advertised_url is None else plain(URL(settings.advertised_url).raw_host or "")

    @lru_cache(maxsize=256)
    def accepts(authority: str) -> bool:
        match = _AUTHORITY.fullmatch(authority)
        host = (match["v6"] or match["name"]) if match else ""
        return host != "" and (plain(host) == own or is_loopback(host))

    def check(request: web.BaseRequest) -> None:
        named = [request.headers.get(hdrs.HOST, "")]
        if not request.raw_path.startswith("/"):
            named.append(request.host)
        if not all(map(accepts, named)):
            raise Problem("MISDIRECTED_REQUEST", "This worker does not answer for that host.")

    return check


def _verified(verifier: Verifier, authorization: str) -> Principal:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise _bad_token()
    try:
        return _principal_of(verifier.claims_of(token.strip(" ")))
    except BadToken:
        raise _bad_token() from None


def _keys_of(settings: Settings) -> Keys | None:
    """The keys that the settings name; None while HTTP is open."""
    if settings.auth_jwt_secret is not None:
        return SharedSecret(settings.auth_jwt_secret.get_secret_value())
    return None if settings.auth_jwks_file is None else JwksFile(settings.auth_jwks_file)


def _principal_of(claims: Claims) -> Principal:
    return Principal(
        subject=claims.sub,
        scopes=frozenset(claims.scope.split()),
        customer_id=None if isinstance(claims.customer_id, msgspec.UnsetType) else claims.customer_id,
        expires_at=claims.exp + LEEWAY_SECONDS,
    )


def _challenge(error: str = "", scope: str = "") -> dict[str, str]:
    parts = ['realm="customer-context"']
    if error:
        parts.append(f'error="{error}"')
    if scope:
        parts.append(f'scope="{scope}"')
    return {"WWW-Authenticate": "Bearer " + ", ".join(parts)}


def _bad_token() -> Problem:
    return Problem("UNAUTHENTICATED", "The bearer token is not valid.", headers=_challenge("invalid_token"))


def _too_little(access: Access) -> Problem:
    return Problem(
        "FORBIDDEN",
        f"The token lacks the scope {access.value}.",
        headers=_challenge("insufficient_scope", access.value),
    )
