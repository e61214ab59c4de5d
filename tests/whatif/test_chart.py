"""The chart: well-formed, told in words, to scale, without anything from elsewhere."""

from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from tests.domain.strategies import GOLD, SILVER
from tests.whatif.test_documents import CHANGED, STANDARD, comparison
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.whatif.chart import chart
from worker.whatif.comparison import Comparison
from worker.whatif.outcome import Outcome
from worker.whatif.summary import PointValue

SVG = "{http://www.w3.org/2000/svg}"


def drawn(compared: Comparison, value: PointValue | None = None) -> ET.Element:
    return ET.fromstring(chart(compared, value))  # noqa: S314 - our own


def words(picture: ET.Element) -> str:
    return " ".join("".join(text.itertext()) for text in picture.iter(f"{SVG}text"))


def test_it_has_a_title_and_a_description_that_tell_the_figures():
    picture = drawn(CHANGED)
    assert picture.get("role") == "img"
    named = {each.get("id"): each.text for each in picture if each.get("id")}
    title, description = (named[name] for name in (picture.get("aria-labelledby") or "").split())
    assert title == "Customers under other rules"
    assert "1 from STANDARD to PLATINUM" in (description or "")
    assert "VIPs: 0 to 1." in (description or "")


def test_it_loads_and_runs_nothing():
    text = chart(CHANGED, None)
    for forbidden in ("<script", "href", "url(", "@import", "<image", "onload", "foreignObject"):
        assert forbidden not in text
    assert "prefers-color-scheme:dark" in text


def test_the_same_number_of_customers_has_the_same_height_on_both_sides():
    stays = (Outcome(STANDARD, 0, 0, vip=False), Outcome(STANDARD, 0, 0, vip=False))
    rises = (Outcome(STANDARD, 0, 0, vip=False), Outcome(SILVER, 0, 0, vip=False))
    picture = drawn(comparison(*[stays] * 60, *[rises] * 40))
    bars = [each for each in picture.iter(f"{SVG}rect") if each.get("class") in ("STANDARD", "SILVER")]
    assert [(bar.get("class"), bar.get("height")) for bar in bars] == [
        ("SILVER", "1.5"),
        ("STANDARD", "300.0"),
        ("SILVER", "120.0"),
        ("STANDARD", "180.0"),
    ]
    ribbons = [(each.get("class"), each[0].text) for each in picture.iter(f"{SVG}path")]
    assert ribbons == [
        ("stay STANDARD", "60 customers: STANDARD stays"),
        ("move SILVER", "40 customers: STANDARD → SILVER"),
    ]


def test_a_few_of_many_customers_still_show():
    many = [(Outcome(STANDARD, 0, 0, vip=False), Outcome(STANDARD, 0, 0, vip=False))] * 2_999
    one = (Outcome(STANDARD, 0, 0, vip=False), Outcome(GOLD, 0, 0, vip=False))
    assert "1 · < 0.1% · +1" in words(drawn(comparison(*many, one)))


def test_a_fall_has_a_colour_of_its_own():
    picture = drawn(comparison((Outcome(GOLD, 0, 0, vip=False), Outcome(SILVER, 0, 0, vip=False))))
    assert [each.get("class") for each in picture.iter(f"{SVG}path")] == ["move lower"]


@pytest.mark.parametrize("value", [None, PointValue(Fraction("0.01"), "USD")])
def test_without_customers_it_is_still_a_picture(value: PointValue | None):
    picture = drawn(comparison(), value)
    assert list(picture.iter(f"{SVG}path")) == []
    assert "0 of 0 customers would change" in words(picture)


def test_a_version_of_any_characters_and_length_breaks_nothing():
    book = RuleBook((replace(DEFAULT_RULES, version="<&\x01\u202e" + "x" * 90),))
    assert "…" in words(drawn(Comparison(book, None)))


def test_large_numbers_fit_into_their_tiles():
    rich = (Outcome(STANDARD, 1_234_567_890, 0, vip=False), Outcome(STANDARD, 2_469_135_780, 0, vip=False))
    shown = words(drawn(comparison(rich), PointValue(Fraction("0.01"), "USD")))
    assert "2.47 bn" in shown
    assert "24.69 M" in shown
    assert "today 1.23 bn · +100.0%" in shown
