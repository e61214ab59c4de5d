"""How sentences of the API read at the desk."""

import pytest

from api.desk.words import readable


@pytest.mark.parametrize(
    ("sentence", "read"),
    [
        (
            "12345.60 USD earn 1234 points: 1 for each whole 10.00 USD, rules 1.",
            "12,345.60 USD earn 1,234 points: 1 for each whole 10.00 USD, rules 1.",
        ),
        ("VIP since 2025-11-24T16:00:00.000Z.", "VIP since 2025-11-24 16:00 UTC."),
        (
            "1200 of them pay debt: the balance is now 8000.",
            "1,200 of them pay debt: the balance is now 8,000.",
        ),
        ("It is now 8000, and the debt 12000.", "It is now 8,000, and the debt 12,000."),
        (
            "The balance is 1000000 points: 2000000 earned, 1000000 redeemed.",
            "The balance is 1,000,000 points: 2,000,000 earned, 1,000,000 redeemed.",
        ),
        ("20.00 USD of order 20250001 went back, and 2 points are taken back: rules 2.",) * 2,
        ("Spent from 2024-11-25 to 2025-11-24, redemption 123456.",) * 2,
    ],
)
def test_figures_have_commas_times_are_for_people_and_ids_stay(sentence: str, read: str):
    assert readable(sentence) == read
