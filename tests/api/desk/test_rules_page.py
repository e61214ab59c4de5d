"""The page of the rules."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.desk.rules import shown_rules
from tests.api.conftest import Serve
from tests.api.desk.visitor import Visitor
from tests.api.in_memory import InMemoryGateway, World
from worker.wire.rules_file import load_rules

FILE = """
[[rules]]
version = "1"
effective_from = 1970-01-01
currency = "KWD"
amount_per_point = "3.005"
levels = {{ SILVER = "150.000", GOLD = "600.000", PLATINUM = "1500.000" }}
vip = {{ annual_spending = "3000.000", days = 365 }}
rates = {{ EUR = "0.33", JPY = "0.0020", USD = "0.30" }}

[[rules]]
version = "2"
effective_from = {now}
currency = "KWD"
amount_per_point = "3.000"
levels = {{ SILVER = "150.000", GOLD = "600.000", PLATINUM = "1500.000" }}
vip = {{ annual_spending = "1234567.000", days = 30 }}

[[rules]]
version = "3"
effective_from = {later}
currency = "KWD"
amount_per_point = "3.000"
levels = {{ SILVER = "200.000", GOLD = "600.000", PLATINUM = "1500.000" }}
vip = {{ annual_spending = "3000.000", days = 365 }}
rates = {{ USD = "100" }}
"""
YEN = """
[[rules]]
version = "1"
effective_from = 1970-01-01
currency = "JPY"
amount_per_point = "1000"
levels = { SILVER = "50000", GOLD = "200000", PLATINUM = "500000" }
vip = { annual_spending = "1000000", days = 365 }
rates = { KWD = "490.5", USD = "150" }
"""


@pytest.fixture
def shown(
    world: World, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Awaitable[str]]:
    """The words of the page, of a worker with this rules file."""

    async def words(text: str) -> str:
        file = tmp_path / "rules.toml"
        file.write_text(text)
        monkeypatch.setattr("tests.api.conftest.RULES", load_rules(file))
        page = await Visitor(await serve(gateway=InMemoryGateway(world))).show("/desk/rules")
        return " ".join(page.text.split())

    return words


async def test_the_rules_of_yesterday_today_and_tomorrow_are_shown(
    shown: Callable[[str], Awaitable[str]],
) -> None:
    today = datetime.now(UTC).date()
    later = today + timedelta(days=2)
    words = await shown(FILE.format(now=today, later=later))
    for text in (
        f"Version 3 future From {later} Until further notice One point for each whole 3.000 KWD",
        "Silver from 200.000 KWD",
        "1 USD counts as 100 KWD",
        f"Version 2 in force From {today} Until {later - timedelta(days=1)}",
        "VIP Platinum, and 1,234,567.000 KWD within 30 days Other currencies earn nothing",
        f"Version 1 past From 1970-01-01 Until {today - timedelta(days=1)}",
        "One point for each whole 3.005 KWD",
        "1 EUR counts as 0.33 KWD 1 JPY counts as 0.002 KWD 1 USD counts as 0.3 KWD",
    ):
        assert text in words, (text, words)
    places = [words.index(f"Version {number}") for number in (3, 2, 1)]
    assert places == sorted(places)


async def test_amounts_have_the_digits_of_their_currency(shown: Callable[[str], Awaitable[str]]) -> None:
    words = await shown(YEN)
    assert "One point for each whole 1,000 JPY Silver from 50,000 JPY" in words
    assert "1 KWD counts as 490.5 JPY 1 USD counts as 150 JPY" in words


def test_the_only_set_is_in_force_for_ever() -> None:
    (only,) = shown_rules(load_rules(None), 20_000)
    assert (only.when, only.since, only.until) == ("in force", "1970-01-01", None)
    assert only.rates == ()
