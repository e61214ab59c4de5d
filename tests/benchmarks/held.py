"""How long one input of the largest size holds the event loop, by its kind and by what fills it.

Rules:
- Each input goes through the worker's own processor and the slice of a batch, as in a partition. No broker is used.
- Beside it a task looks again and again how much CPU time the process took since it last ran. The most counts, of the
  quickest round. CPU time, because a shared machine would add the time of other processes.
- The same input is also processed with the thread off, in turn.
- A body of HTTP is read and checked at once, because it has 64 KiB at most.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated
from unittest import mock

import typer

from agents.processor import Processor
from agents.routing import Routing
from api.limits import Limits
from tests.benchmarks.runner import command, show
from tests.large_values import COMMAND, FIELDS, ITEMS, ORDER, filled
from worker.app.memory import quieten_gc
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.engine import unit as unit_module
from worker.engine.lanes import Pace
from worker.engine.making import Making
from worker.engine.store import MemoryStore
from worker.engine.turns import Turns
from worker.engine.unit import InputRecord, Unit
from worker.kafka.topics import Catalogue
from worker.wire.command_models import COMMAND_MODELS
from worker.wire.strict_json import read_object
from worker.wire.validation import InvalidData, read_data

_NOW = 4_102_444_800_000  # the records' time, ms since 1970: later than each input's own
_BEAT_S = 0.000_5
_PREFERENCES = COMMAND.replace("ChangeStatus", "UpdatePreferences").replace(
    '"newStatus":"ACTIVE","reason":"r","note":PARTS', '"notifications":{"enabledTypes":PARTS}'
)
_PAYMENT = ORDER.replace("totalAmount", "amount").replace('"note"', '"paymentId":"p","note"')
_RETURN = ORDER.replace("totalAmount", "refundAmount").replace('"note"', '"returnId":"r","note"')
_CLOUD_EVENT = (
    '{"specversion":"1.0","id":"e","source":"s","type":"OrderCompletedEvent",' + f'"data":{ORDER}}}'
)

ROUTING = Routing(Catalogue(partitions=1), 1)
INPUTS: Mapping[str, tuple[str, str]] = {
    "command": (ROUTING.commands, COMMAND),
    "command, in a field of its own": (ROUTING.commands, _PREFERENCES),
    "order": (ROUTING.orders, ORDER),
    "order as a CloudEvent": (ROUTING.orders, _CLOUD_EVENT),
    "order to dead letters": (ROUTING.orders, ORDER.replace("USD", "none")),
    "payment": (ROUTING.payments, _PAYMENT),
    "return": (ROUTING.returns, _RETURN),
}


async def held_s(topic: str, value: bytes) -> float:
    """The most CPU time of this process, in seconds, between two turns of the event loop beside one input."""
    process = Processor(ROUTING, RuleBook((DEFAULT_RULES,)), lambda *_: None)
    making = Making(Unit(0, MemoryStore(), {}), process, Pace(), Turns(2, 2_000))
    record = InputRecord(topic, 0, 0, _NOW, b"c", value, ())
    slice_ = asyncio.create_task(making.slice([record], 0))
    longest, last = 0.0, time.process_time()
    while not slice_.done():
        await asyncio.sleep(_BEAT_S)
        now = time.process_time()
        longest, last = max(longest, now - last), now
    await slice_
    return longest


def of_input(topic: str, template: str, kind: str, rounds: int) -> tuple[float, float]:
    """Milliseconds with the thread off, and with it."""
    value = filled(template, kind)
    off, on = math.inf, math.inf
    for _ in range(rounds):
        with mock.patch.object(unit_module, "LONG_VALUE_BYTES", math.inf):
            off = min(off, asyncio.run(held_s(topic, value)))
        on = min(on, asyncio.run(held_s(topic, value)))
    return off * 1_000, on * 1_000


def of_body(name: str, kind: str, rounds: int) -> float:
    """Milliseconds to read and check the body of a request. name: of the command that it becomes."""
    properties = COMMAND_MODELS[name].model_json_schema(by_alias=True)["properties"]
    fields = {"note", *properties}
    templates = [f"{{{json.dumps(field)}:PARTS}}" for field in sorted(fields)]
    templates += ["PARTS"] if kind in FIELDS else []
    bodies = [filled(each, kind, Limits().body_bytes) for each in templates]
    return max(min(_timed(lambda: _check(name, body)) for _ in range(rounds)) for body in bodies) * 1_000  # noqa: B023


def _check(name: str, body: bytes) -> None:
    with suppress(InvalidData):
        read_data(COMMAND_MODELS[name], read_object(body), issued_at=_NOW, forbid_unknown=True)


def _timed(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return time.process_time() - began


def main(
    rounds: Annotated[int, typer.Option(help="of which the quickest counts: a shared machine only adds")] = 3,
    only: Annotated[str, typer.Option(help="kinds of input that begin with this text")] = "",
) -> None:
    """Measure how long one input of the largest size holds the event loop."""
    quieten_gc()
    lines = ["## How long one input holds the event loop, ms", ""]
    lines += ["| input | full of | thread off | with the thread |", "| --- | --- | ---: | ---: |"]
    for name, (topic, template) in INPUTS.items():
        for kind in (*ITEMS, *FIELDS) if name.startswith(only) else ():
            off, on = of_input(topic, template, kind, rounds)
            lines.append(f"| {name} | {kind} | {off:.0f} | {on:.0f} |")
    for name in COMMAND_MODELS if "HTTP".startswith(only) else ():
        longest, kind = max((of_body(name, kind, rounds), kind) for kind in (*ITEMS, *FIELDS))
        lines.append(f"| body over HTTP for {name} | {kind} | {longest:.0f} |  |")
    show("held", lines)


if __name__ == "__main__":
    command(main)
