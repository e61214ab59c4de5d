"""Rates, recomputed independently: by hand from the contract, and every planted difference in what they made is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agents.world import World
from tests.verify.observed import Observed
from worker.verify.model.rules import History, Order, Rules, load_rules
from worker.wire import rules_file as worker_reads

DAY_MS = 86_400_000
SET = """
[[rules]]
version = "1"
effective_from = 1970-01-01
currency = "USD"
amount_per_point = "10.00"
levels = { SILVER = "500.00", GOLD = "2000.00", PLATINUM = "5000.00" }
vip = { annual_spending = "10000.00", days = 365 }
"""
RATED = SET + 'rates = { EUR = "1.10", JPY = "0.0067", KWD = "3.25" }\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("minor", "currency", "eligible", "points"),
    [
        (10_000, "EUR", 11_000, 11),  # 100.00 EUR are 110.00 USD
        (909, "EUR", 999, 0),  # 9.09 EUR are 9.999 USD
        (910, "EUR", 1_001, 1),
        (1_493, "JPY", 1_000, 1),  # 1493 JPY are 10.0031 USD
        (1_492, "JPY", 999, 0),
        (3_077, "KWD", 1_000, 1),  # 3.077 KWD are 10.00025 USD
        (1_000, "USD", 1_000, 1),
        (1_000, "GBP", 0, 0),
    ],
)
def test_what_an_order_is_converted_into_by_hand(tmp_path, minor, currency, eligible, points):
    rules = load_rules(written(tmp_path, RATED))
    order = Order(0, "o1", minor, currency)
    assert (rules.eligible(order), rules.points(order)) == (eligible, points)


def history(rules: Rules, *orders: tuple[int, int, str]) -> History:
    """orders: (day, minor units, currency)."""
    told = History(rules)
    for n, (day, minor, currency) in enumerate(orders):
        told.add(Order(day * DAY_MS + n, f"o{n}", minor, currency))
    return told


def test_level_and_vip_by_hand(tmp_path):
    rules = load_rules(written(tmp_path, RATED))
    told = history(rules, (1_000, 500_000, "USD"), (1_001, 9_999_999, "GBP"), (1_364, 454_545, "EUR"))
    assert told.level(0)[0] == "PLATINUM"
    assert told.vip_window() is None  # 4999.995 USD are 4999.99
    told.add(Order(1_364 * DAY_MS + 9, "o9", 1, "EUR"))
    window = told.vip_window()
    assert window is not None
    assert (window.first, window.last, window.spent) == (1_000, 1_364, 1_000_000)
    assert window.filled_at == 1_364 * DAY_MS + 9
    assert (told.counted("USD"), told.total("USD"), told.total("EUR")) == (1_000_000, 500_000, 454_546)


def test_the_worker_and_the_verification_convert_alike(tmp_path):
    path = written(tmp_path, SET + 'rates = { EUR = "1.097531", JPY = "0.006701", KWD = "3.251234567891" }\n')
    one, other = worker_reads.load_rules(path).on(0), load_rules(path)
    for currency in ("EUR", "JPY", "KWD"):
        for minor in [*range(500), 10**15 - 1, 10**17 + 1]:
            assert one.counted(minor, currency) == other.eligible(Order(0, "o", minor, currency))


def rated_world(rules_file: Path) -> World:
    """A customer whom orders in three currencies made VIP."""
    world = World(seed=1, rules=worker_reads.load_rules(rules_file))
    world.register("c1")
    world.run()
    world.order("c1", "o1", "4000.00", currency="EUR")
    world.order("c1", "o2", "3000.00", on="2026-11-02T12:00:00Z")
    world.order("c1", "o3", "500000", currency="JPY", on="2026-11-03T12:00:00Z")
    world.order("c1", "o4", "9.99", currency="EUR", on="2026-11-04T12:00:00Z")
    return world.run()


def test_a_worker_with_rates_verifies_clean_and_one_that_forgot_them_does_not(tmp_path):
    world = rated_world(written(tmp_path, RATED))
    rules_file = written(tmp_path, RATED)
    assert world.row("c1").customer.vip_since is not None  # type: ignore[union-attr]
    assert Observed(world, rules_file=rules_file).differences() == []
    for other in (SET, RATED.replace("1.10", "1.11")):
        found = Observed(world, rules_file=written(tmp_path, other)).differences()
        assert any("RewardPointsEarnedEvent" in each for each in found)
        assert any("converted" in each for each in found)


@pytest.mark.parametrize("field", ["total", "annual", "annual_day", "days"])
def test_every_altered_figure_of_what_was_converted_is_found(tmp_path, field):
    rules_file = written(tmp_path, RATED)
    observed = Observed(rated_world(rules_file), rules_file=rules_file)
    tables = next(tables for tables in observed.tables if b"c1" in tables["customers"])
    row: Any = json.loads(tables["customers"][b"c1"])
    spent = row["customer"]["converted"]["USD"]
    first, last, amount, *more = spent["days"]
    spent[field] = [first, last, amount + 1, *more] if field == "days" else 7
    tables["customers"][b"c1"] = json.dumps(row).encode()
    assert any("converted.USD" in each for each in observed.differences())


def test_what_was_converted_and_is_no_longer_there_is_found(tmp_path):
    rules_file = written(tmp_path, RATED)
    observed = Observed(rated_world(rules_file), rules_file=rules_file)
    tables = next(tables for tables in observed.tables if b"c1" in tables["customers"])
    row: Any = json.loads(tables["customers"][b"c1"])
    del row["customer"]["converted"]
    tables["customers"][b"c1"] = json.dumps(row).encode()
    assert any(each.endswith("converted") for each in observed.differences())
