"""The short cut of `make faults` that every test run plays; the seed is printed, FAULTS_SEED replays it."""

import os
import random

import pytest

from tests.agents.world import World
from tests.faults.controls import WithoutFence
from tests.faults.corpus import CORPUS
from tests.faults.processes import CrashAtPoint, Mixed
from tests.faults.row import Row
from tests.simulation.poison import Poison


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("FAULTS_SEED", random.randrange(1_000_000)))
    print(f"FAULTS_SEED={chosen}")  # noqa: T201 (a failing run must be repeatable)
    return chosen


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", [Mixed, CrashAtPoint], ids=lambda row: row.name)
def test_nothing_is_lost_and_nothing_doubled(row: type[Row], seed: int):
    outcome = row().run("short", seed)
    assert outcome.differences == []  # its times are looked at where nothing else runs


@pytest.mark.timeout(600)
def test_the_check_finds_a_build_whose_fence_is_off(seed: int):
    assert WithoutFence().run("short", seed).differences == []


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
