"""A few hundred seeds of the simulation, and the controls that it must find. More: python -m tests.simulation --seeds N."""

from collections import Counter, defaultdict
from itertools import takewhile
from types import SimpleNamespace
from typing import cast

import pytest

from tests.simulation import returns
from tests.simulation.check import Seen
from tests.simulation.controls import CONTROLS, Control
from tests.simulation.run import run_seed
from tests.simulation.sent import RETURN, Delivery
from tests.simulation.traffic import Traffic
from worker.domain.state import LedgerLine

SEEDS = 200
ENOUGH_FOR_A_CONTROL = 40


@pytest.mark.parametrize(
    "first", [0, 50, *(pytest.param(first, marks=pytest.mark.long) for first in range(100, SEEDS, 50))]
)
def test_whatever_dies_freezes_or_moves_nothing_is_lost_and_nothing_doubled(first: int):
    failed = {seed: found for seed in range(first, first + 50) if (found := run_seed(seed))}
    assert not failed, "replay with: python -m tests.simulation --seed N"


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS.keys())
def test_the_simulation_finds_a_build_whose_protection_is_off(control: Control):
    with control.change():
        unseen = list(
            takewhile(lambda seed: not run_seed(seed, control.engine), range(1, ENOUGH_FOR_A_CONTROL + 1))
        )
    assert len(unseen) < ENOUGH_FOR_A_CONTROL


def test_only_a_single_return_of_an_amount_must_have_conflicted_with_the_one_that_counted():
    seen = cast(Seen, SimpleNamespace(ledger=defaultdict(dict), erased=set()))
    seen.ledger["c"][RETURN, "b"] = LedgerLine(100, "USD", 0, 0, "1", 1, "o1")
    waited, counted = Delivery(900, "USD", "first", "o1"), Delivery(100, "USD", "third", "o1")
    hidden_meanwhile = Delivery(900, "USD", "second", "o2")
    letter = Counter({(returns.CONFLICT, "first"): 1})
    assert returns.refused(seen, Counter(), "c", "b", [waited, counted]) == letter
    assert returns.refused(seen, letter, "c", "b", [waited, hidden_meanwhile, counted]) == letter


def test_a_seed_replays_the_same_traffic():
    assert Traffic(7, 3, 4).take(200) == Traffic(7, 3, 4).take(200)
