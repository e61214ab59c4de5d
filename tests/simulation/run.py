"""Runs one seed: traffic, a cluster with a schedule of faults, and the check.

Calm seeds run twice, with two schedules, and both runs must agree. Some seeds also run the independent verification,
have rules with rates, let a month pass, or join payments to orders.
"""

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.agents.world import START
from tests.simulation.check import Seen, differences
from tests.simulation.cluster import MONTH_S, Cluster
from tests.simulation.process import SimulatedEngine, simulated_ends
from tests.simulation.sent import COMMANDS, RETURNS, Message, Sent
from tests.simulation.traffic import Traffic
from tests.simulation.verified import unverified
from worker.domain.rules import RuleBook
from worker.domain.state import COMMAND, LedgerLine
from worker.wire.rules_file import load_rules

_CALM_EVERY = 4
_VERIFIED_EVERY = 10
_RATES_EVERY = 3
_RATES = Path(__file__).with_name("rates.toml")
_AGED_EVERY = 3
_JOINED_EVERY = 3


def run_seed(seed: int, kind: type[SimulatedEngine] = SimulatedEngine) -> list[str]:
    """Run a seed. Returns everything wrong; empty when nothing is. kind: the engine; controls pass their own."""
    with simulated_ends():
        return asyncio.run(_run(seed, kind))


async def _run(seed: int, kind: type[SimulatedEngine]) -> list[str]:
    random = Random(f"shape {seed}")
    calm, join = seed % _CALM_EVERY == 0, seed % _JOINED_EVERY == 2
    partitions = Cluster.partitions
    traffic = Traffic(
        seed,
        random.randint(1, 6),
        partitions,
        wild=not calm,
        again=random.choice((0.05, 0.2)),
        payment_join=join,
    )
    messages = _reordered(traffic.take(random.randint(20, 130)), random)
    later: list[Message] = []
    if seed % _AGED_EVERY == 1 and not calm:
        messages, later = _parted(messages, random)
    sent = _noted(messages, later)
    rules_file = _RATES if seed % _RATES_EVERY == 1 else None
    rules = _rules(rules_file)
    cluster, seen, found = await _play(f"schedule {seed}", messages, sent, kind, rules, later, join=join)
    if seed % _VERIFIED_EVERY == 1:
        found += unverified(cluster, rules_file)
    if calm and not found:
        shuffled = _shuffled(messages, random)
        _, other, found = await _play(f"other schedule {seed}", shuffled, sent, kind, rules, join=join)
        found += disagreements(final(seen), final(other))
    return found


@cache
def _rules(rules_file: Path | None) -> RuleBook:
    return load_rules(rules_file)


def _noted(messages: list[Message], later: list[Message]) -> Sent:
    """Record all messages as sent. later: those sent after the month, when earlier inputs have expired."""
    sent = Sent()
    for message in messages:
        sent.note(message)
    if later:
        sent.age(registered_by=START + MONTH_S / 2)
    for message in later:
        sent.note(message)
    return sent


def _parted(messages: list[Message], random: Random) -> tuple[list[Message], list[Message]]:
    """Split the messages into those before and those after a month.

    The worker forgets all results in that month, so no command is on both sides. No return is before it, because the
    messages do not tell which returns would still wait for their orders.
    """
    at = random.randrange(len(messages))
    before, after = messages[:at], messages[at:]
    given = {message.about for message in before if message.topic == COMMANDS}
    left = [message for message in before if message.topic != RETURNS]
    return left, [message for message in after if message.about not in given]


async def _play(
    schedule: str,
    messages: list[Message],
    sent: Sent,
    kind: type[SimulatedEngine],
    rules: RuleBook,
    later: Sequence[Message] = (),
    *,
    join: bool,
) -> tuple[Cluster, Seen, list[str]]:
    random = Random(schedule)
    cluster = Cluster(
        random,
        workers=random.randint(1, 3),
        crashes=random.choice((0.0, 0.05, 0.2)),
        max_batch=random.choice((1, 3, 10, 100)),
        kind=kind,
        rules=rules,
        payment_join=join,
    )
    await cluster.run(messages, later)
    seen = Seen(cluster.catalogue, cluster.log.readable, cluster.rows)
    return cluster, seen, differences(seen, sent, rules.sets) + cluster.stores_that_differ()


def _reordered(messages: list[Message], random: Random) -> list[Message]:
    """Move each message by less than a random window of places."""
    window = random.choice((1, 1, 5, 40))
    places = sorted(range(len(messages)), key=lambda at: at + random.random() * window)
    return [messages[at] for at in places]


def _shuffled(messages: list[Message], random: Random) -> list[Message]:
    """Shuffle orders, returns and payments. Commands keep their order among themselves."""
    others = [message for message in messages if message.topic != COMMANDS]
    random.shuffle(others)
    commands = iter([message for message in messages if message.topic == COMMANDS])
    slots = [message.topic == COMMANDS for message in messages]
    random.shuffle(slots)
    rest = iter(others)
    return [next(commands) if is_command else next(rest) for is_command in slots]


def final(seen: Seen) -> dict[str, Any]:
    """The final state that must not depend on the schedule.

    It leaves out times of processing, event sequences and versions: of a ledger line the sixth field and the last, and of
    a command's line the id.
    """
    row = {name: msgspec.to_builtins(row) for name, row in seen.rows.items()}
    for each in row.values():
        each.pop("waiting_since", None)
        for field in ("updated_at", "sequence"):
            (each.get("customer") or {}).pop(field, None)
    results = sorted(
        (r["customerId"], r["commandId"], r["outcome"], r.get("code") or "") for r in seen.results
    )
    ledger = {
        (customer, kind, _command_of(line) if kind == COMMAND else line_id): msgspec.structs.astuple(
            msgspec.structs.replace(line, sequence=0, change=None)
        )
        for customer, lines in seen.ledger.items()
        for (kind, line_id), line in lines.items()
    }
    return {
        "row": row,
        "claim": seen.claims,
        "ledger": ledger,
        "result": results,
        "waiting": sorted(seen.waiting),
    }


def _command_of(line: LedgerLine) -> str | None:
    return None if line.change is None or line.change.details is None else line.change.details.command_id


def disagreements(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    found = []
    for kind, facts in one.items():
        if isinstance(facts, dict):
            names = [
                name for name in facts.keys() | other[kind].keys() if facts.get(name) != other[kind].get(name)
            ]
            found += [f"{kind} of {name} depends on the schedule" for name in names]
        elif facts != other[kind]:
            found.append(f"{kind}s depend on the schedule")
    return found
