"""Rows with bad messages (repeated, late, out of order, broken) or a wrong clock."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, ClassVar

from tests.faults.corpus import CORPUS
from tests.faults.row import DOSES, Outcome, Row
from tests.faults.sender import reordered
from tests.faults.stage import PARTITIONS, Stage
from tests.simulation.run import disagreements, final
from tests.simulation.sent import Message
from tests.simulation.traffic import Traffic

_CUSTOMERS = 400
_AT_ONCE = 1e9
_DAY_S = 86_400.0
_FINISHED_WITHIN_S = 1_200.0


class Finite(Row):
    """A row that sends a fixed number of messages as fast as possible. No fault strikes the workers."""

    exits_allowed = frozenset()
    senders_clock_s = 0.0

    def play(self, seed: int, messages: Iterator[Message], **options: Any) -> "Played":
        """Process the messages with new workers on a new stage."""
        with Stage(seed, **(self.stage_options | options)) as stage:
            if self.senders_clock_s:
                stage.take_any_timestamp()
            stage.wait_until_working()
            started = time.time()
            with stage.traffic(messages, _AT_ONCE, self.senders_clock_s) as sender:
                sent = stage.look_after_until(lambda: sender.done, _FINISHED_WITHIN_S)
                assert sent, "the messages could not be sent in time"
            stage.drain(_FINISHED_WITHIN_S)
            return Played(self, stage, stage.progress.last_commit - started)


class Played:
    """The result of one run. seconds: from the first message to the last commit; only valid if all clocks are right."""

    def __init__(self, row: Row, stage: Stage, seconds: float) -> None:
        self.seconds = seconds
        self.inputs = stage.sent.count
        stopped = stage.stop_workers()
        self.seen = stage.seen()
        self.differences = [
            *stage.differences(),
            *row.broken_promises(stage),
            *(f"SIGTERM ended with {code}" for code in stopped if code != 0),
        ]


class Disordered(Finite):
    """20 % duplicates, reordered within 1,000 messages, orders up to three years late.

    The final state must equal that of a run with the same messages in order and without repeats.
    """

    name = "duplicates, reorder, late orders"
    times = (4_000, 100_000)

    def run(self, dose: str, seed: int) -> Outcome:
        started = time.monotonic()
        count = self.times[DOSES.index(dose)]
        unique = list(islice(Traffic(seed, _CUSTOMERS, PARTITIONS, wild=False, again=0.0, poison=0.0), count))
        ordered = self.play(seed, iter(unique))
        disordered = self.play(seed, _disordered(unique, seed))
        outcome = Outcome(self.name, f"{count} x", ordered.inputs + disordered.inputs)
        outcome.differences = [
            *ordered.differences,
            *disordered.differences,
            *disagreements(final(ordered.seen), final(disordered.seen)),
        ]
        outcome.seconds = time.monotonic() - started
        return outcome


def _disordered(unique: Sequence[Message], seed: int) -> Iterator[Message]:
    """Reorder and repeat orders and payments. Commands keep their order, because the result depends on it."""
    purchases = [message for message in unique if message.topic != "customer.commands"]
    repeats = purchases[::5]
    mixed = reordered(iter([each for pair in _paired(purchases, repeats) for each in pair]), 1_000, seed)
    commands = iter([message for message in unique if message.topic == "customer.commands"])
    for at, message in enumerate(mixed):
        yield message
        if at % 3 == 0:
            yield from islice(commands, 2)
    yield from commands


def _paired(purchases: Sequence[Message], repeats: Sequence[Message]) -> Iterator[tuple[Message, ...]]:
    again = set(map(id, repeats))
    return ((each, each) if id(each) in again else (each,) for each in purchases)


class Poisoned(Finite):
    """10 % broken records on every input topic.

    No worker restarts, each broken record becomes a dead letter, and at least 80 % of the clean throughput remains.
    """

    name = "poison at 10 %"
    times = (4_000, 50_000)
    least_throughput = 0.8

    def run(self, dose: str, seed: int) -> Outcome:
        started = time.monotonic()
        count = self.times[DOSES.index(dose)]
        clean = self.play(seed, islice(Traffic(seed, _CUSTOMERS, PARTITIONS, poison=0.0), int(count * 0.9)))
        broken = Traffic(seed, _CUSTOMERS, PARTITIONS, poison=0.1, corpus=CORPUS)
        poisoned = self.play(seed, islice(broken, count))
        outcome = Outcome(self.name, f"{count} x", clean.inputs + poisoned.inputs)
        share = clean.seconds / poisoned.seconds
        outcome.differences = [*clean.differences, *poisoned.differences]
        if dose == "full" and share < self.least_throughput:
            outcome.late.append(f"only {share:.0%} of the clean throughput")
        outcome.notes = {"throughput of the clean run": f"{share:.0%}", "corpus": len(CORPUS)}
        outcome.seconds = time.monotonic() - started
        return outcome


class WrongClock(Finite):
    """First, only the workers' clocks are a day off. Then all clocks are just before a leap day or a new year.

    The final state must stay the same, because it depends on event time only.
    """

    name = "clock off"
    times = (3, 8)
    stage_options: ClassVar = {"launcher": True}
    _messages = 1_500

    def run(self, dose: str, seed: int) -> Outcome:
        started = time.monotonic()
        times = self.times[DOSES.index(dose)]
        messages = list(islice(Traffic(seed, _CUSTOMERS, PARTITIONS, wild=False), self._messages))
        right = self.play(seed, iter(messages))
        outcome = Outcome(self.name, f"{times} x", right.inputs, right.differences)
        for wrong_by, senders_too in _clocks(time.time())[:times]:
            environment = {"FAULTS_CLOCK_S": str(wrong_by)}
            self.senders_clock_s = wrong_by if senders_too else 0.0
            wrong = self.play(seed, iter(messages), environment=environment)
            outcome.inputs += wrong.inputs
            found = [*wrong.differences, *disagreements(final(right.seen), final(wrong.seen))]
            outcome.differences += [f"clock off by {wrong_by:.0f} s: {difference}" for difference in found]
        outcome.seconds = time.monotonic() - started
        return outcome


def _clocks(now: float) -> list[tuple[float, bool]]:
    """The error of the clocks in seconds, and whether the senders' clocks share it.

    Without the senders, the clocks are a day off. Leap days and new years are in the future, because the broker deletes
    records that are older than the retention.
    """
    turns = (
        datetime(2028, 2, 28, 23, 59, 30, tzinfo=UTC),
        datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC),
        datetime(2027, 2, 28, 23, 59, 30, tzinfo=UTC),
        datetime(2027, 12, 31, 23, 59, 30, tzinfo=UTC),
        datetime(2028, 12, 31, 23, 59, 30, tzinfo=UTC),
    )
    return [(_DAY_S, False), (-_DAY_S, False), *((turn.timestamp() - now, True) for turn in turns)]


ROWS = (Disordered, Poisoned, WrongClock)
