"""`python -m tests.native.fuzz`: many inputs to the codecs in C and to their Python forms, which must make the same of them.

It ends with an error at the first difference, and prints the smallest input that shows it.
"""

import argparse

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.native.compared import COMPARED, Compared
from tests.native.libraries import library


def fuzz(inputs: st.SearchStrategy[object], compared: Compared, count: int) -> None:
    """Compare both forms on so many inputs."""
    codecs = library()

    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def same(drawn: object) -> None:
        assert compared(codecs, drawn) == compared(None, drawn)

    same()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.native.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all")
    count = parser.parse_args().inputs // len(COMPARED)
    for name, (inputs, compared) in COMPARED.items():
        fuzz(inputs, compared, count)
        print(f"{name}: {count:,} inputs, no difference", flush=True)  # noqa: T201 - what this program says


if __name__ == "__main__":
    main()
