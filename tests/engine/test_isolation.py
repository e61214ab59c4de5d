"""Who is a suspect, how small the batches become, and when an input has failed often enough: the pure part."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, ProducerFenced
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.inputs import input_record
from worker.engine.isolation import ALONE, FAILURES, ISOLATION, Isolation, Verdict, blames_input
from worker.engine.store import MemoryStore, StoreFailed
from worker.engine.unit import InputRecord, Unit

T = TypeVar("T")
MOST = 100
FEW = 10


def orders(*offsets: int) -> list[InputRecord]:
    return [input_record("order", offset) for offset in offsets]


def commands(*offsets: int) -> list[InputRecord]:
    return [input_record("command", offset) for offset in offsets]


class Life:
    """One owner of the partition after the other, over one store."""

    def __init__(self, **positions: int) -> None:
        self.store = MemoryStore()
        self.positions = positions

    def begin(self, *, had_committed: bool = True, **ends: int) -> Isolation:
        """A new owner; whatever the last one had not committed is gone."""
        self.isolation = Isolation(self.store, MOST)
        self.former = self.change(
            lambda unit: self.isolation.begin(self.positions, ends, unit, had_committed=had_committed)
        )
        return self.isolation

    def change(self, do: Callable[[Unit], T]) -> T:
        """One transaction."""
        unit = Unit(0, self.store)
        done = do(unit)
        self.store.write({table.mark: rows for table, rows in unit.changes.items()}, {})
        return done

    def crash_with(self, records: Sequence[InputRecord]) -> None:
        """Nobody is left to say what failed."""
        self.change(lambda unit: self.isolation.trying(unit, records))

    def process(self, records: Sequence[InputRecord]) -> None:
        if self.isolation.suspects(records):
            self.crash_with(records)
        positions = {record.topic: record.offset + 1 for record in records}
        self.change(lambda unit: self.isolation.passed(unit, positions))()
        self.positions |= positions

    def fail_alone(self, record: InputRecord, error: Exception | None = None) -> None:
        """A try that ends the process: with an exception, or without a word."""
        self.change(lambda unit: self.isolation.begin_try(unit, record))
        if error is not None:
            self.change(lambda unit: self.isolation.failed_alone(unit, record, error, counted=True))

    @property
    def row(self) -> bytes | None:
        return self.store.get(ISOLATION.mark, b"suspects")


def alone(*failed: int) -> Life:
    """A partition that holds 1,000 orders, and whose batches hold one record of those offsets."""
    life = Life(order=0)
    life.begin(order=1_000)
    for size in (MOST, FEW):
        life.crash_with(orders(*failed)[:size])
        life.begin(order=1_000)
    return life


def test_the_limit_shrinks_with_every_owner_whose_batch_failed():
    life = Life()
    limits = []
    for _ in range(5):
        limits.append(life.begin(order=1_000).limit)
        life.crash_with(orders(*range(limits[-1])))
    assert limits == [MOST, FEW, ALONE, ALONE, ALONE]


def test_an_owner_that_ended_for_another_reason_is_followed_by_one_with_the_same_limit():
    life = Life()
    life.begin(order=1_000)
    life.crash_with(orders(*range(50)))
    for _ in range(3):
        assert life.begin(order=1_000).limit == FEW
        life.process(orders(*range(FEW)))


def test_at_full_size_an_owner_that_ended_for_another_reason_leaves_nothing():
    life = Life()
    life.begin(order=1_000)
    life.process(orders(*range(50)))
    assert not life.row


def test_where_nothing_waits_nobody_is_a_suspect_and_nothing_is_written():
    life = Life(order=10)
    isolation = life.begin(order=10)
    life.process(orders(10))
    assert not isolation.suspects(orders(11))
    assert not life.row


def test_the_row_goes_with_the_last_suspect():
    life = alone(3, 4)
    life.process(orders(3))
    assert life.row
    life.process(orders(4))
    assert not life.row
    assert not life.isolation.suspects(orders(5))


def test_only_what_the_failed_batch_held_is_suspect():
    life = Life()
    life.begin(order=1_000, command=1_000)
    life.crash_with([*commands(5, 6), *orders(*range(20, 40, 2))])
    isolation = life.begin(order=1_000, command=1_000)
    suspects = [each for each in [*commands(*range(10)), *orders(*range(50))] if isolation.suspects([each])]
    assert suspects == [*commands(5, 6), *orders(*range(20, 39))]
    assert life.former is not None


def test_without_a_row_only_so_many_records_of_a_topic_are_suspects_as_a_batch_may_have_held():
    isolation = Life().begin(order=1_000)
    records = orders(*range(0, 800, 2))  # transaction markers between them
    isolation.come("order", records[:70])
    isolation.come("order", records[70:])
    assert isolation.suspects(orders(2 * 2 * MOST - 2))
    assert not isolation.suspects(orders(2 * 2 * MOST))


def test_at_full_size_a_batch_is_what_it_would_be_without_suspects():
    assert Life().begin(order=1_000).share(commands(1, 2), orders(*range(90))) == (2, 90)


def test_what_is_no_suspect_goes_in_large_batches_by_turns_with_suspects():
    isolation = alone(0, 1).isolation
    new, waiting = commands(*range(30)), orders(0, 1)
    assert [isolation.share(new, waiting) for _ in range(4)] == [(30, 0), (0, 1), (30, 0), (0, 1)]


def test_a_batch_ends_before_the_first_suspect_and_one_with_suspects_is_small():
    life = Life()
    life.begin(order=1_000, command=1_000)
    life.crash_with([*commands(*range(4)), *orders(*range(20, 60))])
    isolation = life.begin(order=1_000, command=1_000)
    assert isolation.share([], orders(*range(50))) == (0, 20)
    assert isolation.share([], orders(*range(20, 60))) == (0, FEW)
    assert isolation.share(commands(*range(4)), orders(*range(20, 60))) == (4, FEW - 4)


def test_an_input_is_tried_three_times_alone_and_then_given_up():
    life = alone(5)
    verdicts = []
    for _ in range(FAILURES):
        verdicts.append(life.isolation.verdict(orders(5)[0]))
        life.fail_alone(orders(5)[0])
        life.begin(order=1_000)
    assert verdicts == [(Verdict.TRY, "")] * 3
    assert life.isolation.verdict(orders(5)[0]) == (Verdict.DEAD_LETTER, "")


def test_after_an_exception_the_record_alone_is_suspect_and_that_was_no_failure_alone():
    life = Life()
    life.begin(order=1_000)
    life.change(lambda unit: life.isolation.failed(unit, orders(7)[0], ValueError()))
    isolation = life.begin(order=1_000)
    assert isolation.share([], orders(*range(50))) == (0, 7)
    assert isolation.is_alone(orders(7))
    assert not isolation.suspects(orders(6, 8))
    assert isolation.verdict(orders(7)[0]) == (Verdict.TRY, "")


def test_another_record_that_fails_meanwhile_does_not_make_the_first_one_forgotten():
    life = alone(5)
    life.fail_alone(orders(5)[0])
    life.begin(order=1_000)
    life.change(lambda unit: life.isolation.failed(unit, commands(9)[0], ValueError()))
    isolation = life.begin(order=1_000, command=1_000)
    assert isolation.is_alone(orders(5))
    assert isolation.is_alone(commands(9))
    for _ in range(2):
        life.fail_alone(orders(5)[0])
        life.begin(order=1_000, command=1_000)
    assert life.isolation.verdict(orders(5)[0])[0] is Verdict.DEAD_LETTER


def test_what_comes_before_a_suspect_does_not_make_its_failures_forgotten():
    life = Life()
    life.begin(order=1_000)
    life.change(lambda unit: life.isolation.failed(unit, orders(7)[0], ValueError()))
    for _ in range(FAILURES):
        life.begin(order=1_000)
        life.process(orders(life.positions.get("order", 0)))
        life.fail_alone(orders(7)[0])
    assert life.begin(order=1_000).verdict(orders(7)[0])[0] is Verdict.DEAD_LETTER


def test_the_type_of_the_last_exception_survives_and_is_no_failure_of_its_own():
    life = alone(0)
    for _ in range(FAILURES):
        life.fail_alone(orders(0)[0], ValueError("secret"))
        life.begin(order=1_000)
    assert life.isolation.verdict(orders(0)[0]) == (Verdict.DEAD_LETTER, "ValueError")
    assert b"secret" not in (life.row or b"")


def test_a_dead_letter_that_fails_is_bare_the_next_time_and_keeps_the_first_error():
    life = alone(0)
    for error in [ValueError()] * FAILURES + [MemoryError()]:
        life.fail_alone(orders(0)[0], error)
        life.begin(order=1_000)
    assert life.isolation.verdict(orders(0)[0]) == (Verdict.BARE_DEAD_LETTER, "ValueError")


def test_what_happens_after_an_input_was_processed_does_not_count():
    life = alone(0)
    for _ in range(10):
        life.fail_alone(orders(0)[0])
        life.change(lambda unit: life.isolation.survived(unit, orders(0)[0]))
        life.begin(order=1_000)
    assert life.isolation.verdict(orders(0)[0])[0] is Verdict.TRY


def test_an_owner_that_ended_with_a_transaction_open_makes_no_limit_smaller():
    life = Life()
    life.begin(order=1_000)
    for _ in range(5):
        life.crash_with(orders(*range(MOST)))
        assert life.begin(order=1_000, had_committed=False).limit == MOST


def test_an_owner_that_ended_with_a_transaction_open_is_no_failure_of_the_input_that_it_tried():
    life = alone(0)
    for _ in range(FAILURES - 1):
        life.fail_alone(orders(0)[0])
        life.begin(order=1_000)
    for _ in range(10):
        life.fail_alone(orders(0)[0])
        life.begin(order=1_000, had_committed=False)
    assert life.isolation.verdict(orders(0)[0])[0] is Verdict.TRY
    life.fail_alone(orders(0)[0])
    assert life.begin(order=1_000).verdict(orders(0)[0])[0] is Verdict.DEAD_LETTER


def test_how_an_owner_ended_counts_once_however_often_the_partition_is_taken_over():
    life = alone(0)
    life.fail_alone(orders(0)[0])
    life.begin(order=1_000)
    for _ in range(3):
        life.begin(order=1_000, had_committed=False)
    life.fail_alone(orders(0)[0])
    life.begin(order=1_000)
    life.fail_alone(orders(0)[0])
    assert life.begin(order=1_000).verdict(orders(0)[0])[0] is Verdict.DEAD_LETTER


def test_failures_of_one_input_are_not_those_of_the_next():
    life = alone(0, 1)
    for _ in range(FAILURES):
        life.fail_alone(orders(0)[0])
        life.begin(order=1_000)
    life.process(orders(0))
    assert life.isolation.verdict(orders(1)[0])[0] is Verdict.TRY


def test_a_row_that_an_earlier_version_left_behind_says_nothing_of_what_came_later():
    life = alone(5)
    life.fail_alone(orders(5)[0])
    life.positions = {"order": 500}  # by a worker that does not know the row
    assert life.begin(order=1_000).limit == MOST
    assert not life.row
    assert life.isolation.verdict(orders(5)[0]) == (Verdict.TRY, "")


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (ValueError(), True),
        (MemoryError(), True),
        (RecursionError(), True),
        (MessageSizeTooLargeError(), True),
        (ProducerFenced(), False),
        (KafkaConnectionError(), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (StoreFailed(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_failures_of_kafka_and_of_the_disk_do_not_count(error: BaseException, counted: bool):
    assert blames_input(error) is counted


@settings(max_examples=300, deadline=None)
@given(
    backlog=st.integers(1, 300),
    poisons=st.sets(st.integers(0, 299), min_size=1, max_size=2),
    prompt=st.integers(0, 20),
    kills=st.lists(st.integers(0, 200), max_size=6),
    exception=st.booleans(),
)
def test_whatever_fails_every_other_input_is_processed_once_and_each_poison_after_three_tries(
    backlog: int, poisons: set[int], prompt: int, kills: list[int], exception: bool
):
    """Some records end every process that touches them; some processes are killed after so many batches."""
    life = Life()
    left, bad = list(kills), {input_record("order", poison % backlog) for poison in poisons}
    tries: Counter[InputRecord] = Counter()
    seen: list[InputRecord] = []
    letters: list[InputRecord] = []
    for _ in range(6 * len(bad) + len(kills) + 1):
        if _live(life, backlog, prompt, bad, left.pop() if left else None, exception, tries, seen, letters):
            break
    else:
        raise AssertionError("too many processes have ended")
    assert set(letters) == bad
    assert len(letters) == len(bad)
    assert set(tries.values()) == {FAILURES}
    good = [*orders(*range(backlog)), *commands(*range(prompt))]
    assert Counter(seen) == Counter(each for each in good if each not in bad)
    assert not life.row


def _live(
    life: Life,
    backlog: int,
    prompt: int,
    bad: set[InputRecord],
    batches: int | None,
    exception: bool,
    tries: Counter[InputRecord],
    seen: list[InputRecord],
    letters: list[InputRecord],
) -> bool:
    """One owner. Returns whether everything is processed."""
    isolation = life.begin(order=backlog, command=prompt)
    lanes = {
        topic: [input_record(topic, n) for n in range(life.positions.get(topic, 0), end)]
        for topic, end in (("command", prompt), ("order", backlog))
    }
    for topic, records in lanes.items():
        isolation.come(topic, records)
    while any(lanes.values()):
        if batches == 0:
            return False
        batches = None if batches is None else batches - 1
        count = isolation.share(lanes["command"][: MOST // 2], lanes["order"][: MOST // 2])
        assert any(count)
        batch = lanes["command"][: count[0]] + lanes["order"][: count[1]]
        if isolation.is_alone(batch):
            (record,) = batch
            if isolation.verdict(record)[0] is Verdict.DEAD_LETTER:
                letters.append(record)
            elif record in bad:
                tries[record] += 1
                life.fail_alone(record, ValueError() if exception else None)
                return False
            else:
                seen.append(record)
        elif found := [record for record in batch if record in bad]:
            if isolation.suspects(batch):
                life.crash_with(batch)
            if exception:
                life.change(lambda unit: isolation.failed(unit, found[0], ValueError()))
            return False
        else:
            seen += batch
        life.process(batch)
        del lanes["command"][: count[0]], lanes["order"][: count[1]]
    return True
