import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.formats.markdown import first_heading


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Cats\n# Dogs", "Cats"),
        ("intro\n\n### Cats ###\n", "Cats"),
        ("# C# and F#", "C# and F#"),
        ("#hashtag\n\n   # Cats", "Cats"),
        ("# \n# Cats", "Cats"),
        ("Cats\n====", "Cats"),
        ("Cats\r\n---\r\nmeow", "Cats"),
        ("two\nlines\n===", "lines"),
        ("---\ntitle: x\n---\n# Cats", "Cats"),
        ("text\n\n---\n\n# Cats", "Cats"),
        ("- item\n---\n# Cats", "Cats"),
        ("> quote\n---\n# Cats", "Cats"),
        ("```sh\n# comment\n```\n# Cats", "Cats"),
        ("~~~~\n```\n# comment\n~~~\n~~~~\n# Cats", "Cats"),
        ("```\n# never closed", ""),
        ("    # code", ""),
        ("no heading", ""),
        ("", ""),
    ],
)
def test_the_title_is_the_first_heading_outside_of_code(text: str, title: str) -> None:
    assert first_heading(text) == title


@given(st.text(st.sampled_from("#=-`~ \n\r\tab")))
def test_any_text_has_a_title_of_one_stripped_line(text: str) -> None:
    title = first_heading(text)
    assert title in text
    assert title == title.strip()
    assert "\n" not in title
