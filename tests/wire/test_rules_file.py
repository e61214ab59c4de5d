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


def rates(text: str) -> str:
    return f'currency = "USD"\nrates = {{ {text} }}'


def with_rates(text: str) -> str:
    return CONTRACT.replace('currency = "USD"', rates(text))


@pytest.mark.parametrize(
    ("rate", "currency", "amount", "counted"),
    [
        ("1.10", "EUR", 10_000, 11_000),
        ("1.10", "EUR", 9, 9),
        ("0.000000000001", "EUR", 10**15, 1_000),
        ("0.0067", "JPY", 1_000, 670),
        ("3.25", "KWD", 1_999, 649),
        ("000.9", "HRK", 10, 9),
    ],
)
def test_a_rate_is_units_for_a_unit_whatever_digits_the_currencies_have(
    tmp_path: Path, rate: str, currency: str, amount: int, counted: int
) -> None:
    rules = load_rules(_written(tmp_path, with_rates(f'{currency} = "{rate}"'))).on(20_000)
    assert rules.counted(amount, currency) == counted
    assert rules.counted(amount, "USD") == amount
    assert rules.counted(amount, "GBP") is None


def test_each_set_has_its_own_rates_and_may_have_none(tmp_path: Path) -> None:
    newer = with_rates('EUR = "1.20"').replace('"1"', '"2"').replace("1970-01-01", "2026-01-01")
    last = CONTRACT.replace('"1"', '"3"').replace("1970-01-01", "2026-01-02")
    book = load_rules(_written(tmp_path, newer + last + with_rates('EUR = "1.10"')))
    assert [book.on(day).counted(100, "EUR") for day in (20_453, 20_454, 20_455)] == [110, 120, None]


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
        ('currency = "USD"', rates("EUR = 1.10"), "rules.0.rates.EUR: Input should be a valid string"),
        ('currency = "USD"', rates('EUR = "0.00"'), "rules.0.rates.EUR: not a plain decimal number above 0"),
        ('currency = "USD"', rates('EUR = "-1.10"'), "rules.0.rates.EUR: not a plain decimal number"),
        ('currency = "USD"', rates('EUR = "1e3"'), "rules.0.rates.EUR: not a plain decimal number"),
        ('currency = "USD"', rates('EUR = "11/10"'), "rules.0.rates.EUR: not a plain decimal number"),
        ('currency = "USD"', rates('EUR = "1000000000"'), "at most 9 digits before the point"),
        ('currency = "USD"', rates('EUR = "0.0000000000001"'), "12 after it"),
        ('currency = "USD"', rates('USD = "1.00"'), "rules.0.rates.USD: the rules' own currency"),
        ('currency = "USD"', rates('eur = "1.10"'), "rules.0.rates.eur: not an ISO 4217 code"),
        ('currency = "USD"', rates('XAU = "2000"'), "rules.0.rates.XAU: not an ISO 4217 code"),
        ('currency = "USD"', 'currency = "USD"\nrates = "1.10"', "rules.0.rates"),
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


def test_a_file_that_leaves_days_without_rules_is_refused(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(CONTRACT.replace("1970-01-01", "2020-01-01"))
    with pytest.raises(RulesFileError, match="the first set must begin at 1970-01-01"):
        load_rules(path)
