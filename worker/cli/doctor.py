"""`customer-context doctor`: says what is wrong, and what to do."""

import json
import logging
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from api.auth import Authenticator
from worker.broker import BrokerError, running_bootstrap
from worker.cli.context import catalogue_of, env_file_of
from worker.cli.output import Screen, emit, shown
from worker.cli.running import run
from worker.cli.topics import all_topics
from worker.doctor import Finding, Level, application, kafka, machine, redis_copy
from worker.doctor.findings import fault, ok
from worker.doctor.interpreter import interpreter
from worker.operations import running
from worker.operations.application import myself
from worker.settings import PREFIX, ConfigurationError, Settings, load_settings
from worker.wire.rules_file import RulesFileError, load_rules

_SIGNS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.FAULT: ("✗", "red")}


def register(app: typer.Typer) -> None:
    """Add `doctor` to the console script."""
    app.command("doctor", epilog="Examples: customer-context doctor · customer-context doctor --json")(doctor)


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the configuration, rules, Python, disk, ports, Kafka, topics, clocks, Redis and the running workers.

    It changes nothing. It exits with 1 if there is a fault; a warning is no fault.
    """
    logging.disable(logging.CRITICAL)  # what the clients say of their own is told here in plain words
    findings = list(_examine(context))
    bad = any(finding.level is Level.FAULT for finding in findings)
    if as_json:
        emit(json.dumps({"ok": not bad, "findings": [asdict(finding) for finding in findings]}))
    else:
        _print(findings)
    if bad:
        raise typer.Exit(1)


def _examine(context: typer.Context) -> Iterator[Finding]:
    try:
        settings = load_settings(env_file_of(context))
        Authenticator(settings)
        settings.kafka_client(settings.bootstrap_servers)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            yield fault(
                "configuration", line, "Correct it. The other checks run once all settings are valid."
            )
        return
    yield ok("configuration", "All settings are valid.")
    yield _rules(settings)
    yield interpreter(sysconfig.get_config_vars())
    yield from machine.disk(settings.data_dir)
    yield from machine.ports(settings)
    yield machine.codecs(settings.native)
    yield from _kafka(settings)
    if settings.redis_url is not None:
        yield run(redis_copy.redis(settings.redis_url.get_secret_value()))


def _rules(settings: Settings) -> Finding:
    try:
        book = load_rules(settings.rules_file)
    except RulesFileError as error:
        return fault("rules", str(error), f"Correct the file that {PREFIX}RULES_FILE names.")
    rated = sorted({currency for rules in book.sets for currency in rules.rates})
    rates = f", with rates for {', '.join(rated)}" if rated else ""
    return ok(
        "rules", f"The rules can be used: {book.currency}, in {_counted(len(book.sets), 'version')}{rates}."
    )


def _kafka(settings: Settings) -> Iterator[Finding]:
    bootstrap = settings.bootstrap_servers
    if settings.embedded:
        yield from machine.embedded_kafka(settings.kafka_dir)
        try:
            bootstrap = running_bootstrap(settings.kafka_dir) or ""
        except BrokerError as error:
            yield fault(
                "broker", str(error), "Give the worker's user the right to read it, or name another DATA_DIR."
            )
    if not bootstrap:
        yield ok("broker", "No embedded Kafka runs now; `worker`, `broker` and `demo` start one.")
        return
    answers = run(kafka.broker(settings, bootstrap))
    yield from answers
    if any(finding.level is not Level.FAULT for finding in answers):
        yield from run(kafka.topics(settings, bootstrap, all_topics(catalogue_of(settings))))
        yield from _application(settings, bootstrap)
        yield from run(application.lost_inputs(settings, bootstrap))


def _application(settings: Settings, bootstrap: str) -> Iterator[Finding]:
    try:
        rules = load_rules(settings.rules_file)
    except RulesFileError:
        return  # told above
    me = myself(settings, rules, settings.public_url(settings.web_port))
    client, catalogue = settings.kafka_client(bootstrap), catalogue_of(settings)
    yield from run(running.examine(client, catalogue, me, settings.stores_dir))


def _print(findings: list[Finding]) -> None:
    screen = Screen()
    for finding, after in zip(findings, [*findings[1:], None], strict=True):
        area = finding.area, "bold"
        screen.print(
            Text.assemble(_SIGNS[finding.level], " ", area, ": ", shown(finding.what)), soft_wrap=True
        )
        said_below = after is not None and after.advice == finding.advice  # once is enough for all of them
        if finding.advice and not said_below:
            screen.say(f"  → {finding.advice}")
    faults = sum(finding.level is Level.FAULT for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    screen.say(
        f"{_counted(faults, 'fault')}, {_counted(warnings, 'warning')}."
        if faults or warnings
        else "All is well."
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
