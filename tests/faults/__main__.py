"""python -m tests.faults [--dose short|full] [--row NAME]... [--seed N] [--list] [--record]

Plays fault rows and prints one line per row. Exits with 1 on any difference.
"""

# ruff: noqa: T201 (a program: it prints its results)

import argparse
import random
import sys
import time
import traceback

from tests.faults import (
    contents,
    controls,
    disks,
    liveness,
    network,
    nodes,
    planted,
    processes,
    soak,
    stores,
    torn,
    upgrades,
)
from tests.faults.record import stored, write
from tests.faults.row import DOSES, Outcome, Row

ALL_ROWS: tuple[type[Row], ...] = (
    *processes.ROWS,
    *network.ROWS,
    *torn.ROWS,
    *nodes.ROWS,
    *disks.ROWS,
    controls.RefusedSends,
    *contents.ROWS,
    *planted.ROWS,
    *stores.ROWS,
    *upgrades.ROWS,
    *liveness.ROWS,
    *soak.ROWS,
    *controls.ROWS,
    *stores.CONTROLS,
    *liveness.CONTROLS,
)
_SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--dose", choices=DOSES, default="short")
    parser.add_argument("--row", action="append", help="part of a row's name; may be given more than once")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--list", action="store_true", help="only print the rows' names")
    parser.add_argument(
        "--record", action="store_true", help="store the outcomes, and make docs/faults.md anew"
    )
    chosen = parser.parse_args()
    rows = [row for row in ALL_ROWS if not chosen.row or any(part in row.name for part in chosen.row)]
    if chosen.list:
        print("\n".join(row.name for row in rows))
        return 0
    print(f"dose {chosen.dose}, seed {chosen.seed}", flush=True)
    outcomes = [_play(row(), chosen.dose, chosen.seed, record=chosen.record) for row in rows]
    failed = [outcome for outcome in outcomes if outcome.differences or outcome.late]
    print(f"{len(outcomes)} rows, {len(failed)} failed")
    return 1 if failed else 0


def _play(row: Row, dose: str, seed: int, *, record: bool) -> Outcome:
    started = time.monotonic()
    try:
        outcome = row.run(dose, seed)
    except Exception as error:  # printed, and counted as a failure of its row
        traceback.print_exc()
        outcome = Outcome(row.name, dose, differences=[f"not finished: {type(error).__name__}"])
        outcome.seconds = time.monotonic() - started
    print(outcome, flush=True)
    for found in (*outcome.differences[:_SHOWN], *outcome.late[:_SHOWN]):
        print(f"  {found}", flush=True)
    if record:
        write(stored(outcome, dose, seed), [each.name for each in ALL_ROWS])
    return outcome


if __name__ == "__main__":
    sys.exit(main())
