"""The rules file is checked before anything starts, and says in plain words what is wrong."""

from pathlib import Path

import pytest

from worker.domain.rules import DEFAULT_RULES
from worker.wire.rules_file import RulesFileError, load_rules

CONTRACT = """
[[rules]]
version = "1"
effective_from = 1970-01-01
currency = "USD"
amount_per_point = "10.00"
levels = { SILVER = "500.00", GOLD = "2000.00", PLATINUM = "5000.00" }
vip = { annual_spending = "10000.00", days = 365 }
"""


def test_without_a_file_the_contracts_figures_hold() -> None:
    assert load_rules(None).sets == (DEFAULT_RULES,)


def test_the_contracts_example_says_the_same_as_no_file(tmp_path: Path) -> None:
    assert load_rules(_written(tmp_path, CONTRACT)).sets == (DEFAULT_RULES,)


def test_the_set_in_force_on_a_day_applies(tmp_path: Path) -> None:
    newer = CONTRACT.replace('"1"', '"2"').replace("1970-01-01", "2026-01-01").replace('"10.00"', '"5.00"')
    book = load_rules(_written(tmp_path, newer + CONTRACT))
    assert (book.on(20_453).version, book.on(20_454).version) == ("1", "2")
    assert book.on(20_454).amount_per_point == 500


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[[rules]]", "[[rules", "not TOML"),
        ("[[rules]]", "[[sets]]", "rules"),
        ('version = "1"', "version = 1", "rules.0.version"),
        ('version = "1"', "", "rules.0.version"),
        ("1970-01-01", '"1970-01-01"', "rules.0.effective_from"),
        ("1970-01-01", "1970-01-01T00:00:00Z", "rules.0.effective_from"),
        ('"USD"', '"usd"', "rules.0.currency: not an ISO 4217 code"),
        ('"10.00"', "10.00", "rules.0.amount_per_point"),
        ('"10.00"', '"10.001"', "rules.0.amount_per_point: not an amount of USD"),
        ('"10.00"', '"0.00"', "must be more than 0"),
        ('"10000.00"', '"-1"', "rules.0.vip.annual_spending"),
        ('"2000.00"', '"500.00"', "must rise"),
        ('GOLD = "2000.00"', 'BRONZE = "2000.00"', "rules.0.levels"),
        ("days = 365", "days = 0", "rules.0.vip.days"),
        ("days = 365", "days = 366", "rules.0.vip.days"),
        ('currency = "USD"', 'currency = "USD"\nrates = { EUR = "1.10" }', "rates are not supported yet"),
        ('currency = "USD"', 'currency = "USD"\nbonus = 5', "rules.0.bonus"),
        ("[[rules]]", CONTRACT + "[[rules]]", "each version"),
        ("[[rules]]", CONTRACT.replace('"1"', '"0"') + "[[rules]]", "each effective_from"),
        (
            "[[rules]]",
            CONTRACT.replace('"1"', '"0"').replace("1970", "1980").replace("USD", "EUR") + "[[rules]]",
            "one currency",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = _written(tmp_path, CONTRACT.replace(old, new, 1))
    with pytest.raises(RulesFileError) as refused:
        load_rules(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesFileError, match="No such file"):
        load_rules(tmp_path / "missing.toml")


def _written(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text)
    return path
