"""`explain`: what a worker answers, in words; what stands in the way, in one sentence."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner, Result

from api.app import build
from tests.api.in_memory import NOW, RULES, InMemoryGateway, World
from tests.api.tokens import SECRET, token
from worker.cli import app
from worker.domain.state import Customer
from worker.settings import PREFIX, Settings


@pytest.fixture
def world() -> World:
    """One customer, with an order of 129.90 USD."""
    world = World()
    world.customers["c/1"] = Customer(
        id="c/1", name="Ann Lee", email="ann@example.com", created_at=NOW, version=1, tracked=True
    )
    world.order("c/1", "o-1", 12_990)
    return world


def explain(world: World, *words: str, env: Mapping[str, str] | None = None, **settings: Any) -> Result:
    """Call `explain` beside a worker with these settings."""

    async def served() -> Result:
        gateway = InMemoryGateway(world)
        gateway.own()
        async with TestServer(build(Settings(**settings), gateway, RULES).application()) as server:
            url = str(server.make_url("")).rstrip("/")
            given = {f"{PREFIX}ADVERTISED_URL": url, "COLUMNS": "200"} | dict(env or {})
            return await asyncio.to_thread(lambda: CliRunner().invoke(app, ["explain", *words], env=given))

    return asyncio.run(served())


def test_a_customer_is_explained_in_sentences_with_the_last_changes(world: World):
    said = explain(world, "c/1", "--limit", "1")
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines() == [
        "Level STANDARD since 2025-11-24T16:00:00.000Z.",
        "SILVER needs 500.00 USD of lifetime spending: 129.90 USD were spent, 370.10 USD are missing, rules 1.",
        (
            "VIP needs PLATINUM and 10000.00 USD within 365 days, rules 1. "
            "The best days, from 2024-11-25 to 2025-11-24, have 129.90 USD: 9870.10 USD are missing."
        ),
        (
            "The balance is 12 points: 12 earned, 0 taken back by returns, 0 redeemed, 0 restored by cancellations, "
            "0 adjusted by hand."
        ),
        "",
        "version 2  2025-11-24T16:00:00.000Z  OrderCompletedEvent o-1",
        "  129.90 USD earn 12 points: 1 for each whole 10.00 USD, rules 1.",
        "  The balance is now 12 points.",
    ]
    assert "version 1" in explain(world, "c/1").stdout


def test_programs_get_one_json_object(world: World):
    shown = json.loads(explain(world, "c/1", "--json").stdout)
    assert shown["explanation"]["points"]["balance"] == 12
    assert [entry["version"] for entry in shown["timeline"]["entries"]] == [2, 1]


def failed(said: Result) -> str:
    assert said.exception is not None
    return str(said.exception)


def test_what_stands_in_the_way_is_said(world: World):
    assert "CUSTOMER_NOT_FOUND" in failed(explain(world, "nobody"))
    world.customers["c/1"].erased = True
    assert "CUSTOMER_ERASED" in failed(explain(world, "c/1"))
    world.owners.clear()
    nobody = {f"{PREFIX}ADVERTISED_URL": "http://127.0.0.1:1"}
    assert "No worker answers at http://127.0.0.1:1" in failed(explain(world, "c/1", env=nobody))
    assert "--url is an address" in failed(explain(world, "c/1", "--url", "ftp://x"))


def test_with_the_secret_in_the_settings_it_makes_its_own_token(world: World):
    secret = {f"{PREFIX}AUTH_JWT_SECRET": SECRET}
    assert explain(world, "c/1", env=secret, auth_jwt_secret=SECRET).exit_code == 0
    assert "--token-file" in failed(explain(world, "c/1", auth_jwt_secret=SECRET))


def test_a_token_may_come_from_a_file(world: World, tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(f"{token(scope='customers:read')}\n")
    words = ("c/1", "--token-file", str(file))
    assert explain(world, *words, auth_jwt_secret=SECRET).exit_code == 0
    file.write_text("not\na token")
    assert "no token" in failed(explain(world, *words, auth_jwt_secret=SECRET))
