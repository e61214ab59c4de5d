"""Bearer tokens, good and bad."""

import base64
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SECRET = "a secret of more than sixty-four bytes, so that even HS512 would not complain about it"


def token(scope: Any = "customers:admin", *, key: Any = SECRET, alg: str = "HS256", **claims: Any) -> str:
    """A token that expires in a minute; a claim given as None is left out."""
    kid = claims.pop("kid", None)
    payload = {"exp": int(time.time()) + 60, "sub": "tester", "scope": scope, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key, algorithm=alg, headers={"kid": kid} if kid else None)


def bearer(scope: Any = "customers:admin", **options: Any) -> dict[str, str]:
    """The Authorization header with such a token."""
    return {"Authorization": f"Bearer {token(scope, **options)}"}


def jwk(key: Any, *, private: bool = False, **fields: Any) -> dict[str, Any]:
    """The JSON Web Key of a private key's public part, or of the whole key, with more fields."""
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    shown = key if private else key.public_key()
    return {**json.loads(algorithm.to_jwk(shown)), **fields}


def forged(claims: str | bytes, head: str | bytes = '{"alg":"HS256","typ":"JWT"}', key: str = SECRET) -> str:
    """A rightly signed token with any bytes as claims and as header."""
    parts = ".".join(_encoded(part.encode() if isinstance(part, str) else part) for part in (head, claims))
    return f"{parts}.{_encoded(hmac.digest(key.encode(), parts.encode(), 'sha256'))}"


def unsigned(scope: str) -> str:
    """A token with alg none, which PyJWT would rather not write."""
    return f"{_parts('none', scope)}."


def hmac_signed(scope: str, key: bytes, kid: str) -> str:
    """A token whose HMAC key is a public key's text: the classic confusion of algorithms."""
    parts = _parts("HS256", scope, kid)
    return f"{parts}.{_encoded(hmac.digest(key, parts.encode(), 'sha256'))}"


def _parts(alg: str, scope: str, kid: str = "") -> str:
    head = {"alg": alg, "typ": "JWT", "kid": kid}
    claims = {"exp": int(time.time()) + 60, "sub": "x", "scope": scope}
    return ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
