"""The table of tools in docs/clients.md: what was tried, in which version, and by which test.

`python -m tests.interfaces.table` writes it. Versions are those that `bash tests/interfaces/install` installs.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs/clients.md"
_BEGIN, _END = "<!-- tools: begin -->\n", "<!-- tools: end -->\n"
_DOCUMENTS = "tests/interfaces/test_documents.py"
_CLIENTS = "tests/interfaces/test_clients.py"
_EVENTS = "tests/interfaces/test_cloudevents.py"
_LINTED = f"{_DOCUMENTS}::test_ajv_redocly_and_spectral_find_nothing_but_in_a_document_with_faults"
_TYPESCRIPT = f"{_CLIENTS}::test_a_generated_typescript_client_compiles_and_does_what_a_shop_does"
_PROMETHEUS = "tests/interfaces/test_prometheus.py"
_MODELS = "tests/interfaces/test_models.py"
_ALERTS = "tests/interfaces/test_alerts.py"
_STEPS = "register, read, update with `If-Match`, redeem, look up, erase"


class Tool(NamedTuple):
    """A row of the table.

    Args:
        name: the package.
        does: what was done with it.
        result: what the test demands.
        test: file::name.
    """

    name: str
    does: str
    result: str
    test: str


TOOLS = (
    Tool("ajv", "compiles all schemas in strict mode", "0 errors", _LINTED),
    Tool("@redocly/openapi-core", "its recommended rules", "0 errors, 0 warnings", _LINTED),
    Tool("@stoplight/spectral-rulesets", "its recommended rules", "0 errors, 0 warnings", _LINTED),
    Tool("openapi-typescript", "generates types from `/openapi.json`", "the client compiles", _TYPESCRIPT),
    Tool("typescript", "compiles the client, strict", "0 errors", _TYPESCRIPT),
    Tool("openapi-fetch", _STEPS, "all as told, headers included", _TYPESCRIPT),
    Tool(
        "openapi-python-client",
        _STEPS,
        "no warning; all as told, headers included",
        f"{_CLIENTS}::test_a_generated_python_client_does_what_a_shop_does",
    ),
    Tool(
        "@asyncapi/modelina",
        "generates TypeScript models from `/asyncapi.json`",
        "one model for each message and its data; published events compile with them",
        f"{_MODELS}::test_generated_models_hold_each_message_once_and_published_events_are_of_their_types",
    ),
    Tool(
        "cloudevents (Node)",
        "reads a published event",
        "reads it",
        f"{_EVENTS}::test_the_sdk_of_node_reads_an_event",
    ),
    Tool(
        "io.cloudevents:cloudevents-kafka",
        "reads a published event",
        "reads it",
        f"{_EVENTS}::test_the_sdk_of_java_reads_an_event",
    ),
    Tool(
        "sdk-go/protocol/kafka_sarama/v2",
        "reads a published event",
        "reads it",
        f"{_EVENTS}::test_the_sdk_of_go_reads_an_event",
    ),
    Tool(
        "cloudevents (Python)",
        "reads a published event",
        "reads it with the calls above",
        f"{_EVENTS}::test_the_sdk_of_python_reads_an_event",
    ),
    Tool(
        "promtool",
        "checks configuration and rules",
        "0 errors",
        f"{_PROMETHEUS}::test_promtool_takes_rules_and_configuration",
    ),
    Tool(
        "promtool",
        "plays crash loops, also of workers that no scrape finds",
        "the right alerts fire",
        f"{_PROMETHEUS}::test_a_crash_loop_shorter_than_a_scrape_fires_an_alert_and_a_worker_that_runs_does_not",
    ),
    Tool(
        "prometheus",
        "scrapes three workers, by the alert rules at 300 times their speed",
        "each alert fires, and none while all is well",
        f"{_ALERTS}::test_every_alert_fires_on_what_it_is_for_and_none_while_all_is_well",
    ),
)


def versions() -> dict[str, str]:
    """Package → its exact version. A package that npm and PyPI both have is told apart by its language."""
    folder = Path(__file__).parent
    npm = dict(json.loads((folder / "package.json").read_text())["dependencies"])
    lines = (folder / "requirements.txt").read_text().splitlines()
    python = dict(line.split("==") for line in lines if "==" in line)
    debian = dict.fromkeys(("promtool", "prometheus"), "that of Debian")
    both = npm.keys() & python.keys()
    named = [(name, "Node", version) for name, version in npm.items()]
    named += [(name, "Python", version) for name, version in python.items()]
    named += [("io.cloudevents:cloudevents-kafka", "Java", _of_maven(folder / "java/pom.xml"))]
    named += [("sdk-go/protocol/kafka_sarama/v2", "Go", _of_go(folder / "go/go.mod"))]
    return debian | {f"{name} ({of})" if name in both else name: version for name, of, version in named}


def _of_maven(pom: Path) -> str:
    found = re.search(r"<artifactId>cloudevents-kafka</artifactId>\s*<version>(.+?)<", pom.read_text())
    assert found is not None
    return found[1]


def _of_go(modules: Path) -> str:
    found = re.search(r"/sdk-go/protocol/kafka_sarama/v2 v(\S+)", modules.read_text())
    assert found is not None
    return found[1]


def table() -> str:
    """The table as Markdown."""
    known = versions()
    rows = [
        f"| {each.name} | {known[each.name]} | {each.does} | {each.result} | `{each.test}` |\n"
        for each in TOOLS
    ]
    return "| tool | version | what was done | result | test |\n|---|---|---|---|---|\n" + "".join(rows)


def page(text: str) -> str:
    """The page with the table put in."""
    before, rest = text.split(_BEGIN)
    return before + _BEGIN + table() + _END + rest.split(_END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
