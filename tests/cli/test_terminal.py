import io
import sys

import pytest

from shortlist.cli.terminal import progress_bar, step_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_bar_after_the_other_is_shown_by_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with step_bars() as begin:
        begin("indexing", 3)(3)
        assert "indexing" in stream.getvalue()
        assert "timing" not in stream.getvalue()
        begin("timing", 0)(1)
    assert "timing" in stream.getvalue()


def test_no_bar_is_shown_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with step_bars() as begin, progress_bar(2, "documents") as progress:
        begin("indexing", 3)(3)
        progress(2)
    assert stream.getvalue() == ""
