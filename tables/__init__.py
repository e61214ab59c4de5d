"""The tables: typed rows over a unit of work. Each has its own changelog; a row's partition is the customer's."""

from tables.application import APPLICATION
from tables.command_results import COMMAND_RESULTS
from tables.customers import CUSTOMERS
from tables.day_totals import DAY_TOTALS
from tables.email_claims import EMAIL_CLAIMS
from tables.ledger import LEDGER
from tables.order_index import ORDER_INDEX
from tables.waiting import WAITING
from worker.engine.unit import Table

FIRST = (CUSTOMERS, LEDGER, COMMAND_RESULTS, EMAIL_CLAIMS, WAITING)
"""The tables of the first data format. Every application that has run has their changelogs."""

ALL = (*FIRST, DAY_TOTALS, APPLICATION)


def needed(*, payment_join: bool) -> tuple[Table, ...]:
    """The tables of an installation: ALL, and the order index where payments are joined."""
    return (*ALL, ORDER_INDEX) if payment_join else ALL
