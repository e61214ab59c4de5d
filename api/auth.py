"""Who may do what: bearer JWTs (contract, section 7).

Rules:
- The key decides the algorithm, never the token: HS256 for a secret, RS256 or ES256 for the keys of a JWKS file.
  `alg: none` is on no list.
- `exp` and `scope` must be there; `aud` and `iss` too where they are configured.
- customers:admin includes customers:read and customers:write.
- A token with `customer_id` reaches that customer alone, unless it also has customers:admin.
- Without a secret or a JWKS file everyone may do everything; the settings then allow a loopback address only.
"""

import json
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import jwt
import msgspec

from api.problems import Problem
from worker.settings import ConfigurationError, Settings

MAX_TOKEN_CHARS = 8_000
_CACHED_TOKENS = 1_024
_BY_KEY_TYPE = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}


class Access(StrEnum):
    """What a route asks for. OPEN: no token."""

    OPEN = "open"
    READ = "customers:read"
    WRITE = "customers:write"
    ADMIN = "customers:admin"


class Principal(msgspec.Struct, frozen=True):
    """Who asks. subject: `sub`, else empty; customer_id: the only customer it may reach, None for all."""

    subject: str = ""
    scopes: frozenset[str] = frozenset()
    customer_id: str | None = None
    expires_at: float = float("inf")

    def allows(self, access: Access) -> bool:
        """Whether the scopes are enough."""
        return access is Access.OPEN or access.value in self.scopes or Access.ADMIN.value in self.scopes

    def reaches(self, customer_id: str | None) -> bool:
        """Whether it may touch that customer; None: customers at large."""
        return (
            self.customer_id is None or Access.ADMIN.value in self.scopes or self.customer_id == customer_id
        )


EVERYONE = Principal(scopes=frozenset({Access.ADMIN.value}))


class Authenticator:
    """Turns an Authorization header into a Principal. Verified tokens are remembered until they expire."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError when the JWKS file holds no usable key."""
        self._secret = settings.auth_jwt_secret.get_secret_value() if settings.auth_jwt_secret else None
        self._keys = _read_keys(settings.auth_jwks_file) if settings.auth_jwks_file else {}
        self._audience = settings.auth_audience or None
        self._issuer = settings.auth_issuer or None
        self._open = not settings.authenticated
        self._verified: dict[str, Principal] = {}

    def admit(self, access: Access, authorization: str | None, customer_id: str | None) -> Principal:
        """The principal, if it has the scope and may reach the customer.

        customer_id: the one in the path, None where there is none. Raises Problem with 401 or 403.
        """
        if access is Access.OPEN or self._open:
            return EVERYONE
        principal = self._principal(authorization)
        if not principal.allows(access):
            raise _too_little(access)
        if not principal.reaches(customer_id):
            raise _too_little(Access.ADMIN)
        return principal

    def _principal(self, authorization: str | None) -> Principal:
        if authorization is None:
            raise Problem("UNAUTHENTICATED", "A bearer token is needed.", headers=_challenge())
        known = self._verified.get(authorization)
        if known is not None and time.time() < known.expires_at:
            return known
        principal = self._verify(authorization)
        if len(self._verified) >= _CACHED_TOKENS:
            self._verified.clear()
        self._verified[authorization] = principal
        return principal

    def _verify(self, authorization: str) -> Principal:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
            raise _bad_token()
        try:
            key, algorithm = self._key_for(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": self._required(),
                    "verify_aud": self._audience is not None,
                    "verify_iss": self._issuer is not None,
                },
            )
        except (jwt.PyJWTError, ValueError):  # ValueError: numbers and texts PyJWT itself trips over
            raise _bad_token() from None
        return _principal_of(claims)

    def _required(self) -> list[str]:
        wanted = ["exp"]
        if self._audience is not None:
            wanted.append("aud")
        if self._issuer is not None:
            wanted.append("iss")
        return wanted

    def _key_for(self, token: str) -> tuple[Any, str]:
        if self._secret is not None:
            return self._secret, "HS256"
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if kid is None:
            fitting = [pair for pair in self._keys.values() if pair[1] == header.get("alg")]
            if len(fitting) == 1:
                return fitting[0]
        elif kid in self._keys:
            return self._keys[kid]
        raise jwt.InvalidKeyError("no such key")


def _principal_of(claims: Mapping[str, Any]) -> Principal:
    scope, subject, customer_id = claims.get("scope"), claims.get("sub", ""), claims.get("customer_id")
    if not isinstance(scope, str) or not isinstance(subject, str):
        raise _bad_token()
    if "customer_id" in claims and not (isinstance(customer_id, str) and customer_id):
        raise _bad_token()
    return Principal(
        subject=subject,
        scopes=frozenset(scope.split()),
        customer_id=customer_id,
        expires_at=float(claims["exp"]),
    )


def _read_keys(path: Path) -> dict[str, tuple[Any, str]]:
    try:
        documents = json.loads(path.read_bytes())["keys"]
        keys = dict(_key(document, number) for number, document in enumerate(documents) if _signs(document))
    except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError):
        raise ConfigurationError("CUSTOMER_CONTEXT_AUTH_JWKS_FILE: this is not a JSON Web Key Set.") from None
    if not keys:
        raise ConfigurationError(
            "CUSTOMER_CONTEXT_AUTH_JWKS_FILE: no key in it can check RS256, ES256 or HS256 signatures."
        )
    return keys


def _signs(document: Mapping[str, Any]) -> bool:
    algorithm = _BY_KEY_TYPE.get(document["kty"])
    fits = document.get("alg", algorithm) == algorithm and document.get("use", "sig") == "sig"
    return algorithm is not None and fits and (algorithm != "ES256" or document.get("crv") == "P-256")


def _key(document: Mapping[str, Any], number: int) -> tuple[str, tuple[Any, str]]:
    algorithm = _BY_KEY_TYPE[document["kty"]]
    key = jwt.PyJWK(dict(document), algorithm=algorithm).key
    if algorithm == "RS256" and not hasattr(key, "verify"):
        key = key.public_key()
    if algorithm == "HS256" and len(key) < 32:
        raise ValueError("a shared key needs at least 32 bytes")
    return str(document.get("kid", f"#{number}")), (key, algorithm)


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
        f"The token does not allow this; {access.value} does.",
        headers=_challenge("insufficient_scope", access.value),
    )
