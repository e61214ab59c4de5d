"""How the explanation of a customer is made: level, VIP and points, each with what counts for it."""

import time

from api.explained import wording
from api.explained.entries import input_of
from api.views import (
    ExplanationView,
    InputView,
    LevelStandingView,
    MoneyView,
    PointsStandingView,
    VipStandingView,
    VipWindowView,
)
from worker.domain.rules import RuleBook
from worker.domain.spending import DAY_MS
from worker.domain.standing import next_level, vip_window
from worker.domain.state import Customer, VersionEntry
from worker.domain.values import MembershipLevel
from worker.gateway import Gateway
from worker.wire.money import format_amount
from worker.wire.times import format_day, format_time


def explanation_view(customer: Customer, gateway: Gateway, rules: RuleBook) -> ExplanationView:
    """The explanation of the contract, by the rules of today. Raises NotOwned."""
    today = int(time.time() * 1000) // DAY_MS
    level, of_level = _level(customer, _given_by(customer, gateway), today, rules)
    vip, of_vip = _vip(customer, gateway, today, rules)
    points = PointsStandingView(
        customer.points,
        customer.debt,
        customer.lifetime_earned,
        customer.lifetime_reversed,
        customer.lifetime_redeemed,
        customer.lifetime_restored,
        customer.lifetime_adjusted,
    )
    sentences = (*of_level, *of_vip, *wording.balance(customer))
    return ExplanationView(customer.id, customer.version, level, vip, points, sentences)


def _given_by(customer: Customer, gateway: Gateway) -> VersionEntry | None:
    """The entry that gave the level: the last upgrade, or the registration."""
    upgrade = gateway.last_upgrade(customer.id)
    if upgrade is not None or customer.level is not MembershipLevel.STANDARD:
        return upgrade
    return next(iter(gateway.versions(customer.id, 1, 1)), None)


def _level(
    customer: Customer, given: VersionEntry | None, today: int, rules: RuleBook
) -> tuple[LevelStandingView, wording.Sentences]:
    following = next_level(customer, today, rules)
    reached_on = customer.created_at if customer.level is MembershipLevel.STANDARD else None
    by = None
    if given is not None:
        reached_on, by = given.line.occurred_at, InputView(given.version, *input_of(given))
    view = LevelStandingView(
        customer.level,
        None if reached_on is None else format_time(reached_on),
        by,
        None if following is None else following.level,
        None if following is None else _money(following.missing, following.rules.currency),
    )
    return view, wording.level(customer, reached_on, given, following)


def _vip(
    customer: Customer, gateway: Gateway, today: int, rules: RuleBook
) -> tuple[VipStandingView, wording.Sentences]:
    window = vip_window(customer, rules, gateway.ledger(customer.id))
    by = rules.on(today) if window is None else window.rules
    missing = by.vip_spending if window is None else window.missing
    since = customer.vip_since
    view = VipStandingView(
        since is not None,
        None if since is None else format_time(since),
        None
        if window is None
        else VipWindowView(
            format_day(window.start), format_day(window.end), _money(window.spent, by.currency)
        ),
        _money(by.vip_spending, by.currency),
        _money(missing, by.currency) if since is None else None,
    )
    return view, wording.vip(customer, window, by)


def _money(minor: int, currency: str) -> MoneyView:
    return MoneyView(format_amount(minor, currency), currency)
