"""The rows of `make faults` that every test run plays. It prints the seed; FAULTS_SEED replays it."""

import os
import random

import pytest

from tests.agents.world import World
from tests.faults.controls import WithoutDedupe
from tests.faults.corpus import CORPUS
from tests.faults.planted import Planted
from tests.faults.processes import CrashAtPoint, Mixed
from tests.faults.row import Row
from tests.faults.torn import LateRequestsVersion1
from tests.simulation.poison import Poison


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("FAULTS_SEED", random.randrange(1_000_000)))
    print(f"FAULTS_SEED={chosen}")  # noqa: T201 (a failing run must be repeatable)
    return chosen


@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_doubled(seed: int):
    """A row that the seed chooses. `make faults` plays them all."""
    rows: list[type[Row]] = [Planted, Mixed, CrashAtPoint, LateRequestsVersion1]
    outcome = random.Random(seed).choice(rows)().run("short", seed)
    print(outcome)  # noqa: T201 (shown when the test fails)
    assert outcome.differences == []  # time marks are only checked on an idle machine


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_check_finds_a_build_that_forgets_what_was_counted(seed: int):
    assert WithoutDedupe().run("short", seed).differences == []


def test_the_corpus_has_at_least_two_hundred_records():
    assert len(CORPUS) >= 200


@pytest.mark.parametrize("poison", CORPUS, ids=lambda poison: poison.name)
def test_a_broken_record_is_a_dead_letter_with_its_reason(poison: Poison):
    for topic in poison.topics:
        world = World()
        world.produce(topic, poison.value, poison.key, 1, poison.headers)
        world.run()
        reason = poison.reason_on(topic)
        assert [found for found, _ in world.dead_letters()] == ([reason] if reason else [])
        assert world.results() == []
