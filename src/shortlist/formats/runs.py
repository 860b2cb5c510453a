"""How runs are read and written in TREC's six columns."""

import math
from collections.abc import Iterator
from itertools import groupby
from typing import TextIO

from shortlist.errors import DataError
from shortlist.formats.columns import checked_column, read_integer, read_score, split_columns
from shortlist.formats.lines import Line, read_lines, write_lines
from shortlist.formats.paths import StrPath, existing_file, shown
from shortlist.formats.strings import quoted
from shortlist.types import Ranking, Run

__all__ = ["read_run", "write_run"]

_COLUMNS = "query_id Q0 doc_id rank score tag"


def read_run(path: StrPath) -> Run:
    """Read ``query_id Q0 doc_id rank score tag`` lines, in any order, plain or ``.gz``.

    As in ``trec_eval``, scores make the order and ties go by ``doc_id`` descending; the rank must be an
    integer and is not used. The tag becomes the run's name.

    Raises:
        DataError: the path isn't a file or damaged, or a line has other columns, a score that is no
            number, a document that its query has already, or another tag than the first line.
    """
    file = existing_file(path)
    scores: dict[str, dict[str, float]] = {}
    tag = ""
    for line in read_lines(file):
        try:
            tag = _add(line, scores, tag)
        except DataError as error:
            raise DataError(f"{shown(file)}:{line.number}: {error.message}", hint=error.hint) from error
    rankings = {query_id: Ranking.of(of_query.items()) for query_id, of_query in scores.items()}
    return Run(rankings, tag) if tag else Run(rankings)


def write_run(run: Run, target: StrPath | TextIO) -> None:
    """Write a run to a path (compressed where it ends in ``.gz``) or an open text file.

    Scores have nine significant digits, which tell any two float32 scores apart. Different scores of a
    query that nine digits write alike are written in full, so reading them gives the same order.
    (``trec_eval`` itself reads scores as float32 and goes by ``doc_id`` where these are equal; the rank
    column has our order.) A query without hits has no line; what stages and spans the hits carry is left
    out.

    Raises:
        DataError: an id or the run's name is empty or has white space, or a score is NaN; nothing is
            written then.
        OSError: the file can't be written.
    """
    write_lines(list(_format(run)), target)


def _add(line: Line, scores: dict[str, dict[str, float]], tag: str) -> str:
    """Add what one line says to ``scores`` and return its tag."""
    columns = split_columns(line)
    if not columns:
        return tag
    if len(columns) != 6:
        raise DataError(f"{len(columns)} columns, expected 6", hint=f"each line is: {_COLUMNS}")
    query_id, _, doc_id, rank, score_column, line_tag = columns
    read_integer(rank, "rank")
    if tag and line_tag != tag:
        raise DataError(
            f"tag {quoted(line_tag)} after {quoted(tag)}", hint="put each system's run in a file of its own"
        )
    of_query = scores.setdefault(query_id, {})
    if doc_id in of_query:
        raise DataError(f"document {quoted(doc_id)} stands twice for query {quoted(query_id)}")
    of_query[doc_id] = read_score(score_column)
    return line_tag


def _format(run: Run) -> Iterator[str]:
    tag = checked_column(run.name, "run name")
    for query_id, ranking in run.rankings.items():
        checked_column(query_id, "query id")
        for hit, score_column in zip(ranking, _format_scores(ranking), strict=True):
            doc_id = checked_column(hit.doc_id, "document id")
            yield f"{query_id} Q0 {doc_id} {hit.rank} {score_column} {tag}"


def _format_scores(ranking: Ranking) -> Iterator[str]:
    for nine_digits, group in groupby((float(hit.score) for hit in ranking), lambda value: f"{value:.9g}"):
        scores = list(group)
        if math.isnan(scores[0]):
            raise DataError("a run has a score that is NaN")
        # All that nine digits write alike lie nearer to each other than to any score outside the group,
        # so writing some scores in full and others not keeps their order.
        for value in scores:
            yield nine_digits if scores[0] == scores[-1] else repr(value)
