"""The page of the rules: the sets that were, are and will be in force."""

import time
from decimal import Decimal

import msgspec
from aiohttp import web

from api.desk.visit import Visit
from api.views import MoneyView, money_view
from worker.domain.rules import RuleBook, RuleSet
from worker.wire.money import digits_of
from worker.wire.times import format_day

_DAY_S = 86_400


class ShownLevel(msgspec.Struct, frozen=True):
    """A level, and the lifetime spending that reaches it."""

    name: str
    spending: MoneyView


class ShownRate(msgspec.Struct, frozen=True):
    """A currency that counts, and how much one unit of it is worth."""

    currency: str
    worth: str


class ShownRules(msgspec.Struct, frozen=True):
    """A rule set. when: `past`, `in force` or `future`; until: the last day, None for the latest set."""

    version: str
    when: str
    since: str
    until: str | None
    per_point: MoneyView
    levels: tuple[ShownLevel, ...]
    vip: MoneyView
    vip_days: int
    rates: tuple[ShownRate, ...]


async def show(visit: Visit) -> web.Response:
    """The page, the latest set first."""
    rules = shown_rules(visit.call.context.rules, int(time.time()) // _DAY_S)
    return visit.page("rules.html", title="Rules", rules=rules)


def shown_rules(book: RuleBook, today: int) -> list[ShownRules]:
    """All sets, the latest first. today: days since 1970 UTC."""
    in_force = book.on(today)
    shown, after = [], None
    for each in reversed(book.sets):
        when = "in force" if each is in_force else "future" if each.effective_from > today else "past"
        shown.append(_shown(each, when, None if after is None else format_day(after - 1)))
        after = each.effective_from
    return shown


def _shown(rules: RuleSet, when: str, until: str | None) -> ShownRules:
    currency = rules.currency
    return ShownRules(
        rules.version,
        when,
        format_day(rules.effective_from),
        until,
        money_view(rules.amount_per_point, currency),
        tuple(ShownLevel(str(level), money_view(amount, currency)) for amount, level in rules.levels),
        money_view(rules.vip_spending, currency),
        rules.vip_days,
        tuple(ShownRate(code, _worth(rules, code)) for code in sorted(rules.rates)),
    )


def _worth(rules: RuleSet, code: str) -> str:
    """What one unit of a currency counts as, such as `1.1 USD`."""
    numerator, denominator = rules.rates[code]
    units = Decimal(numerator).scaleb(digits_of(code) - digits_of(rules.currency)) / denominator
    return f"{units.normalize():f} {rules.currency}"
