"""Crashes under traffic: two workers on one broker, and the same check on builds that must fail it.

The seed is printed; TOY_SEED replays a schedule (the moments at which it strikes still depend on the machine).
"""

import os
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.toy import PARTITIONS, SUMS
from tests.engine.toy_run import Traffic, all_arrived, differences, make_topics, start_toy
from tests.records import read
from tests.supervised import Supervised, look_after, look_after_until
from worker.engine.exits import ExitCode
from worker.engine.store import RocksStores

SESSION_S = 3.0
KILLS = 4
ENVIRONMENT = {"TOY_SESSION_S": str(SESSION_S), "TOY_COMMIT_DELAY_S": "0.05"}

pytestmark = pytest.mark.timeout(240)  # a slow machine may drain slowly

Crew = tuple[Supervised, Supervised]
Strike = Callable[[random.Random, Crew], None]


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("TOY_SEED", random.randrange(1_000_000)))
    print(f"TOY_SEED={chosen}")  # noqa: T201 (a failing run must be repeatable)
    return chosen


@contextmanager
def two_workers(kafka: str, app_id: str, folder: Path, **environment: str) -> Iterator[Crew]:
    crew = (
        start_toy(app_id, kafka, folder, "first", **ENVIRONMENT, **environment),
        start_toy(app_id, kafka, folder, "second", **ENVIRONMENT, **environment, TOY_STORE="memory"),
    )
    try:
        yield crew
    finally:
        for member in crew:
            member.end()
            print(member.end_of_log)  # noqa: T201 (shown only when the test fails)


def wait_until_it_works(crew: Crew, *members: Supervised) -> None:
    done = look_after_until(
        crew, lambda: all("processing" in member.log_of_this_life for member in members), within_s=30.0
    )
    assert done, "\n\n".join(member.end_of_log for member in crew)
    look_after(crew, 0.5)


def kill(rng: random.Random, crew: Crew) -> None:
    victim = rng.choice(crew)
    wait_until_it_works(crew, victim)  # one that still starts has no transaction to leave open
    victim.signal(signal.SIGKILL)
    look_after(crew, rng.uniform(1.0, SESSION_S + 1.0))


def freeze_past_the_session(rng: random.Random, crew: Crew) -> None:
    frozen = rng.choice(crew)
    frozen.signal(signal.SIGSTOP)
    look_after(crew, SESSION_S + 3.0)
    frozen.signal(signal.SIGCONT)
    look_after(crew, 2.0)


def terminate(rng: random.Random, crew: Crew) -> None:
    stopped = rng.choice(crew)
    wait_until_it_works(crew, stopped)
    stopped.signal(signal.SIGTERM)
    assert stopped.wait(within_s=10.0) == 0
    look_after(crew, rng.uniform(1.0, 2.0))


def wait_until_all_arrived(kafka: str, app_id: str, crew: Crew, traffic: Traffic) -> None:
    arrived = look_after_until(crew, lambda: all_arrived(kafka, app_id, traffic.sent), within_s=40.0)
    assert arrived, "\n\n".join(member.end_of_log for member in crew)


def test_crashes_freezes_and_stops_lose_nothing_and_double_nothing(kafka: str, tmp_path: Path, seed: int):
    rng = random.Random(seed)
    schedule: list[Strike] = [*[kill] * KILLS, freeze_past_the_session, terminate]
    rng.shuffle(schedule)
    app_id = make_topics(kafka)
    with two_workers(kafka, app_id, tmp_path) as crew:
        with Traffic(kafka, app_id, per_second=400) as traffic:
            wait_until_it_works(crew, *crew)
            for strike in schedule:
                strike(rng, crew)
        wait_until_all_arrived(kafka, app_id, crew, traffic)
        wait_until_it_works(crew, *crew)  # who was killed last may just be starting again
        for member in crew:
            member.signal(signal.SIGTERM)
            assert member.wait(within_s=10.0) == 0
        exits = [code for member in crew for code in member.exits]
        assert exits.count(-signal.SIGKILL) == KILLS
        assert set(exits) <= {-signal.SIGKILL, 0, ExitCode.FENCED, ExitCode.DEADLINE}
    assert differences(kafka, app_id, traffic.sent) == []
    assert stores_that_differ_from_changelog(kafka, app_id, tmp_path / "first" / "store") == []
    attempts = len(read(kafka, f"{app_id}-out", isolation="read_uncommitted"))
    assert attempts > len(read(kafka, f"{app_id}-out")), "no crash met an open transaction"


def stores_that_differ_from_changelog(kafka: str, app_id: str, folder: Path) -> list[int]:
    """Partitions whose local copy is not what their changelog says up to the copy's own offset."""
    changelog = read(kafka, f"{app_id}-{SUMS.name}-changelog")
    stores = RocksStores(folder)
    wrong = []
    for number in range(PARTITIONS):
        store = stores.open(number)
        end = store.offsets().get(SUMS.mark, 0)
        rows = {r.key: r.value for r in changelog if r.partition == number and r.offset < end}
        if dict(store.scan(SUMS.mark)) != rows:
            wrong.append(number)
    stores.release(())
    return wrong


def doubles(kafka: str, folder: Path, environment: Mapping[str, str], strike: Callable[[Crew], None]) -> bool:
    """Whether the check finds doubled numbers on such a build. A strike may miss, so there are three tries."""
    for number in range(3):
        (folder / str(number)).mkdir()
        found = run_control(kafka, folder / str(number), environment, strike)
        if any(difference.startswith("doubled") for difference in found):
            return True
    return False


def run_control(
    kafka: str, folder: Path, environment: Mapping[str, str], strike: Callable[[Crew], None]
) -> list[str]:
    """The differences that the same check finds on a build with one protection switched off."""
    app_id = make_topics(kafka)
    with two_workers(kafka, app_id, folder, **environment) as crew:
        with Traffic(kafka, app_id, per_second=400) as traffic:
            wait_until_it_works(crew, *crew)
            strike(crew)
        wait_until_all_arrived(kafka, app_id, crew, traffic)
    return differences(kafka, app_id, traffic.sent)


@pytest.mark.long
def test_without_the_fence_a_process_that_wakes_up_doubles_events(kafka: str, tmp_path: Path, seed: int):
    rng = random.Random(seed)
    assert doubles(
        kafka,
        tmp_path,
        {"TOY_CONTROL": "no-fence"},
        lambda crew: freeze_past_the_session(rng, crew),
    )


def test_without_transactions_a_crash_doubles_events(kafka: str, tmp_path: Path, seed: int):
    rng = random.Random(seed)

    def kill_both_twice(crew: Crew) -> None:
        for _ in range(2):
            for member in crew:
                member.signal(signal.SIGKILL)
            look_after(crew, SESSION_S + rng.uniform(2.0, 3.0))

    assert doubles(kafka, tmp_path, {"TOY_CONTROL": "at-least-once"}, kill_both_twice)
