"""`customer-context what-if --rules NEW.toml`: what every customer would have under other rules. It changes nothing."""

import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from worker.app.memory import quieten_gc
from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import Screen, emit, say, shown, stderr
from worker.cli.running import run
from worker.domain.rules import RuleBook
from worker.kafka.reader import Stalled
from worker.membership import RuleClaim, claims_of
from worker.operations import facts
from worker.settings import PREFIX, ConfigurationError, Settings
from worker.whatif import summary
from worker.whatif.chart import chart
from worker.whatif.comparison import Comparison
from worker.whatif.documents import Csv, Document, Json, Text
from worker.whatif.histories import UnreadableRow
from worker.whatif.outcome import RulesUnknown
from worker.whatif.reading import Changelogs
from worker.whatif.summary import PointValue
from worker.whole_file import whole_file
from worker.wire.rules_file import RulesFileError, load_rules


class Format(StrEnum):
    """The form of the result."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add `what-if` to the console script."""
    app.command(
        "what-if",
        epilog="Examples: customer-context what-if --rules new.toml --chart new.svg · "
        "customer-context what-if --rules new.toml --format csv --output changes.csv",
    )(what_if)


def what_if(
    context: typer.Context,
    rules: Annotated[
        Path,
        typer.Option(
            "--rules", metavar="NEW.toml", help="The other rules, a file of the form of RULES_FILE."
        ),
    ],
    form: Annotated[
        Format, typer.Option("--format", help="The form of the result. csv has no summary.")
    ] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the result into this file.")
    ] = None,
    chart_file: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE.svg", help="Also draw a chart into this file.")
    ] = None,
    value_per_point: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT",
            help="Also show what all points are worth, at so many units of the rules' currency.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, max=100_000, metavar="N", help="How many customers the table shows.")
    ] = 50,
) -> None:
    """Show what every customer's level, points and VIP would be under other rules.

    It computes them anew, from all orders and returns that ever counted. Levels given by hand stay, and erased customers
    are left out. It reads the changelogs of a running or a stopped application, and changes nothing anywhere.
    """
    settings = settings_of(context)
    other = _rules(rules)
    value = _value(value_per_point, other)
    _check_files(output, chart_file)
    bootstrap = bootstrap_of(settings)
    quieten_gc()  # all orders of a partition are in memory
    with closing(_document(form, limit, value)) as document:
        compared = run(_compared(settings, bootstrap, other, document))
        with _writing():
            _write(document, compared, output)
            if chart_file is not None:
                with whole_file(chart_file) as file:
                    file.write(chart(compared, value))
    if output is not None or form is Format.CSV:
        for line in summary.text(compared, value):
            say(line)


def _document(form: Format, limit: int, value: PointValue | None) -> Document:
    with _writing():
        match form:
            case Format.TABLE:
                return Text(limit, value)
            case Format.CSV:
                return Csv()
            case Format.JSON:
                return Json(value)


async def _compared(settings: Settings, bootstrap: str, other: RuleBook, document: Document) -> Comparison:
    client, catalogue = settings.kafka_client(bootstrap), catalogue_of(settings)
    known = await facts.remembered(client, catalogue)
    facts.refuse_newer(known)
    compared = Comparison(other, _in_force(settings, known.rules))
    with _progress() as progress:
        try:
            async with Changelogs(client, catalogue, progress) as changelogs:
                async for histories in changelogs.partitions():
                    with _writing():
                        document.add(compared.partition(histories))
                    del histories  # before the next partition is read, because memory is for one
        except Stalled as error:
            raise CommandFailed(
                f"{error} Is a transaction of a dead worker still open? Try again later."
            ) from error
        except UnreadableRow as error:
            raise CommandFailed(f"{error} Did a newer release write it?") from error
        except RulesUnknown as error:
            raise ConfigurationError(
                f"An earlier release applied orders, and kept no line of levels given by hand. To find those, "
                f"{PREFIX}RULES_FILE has to name the rules in force."
            ) from error
    return compared


def _in_force(settings: Settings, counted: Mapping[str, RuleClaim]) -> RuleBook | None:
    """The rules of the settings; None if they are not those by which orders have counted."""
    rules = _rules(settings.rules_file)
    return rules if counted.items() <= claims_of(rules).items() else None


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    columns = (
        SpinnerColumn(),
        TextColumn("reading orders and returns"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _rules(path: Path | None) -> RuleBook:
    try:
        return load_rules(path)
    except RulesFileError as error:
        raise ConfigurationError(str(error)) from error


def _value(text: str | None, rules: RuleBook) -> PointValue | None:
    if text is None:
        return None
    try:
        return PointValue.parsed(text, rules.currency)
    except ValueError as error:
        raise ConfigurationError(f"--value-per-point: {error}") from None


def _check_files(*paths: Path | None) -> None:
    """Refuse, before anything is read, what cannot become a file. Raises ConfigurationError."""
    given = [path for path in paths if path is not None]
    for path in given:
        if not path.absolute().parent.is_dir():
            raise ConfigurationError(f"{path}: there is no folder {path.absolute().parent}")
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(f"{path}: this is no file that can be replaced")
    if len({path.resolve() for path in given}) < len(given):
        raise ConfigurationError("--output and --chart name the same file")


def _write(document: Document, compared: Comparison, output: Path | None) -> None:
    if output is not None:
        with whole_file(output) as file:
            file.writelines(document.lines(compared))
        return
    ending = "\r" if isinstance(document, Csv) else ""
    screen = Screen()
    for line in document.lines(compared):
        if isinstance(document, Text):
            screen.say(line.rstrip("\n"))
        else:
            emit(shown(line.rstrip("\r\n")) + ending)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CommandFailed(f"{where}The result cannot be written: {error.strerror}.") from error
