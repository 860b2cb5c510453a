"""What the title of a Markdown text is: its first heading."""

import re

__all__ = ["first_heading"]

_FRONT_MATTER = re.compile(r"---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HASHES = re.compile(r" {0,3}#{1,6}[ \t]+(.*)")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
_NO_PARAGRAPH = re.compile(r"\s*$| {4}|\t| {0,3}(?:[-*+>|#<]|\d+[.)])")


def first_heading(text: str) -> str:
    r"""Return the first heading of any level, or the empty string.

    Both ways to write one count, ``# Title`` and a line underlined with ``=`` or ``-``. What stands in
    front matter or in fenced code is no heading.

    Deviation: of a heading of several underlined lines the last is taken, not all as in CommonMark.

    >>> first_heading("```sh\n# a comment\n```\n\nA title\n=======\n")
    'A title'
    """
    text = text.replace("\r\n", "\n")
    front_matter = _FRONT_MATTER.match(text)
    fence, before = "", ""
    for line in text[front_matter.end() if front_matter else 0 :].split("\n"):
        marker = _FENCE.match(line)
        if fence:
            if marker and marker[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            before = ""
        elif marker:
            fence = marker[1]
        elif heading := _HASHES.fullmatch(line):
            if title := _CLOSING_HASHES.sub("", heading[1]).strip():
                return title
            before = ""
        elif _UNDERLINE.fullmatch(line) and before:
            return before.strip()
        else:
            before = "" if _NO_PARAGRAPH.match(line) else line
    return ""
