"""python -m tests.simulation --seeds N [--from M] | --seed N: runs seeds in parallel on all cores; exits with 1 on a failure."""

# ruff: noqa: T201 (a program: it prints its results)

import argparse
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import run_seed
from worker.engine import patches

_SHOWN = 20


def attempt(seed: int) -> tuple[int, list[str]]:
    """Run a seed. Returns the seed and what is wrong. A worker that ended unexpectedly counts as wrong."""
    try:
        return seed, run_seed(seed)
    except Exception:  # printed with its seed, and counted as a failure
        return seed, [traceback.format_exc()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="replay this one")
    chosen = parser.parse_args()
    patches.install_clients()
    if chosen.seed is not None:
        return _report([attempt(chosen.seed)], time.monotonic())
    started = time.monotonic()
    with ProcessPoolExecutor(initializer=patches.install_clients) as pool:
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        return _report(list(pool.map(attempt, seeds, chunksize=20)), started)


def _report(outcomes: list[tuple[int, list[str]]], started: float) -> int:
    failed = [(seed, found) for seed, found in outcomes if found]
    for seed, found in failed[:_SHOWN]:
        print(f"seed {seed}: {len(found)} differences; replay with --seed {seed}")
        for difference in found[:_SHOWN]:
            print(f"  {difference}")
    print(f"{len(outcomes)} seeds, {len(failed)} failed, {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
