"""The rules file (TOML, contract, section 6) → a RuleBook; without a file, the contract's figures.

The whole file is checked before the worker starts. An error names the problem in plain words and its place in the file.
"""

import re
import tomllib
from datetime import date
from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from worker.domain.rules import DEFAULT_RULES, RuleBook, RuleSet
from worker.domain.values import MembershipLevel
from worker.wire.money import InvalidAmount, digits_of, parse_amount
from worker.wire.times import parse_day

LONGEST_VIP_WINDOW = 365  # days; a customer's row is sized for windows of at most this length
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)
_ROSE = (MembershipLevel.SILVER, MembershipLevel.GOLD, MembershipLevel.PLATINUM)


class RulesFileError(ValueError):
    """The rules file cannot be used; the text says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Levels(_Part):
    SILVER: StrictStr
    GOLD: StrictStr
    PLATINUM: StrictStr


class _Vip(_Part):
    annual_spending: StrictStr
    days: StrictInt = Field(ge=1, le=LONGEST_VIP_WINDOW)


class _Rules(_Part):
    version: StrictStr = Field(min_length=1, max_length=100)
    effective_from: date = Field(strict=True)
    currency: StrictStr
    amount_per_point: StrictStr
    levels: _Levels
    vip: _Vip
    rates: dict[str, StrictStr] = {}


class _File(_Part):
    rules: tuple[_Rules, ...] = Field(min_length=1)


def load_rules(path: Path | None) -> RuleBook:
    """The rules in the file; None: the contract's default. Raises RulesFileError."""
    if path is None:
        return RuleBook((DEFAULT_RULES,))
    try:
        with path.open("rb") as file:
            parsed = _File.model_validate(tomllib.load(file))
    except OSError as error:
        raise RulesFileError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulesFileError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise RulesFileError(f"{path}: {_in_words(error)}") from error
    sets = tuple(_rule_set(f"{path}: rules.{number}", rules) for number, rules in enumerate(parsed.rules))
    _check_together(path, sets)
    return RuleBook(sets)


def _rule_set(where: str, rules: _Rules) -> RuleSet:
    try:
        digits_of(rules.currency)
    except InvalidAmount:
        raise RulesFileError(f"{where}.currency: not an ISO 4217 code") from None

    def amount(field: str, text: str) -> int:
        try:
            return parse_amount(text, rules.currency)
        except InvalidAmount as error:
            raise RulesFileError(
                f"{where}.{field}: not an amount of {rules.currency} ({error.code})"
            ) from None

    levels = tuple((amount(f"levels.{level}", getattr(rules.levels, level)), level) for level in _ROSE)
    if not 0 < levels[0][0] < levels[1][0] < levels[2][0]:
        raise RulesFileError(f"{where}.levels: SILVER, GOLD and PLATINUM must rise, from more than 0")
    per_point = amount("amount_per_point", rules.amount_per_point)
    vip_spending = amount("vip.annual_spending", rules.vip.annual_spending)
    if per_point == 0 or vip_spending == 0:
        raise RulesFileError(f"{where}: amount_per_point and vip.annual_spending must be more than 0")
    return RuleSet(
        version=rules.version,
        effective_from=parse_day(rules.effective_from.isoformat()),
        currency=rules.currency,
        amount_per_point=per_point,
        levels=levels,
        vip_spending=vip_spending,
        vip_days=rules.vip.days,
        rates={code: _rate(f"{where}.rates.{code}", code, text, rules) for code, text in rules.rates.items()},
    )


def _rate(where: str, code: str, text: str, rules: _Rules) -> tuple[int, int]:
    """The rate as a fraction of minor units. The file gives units of the rules' currency for one unit of the other."""
    if code == rules.currency:
        raise RulesFileError(f"{where}: the rules' own currency needs no rate")
    try:
        digits = digits_of(code)
    except InvalidAmount:
        raise RulesFileError(f"{where}: not an ISO 4217 code") from None
    if _RATE.fullmatch(text) is None or Fraction(text) == 0:
        raise RulesFileError(
            f"{where}: not a plain decimal number above 0, with at most 9 digits before the point and 12 after it"
        )
    return (Fraction(text) * Fraction(10) ** (digits_of(rules.currency) - digits)).as_integer_ratio()


def _check_together(path: Path, sets: tuple[RuleSet, ...]) -> None:
    if len({rules.version for rules in sets}) < len(sets):
        raise RulesFileError(f"{path}: each version may be there once")
    if min(rules.effective_from for rules in sets) != 0:
        raise RulesFileError(
            f"{path}: the first set must begin at 1970-01-01, so that no day is without rules"
        )
    if len({rules.effective_from for rules in sets}) < len(sets):
        raise RulesFileError(f"{path}: each effective_from may be there once")
    if len({rules.currency for rules in sets}) > 1:
        raise RulesFileError(f"{path}: all rules must be in one currency, that of lifetime spending")


def _in_words(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
