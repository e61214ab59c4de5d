"""One scrape of all processes: each sample gets the label `process`, and each metric is described once."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_PROCESS = "process"
_READY = "customer_context_ready"


def merged(own: int, collected: Iterable[Metric], others: Mapping[int, str | None]) -> bytes:
    """The metrics of all processes in Prometheus's text format.

    Args:
        own: the number of this process.
        collected: the metrics of this process.
        others: the text of each other process, by its number. None if it did not answer: then it counts as not ready.
    """
    families: dict[str, Metric] = {}
    _add(families, own, collected)
    for number, text in others.items():
        if text is None:
            families[_READY].add_sample(_READY, {_PROCESS: str(number)}, 0)
        else:
            _add(families, number, text_string_to_metric_families(text))
    return generate_latest(_Collected(families.values()))


def _add(families: dict[str, Metric], number: int, found: Iterable[Metric]) -> None:
    for family in found:
        # The text format has no type for info and unknown: there an info is a gauge whose name ends with _info.
        name, kind = (f"{family.name}_info", "gauge") if family.type == "info" else (family.name, family.type)
        into = families.setdefault(name, Metric(name, family.documentation, kind))
        for sample in family.samples:
            into.samples.append(sample._replace(labels={**sample.labels, _PROCESS: str(number)}))


class _Collected(Collector):
    """Metrics that were collected already, in the form that generate_latest takes."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families
