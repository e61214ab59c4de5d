"""Checks everything that the workers wrote, whatever faults struck them.

The simulation and the fault runs share it. It compares topics and changelogs with the messages sent. tests.domain.oracle
recomputes totals, levels and VIP from the ledger, and the ledger is compared with the messages sent.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol
from uuid import NAMESPACE_DNS, uuid5

import msgspec

from tables.command_results import RememberedResult
from tables.email_claims import Claim
from tables.order_index import IndexedOrder
from tables.waiting import of_order
from tests.domain.oracle import expected
from tests.simulation import erasures, expiries, joined, returns
from tests.simulation.sent import ORDER, PAYMENT, RETURN, Sent, digest
from worker.domain.messages import OrderCompleted
from worker.domain.rules import DEFAULT_RULES, RuleSet
from worker.domain.state import Customer, CustomerRow, LedgerLine
from worker.kafka.topics import Catalogue

REDEMPTION, CANCELLATION, ADJUSTMENT = "R", "C", "A"
_SIGNS = {ORDER: 1, CANCELLATION: 1, ADJUSTMENT: 1, RETURN: -1, REDEMPTION: -1}
_NAMESPACE = uuid5(NAMESPACE_DNS, "customer-context")
_CONFLICTS = {ORDER: "ORDER_CONFLICT", PAYMENT: "PAYMENT_CONFLICT"}
_STATE_ONLY = {"AddPaymentMethod", "RemovePaymentMethod", "SetDefaultDeliveryAddress"}
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_LEVELS = ("STANDARD", "SILVER", "GOLD", "PLATINUM")


class Record(Protocol):
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Any: ...


class Seen:
    """Everything that a read_committed reader finds. topic: name -> its records; table: name -> its latest rows."""

    def __init__(
        self,
        catalogue: Catalogue,
        topic: Callable[[str], Iterable[Record]],
        table: Callable[[str], Mapping[bytes, bytes]],
    ) -> None:
        decode = msgspec.json.decode
        self.events = [decode(record.value or b"") for record in topic(catalogue.events.name)]
        self.results = [decode(record.value or b"") for record in topic(catalogue.results.name)]
        self.dead_letters = [
            (dict(record.headers)["dlq-reason"].decode(), record.value or b"")
            for record in topic(catalogue.dead_letters.name)
        ]
        row = msgspec.json.Decoder(CustomerRow).decode
        claim = msgspec.json.Decoder(Claim).decode
        self.rows = {key.decode(): row(value) for key, value in table("customers").items()}
        self.claims = {key.decode(): claim(value) for key, value in table("email_claims").items()}
        self.ledger: dict[str, dict[tuple[str, str], LedgerLine]] = defaultdict(dict)
        line = msgspec.json.Decoder(LedgerLine).decode
        for key, value in table("ledger").items():
            customer, kind, line_id = key.decode().split("\0")
            self.ledger[customer][kind, line_id] = line(value)
        remembered = msgspec.json.Decoder(RememberedResult).decode
        self.remembered = {
            tuple(key.decode().split("\0")): remembered(value)
            for key, value in table("command_results").items()
        }
        self.waiting = {tuple(key.decode().split("\0")): value for key, value in table("waiting").items()}

        self.index: dict[str, IndexedOrder] | None = None  # None without PAYMENT_JOIN
        if catalogue.payment_join:
            indexed = msgspec.json.Decoder(IndexedOrder).decode
            self.index = {key.decode(): indexed(value) for key, value in table("order_index").items()}

    @cached_property
    def customers(self) -> dict[str, Customer]:
        """All registered customers, by customerId."""
        return {name: row.customer for name, row in self.rows.items() if row.customer is not None}

    @cached_property
    def names_versions(self) -> bool:
        """Whether every ledger line names its version. Those of earlier releases do not."""
        return all(line.change is not None for lines in self.ledger.values() for line in lines.values())

    @cached_property
    def erased(self) -> set[str]:
        """The customerIds with a CustomerErasedEvent."""
        return {event["subject"] for event in self.events if event["type"] == "CustomerErasedEvent"}


def differences(seen: Seen, sent: Sent, rules: Sequence[RuleSet] = (DEFAULT_RULES,)) -> list[str]:
    """Everything that is wrong, in words without personal data; empty when nothing is."""
    sent = joined.told(seen, sent)
    unexpired = expiries.unexpired(seen, sent)
    of_returns = (returns.lost, returns.wrong)
    left = (erasures.left_of, expiries.left_of, joined.left_of, _nothing_waits)
    checks = (_events, _ledgers, _emails, *of_returns, *left, _answers)
    found = [difference for check in checks for difference in check(seen, unexpired)]
    found += _states(seen, unexpired, rules)
    return found + _dead_letters(seen, sent, unexpired)


def _events(seen: Seen, sent: Sent) -> Iterable[str]:
    ids = Counter(event["id"] for event in seen.events)
    yield from (f"doubled event {event_id}" for event_id, count in ids.items() if count > 1)
    last: dict[str, int] = defaultdict(int)
    counted: Counter[tuple[str, str, str]] = Counter()
    for event in seen.events:
        customer, causation = event["subject"], event["causationid"]
        if int(event["sequence"]) != last[customer] + 1:
            yield f"sequence of {customer}: {event['sequence']} follows {last[customer]}"
        last[customer] = int(event["sequence"])
        key = sent.keys.get(causation)
        if key is None:
            yield f"event {event['id']} of an input that was not sent"
            continue
        named = customer, key, event["type"]
        wanted = str(uuid5(_NAMESPACE, "|".join((*named, str(counted[named])))))
        counted[named] += 1
        if event["id"] != wanted:
            yield f"event {event['id']} should have the id {wanted}"
    for customer, state in seen.customers.items():
        if state.sequence != last[customer]:
            yield f"{customer} says sequence {state.sequence}, the events {last[customer]}"


def _states(seen: Seen, sent: Sent, rules: Sequence[RuleSet]) -> Iterable[str]:
    causations: dict[str, set[str]] = defaultdict(set)
    by_hand: dict[str, str] = {}
    for event in seen.events:
        customer = event["subject"]
        causations[customer].add(event["causationid"])
        if (
            event["type"] == "MembershipLevelUpgradedEvent"
            and (customer, event["causationid"]) in sent.commands
        ):
            new = event["data"]["newLevel"]
            by_hand[customer] = max(by_hand.get(customer, "STANDARD"), new, key=_LEVELS.index)
    state_only: dict[str, set[str]] = defaultdict(set)
    for result in seen.results:
        if result["outcome"] == "APPLIED" and result["commandType"] in _STATE_ONLY:
            state_only[result["customerId"]].add(result["commandId"])
    for name, customer in seen.customers.items():
        lines = seen.ledger[name]
        payments = sum(kind == PAYMENT for kind, _ in lines)
        least = len(causations[name]) + payments
        if not least <= customer.version <= least + len(state_only[name]):
            yield f"{name} has version {customer.version} after {least} changes that can be seen"
        yield from _totals(name, customer, lines, by_hand.get(name, "STANDARD"), rules)
        yield from _versions(name, customer, lines, from_first=seen.names_versions)
    yield from (f"{name} has events but no state" for name in causations if name not in seen.customers)


def _versions(
    name: str, customer: Customer, lines: Mapping[tuple[str, str], LedgerLine], *, from_first: bool
) -> Iterable[str]:
    """Each version is one line, and at each the points so far are balance minus debt.

    from_first: whether no earlier release may have written the first versions, of which no line is known.
    """
    named = sorted(
        ((line.change.version, kind, line) for (kind, _), line in lines.items() if line.change is not None),
        key=lambda each: each[:2],  # two lines of one version are a difference, and no error
    )
    first = 1 if from_first or not named else named[0][0]
    versions = [version for version, _, _ in named]
    if (named or from_first) and versions != list(range(first, customer.version + 1)):
        yield f"{name} has version {customer.version}, and lines of {versions}"
        return
    worth: int | None = 0 if first == 1 else None
    for version, kind, line in named:
        assert line.change is not None
        left = line.change.balance - line.change.debt
        if worth is not None and worth + _SIGNS.get(kind, 0) * line.points != left:
            yield f"{name} is left with {left} points by version {version}, not as its line moved them"
        worth = left
    for _, _, line in named[-1:]:
        assert line.change is not None
        last = (line.change.balance, line.change.debt, line.change.level, line.change.vip)
        if last != (customer.points, customer.debt, customer.level, customer.vip_since is not None):
            yield f"{name} is not what the line of the last version says"


def _totals(
    name: str,
    customer: Customer,
    lines: Mapping[tuple[str, str], LedgerLine],
    by_hand: str,
    rules: Sequence[RuleSet],
) -> Iterable[str]:
    orders = [
        OrderCompleted("", order_id, name, line.amount, line.currency, line.occurred_at)
        for (kind, order_id), line in lines.items()
        if kind == ORDER
    ]
    right = expected(orders, rules, by_hand)
    kept = [
        msgspec.structs.replace(order, amount=order.amount - lines[ORDER, order.order_id].returned)
        for order in orders
    ]
    net = expected(kept, rules)
    shown = {
        c: (s.total - s.returned, s.annual - sum(s.returned_days.values()))
        for c, s in customer.spending.items()
    }
    moved: Counter[str] = Counter()
    for (kind, _), line in lines.items():
        moved[kind] += line.points
    worth = net.points - moved[REDEMPTION] + moved[CANCELLATION] + moved[ADJUSTMENT]
    paid = [line for (kind, _), line in lines.items() if kind == PAYMENT]
    by_currency: Counter[str] = Counter()
    for line in paid:
        by_currency[line.currency] += line.amount
    facts = {
        "points": (customer.points, max(worth, 0)),
        "debt": (customer.debt, max(-worth, 0)),
        "reversed points": (customer.lifetime_reversed, right.points - net.points),
        "shown spending": (shown, {c: (total, net.annual[c]) for c, total in net.totals.items()}),
        "points of the ledger": (moved[ORDER], right.points),
        "earned points": (customer.lifetime_earned, right.points),
        "redeemed points": (customer.lifetime_redeemed, moved[REDEMPTION]),
        "restored points": (customer.lifetime_restored, moved[CANCELLATION]),
        "adjusted points": (customer.lifetime_adjusted, moved[ADJUSTMENT]),
        "level": (customer.level, right.level),
        "VIP": (customer.vip_since, right.vip_since),
        "orders": (customer.order_count, len(orders)),
        "payments": (customer.payment_count, len(paid)),
        "paid": (customer.paid, dict(by_currency)),
        "spending": ({c: s.total for c, s in customer.spending.items()}, right.totals),
        "annual spending": ({c: s.annual for c, s in customer.spending.items()}, right.annual),
        "converted": ({c: s.total for c, s in customer.converted.items()}, right.converted.totals),
        "annual converted": ({c: s.annual for c, s in customer.converted.items()}, right.converted.annual),
    }
    for fact, (got, wanted) in facts.items():
        if got != wanted:
            yield f"{fact} of {name}: {got}, not {wanted}"


def _ledgers(seen: Seen, sent: Sent) -> Iterable[str]:
    erased = seen.erased  # inputs after an erasure are dead letters
    for (kind, customer, purchase_id), deliveries in sent.purchases.items():
        line = seen.ledger[customer].get((kind, purchase_id))
        if line is not None and (line.amount, line.currency) not in {d[:2] for d in deliveries}:
            yield f"{kind} {purchase_id} of {customer} counted with an amount that nobody sent"
        if kind == RETURN:
            continue
        if line is None and customer in seen.customers and customer not in erased:
            yield f"lost: {kind} {purchase_id} of {customer}"
        if customer not in seen.customers and (customer, kind, purchase_id) not in seen.waiting:
            yield f"lost: {kind} {purchase_id} does not wait for {customer}"
    for customer, lines in seen.ledger.items():
        for (kind, line_id), line in lines.items():
            if kind in (ORDER, PAYMENT, RETURN) and (kind, customer, line_id) not in sent.purchases:
                yield f"{kind} {line_id} of {customer} counted, but was not sent"
            redeemed = lines.get((REDEMPTION, line_id))
            if kind == CANCELLATION and (redeemed is None or redeemed.points != line.points):
                yield f"redemption {line_id} of {customer} was cancelled with other points than it took"


def _emails(seen: Seen, sent: Sent) -> Iterable[str]:
    erased = seen.erased
    owners = Counter(customer.email for name, customer in seen.customers.items() if name not in erased)
    wanted = {}
    for name, row in seen.rows.items():
        if row.customer is not None and name not in erased:
            if owners[row.customer.email] > 1:
                yield f"{name} shares an email with somebody"
            wanted[sha256(row.customer.email.encode()).hexdigest()] = (name, row.email_claim)
    claims = {email: (claim.customer_id, claim.claim_id) for email, claim in seen.claims.items()}
    yield from (f"claim of {claims[email][0]} has no owner" for email in claims.keys() - wanted.keys())
    yield from (f"{wanted[email][0]} has no claim" for email in wanted.keys() - claims.keys())
    for email in wanted.keys() & claims.keys():
        if wanted[email] != claims[email]:
            yield f"the claim of {wanted[email][0]} belongs to {claims[email][0]}"


def _answers(seen: Seen, sent: Sent) -> Iterable[str]:
    answered = Counter((result["customerId"], result["commandId"]) for result in seen.results)
    for command in answered.keys() | sent.commands.keys():
        if answered[command] != sent.commands[command]:
            yield f"command {command} delivered {sent.commands[command]}, answered {answered[command]} times"
    first: dict[tuple[str, str], Any] = {}
    for result in seen.results:
        if result.get("code") != "IDEMPOTENCY_CONFLICT":
            same = first.setdefault((result["customerId"], result["commandId"]), result)
            if same != result:
                yield f"command {result['commandId']} of {result['customerId']} has two results"


def _nothing_waits(seen: Seen, sent: Sent) -> Iterable[str]:
    waiting = Counter(key[0] for key in seen.waiting if not key[0].startswith(of_order("")))
    for_registration = {key[0] for key in seen.waiting if key[1] != RETURN}
    for name, row in seen.rows.items():
        if row.pending_claim is not None or row.queued:
            yield f"{name} still waits for an email claim"
        if row.waiting != waiting[name]:
            yield f"{name} says {row.waiting} inputs wait, but {waiting[name]} do"
        if row.customer is not None and name in for_registration:
            yield f"inputs of {name} wait for a registration that was there"
    yield from (f"inputs of {name} wait in no row" for name in waiting.keys() - seen.rows.keys())


def _dead_letters(seen: Seen, sent: Sent, unexpired: Sent) -> list[str]:
    got = Counter(
        (reason, value.decode() if _DIGEST.fullmatch(value) else digest(value))
        for reason, value in seen.dead_letters
    )
    wanted = (
        Counter(sent.poison) + expiries.letters(seen, sent, got, _CONFLICTS) + joined.conflicts(seen, sent)
    )
    nameless = {payment_id for _, payment_id in sent.nameless}
    erased = seen.erased
    for (kind, customer, purchase_id), deliveries in unexpired.purchases.items():
        line = seen.ledger[customer].get((kind, purchase_id))
        if kind == RETURN:
            wanted.update(returns.refused(seen, got, customer, purchase_id, deliveries))
            continue
        if customer in erased and line is None and kind == PAYMENT and purchase_id in nameless:
            wanted.update(joined.refused(got, deliveries))
            continue
        if customer in erased:
            wanted.update(erasures.refused(got, _CONFLICTS[kind], line, deliveries))
            continue
        for delivery in deliveries:
            if line is not None and (line.amount, line.currency) != delivery[:2]:
                wanted[_CONFLICTS[kind], delivery.digest] += 1
    found = []
    unregistered = {
        (_CONFLICTS[kind], delivery.digest)
        for (kind, customer, _), deliveries in unexpired.purchases.items()
        if kind != RETURN and customer not in seen.customers and len({d[:2] for d in deliveries}) > 1
        for delivery in deliveries
    }
    for letter in got.keys() | wanted.keys():
        if got[letter] != wanted[letter] and letter not in unregistered:
            of = _purchase_of(letter[1], seen, unexpired)
            found.append(f"{got[letter]} dead letters {letter[0]} {letter[1][:12]}, not {wanted[letter]}{of}")
    return found


def _purchase_of(value_digest: str, seen: Seen, sent: Sent) -> str:
    """Name the purchase with this delivery, for whoever has to explain the difference."""
    for (kind, customer, purchase_id), deliveries in sent.purchases.items():
        if any(each.digest == value_digest for each in deliveries):
            line = seen.ledger[customer].get((kind, purchase_id))
            counted = None if line is None else (line.amount, line.currency)
            sent_as = [(each.amount, each.currency, each.digest[:12]) for each in deliveries]
            erased = customer in seen.erased
            return f": {kind} {purchase_id} of {customer}, counted {counted}, sent {sent_as}, erased {erased}"
    return ""
