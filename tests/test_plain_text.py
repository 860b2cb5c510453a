import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.cli.terminal import printable as shown_on_a_terminal
from shortlist.evaluation.report.wording import finding_text, plain
from shortlist.evaluation.results import Finding
from shortlist.plain_text import counted, limit_text, printable

STEERING = ["\x00", "\r", "\x1b", "\x7f", "\x85", "\u061c", "\u200e", "\u2028", "\u2029", "\u202e", "\u2069"]


@pytest.mark.parametrize("letter", STEERING, ids=ascii)
def test_what_could_steer_a_terminal_becomes_a_space_everywhere(letter: str) -> None:
    assert printable(f"a{letter}b") == "a b"
    assert plain(f"a{letter}b") == "a b"
    assert shown_on_a_terminal is printable


def test_line_breaks_and_tabs_stay_unless_one_line_is_wanted() -> None:
    assert printable("a\n\tb") == "a\n\tb"
    assert plain("a\n\tb") == "a b"


def test_a_noun_takes_an_s_unless_its_plural_is_given() -> None:
    assert [counted(n, "id") for n in (0, 1, 1234)] == ["0 ids", "1 id", "1,234 ids"]
    assert counted(2, "query", "queries") == "2 queries"


@given(st.floats(1e-6, 1e12, allow_nan=False), st.floats(1e-12, 10) | st.just(math.inf))
def test_a_limit_as_it_is_printed_is_enough_and_below_the_next(least: float, more: float) -> None:
    below = least * (1 + more)
    printed = float(limit_text(least, below).replace(",", ""))
    assert least <= printed
    assert printed < below or below == least
    assert printed <= max(least * 1.01, math.nextafter(least, math.inf))


def test_a_limit_has_three_digits_where_these_are_enough() -> None:
    assert [limit_text(value) for value in (9.301, 0.0123401, 12345, 421, 421.4)] == [
        "9.31", "0.0124", "12,400", "421", "422",
    ]  # fmt: skip
    assert limit_text(9.301, 9.305) == "9.301"


def test_a_finding_shows_three_examples_and_says_when_there_are_more() -> None:
    assert finding_text(Finding("r", 1, "what")) == "r (1): what"
    assert finding_text(Finding("r", 2, "what", ("a\x1b", "b"))) == "r (2): what (a, b)"
    assert finding_text(Finding("r", 5, "what", tuple("abcde"))) == "r (5): what (a, b, c, …)"


def test_the_words_alone_load_nothing_heavy() -> None:
    code = "import sys, shortlist.cli.terminal; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
