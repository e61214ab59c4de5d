"""The dead letters: the list, one letter's bytes, and what goes back."""

import pytest

from api.desk.letters import shown_bytes
from tests.api.conftest import registered
from tests.api.desk.visitor import Page, Visitor
from tests.api.in_memory import World
from tests.api.letters import a_letter
from worker.letter_box import ReplayOutcome

LIST = "/desk/dead-letters"


def offsets(page: Page) -> list[int]:
    """The letters of a list."""
    return [int(link.rpartition("/")[2]) for link in page.links if link.startswith(f"{LIST}/")]


# The list.


async def test_the_list_shows_the_latest_first_and_pages_to_the_first(visitor: Visitor, world: World) -> None:
    world.letters.put(*(a_letter(number, detail=f"detail {number}") for number in range(120)))
    seen, path = [], LIST
    while path:
        page = await visitor.show(path)
        seen += offsets(page)
        path = next((link for link in page.links if "before=" in link), "")
        assert len(seen) <= 120
    assert seen == list(range(119, -1, -1))
    assert "detail 0" in page.text
    assert LIST in page.links


async def test_the_list_is_filtered_by_reason_and_topic_and_the_pages_keep_that(
    visitor: Visitor, world: World
) -> None:
    world.letters.put(
        *(a_letter(number) for number in range(60)),
        *(a_letter(number, reason="UNKNOWN_TYPE", topic="customer.commands") for number in range(60, 130)),
        a_letter(130, reason="FAILED", topic="customer.commands"),
    )
    form = (await visitor.show(LIST)).form(action=LIST)
    assert form["reason"].options == ["", "UNKNOWN_TYPE", "INVALID", "FAILED"]
    assert form["topic"].options == ["", "customer.commands", "order.completed"]
    page = await visitor.show(f"{LIST}?reason=UNKNOWN_TYPE&topic=customer.commands")
    assert offsets(page) == list(range(129, 79, -1))
    (further,) = [link for link in page.links if "before=" in link]
    assert (form := page.form(action=LIST))["reason"].value == "UNKNOWN_TYPE"
    assert form["topic"].value == "customer.commands"
    assert offsets(await visitor.show(further)) == list(range(79, 59, -1))
    assert offsets(await visitor.show(f"{LIST}?reason=FAILED&topic=")) == [130]
    page = await visitor.show(f"{LIST}?reason=FAILED&topic=order.completed")
    assert offsets(page) == []
    assert "No dead letters of this kind." in page.text


async def test_a_list_that_does_not_reach_back_to_the_first_says_so(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(1))
    assert "These are all that the topic keeps." in (await visitor.show(LIST)).text
    world.letters.complete = False
    assert "The list reaches back to 2025-11-24 16:01 UTC" in (await visitor.show(LIST)).text


async def test_letters_that_cannot_be_read_are_503(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(1))
    form = (await visitor.show(f"{LIST}/1")).form(replay="as-is")
    world.letters.away = "Kafka does not answer."
    for answer in (await visitor.get(LIST), await visitor.get(f"{LIST}/1"), await visitor.submit(form)):
        assert answer.status == 503
        assert "Kafka does not answer." in answer.page.text


async def test_a_place_that_is_none_is_refused(visitor: Visitor) -> None:
    for path in ("x", "-1", "01", "1e3", "9" * 19, "%D9%A3", "1%20"):
        assert (await visitor.get(f"{LIST}/{path}")).status == 400, path
        assert (await visitor.get(f"{LIST}?before={path}")).status == 400, path
    assert (await visitor.get(f"{LIST}/{'9' * 18}")).status == 404


# One letter.


async def test_a_letter_shows_where_it_came_from_and_its_text(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(5, b'{"a":"<b>&\xc3\xbc"}', detail="totalAmount: missing", customer_id="a/b"))
    page = await visitor.show(f"{LIST}/5")
    for text in (
        '{"a":"<b>&\u00fc"}',
        "totalAmount: missing",
        "order.completed",
        "105",
        "14 bytes",
        "dlq-reason",
    ):
        assert text in page.text, text
    assert "/desk/customers/a%2Fb" in page.links
    assert "b" not in {tag for tag, _ in page.elements}


HEADERS = (
    ("traceparent", b"00-1"),
    ("empty", b""),
    ("null", None),
    ("bytes", b"\xff\x00"),
    ("caf\ufffd", b"x"),  # a name that is no UTF-8, as the letter box decodes it
    ("<b>\u202e\x00", b"<script>"),
    ("", b"x"),
    ("same", b"1"),
    ("same", b"2"),
)


async def test_headers_of_any_name_and_value_are_shown(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(5, headers=HEADERS))
    page = await visitor.show(f"{LIST}/5")
    for text in ("traceparent", "null", "ff 00", "caf\ufffd", "<script>"):
        assert text in page.text, text
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 1
    assert (await visitor.get(LIST)).status == 200


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "none", ""),
        (b"", "text", ""),
        (b'{"a":1}\r\n', "text", '{"a":1}\r\n'),
        ("\u00fc\u4e2d\U0001f600".encode(), "text", "\u00fc\u4e2d\U0001f600"),
        ("1\u00a0000\u3000\u202f".encode(), "text", "1\u00a0000\u3000\u202f"),
        ("\u0646\u200c\u0627\u200d".encode(), "text", "\u0646\u200c\u0627\u200d"),
        (b"\x00\x01", "hex", "00000000  00 01"),
        (b"\xff", "hex", "00000000  ff"),
        ("\u202e".encode(), "hex", "00000000  e2 80 ae"),  # it would turn the text around
        (b"\x1b[31m", "hex", "00000000  1b 5b 33 31 6d"),
        (b"a\xff", "hex", "00000000  61 ff"),
        (bytes(range(17)), "hex", "00000000  " + bytes(range(16)).hex(" ") + "\n00000010  10"),
    ],
)
def test_bytes_are_shown_as_text_where_people_can_read_it(value: bytes | None, kind: str, text: str) -> None:
    shown = shown_bytes(value)
    assert (shown.kind, shown.text, shown.size, shown.cut) == (kind, text, len(value or b""), 0)


@pytest.mark.parametrize("letter", ["\u00fc", "\u4e2d", "\U0001f600"])
def test_a_cut_within_a_letter_leaves_text(letter: str) -> None:
    for most in range(30, 34):
        shown = shown_bytes(("x" + letter * 20).encode(), most)
        assert (shown.kind, shown.cut) == ("text", len(("x" + letter * 20).encode()) - most)
        assert ("x" + letter * 20).startswith(shown.text)


def test_a_bad_byte_before_the_cut_makes_no_text() -> None:
    assert shown_bytes(b"a\xffb" * 20, 30).kind == "hex"


async def test_a_letter_of_a_mebibyte_is_shown_in_part(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(5, b'"' + b"\xc3\xbc" * (1 << 19) + b'"'), a_letter(6, b"\x00" * (1 << 20)))
    for offset in (5, 6):
        page = await visitor.show(f"{LIST}/{offset}")
        assert len(page.html) < 120_000
        assert "more bytes are not shown" in page.text
        assert page.form(replay="edited")["value"].value == ""


async def test_a_letter_without_a_value_and_with_a_hash_says_so(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(5, None), a_letter(6, b"0" * 64, only_hash=True))
    assert "none" in (await visitor.show(f"{LIST}/5")).texts["value"] + (await visitor.show(f"{LIST}/5")).text
    page = await visitor.show(f"{LIST}/6")
    assert "This is the SHA-256 of the value." in page.text
    assert [form.attributes["data-replay"] for form in page.forms if "data-replay" in form.attributes] == [
        "edited"
    ]


# Sending back.


async def test_a_letter_is_sent_back_as_it_is_and_once(visitor: Visitor, world: World) -> None:
    value = b'\xef\xbb\xbf{"a": 1}\r\n'
    world.letters.put(a_letter(5, value))
    form = (await visitor.show(f"{LIST}/5")).form(replay="as-is")
    answers = [await visitor.submit(form) for _ in range(2)]
    pages = [await visitor.show(answer.to) for answer in answers]
    assert pages[0].roles["status"] == ["The letter was sent back to its topic."]
    assert pages[1].roles["status"] == ["The letter had been sent back before. Nothing was sent now."]
    assert world.letters.sent == [(5, value, "order.completed")]
    assert not [form for form in pages[0].forms if "data-replay" in form.attributes]
    assert "sent back" in (await visitor.show(LIST)).text


async def test_a_letter_is_sent_back_edited(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(5, b'{\r\n "orderId": "<o1>"\n}'))
    form = (await visitor.show(f"{LIST}/5")).form(replay="edited")
    shown = form["value"].value
    assert shown.replace("\r\n", "\n") == '{\n "orderId": "<o1>"\n}'
    assert (await visitor.submit(form, value='{\r\n"orderId": "\u00fc&+%"\r\n}')).status == 303
    assert world.letters.sent == [(5, '{\n"orderId": "\u00fc&+%"\n}'.encode(), "order.completed")]
    assert (await visitor.submit(form, value="{}")).to.endswith(f"replay={ReplayOutcome.SENT_BEFORE}")


async def test_what_begins_with_an_empty_line_keeps_it(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(5, b"\n\n{}"))
    form = (await visitor.show(f"{LIST}/5")).form(replay="edited")
    await visitor.submit(form)
    assert world.letters.sent == [(5, b"\n\n{}", "order.completed")]


async def test_a_letter_that_cannot_go_back_says_why_and_keeps_what_was_typed(
    visitor: Visitor, world: World
) -> None:
    world.letters.put(a_letter(5, b"0" * 64, only_hash=True), a_letter(6, topic="elsewhere"))
    form = (await visitor.show(f"{LIST}/5")).form(replay="edited")
    answer = await visitor.post(form.action, [("formToken", form.token)])
    assert answer.status == 422
    assert answer.page.roles["status"] == [
        "The letter holds only the hash of its value, so it needs an edited value."
    ]
    form = (await visitor.show(f"{LIST}/6")).form(replay="edited")
    answer = await visitor.submit(form, value="<typed>")
    assert answer.status == 422
    assert answer.page.form(replay="edited")["value"].value == "<typed>"
    assert world.letters.sent == []
    form = (await visitor.show(f"{LIST}/5")).form(replay="edited")
    assert (await visitor.submit(form, value="{}")).status == 303


async def test_nothing_is_no_edited_value(visitor: Visitor, world: World) -> None:
    """A letter goes back once, so a slip must not use that up."""
    world.letters.put(a_letter(5))
    form = (await visitor.show(f"{LIST}/5")).form(replay="edited")
    for value in ("", " \r\n "):
        answer = await visitor.submit(form, value=value)
        assert answer.status == 422
        again = answer.page.form(replay="edited")
        assert answer.page.error_of(again, "value") == "Fill this in."
    assert world.letters.sent == []


async def test_a_letter_that_is_gone_is_404(visitor: Visitor, world: World) -> None:
    world.letters.put(a_letter(5))
    form = (await visitor.show(f"{LIST}/5")).form(replay="as-is")
    world.letters.letters.clear()
    assert (await visitor.submit(form)).status == 404


@pytest.mark.parametrize("reading", [True, False])
async def test_a_customers_page_says_whether_letters_are_still_being_read(
    visitor: Visitor, world: World, reading: bool
) -> None:
    customer_id = await registered(visitor.client)
    world.letters.reading = reading
    page = await visitor.show(f"/desk/customers/{customer_id}")
    assert ("Letters are still being read" in page.text) is reading
