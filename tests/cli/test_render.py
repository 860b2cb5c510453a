import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.cli.render import Style, show_result, snippet
from shortlist.collection import Analyzer
from shortlist.plain_text import counted, size
from shortlist.search import NAMES, Result
from shortlist.types import Document, Passage, Ranking

ANALYZER = Analyzer()
ON, OFF = Style(colour=True, width=80), Style(colour=False, width=80)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def result(document: Document, *, query: str = "working card", span: Passage | None = None) -> Result:
    ranking = Ranking.of(
        [(document.doc_id, 1.25)],
        stages={document.doc_id: {"bm25": 0.5, "dense": 0.75}},
        spans={document.doc_id: span} if span else {},
    )
    timings = {"bm25": 0.5, "total": 1.25}
    return Result(query, ranking, {document.doc_id: document}, NAMES["hybrid"], timings, {}, 1)


def shown(capsys: pytest.CaptureFixture[str], found: Result, style: Style) -> str:
    capsys.readouterr()
    show_result(found, ANALYZER, style)
    return capsys.readouterr().out


CARD = Document("order.md", "Your cards work abroad; a working card is a joy.", "Order a CARD")


def test_matching_words_are_marked_on_a_terminal_by_their_stem(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, result(CARD), ON)
    marked = re.findall(r"\x1b\[1;33m(.*?)\x1b\[0m", out)
    assert marked == ["CARD", "cards", "work", "working", "card"]


def test_elsewhere_the_text_is_plain_and_otherwise_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    plain = shown(capsys, result(CARD), OFF)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown(capsys, result(CARD), ON)) == plain
    assert plain.splitlines() == [
        "  1  Order a CARD",
        "     Your cards work abroad; a working card is a joy.",
        "     1.25   bm25 0.5  dense 0.75   order.md",
        "",
    ]


@pytest.mark.parametrize(
    ("stream", "environment", "colour"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, environment: dict[str, str], colour: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Style.of(stream).colour is colour


EVIL = "".join(
    map(chr, [*range(32), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
)


@pytest.mark.parametrize("style", [ON, OFF], ids=["terminal", "file"])
def test_control_characters_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], style: Style
) -> None:
    document = Document(f"i{EVIL}d", f"Some{EVIL}text", f"A{EVIL}title")
    out = re.sub(r"\x1b\[(?:0|1|2|1;33)m", "", shown(capsys, result(document), style))
    assert not set(out) & set(EVIL) - {"\n"}
    assert out.splitlines()[:2] == ["  1  A title", "     Some text"]


def test_the_passage_that_matched_is_shown_and_a_document_without_title_by_its_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = Document("a", "The first passage. The second passage.")
    out = shown(capsys, result(document, span=Passage(19, 38)), OFF)
    assert out.splitlines()[:2] == ["  1  a", "     The second passage."]


@pytest.mark.parametrize("columns", [1, 4, 5, 6, 7, 20, 300])
def test_a_terminal_of_any_width_shows_the_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    style = Style.of(Terminal())
    document = Document("a", "Some words about a working card. " * 50, "Title")
    out = re.sub(r"\x1b\[[0-9;]*m", "", shown(capsys, result(document), style))
    assert "1  Title" in out
    if columns >= 20:
        assert all(len(line) <= columns for line in out.splitlines()[1:4])


LONG = "word " * 300 + "the working card is here " + "word " * 300
UNBROKEN = "x" * 5000 + " card " + "y" * 5000


class TestSnippet:
    def test_a_short_text_is_shown_whole(self) -> None:
        assert snippet("A card.", {"card"}, ANALYZER, 100) == "A card."

    def test_a_long_text_is_cut_around_the_most_matching_words(self) -> None:
        cut = snippet(LONG, {"work", "card"}, ANALYZER, 100)
        assert "working card" in cut
        assert cut.startswith("… ")
        assert cut.endswith(" …")
        assert len(cut) <= 104

    def test_without_a_match_it_is_the_beginning(self) -> None:
        cut = snippet(LONG, {"zebra"}, ANALYZER, 100)
        assert cut.startswith("word word")
        assert cut.endswith(" …")

    def test_the_end_of_a_text_is_not_marked_as_cut(self) -> None:
        cut = snippet("word " * 300 + "card", {"card"}, ANALYZER, 100)
        assert cut.startswith("… ")
        assert cut.endswith("card")

    @pytest.mark.parametrize("text", ["x" * 5000, "漢" * 5000, UNBROKEN, "-" * 5000 + "card"])
    def test_a_text_without_spaces_is_cut_as_well(self, text: str) -> None:
        cut = snippet(text, {"card"}, ANALYZER, 200)
        assert 0 < len(cut) <= 210
        assert "card" not in text or "card" in cut

    @given(
        st.lists(st.sampled_from(["card", "x" * 30, "work", "漢字", " ", " ", ". "]), max_size=80).map(
            "".join
        )
    )
    def test_it_is_a_part_of_the_text_of_about_the_size_asked_for(self, text: str) -> None:
        cut = snippet(text, {"card", "work"}, ANALYZER, 80)
        assert cut.removeprefix("… ").removesuffix(" …") in text
        assert len(cut) <= 90


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (3_160_000, "3.16 MB"),
        (7.2e9, "7.20 GB"),
        (5e12, "5.00 TB"),
    ],
)
def test_sizes_are_written_for_people(count: float, expected: str) -> None:
    assert size(count) == expected


def test_counts_agree_with_their_noun() -> None:
    assert [counted(n, "id") for n in (0, 1, 2, 1234)] == ["0 ids", "1 id", "2 ids", "1,234 ids"]
