"""`python -m tests.docs.patches` writes the table of patched methods into docs/faust-and-aiokafka.md.

`python -m tests.docs.patches --guard METHOD …` prints the guard of each installed method, for worker.engine.patches.table.
"""

import argparse
from pathlib import Path

from worker.engine.patches.guard import guard_of
from worker.engine.patches.table import PATCHES

PAGE = Path(__file__).parents[2] / "docs/faust-and-aiokafka.md"
BEGIN, END = "<!-- patches: begin -->\n", "<!-- patches: end -->\n"


def table() -> str:
    """The Markdown table."""
    rows = [f"| `{each.method}` | {each.use} | `{each.where}` | {each.why} |" for each in PATCHES]
    return "\n".join(["| method | use | where | why |", "|---|---|---|---|", *rows, ""])


def page(text: str) -> str:
    """The page with the table put in."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.docs.patches", description=__doc__)
    parser.add_argument("--guard", nargs="+", metavar="METHOD", help="module:Class.method or module:function")
    chosen = parser.parse_args()
    if chosen.guard is None:
        PAGE.write_text(page(PAGE.read_text()))
    for method in chosen.guard or ():
        print(method, guard_of(method))  # noqa: T201 - it is a program, and this is what it says


if __name__ == "__main__":
    main()
