"""Verification of bearer tokens, and the keys for it.

Rules (RFC 7515, RFC 7517, RFC 7519):
- Before the signature is verified, only the token's header is read.
- Types are strict. A time is a JSON number, never text or a boolean. `scope` is text with scopes separated by spaces.
- `exp` and `scope` are required. `exp`, `nbf` and `iat` are compared with a leeway of 30 s, because clocks differ.
- A header with `crit` is refused. It names extensions that the verifier must know, and this one knows none.
- The key decides the algorithm, never the token: HS256 for the secret, RS256 or ES256 for the keys of a file.
- A JWKS file holds public keys only. These mistakes make the whole file unusable: a private or symmetric key, an RSA key
  below 2,048 bits, a repeated key id, or `key_ops` without `verify`.
- Keys for other purposes (`use`, `alg`, another type or curve) are ignored, as RFC 7517 says.
- The file is read again when it changes. If the new file cannot be used, the old keys stay valid.
"""

import json
import re
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives import serialization

from worker.settings import PREFIX, ConfigurationError

MAX_TOKEN_CHARS = 8_000
LEEWAY_SECONDS = 30
_LAST_SECOND = 253_402_300_799  # of the year 9999
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
MIN_RSA_BITS = 2_048
MAX_FILE_BYTES = 1 << 20
_SETTING = f"{PREFIX}AUTH_JWKS_FILE"
_BY_KEY_TYPE = {"RSA": "RS256", "EC": "ES256"}
_PRIVATE_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

log = structlog.get_logger(__name__)

Seconds = int | float


class BadToken(Exception):
    """The token is not valid. It does not hold the reason, because an attacker could learn from it."""


class Claims(msgspec.Struct, frozen=True):
    """The claims that are used. Others are ignored. Times are seconds since 1970 UTC."""

    exp: Seconds
    scope: str
    sub: str = ""
    nbf: Seconds = 0
    iat: Seconds = 0
    aud: str | list[str] = ""
    iss: str = ""
    customer_id: str | msgspec.UnsetType = msgspec.UNSET


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_header = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(Claims)
_signatures = jwt.PyJWS()


class SigningKey(msgspec.Struct, frozen=True):
    """A key that verifies signatures. key: as PyJWT takes it; algorithm: the only one that it is used with."""

    key: Any
    algorithm: str


class Keys(Protocol):
    """A source of keys."""

    def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """The key for a token; None if there is none, or if several keys fit.

        Args:
            kid: the key id in the token's header; None without one.
            algorithm: the algorithm in the token's header.
        """

    def digest(self) -> bytes:
        """A hash of all keys, the same on every worker that has the same keys."""


class SharedSecret:
    """A source with one key: the shared secret for HS256."""

    def __init__(self, secret: str) -> None:
        self._key = SigningKey(secret, "HS256")
        self._digest = sha256(secret.encode()).digest()

    def digest(self) -> bytes:
        """The hash of the secret."""
        return self._digest

    def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """The secret, whatever key id and algorithm the token names."""
        return self._key


class JwksFile:
    """A source with the public keys of a JWKS file."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises ConfigurationError if it cannot be used."""
        self._path = path
        self._seen = _state_of(path)
        self._keys = _read(path)
        self._digest = _digest_of(self._keys)

    def digest(self) -> bytes:
        """The hash of the keys that are in force."""
        return self._digest

    def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """The key with this id. Without an id: the only key of this algorithm, or None if there are several."""
        if kid is not None:
            return self._keys.get(kid)
        fitting = [key for key in self._keys.values() if key.algorithm == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def refresh(self) -> bool:
        """Read the file again if it changed. Returns whether new keys are in use. May block on the disk."""
        state = _state_of(self._path)
        if state == self._seen:
            return False
        self._seen = state
        try:
            self._keys = _read(self._path)
        except ConfigurationError as fault:
            log.error(
                "the changed JWKS file cannot be used; the keys from before stay in force", why=str(fault)
            )
            return False
        self._digest = _digest_of(self._keys)
        log.info("the keys of the JWKS file were read again", keys=len(self._keys))
        return True


class Verifier:
    """Verifies tokens.

    Args:
        keys: the source of keys.
        audience: a value that `aud` must contain; empty for no check.
        issuer: the value that `iss` must have; empty for no check.
    """

    def __init__(self, keys: Keys, audience: str, issuer: str) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer

    def claims_of(self, token: str) -> Claims:
        """The claims of a valid token. token: in the compact serialisation. Raises BadToken."""
        try:
            claims = _claims.decode(self._payload(token))
        except (jwt.PyJWTError, ValueError, RecursionError):  # msgspec's and Unicode errors are ValueErrors
            raise BadToken from None
        if not (self._is_in_time(claims) and self._is_for_us(claims)):
            raise BadToken
        return claims

    def _payload(self, token: str) -> bytes:
        form = _COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN_CHARS else None
        if form is None:
            raise BadToken
        header = _header.decode(jwt.utils.base64url_decode(form[1]))
        key = self._keys.find(header.kid, header.alg) if header.crit is msgspec.UNSET else None
        if key is None or header.alg != key.algorithm:
            raise BadToken
        payload: bytes = _signatures.decode(token, key.key, algorithms=[key.algorithm])
        return payload

    def _is_in_time(self, claims: Claims) -> bool:
        now = time.time()
        if not all(0 <= each <= _LAST_SECOND for each in (claims.exp, claims.nbf, claims.iat)):
            return False
        return now < claims.exp + LEEWAY_SECONDS and max(claims.nbf, claims.iat) <= now + LEEWAY_SECONDS

    def _is_for_us(self, claims: Claims) -> bool:
        given = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        of_audience = not self._audience or self._audience in given
        return of_audience and self._issuer in ("", claims.iss) and claims.customer_id != ""


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """Values of the file's metadata that change when it is replaced or written; None if it cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: Path) -> dict[str, SigningKey]:
    keys: dict[str, SigningKey] = {}
    for number, document in enumerate(_documents(path)):
        _check_harmless(document, number)
        algorithm = _algorithm_of(document)
        if algorithm is None:
            continue
        kid = document.get("kid", f"#{number}")
        if not isinstance(kid, str) or kid in keys:
            raise _unusable(f"key {number} has an id (kid) that is no text, or that another key has, too")
        keys[kid] = SigningKey(_public_key(document, algorithm, number), algorithm)
    if not keys:
        raise _unusable("no key in it can check RS256 or ES256 signatures")
    return keys


def _digest_of(keys: Mapping[str, SigningKey]) -> bytes:
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256(b"".join(sorted(each.key.public_bytes(*form) for each in keys.values()))).digest()


def _documents(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        documents = json.loads(text)["keys"] if len(text) <= MAX_FILE_BYTES else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        documents = None
    if not isinstance(documents, list) or not all(isinstance(each, dict) for each in documents):
        raise _unusable("this is not a JSON Web Key Set")
    return documents


def _check_harmless(document: Mapping[str, Any], number: int) -> None:
    """Raise ConfigurationError for a private or symmetric key, whatever its purpose."""
    if document.get("kty") == "oct" or not _PRIVATE_PARTS.isdisjoint(document):
        raise _unusable(f"key {number} is a private or symmetric key; give public keys only")


def _algorithm_of(document: Mapping[str, Any]) -> str | None:
    """The algorithm whose signatures the key verifies; None for a key with another purpose."""
    kind = document.get("kty")
    algorithm = _BY_KEY_TYPE.get(kind) if isinstance(kind, str) else None
    if document.get("alg", algorithm) != algorithm or document.get("use", "sig") != "sig":
        return None
    return algorithm if algorithm != "ES256" or document.get("crv") == "P-256" else None


def _public_key(document: Mapping[str, Any], algorithm: str, number: int) -> Any:
    operations = document.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _unusable(f"key {number} is not meant to verify signatures (key_ops)")
    try:
        key = jwt.PyJWK(dict(document), algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        raise _unusable(f"key {number} cannot be read") from None
    if algorithm == "RS256" and key.key_size < MIN_RSA_BITS:
        raise _unusable(f"key {number} has less than {MIN_RSA_BITS} bits")
    return key


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"{_SETTING}: {why}.")
