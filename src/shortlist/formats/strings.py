"""Which strings can be taken as an id, a title or a text, and why others can't.

Errors say what is wrong with the value; who calls knows its place and adds it.
"""

import re

from shortlist.errors import DataError

__all__ = [
    "MAX_ID_BYTES",
    "MAX_TEXT_BYTES",
    "checked_id",
    "checked_string",
    "checked_text",
    "kind_of",
    "quoted",
]

MAX_ID_BYTES = 512
MAX_TEXT_BYTES = 10 * 1024 * 1024

_MAX_QUOTED = 80
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def kind_of(value: object) -> str:
    """Name the type of a value as a message does.

    >>> kind_of(None), kind_of([1])
    ('null', 'a list')
    """
    if value is None:
        return "null"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def quoted(value: str) -> str:
    """Quote a string as a message does: printable, and cut where it is long."""
    return repr(value) if len(value) <= _MAX_QUOTED else f"{value[:_MAX_QUOTED]!r}..."


def checked_string(value: object, name: str) -> str:
    """Return a string that can be stored.

    Raises:
        DataError: it is another type, or has a NUL or a lone surrogate, which no database or file in
            UTF-8 gives back.
    """
    if not isinstance(value, str):
        raise DataError(f"{name} is {kind_of(value)}, expected a string")
    if "\0" in value:
        raise DataError(f"{name} has a NUL at character {value.index(chr(0)) + 1}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        lone = f"U+{ord(value[error.start]):04X}"
        raise DataError(f"{name} has a lone surrogate ({lone}) at character {error.start + 1}") from error
    return value


def checked_id(value: object, name: str) -> str:
    """Return an id as a string; an integer becomes its digits.

    Spaces inside an id are fine here; files with columns refuse them when written.

    Raises:
        DataError: it is another type, blank, longer than 512 bytes, has spaces around it, or has a
            control character, a line break, a byte order mark or a lone surrogate.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{name} is {kind_of(value)}, expected a string or an integer")
    if isinstance(value, int):
        # Also keeps str() from raising, which it does at 4,300 digits.
        if not -(2**63) <= value < 2**63:
            raise DataError(f"{name} is an integer beyond 64 bits; write it as a string")
        value = str(value)
    size = len(checked_string(value, name).encode())
    if size > MAX_ID_BYTES:
        raise DataError(f"{name} of {size:,} bytes is more than {MAX_ID_BYTES}")
    if not value.strip():
        raise DataError(f"{name} is blank")
    if control := _CONTROL.search(value):
        raise DataError(f"{name} {quoted(value)} has a control character at character {control.start() + 1}")
    if value != value.strip():
        raise DataError(f"{name} {quoted(value)} has spaces around it")
    return value


def checked_text(value: object, name: str) -> str:
    """Return a text as it is; ``None`` becomes the empty text.

    Raises:
        DataError: it is another type, has a NUL or a lone surrogate, or more than 10 MiB.
    """
    if value is None:
        return ""
    text = checked_string(value, name)
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise DataError(f"{name} of {size:,} bytes is more than {MAX_TEXT_BYTES:,}; split it")
    return text
