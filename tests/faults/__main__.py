"""python -m tests.faults [--dose short|full] [--row NAME]... [--seed N] [--list]: one line a row; exit 1 on any difference."""

# ruff: noqa: T201 (it is a program, and this is what it says)

import argparse
import random
import sys
import time
import traceback

from tests.faults import contents, controls, disks, network, processes, soak
from tests.faults.row import DOSES, Outcome, Row

ALL_ROWS: tuple[type[Row], ...] = (
    *processes.ROWS,
    *network.ROWS,
    *disks.ROWS,
    controls.RefusedSends,
    *contents.ROWS,
    *soak.ROWS,
    *controls.ROWS,
)
_SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--dose", choices=DOSES, default="short")
    parser.add_argument("--row", action="append", help="part of a row's name; may be given more than once")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--list", action="store_true", help="only print the rows' names")
    chosen = parser.parse_args()
    rows = [row for row in ALL_ROWS if not chosen.row or any(part in row.name for part in chosen.row)]
    if chosen.list:
        print("\n".join(row.name for row in rows))
        return 0
    print(f"dose {chosen.dose}, seed {chosen.seed}", flush=True)
    outcomes = [_play(row(), chosen.dose, chosen.seed) for row in rows]
    failed = [outcome for outcome in outcomes if outcome.differences or outcome.late]
    print(f"{len(outcomes)} rows, {len(failed)} failed")
    return 1 if failed else 0


def _play(row: Row, dose: str, seed: int) -> Outcome:
    started = time.monotonic()
    try:
        outcome = row.run(dose, seed)
    except Exception as error:  # shown, and counted as a failure of its row
        traceback.print_exc()
        outcome = Outcome(row.name, dose, differences=[f"not finished: {type(error).__name__}"])
        outcome.seconds = time.monotonic() - started
    print(outcome, flush=True)
    for found in (*outcome.differences[:_SHOWN], *outcome.late[:_SHOWN]):
        print(f"  {found}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
