"""The tables: typed rows over a unit of work. Each has its own changelog; a row's partition is the customer's."""

from tables.command_results import COMMAND_RESULTS
from tables.customers import CUSTOMERS
from tables.email_claims import EMAIL_CLAIMS
from tables.ledger import LEDGER
from tables.waiting import WAITING

ALL = (CUSTOMERS, LEDGER, COMMAND_RESULTS, EMAIL_CLAIMS, WAITING)
