"""Which keys of a JWKS file are taken, and what happens when the file changes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from structlog.testing import capture_logs

from api.limits import Limits
from api.tokens import JwksFile
from tests.api.conftest import CUSTOMERS, Client, Serve, problem
from tests.api.in_memory import InMemoryGateway, World
from tests.api.tokens import EC_KEY, RSA_KEY, SECRET, bearer, hmac_signed, jwk, unsigned
from worker.settings import ConfigurationError

RSA_PUBLIC = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
GOOD = jwk(RSA_KEY, kid="r1", use="sig")
OTHER = jwk(EC_KEY, kid="e1", alg="ES256", key_ops=["verify"])


def written(folder: Path, *keys: Any) -> Path:
    file = folder / "jwks.json"
    file.write_text(json.dumps({"keys": keys}))
    return file


@pytest.fixture
async def client(world: World, serve: Serve, tmp_path: Path) -> Client:
    """A worker whose keys are in tmp_path/jwks.json, looked at all the time."""
    gateway = InMemoryGateway(world)
    gateway.own()
    file = written(tmp_path, GOOD, OTHER, {"kty": "unknown"})
    return await serve(gateway=gateway, limits=Limits(keys_s=0.02), auth_jwks_file=file)


async def status(client: Client, headers: dict[str, str]) -> int:
    """404 for a token that is taken, 401 for another."""
    return (await client.get(f"{CUSTOMERS}/nobody", headers=headers)).status


async def test_keys_check_their_own_algorithm_only(client: Client) -> None:
    for good in (
        bearer(key=RSA_KEY, alg="RS256", kid="r1"),
        bearer(key=RSA_KEY, alg="RS256"),
        bearer(key=EC_KEY, alg="ES256", kid="e1"),
    ):
        assert await status(client, good) == 404
    for bad in (
        bearer(key=RSA_KEY, alg="RS512", kid="r1"),
        bearer(key=RSA_KEY, alg="PS256", kid="r1"),
        bearer(key=RSA_KEY, alg="RS256", kid="e1"),
        bearer(key=RSA_KEY, alg="RS256", kid="unknown"),
        bearer(key=ec.generate_private_key(ec.SECP256R1()), alg="ES256", kid="e1"),
        bearer(key=SECRET),
        {"Authorization": f"Bearer {hmac_signed('customers:admin', RSA_PUBLIC, 'r1')}"},
        {"Authorization": f"Bearer {unsigned('customers:admin')}"},
    ):
        await problem(await client.get(f"{CUSTOMERS}/nobody", headers=bad), 401, "UNAUTHENTICATED")


REFUSED: dict[str, tuple[Any, ...]] = {
    "no JSON Web Key Set": ("text",),
    "no key": (),
    "only of another curve": (jwk(ec.generate_private_key(ec.SECP521R1())),),
    "only for encryption": (jwk(RSA_KEY, use="enc"),),
    "only for another algorithm": (jwk(RSA_KEY, alg="RSA-OAEP"),),
    "RSA of 1,024 bits": (GOOD, jwk(WEAK, kid="weak")),
    "RSA with d": (GOOD, jwk(EC_KEY, private=True, kid="e")),
    "a private key for encryption": (GOOD, jwk(RSA_KEY, private=True, kid="x", use="enc")),
    "a symmetric key": (GOOD, {"kty": "oct", "k": "x" * 60, "kid": "s"}),
    "one id twice": (GOOD, jwk(EC_KEY, kid="r1")),
    "one id twice, one of them without an id": (jwk(EC_KEY), jwk(RSA_KEY, kid="#0")),
    "an id that is no text": (GOOD, jwk(EC_KEY, kid=7)),
    "key_ops without verify": (GOOD, jwk(EC_KEY, kid="e", key_ops=["encrypt"])),
    "no key_ops": (GOOD, jwk(EC_KEY, kid="e", key_ops=[])),
    "key_ops that are no list": (GOOD, jwk(EC_KEY, kid="e", key_ops="verify")),
    "a point off the curve": (GOOD, {**jwk(EC_KEY, kid="e"), "y": jwk(EC_KEY)["x"]}),
    "numbers for texts": (GOOD, {"kty": "RSA", "n": 1, "e": 2, "kid": "n"}),
    "nothing but a type": (GOOD, {"kty": "EC", "crv": "P-256", "kid": "n"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_with_a_key_that_should_not_be_there_is_refused(tmp_path: Path, case: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^CUSTOMER_CONTEXT_AUTH_JWKS_FILE: [^\n]+\.$"):
        JwksFile(written(tmp_path, *REFUSED[case]))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"keys":{}}', "\ufeff{}", "[" * 100_000, " " * (2 << 20)])
def test_a_file_that_is_no_key_set_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="not a JSON Web Key Set"):
        JwksFile(file)


def test_a_key_for_something_else_is_left_out(tmp_path: Path) -> None:
    keys = JwksFile(written(tmp_path, GOOD, jwk(EC_KEY, kid="e1", use="enc"), {"kty": ["?"], "kid": "x"}))
    assert keys.find("r1", "RS256") is not None
    assert keys.find("e1", "ES256") is None


async def until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not await holds():
            await asyncio.sleep(0.02)


def ways_to_change(file: Path) -> Iterator[Any]:
    def replace(text: str) -> None:  # as Kubernetes does: another file gets the name
        other = file.with_suffix(".new")
        other.write_text(text)
        other.replace(file)

    yield file.write_text
    yield replace


@pytest.mark.parametrize("way", [0, 1])
async def test_a_file_that_changes_is_read_again(client: Client, tmp_path: Path, way: int) -> None:
    old, new = bearer(key=RSA_KEY, alg="RS256", kid="r1"), bearer(key=EC_KEY, alg="ES256", kid="new")
    assert [await status(client, each) for each in (old, new)] == [404, 401]
    change = list(ways_to_change(tmp_path / "jwks.json"))[way]
    change(json.dumps({"keys": [jwk(EC_KEY, kid="new")]}))

    async def taken() -> bool:
        return await status(client, new) == 404

    await until(taken)
    assert await status(client, old) == 401  # although it was verified before, and has not expired


@pytest.mark.parametrize("broken", ["", '{"keys":[]}', None])
async def test_a_broken_file_leaves_the_keys_from_before_and_says_so_once(
    client: Client, tmp_path: Path, broken: str | None
) -> None:
    file, old = tmp_path / "jwks.json", bearer(key=RSA_KEY, alg="RS256", kid="r1")
    with capture_logs() as logs:
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        await asyncio.sleep(0.3)
        said = [each for each in logs if "JWKS" in each["event"]]
    assert [each["log_level"] for each in said] == ["error"]
    assert await status(client, old) == 404
    written(tmp_path, jwk(EC_KEY, kid="new"))

    async def gone() -> bool:
        return await status(client, old) == 401

    await until(gone)
