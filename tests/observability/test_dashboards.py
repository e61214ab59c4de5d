"""The dashboard and the alert rules ask for what the worker really shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry

from worker.engine.unit import Outgoing
from worker.gateway import Readiness
from worker.observability import metrics
from worker.wire.results import CommandResult

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/customer-context.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
SCRAPING = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())

RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_PROMETHEUS = {
    "job",
    "instance",
    "process",
}  # labels that a scrape adds; process: that of several processes
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}


class Idle:
    """A worker with a partition that lags."""

    def lags(self) -> dict[tuple[str, int], int]:
        return {("order.completed", 0): 3}

    def held_partitions(self) -> frozenset[int]:
        return frozenset({0})

    def lost_inputs(self) -> list[str]:
        return ["one"]

    def readiness(self) -> Readiness:
        return Readiness(True, ())

    def kafka_silent_s(self) -> float:
        return 0.0

    def rules_differ(self) -> bool:
        return False


class Record:
    topic, timestamp = "order.completed", 0


def shown() -> dict[str, set[str]]:
    """Sample name -> labels, of a worker that has done a little of everything."""
    metrics.EngineMetrics().inputs_lost("order.completed", 1)
    metrics.EngineMetrics().committed([Record()], ["order.completed"], 0.01)
    event = Outgoing(None, None, [("content-type", b""), ("ce_type", b"CustomerErasedEvent")])
    metrics.count_output([event], [CommandResult("i", None, "c", "APPLIED", 1)], {"INVALID": 1})
    metrics.BUILD.info({"release": "0", "commit": "0", "format": "0"})
    metrics.count_request("GET", "/metrics", 200, 0.001)
    state = CollectorRegistry()
    metrics.watch_worker(Idle(), state)
    families = [*REGISTRY.collect(), *state.collect()]
    found = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    return {"up": set(), **found}


def dashboard_queries() -> list[str]:
    queries = [target["expr"] for panel in PANELS for target in panel["targets"]]
    queries += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
    for name, value in VARIABLES.items():
        queries = [query.replace(name, value) for query in queries]
    return queries


def selectors(query: str) -> Iterator[Any]:
    """Every vector selector in a query. Raises ValueError when it is not PromQL."""
    found: list[Any] = []

    def look(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(query), look)
    return iter(found)


def grouping_labels(query: str) -> set[str]:
    clauses = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
    return {label.strip() for clause in clauses for label in clause.split(",")}


@pytest.mark.parametrize("query", [*dashboard_queries(), *(rule["expr"] for rule in RULES)])
def test_every_query_asks_for_metrics_and_labels_that_a_worker_shows(query: str):
    known = shown()
    labels = set(OF_PROMETHEUS)
    for selector in selectors(query):
        assert selector.name in known
        labels |= known[selector.name]
        assert {matcher.name for matcher in selector.matchers.matchers} <= known[
            selector.name
        ] | OF_PROMETHEUS
    assert grouping_labels(query) <= labels


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_how_urgent_it_is_and_what_to_do(rule: dict[str, Any]):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["action"].endswith((".", "?"))


def test_no_two_panels_lie_on_each_other():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (column, line)
            for column in range(at["x"], at["x"] + at["w"])
            for line in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_what_the_worker_counts_is_on_the_dashboard():
    asked = {selector.name for query in dashboard_queries() for selector in selectors(query)}
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    shown_families = {
        re.sub(r"_(total|created|bucket|sum|count)$", "", name)
        for name in shown()
        if name.startswith("customer_context_")
    }
    assert shown_families == {name for name in families if name.startswith("customer_context_")}


def test_the_rules_are_loaded_and_the_job_is_called_as_they_say():
    assert SCRAPING["rule_files"] == ["alerts.yml"]
    job = SCRAPING["scrape_configs"][0]["job_name"]
    named = re.findall(
        r'job="([^"]+)"',
        json.dumps(DASHBOARD).replace('\\"', '"') + (DEPLOY / "prometheus/alerts.yml").read_text(),
    )
    assert set(named) == {job}
