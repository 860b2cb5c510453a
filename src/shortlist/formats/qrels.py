"""How relevance judgements are read, from TREC's four columns or BEIR's three, and written."""

from collections.abc import Iterator
from typing import TextIO

from shortlist.errors import DataError
from shortlist.formats.columns import checked_column, read_integer, split_columns
from shortlist.formats.lines import Line, read_lines, write_lines
from shortlist.formats.paths import StrPath, existing_file, shown
from shortlist.formats.strings import quoted
from shortlist.types import Qrels

__all__ = ["read_qrels", "write_qrels"]

_BEIR_HEADER = ["query-id", "corpus-id", "score"]
_HINT = "each line is: query_id 0 doc_id grade (TREC), or query-id, corpus-id, score with tabs (BEIR)"


def read_qrels(path: StrPath) -> Qrels:
    """Read judgements, plain or ``.gz``, and tell TREC and BEIR apart by the number of columns.

    Columns are separated by tabs where a line has one, by white space elsewhere. BEIR's header may stand
    in the first line or not. A judgement that is repeated is taken once.

    Raises:
        DataError: the path isn't a file or damaged, has no judgement, or a line has other columns than the
            first, a grade that is no integer, or contradicts an earlier line.
    """
    file = existing_file(path)
    relevance: dict[str, dict[str, int]] = {}
    width = 0
    for line in read_lines(file):
        try:
            width = _add(line, relevance, width)
        except DataError as error:
            raise DataError(f"{shown(file)}:{line.number}: {error.message}", hint=error.hint) from error
    if not relevance:
        raise DataError(f"{shown(file)}: no judgement in it", hint=_HINT)
    return Qrels(relevance)


def write_qrels(qrels: Qrels, target: StrPath | TextIO) -> None:
    """Write judgements as TREC does, ``query_id 0 doc_id grade``, to a path or an open text file.

    A query without judgements has no line.

    Raises:
        DataError: an id is empty or has white space; nothing is written then.
        OSError: the file can't be written.
    """
    write_lines(list(_format(qrels)), target)


def _add(line: Line, relevance: dict[str, dict[str, int]], width: int) -> int:
    """Add what one line says to ``relevance`` and return its number of columns."""
    columns = split_columns(line, b"\t" if b"\t" in line.content else None)
    if not columns or (line.number == 1 and [name.lower() for name in columns] == _BEIR_HEADER):
        return width
    if len(columns) not in ({width} if width else {3, 4}):
        raise DataError(f"{len(columns)} columns, expected {width or '3 or 4'}", hint=_HINT)
    query_id, doc_id = columns[0], columns[-2]
    if not query_id or not doc_id:
        raise DataError("an id is empty", hint=_HINT)
    grade = read_integer(columns[-1], "grade")
    if relevance.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
        raise DataError(
            f"document {quoted(doc_id)} has grade {grade} for query {quoted(query_id)}, but "
            f"{relevance[query_id][doc_id]} in an earlier line",
            hint="keep one of the two judgements",
        )
    return len(columns)


def _format(qrels: Qrels) -> Iterator[str]:
    for query_id, grades in qrels.relevance.items():
        checked_column(query_id, "query id")
        for doc_id, grade in grades.items():
            yield f"{query_id} 0 {checked_column(doc_id, 'document id')} {grade}"
