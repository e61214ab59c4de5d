"""After a replay: what an erasure has to leave behind beside the customer's row (CONTRACT section 6, erasure).

Which inputs came after it cannot be told from the logs alone, for the topics mix freely. So the dead letters are taken
at their word, and held against what is certain: the customer was erased, and one topic is read in its order.
"""

from collections.abc import Iterator

from worker.verify.deliveries import Expected
from worker.verify.replay import Replay


def check(replay: Replay) -> Iterator[Expected]:
    """Note what differs; yields the dead letters that refused inputs must have led to."""
    _check_forgotten(replay)
    _check_order(replay)
    erased = replay.customer is not None and replay.customer.erased
    reasons = frozenset(("CUSTOMER_ERASED",) if erased else ())
    for each in replay.told.purchases:
        if each.position in replay.traces.refused:
            yield Expected(each.source, reasons, each.due)


def _check_forgotten(replay: Replay) -> None:
    """What commands said could be guessed from its hash, so that goes too."""
    if not (replay.traces.row.get("customer") or {}).get("erased"):
        return
    for command_id, remembered in replay.traces.remembered.items():
        if remembered.get("fingerprint") != "":
            replay.differs("remembered result", f"command {command_id}: what it said was not forgotten")


def _check_order(replay: Replay) -> None:
    """Whatever follows a refused input on its topic was refused as well, repeats of what had counted included.

    Only a return whose order never counted may have come before the erasure, and have waited.
    """
    refused, told = replay.traces.refused, replay.told
    counted = replay.customer.history.orders if replay.customer is not None else {}
    waited = {each.position for each in told.returns if each.fact.order_id not in counted}
    for of_topic in (told.orders, told.payments, told.returns):
        at_home = sorted((each for each in of_topic if each.at_home), key=lambda each: each.position)
        late = (
            n for n, each in enumerate(at_home) if each.position in refused and each.position not in waited
        )
        first = next(late, len(at_home))
        for each in at_home[first:]:
            if each.due and each.position not in refused:
                replay.differs("input", f"{each.fact.id} at {each.position} was taken after the erasure")
