"""How the tests run the command line: in this process, or as a real one."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shortlist.cli.main import main

RECORDS: list[dict[str, Any]] = [
    {
        "id": "declined",
        "title": "International transaction declined",
        "text": "Payments in other countries are refused until you allow foreign use of the card.",
        "lang": "en",
        "year": 2020,
    },
    {"id": "order", "title": "Order a card", "text": "A new card takes five working days.", "year": 2021},
    {
        "id": "hours",
        "title": "",
        "text": "We are open from nine to five.",
        "lang": "en",
        "tag": ["news", "faq"],
    },
]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed to stdout: one line of JSON."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    def failed_with(self, problem: str, *, hint: str | None = None, code: int = 1) -> None:
        """Check that the command ended with one clear error and, unless it is None, a hint."""
        lines = self.err.splitlines()
        assert (self.code, self.out) == (code, ""), (self.code, self.out, self.err)
        assert "Traceback" not in self.err
        assert lines[0].startswith("error: "), self.err
        assert problem in lines[0], self.err
        if hint is not None:
            assert lines[-1].startswith("hint: "), self.err
            assert hint in lines[-1], self.err


class Shortlist:
    """Call with the words of a command line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Outcome:
        self._capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as exit_:  # argparse
            code = exit_.code if isinstance(exit_.code, int) else 1
        out, err = self._capsys.readouterr()
        return Outcome(code, out, err)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "shortlist.cli.main", *map(str, words)]


def environment(**changes: str) -> dict[str, str]:
    """Ours, without what would hide how Python writes by itself."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return kept | changes


def spawn(*words: object, **changes: str) -> Outcome:
    """Run a command as a process of its own, without a terminal."""
    done = subprocess.run(
        command(*words),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=60,
        check=False,
        env=environment(**changes),
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def write_lines(path: Path, records: Sequence[object]) -> Path:
    """Write JSON lines; bytes are lines as they are."""
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path
