"""The comparison as text, CSV and JSON."""

import csv
import io
import json
from contextlib import closing
from fractions import Fraction

import pytest

from tests.domain.strategies import GOLD, PLATINUM, SILVER
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.values import MembershipLevel
from worker.whatif.comparison import Comparison, Difference
from worker.whatif.documents import COLUMNS, Csv, Document, Json, Text
from worker.whatif.outcome import Outcome
from worker.whatif.summary import PointValue, figures

STANDARD = MembershipLevel.STANDARD
USD = PointValue(Fraction("0.015"), "USD")


def comparison(*changes: tuple[Outcome, Outcome]) -> Comparison:
    compared = Comparison(RuleBook((DEFAULT_RULES,)), None)
    for before, after in changes:
        compared.count(before, after)
    return compared


def rose(customer_id: str, points: int = 10) -> Difference:
    return Difference.of(
        customer_id, Outcome(STANDARD, points, 0, vip=False), Outcome(SILVER, points, 0, vip=False)
    )


def written(document: Document, compared: Comparison, *differences: Difference) -> str:
    with closing(document):
        for each in differences:  # as from partitions with one customer each
            document.add(iter([each]))
        lines = list(document.lines(compared))
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in lines)
    return "".join(lines)


CHANGED = comparison(
    (Outcome(STANDARD, 1_000, 0, vip=False), Outcome(PLATINUM, 2_001, 0, vip=True)),
    (Outcome(GOLD, 0, 3, vip=False), Outcome(GOLD, 0, 3, vip=False)),
)


def test_csv_has_the_columns_of_the_contract_and_ends_lines_as_rfc_4180_says():
    text = written(Csv(), CHANGED, rose('with, comma and "quotes"'))
    assert text.count("\r\n") == 2
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert header == [
        "customerId",
        "levelBefore",
        "levelAfter",
        "pointsBefore",
        "pointsAfter",
        "debtBefore",
        "debtAfter",
        "vipBefore",
        "vipAfter",
    ]
    assert row == ['with, comma and "quotes"', "STANDARD", "SILVER", "10", "10", "0", "0", "false", "false"]
    assert written(Csv(), CHANGED) == f"{','.join(COLUMNS)}\r\n"


@pytest.mark.parametrize("customer_id", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1", "'quoted", "''=1"])
def test_no_spreadsheet_takes_an_id_for_a_formula_and_the_id_can_be_told(customer_id: str):
    _, [cell, *_] = csv.reader(io.StringIO(written(Csv(), CHANGED, rose(customer_id)), newline=""))
    assert cell == f"'{customer_id}"


def test_other_ids_stay_as_they_are_in_csv():
    _, [cell, *_] = csv.reader(io.StringIO(written(Csv(), CHANGED, rose("a=b-c'd")), newline=""))
    assert cell == "a=b-c'd"


def test_json_is_one_document_of_summary_and_customers():
    document = json.loads(written(Json(USD), CHANGED, rose("a"), rose("b")))
    assert document["summary"] == {
        "rules": ["1"],
        "currency": "USD",
        "customers": 2,
        "erased": 0,
        "changed": 1,
        "levels": {
            "STANDARD": {"before": 1, "after": 0},
            "SILVER": {"before": 0, "after": 0},
            "GOLD": {"before": 1, "after": 1},
            "PLATINUM": {"before": 0, "after": 1},
        },
        "moves": [{"from": "STANDARD", "to": "PLATINUM", "customers": 1}],
        "vips": {"before": 0, "after": 1, "gained": 1, "lost": 0},
        "points": {"before": 1_000, "after": 2_001, "more": 1, "fewer": 0},
        "debt": {"before": 3, "after": 3},
        "pointsValue": {
            "before": {"amount": "15.00", "currency": "USD"},
            "after": {"amount": "30.02", "currency": "USD"},
        },
    }
    assert document["customers"][0] == {
        "customerId": "a",
        "levelBefore": "STANDARD",
        "levelAfter": "SILVER",
        "pointsBefore": 10,
        "pointsAfter": 10,
        "debtBefore": 0,
        "debtAfter": 0,
        "vipBefore": False,
        "vipAfter": False,
    }
    assert [each["customerId"] for each in document["customers"]] == ["a", "b"]


def test_json_without_changes_has_an_empty_list_and_no_value_that_nobody_asked_for():
    document = json.loads(written(Json(None), comparison()))
    assert document["customers"] == []
    assert "pointsValue" not in document["summary"]


def test_json_holds_any_id_in_ascii():
    text = written(Json(None), CHANGED, rose("\u202e\U0001f600 ,\\n"))
    assert text.isascii()
    assert json.loads(text)["customers"][0]["customerId"] == "\u202e\U0001f600 ,\\n"


def test_text_has_the_summary_and_then_those_whom_it_changes_most():
    plain = rose("points")
    more = Difference("more", STANDARD, STANDARD, 0, 9, 0, 0, vip_before=False, vip_after=False)
    most = Difference("most", GOLD, PLATINUM, 1_000, 2_000, 2, 0, vip_before=False, vip_after=True)
    text = written(Text(2, None), CHANGED, more, plain, most).splitlines()
    assert [line.split() for line in text[:8]] == [
        ["today", "then", "change"],
        ["STANDARD", "1", "0", "-1"],
        ["SILVER", "0", "0"],
        ["GOLD", "1", "1"],
        ["PLATINUM", "0", "1", "+1"],
        ["VIP", "0", "1", "+1"],
        ["points", "1,000", "2,001", "+1,001"],
        ["debt", "3", "3"],
    ]
    assert text[9] == (
        "1 of 2 customers would change: 1 would have a higher level, 1 would become VIP, 1 would have more points."
    )
    assert text[11:14] == [
        "customer  level              points         debt   VIP",
        "most      GOLD → PLATINUM    1,000 → 2,000  2 → 0  no → yes",
        "points    STANDARD → SILVER  10             0      no",
    ]


def test_text_says_how_many_more_there_are():
    compared = comparison(*[(Outcome(STANDARD, 1, 0, vip=False), Outcome(SILVER, 1, 0, vip=False))] * 60)
    text = written(Text(50, None), compared, *(rose(f"c{n:02d}") for n in range(60)))
    assert "c49" in text
    assert "c50" not in text
    assert text.splitlines()[-1].startswith("... and 10 more.")


def test_text_shows_what_points_are_worth_when_asked():
    [line] = [line for line in written(Text(50, USD), CHANGED).splitlines() if "USD" in line]
    assert line.split() == ["points", "in", "USD", "15.00", "30.02", "+15.02"]


def test_text_says_that_nobody_is_there_or_nothing_would_change():
    assert "No customer is registered." in written(Text(50, None), comparison())
    same = Outcome(GOLD, 1, 0, vip=False)
    assert "Nothing would change for anybody." in written(Text(50, None), comparison((same, same)))


@pytest.mark.parametrize(
    ("per_point", "currency", "points", "amount"),
    [
        ("0.01", "USD", 12_345, "123.45"),
        ("0.005", "USD", 1, "0.01"),
        ("2", "JPY", 7, "14"),
        ("0.0001", "KWD", 5, "0.001"),
    ],
)
def test_points_are_valued_exactly_and_rounded_once(per_point: str, currency: str, points: int, amount: str):
    compared = comparison((Outcome(STANDARD, points, 0, vip=False), Outcome(STANDARD, points, 0, vip=False)))
    value = figures(compared, PointValue.parsed(per_point, currency))["pointsValue"]["after"]
    assert value == {"amount": amount, "currency": currency}


@pytest.mark.parametrize("text", ["0", "-1", "1e-2", "", ".5", "0.0000000000001", "1,5", "\u0661"])
def test_a_value_that_is_no_plain_number_is_refused(text: str):
    with pytest.raises(ValueError, match="not a plain decimal number"):
        PointValue.parsed(text, "USD")
