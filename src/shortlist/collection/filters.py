"""Which documents a metadata filter lets through: a small tree and its text form.

::

    lang = "en" and (year >= 2020 or tag in (news, "to do")) and not exists(draft)

A field with a list of values matches if any of them does. Numbers compare with numbers and text with text
(dates as ISO text sort rightly). ``not`` also lets through what has no such field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.metadata import stretch
from shortlist.collection.postings import Postings
from shortlist.errors import FilterError

__all__ = ["All", "Any", "Compare", "Exists", "Filter", "In", "Not", "as_filter", "matches", "parse_filter"]

Value = str | int | float
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Compare:
    """Let through documents whose ``field`` stands in this relation to ``value``: ``= < <= > >=``."""

    field: str
    relation: str
    value: Value

    def __post_init__(self) -> None:
        _check(self.field, self.value)
        if self.relation not in ("=", "<", "<=", ">", ">="):
            raise FilterError(
                f"filter: {self.relation!r} is no relation", hint="there are = < <= > >=, and Not"
            )

    def matches(self, index: Postings, count: int) -> Mask:
        """Give which of ``count`` documents match, by the index of their metadata."""
        return _marked(index, count, stretch(self.field, self.relation, self.value))

    def __str__(self) -> str:
        return f"{_name(self.field)} {self.relation} {json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True)
class In:
    """Let through documents whose ``field`` has one of ``values``."""

    field: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise FilterError(f"filter: nothing to combine: no values for {self.field!r}")
        _check(self.field, *self.values)

    def matches(self, index: Postings, count: int) -> Mask:
        """Give which of ``count`` documents match, by the index of their metadata."""
        return _marked(index, count, *(stretch(self.field, "=", value) for value in self.values))

    def __str__(self) -> str:
        return f"{_name(self.field)} in ({', '.join(json.dumps(v, ensure_ascii=False) for v in self.values)})"


@dataclass(frozen=True)
class Exists:
    """Let through documents that have ``field``."""

    field: str

    def __post_init__(self) -> None:
        _check(self.field)

    def matches(self, index: Postings, count: int) -> Mask:
        """Give which of ``count`` documents match, by the index of their metadata."""
        return _marked(index, count, stretch(self.field))

    def __str__(self) -> str:
        return f"exists({_name(self.field)})"


@dataclass(frozen=True)
class Not:
    """Let through what ``inner`` keeps back."""

    inner: Filter

    def matches(self, index: Postings, count: int) -> Mask:
        """Give which of ``count`` documents match, by the index of their metadata."""
        return ~self.inner.matches(index, count)

    def __str__(self) -> str:
        return f"not ({self.inner})"


@dataclass(frozen=True)
class All:
    """Let through what every part lets through."""

    parts: tuple[Filter, ...]

    def matches(self, index: Postings, count: int) -> Mask:
        """Give which of ``count`` documents match, by the index of their metadata."""
        return _joined(self.parts, index, count, np.logical_and)

    def __str__(self) -> str:
        return " and ".join(f"({part})" for part in self.parts)


@dataclass(frozen=True)
class Any:
    """Let through what at least one part lets through."""

    parts: tuple[Filter, ...]

    def matches(self, index: Postings, count: int) -> Mask:
        """Give which of ``count`` documents match, by the index of their metadata."""
        return _joined(self.parts, index, count, np.logical_or)

    def __str__(self) -> str:
        return " or ".join(f"({part})" for part in self.parts)


Filter = Compare | In | Exists | Not | All | Any


def matches(condition: Filter, index: Postings, count: int) -> Mask:
    """Give which of a segment's ``count`` documents a filter lets through.

    Raises:
        FilterError: the tree is nested too deep.
    """
    try:
        return condition.matches(index, count)
    except RecursionError:
        raise FilterError("filter: nested too deep") from None


def _marked(index: Postings, count: int, *stretches: tuple[bytes, bytes]) -> Mask:
    mask = np.zeros(count, np.bool_)
    for first, end in stretches:
        mask[index.documents[index.between(first, end)]] = True
    return mask


def _joined(parts: tuple[Filter, ...], index: Postings, count: int, join: Callable[..., Mask]) -> Mask:
    if not parts:
        raise FilterError("filter: nothing to combine")
    mask = parts[0].matches(index, count)
    for part in parts[1:]:
        join(mask, part.matches(index, count), out=mask)
    return mask


def as_filter(value: Filter | str | Mapping[str, Value | list[Value]] | None) -> Filter | None:
    """Take a filter as a tree, as text, or as a mapping of fields to the value (or values) they must have."""
    if value is None or isinstance(value, Filter):
        return value
    if isinstance(value, str):
        return parse_filter(value)
    if not isinstance(value, Mapping):
        raise FilterError(
            f"filter: {value!r} is neither a filter, its text, nor a mapping of fields to values"
        )
    parts: list[Filter] = []
    for name, wanted in value.items():
        many = isinstance(wanted, list | tuple)
        parts.append(In(name, tuple(wanted)) if many else Compare(name, "=", wanted))  # type: ignore[arg-type]
    return All(tuple(parts))


def parse_filter(text: str) -> Filter:
    """Read a filter's text form.

    Raises:
        FilterError: the text is no filter; the message shows where.
    """
    return _Parser(text).whole()


_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'[^']*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.-]))"""
    r"""|(?P<sign><=|>=|!=|==|=|<|>|\(|\)|,)|(?P<word>[^\s<>=!(),"']+))"""
)
_MAX_DEPTH = 20
_MAX_DIGITS = 400


class _Parser:
    """Read ``or`` of ``and`` of ``not`` of comparisons, by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._index = 0
        self._depth = 0

    def _split(self) -> Iterator[tuple[str, str, int]]:
        position, end = 0, len(self._text.rstrip())
        while position < end:
            match = _TOKEN.match(self._text, position)
            if match is None or match.lastgroup is None:
                raise self._error(position, "can't be read")
            yield match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)
            position = match.end()
        yield "end", "", end

    def _error(self, position: int, problem: str) -> FilterError:
        return FilterError(
            f"filter: {problem} at column {position + 1}: {self._text[position : position + 20]!r}",
            hint="""a filter reads: lang = "en" and (year >= 2020 or tag in (news, faq)) and not exists(draft)""",
        )

    def _take(self, *wanted: str) -> bool:
        kind, text, _ = self._tokens[self._index]
        if kind in ("word", "sign") and text.lower() in wanted:
            self._index += 1
            return True
        return False

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise self._error(self._tokens[self._index][2], f"expected {wanted!r}")

    def whole(self) -> Filter:
        result = self._either()
        if self._tokens[self._index][0] != "end":
            raise self._error(self._tokens[self._index][2], "expected 'and', 'or' or the end")
        return result

    def _either(self) -> Filter:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise FilterError(f"filter: nested deeper than {_MAX_DEPTH}")
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Filter:
        negations = 0
        while self._take("not"):
            negations += 1
        if self._take("("):
            inner = self._either()
            self._need(")")
        else:
            inner = self._comparison()
        return Not(inner) if negations % 2 else inner

    def _comparison(self) -> Filter:
        kind, field, position = self._tokens[self._index]
        if kind not in ("word", "string"):
            raise self._error(position, "expected a field name")
        self._index += 1
        if kind == "word" and field.lower() == "exists" and self._take("("):
            kind, field, _ = self._tokens[self._index]
            self._value()
            self._need(")")
            return Exists(_unquote(field) if kind == "string" else field)
        field = _unquote(field) if kind == "string" else field
        if self._take("in"):
            self._need("(")
            values = [self._value()]
            while self._take(","):
                values.append(self._value())
            self._need(")")
            return In(field, tuple(values))
        for sign in ("<=", ">=", "!=", "==", "=", "<", ">"):
            if self._take(sign):
                compare = Compare(field, "=" if sign in ("!=", "==") else sign, self._value())
                return Not(compare) if sign == "!=" else compare
        raise self._error(self._tokens[self._index][2], "expected =, !=, <, <=, >, >= or in")

    def _value(self) -> Value:
        kind, text, position = self._tokens[self._index]
        if kind not in ("word", "string", "number"):
            raise self._error(position, "expected a value")
        self._index += 1
        if kind == "number":
            if len(text) > _MAX_DIGITS:
                raise self._error(position, "a number of too many digits")
            return float(text) if re.search("[.eE]", text) else int(text)
        if kind == "word":
            return {"true": 1, "false": 0}.get(text.lower(), text)
        return _unquote(text)


def _check(*values: Value) -> None:
    """Refuse what no metadata can hold."""
    for value in values:
        if not isinstance(value, str | int | float):
            raise FilterError(f"filter: {value!r} is no text and no number")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise FilterError(f"filter: {value} needs more than 64 bits, which no metadata holds")
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise FilterError(f"filter: {value!r} is not UTF-8") from None


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError:
        raise FilterError(f"filter: the text {text} can't be read") from None


def _name(field: str) -> str:
    plain = re.fullmatch(r"[^\W\d][\w.]*", field) and field.lower() not in (
        "and",
        "or",
        "not",
        "in",
        "exists",
    )
    return field if plain else json.dumps(field, ensure_ascii=False)
