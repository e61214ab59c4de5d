"""The purchases of the sample, as they stand in the file (PROVENANCE.md says where it comes from)."""

import gzip
from datetime import date, datetime
from importlib.resources import files
from typing import NamedTuple


class Purchase(NamedTuple):
    """customer: its number in the sample, from 1; nth: of this customer, from 1; amount: US dollars as written."""

    customer: int
    nth: int
    day: date
    amount: str


def read_purchases() -> tuple[Purchase, ...]:
    """Every purchase in the file's order: by customer, then by date."""
    packed = files("worker.demo").joinpath("cdnow.txt.gz").read_bytes()
    counted: dict[int, int] = {}
    purchases = []
    for line in gzip.decompress(packed).decode("ascii").splitlines():
        _full_file_number, number, day, _discs, amount = line.split()
        customer = int(number)
        counted[customer] = nth = counted.get(customer, 0) + 1
        purchases.append(Purchase(customer, nth, datetime.strptime(day, "%Y%m%d").date(), amount))  # noqa: DTZ007 - a date has no zone
    return tuple(purchases)
