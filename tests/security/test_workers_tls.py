"""Two real workers that speak TLS among themselves and to their clients, with tokens from a JWKS file."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api.live import CUSTOMERS, LiveApi
from tests.api.tokens import EC_KEY, RSA_KEY, bearer, jwk
from tests.security.certificates import Authority


def write(file: Path, key: dict[str, Any]) -> None:
    file.write_text(json.dumps({"keys": [key]}))


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    file = tmp_path / "jwks.json"
    write(file, jwk(RSA_KEY, kid="old"))
    return file


@pytest.fixture
def live(kafka: str, tmp_path: Path, jwks: Path) -> Iterator[LiveApi]:
    authority = Authority(tmp_path, "workers")
    _, both = authority.issue("worker", ("127.0.0.1",))
    settings = {
        "WEB_SSL_CERTFILE": str(both),
        "PEER_SSL_CAFILE": str(authority.path),
        "AUTH_JWKS_FILE": str(jwks),
    }
    api = LiveApi(kafka, tmp_path, settings, ssl.create_default_context(cafile=authority.path))
    yield api
    api.end()


async def test_workers_forward_over_tls_and_take_new_keys_while_they_run(live: LiveApi, jwks: Path) -> None:
    old = bearer(key=RSA_KEY, alg="RS256", kid="old")
    new = bearer(key=EC_KEY, alg="ES256", kid="new")
    live.headers = old
    workers = await live.started("a", "b")
    urls = [live.url(worker) for worker in workers]
    assert all(url.startswith("https://") for url in urls)
    async with live.session() as session:
        for number in range(8):  # enough to meet partitions of both
            person = {"name": "Ann Lee", "email": f"ann{number}@example.com"}
            async with session.post(urls[0] + CUSTOMERS, json=person, headers=old) as answer:
                assert answer.status == 201, await answer.text()
                place = answer.headers["Location"]
            for url in urls:
                async with session.get(url + place, headers=old) as answer:
                    assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await session.get(urls[0].replace("https", "http") + "/health/live")
        write(jwks, jwk(EC_KEY, kid="new"))
        deadline = time.monotonic() + 20
        while (await session.get(urls[0] + place, headers=new)).status != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        assert (await session.get(urls[0] + place, headers=old)).status == 401
