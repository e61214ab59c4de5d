"""After a replay: the effects of an erasure outside the customer's row (contract, section 6, erasure).

The logs do not tell which inputs came after the erasure, because the order across topics is open. So the dead letters
are trusted, as far as two certain facts allow: the customer was erased, and each topic is read in its order.
"""

from collections.abc import Iterator

from worker.verify.checks.account import Account
from worker.verify.reading.deliveries import Expected


def check(account: Account) -> Iterator[Expected]:
    """Report differences, and yield the dead letters that refused inputs must have."""
    _check_forgotten(account)
    _check_order(account)
    erased = account.customer is not None and account.customer.erased
    reasons = frozenset(("CUSTOMER_ERASED",) if erased else ())
    for each in account.told.purchases:
        if each.position in account.traces.refused:
            yield Expected(each.source, reasons, each.due)


def _check_forgotten(account: Account) -> None:
    """Check that remembered results have no fingerprint after an erasure. Personal data can be guessed from a hash."""
    if not (account.traces.row.get("customer") or {}).get("erased"):
        return
    for command_id, remembered in account.traces.remembered.items():
        if remembered.get("fingerprint") != "":
            account.differs("remembered result", f"command {command_id}: its fingerprint was not forgotten")


def _check_order(account: Account) -> None:
    """Check that every input after a refused one on the same topic was refused too, repeats included.

    A refused return whose order never counted is no evidence. It may have come before the erasure and waited.
    """
    refused, told = account.traces.refused, account.told
    counted = account.customer.history.orders if account.customer is not None else {}
    waited = {each.position for each in told.returns if each.fact.order_id not in counted}
    for of_topic in (told.orders, told.payments, told.returns):
        at_home = sorted((each for each in of_topic if each.at_home), key=lambda each: each.position)
        late = (
            n for n, each in enumerate(at_home) if each.position in refused and each.position not in waited
        )
        first = next(late, len(at_home))
        for each in at_home[first:]:
            if each.due and each.position not in refused:
                account.differs("input", f"{each.fact.id} at {each.position} was taken after the erasure")
