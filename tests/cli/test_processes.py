"""What only a real process shows: pipes, signals, terminals, encodings."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shortlist.api import Collection

from .running import command, environment, spawn, write_lines


def count(path: Path) -> int:
    with Collection.open(path) as collection:
        return collection.count()


def on_terminal(words: list[str], keys: bytes, wait_for: bytes) -> tuple[int, str]:
    """Run a command on a terminal, type ``keys`` when it says ``wait_for``; give its code and what it wrote."""
    own, theirs = pty.openpty()
    seen = b""
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(TERM="xterm", NO_COLOR="")
    ) as process:
        os.close(theirs)
        typed = False
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([own], [], [], 0.1)[0]:
                try:
                    chunk = os.read(own, 4096)
                except OSError:  # Linux: the other side has closed
                    break
                if not chunk:
                    break
                seen += chunk
            elif process.poll() is not None:
                break
            if not typed and wait_for in seen:
                os.write(own, keys)
                typed = True
        code = process.wait(timeout=60)
    os.close(own)
    return code, seen.decode(errors="replace")


class TestDeletingOnATerminal:
    @pytest.mark.parametrize(
        ("keys", "code", "left"),
        [(b"y\n", 0, 1), (b"YES\n", 0, 1), (b"n\n", 1, 3), (b"\n", 1, 3), (b"\x04", 1, 3)],
        ids=["y", "YES", "n", "return", "end of input"],
    )
    def test_a_filter_is_confirmed(self, collection: Path, keys: bytes, code: int, left: int) -> None:
        words = command("delete", collection, "--filter", "lang = en")
        found, seen = on_terminal(words, keys, b"delete 2 documents? [y/N] ")
        assert (found, count(collection)) == (code, left), seen
        assert "Traceback" not in seen
        assert ("error: nothing was deleted" in seen) == bool(code)

    def test_ids_or_a_yes_are_not_asked_about(self, collection: Path) -> None:
        code, seen = on_terminal(command("delete", collection, "order"), b"", b"\0")
        assert (code, count(collection)) == (0, 2)
        assert "?" not in seen
        words = command("delete", collection, "--filter", "lang = en", "--yes")
        code, seen = on_terminal(words, b"", b"\0")
        assert (code, count(collection)) == (0, 0)
        assert "?" not in seen

    def test_without_a_terminal_nothing_is_asked(self, collection: Path) -> None:
        outcome = spawn("delete", collection, "--filter", "lang = en")
        assert (outcome.code, outcome.err) == (0, "2 documents deleted\n")
        assert count(collection) == 1


def test_a_search_on_a_terminal_is_marked_and_in_a_pipe_is_plain(indexed: Path) -> None:
    words = ("search", indexed, "foreign card", "--pipeline", "bm25")
    code, seen = on_terminal(command(*words), b"", b"\0")
    assert code == 0
    assert "\x1b[1;33mforeign\x1b[0m" in seen
    outcome = spawn(*words)
    assert outcome.code == 0
    assert "foreign" in outcome.out
    assert "\x1b" not in outcome.out + outcome.err


def test_progress_is_shown_on_a_terminal_and_nowhere_else(articles: Path, tmp_path: Path) -> None:
    code, seen = on_terminal(command("index", tmp_path / "c", articles), b"", b"\0")
    assert code == 0
    assert "documents/s" in seen or "documents" in seen.split("added")[0]
    outcome = spawn("index", tmp_path / "d", articles)
    assert outcome.code == 0
    assert "%" not in outcome.err
    assert "\r" not in outcome.err


class TestBrokenPipe:
    @pytest.mark.parametrize(
        "words",
        [
            ("info", "{}"),
            ("search", "{}", "card", "--pipeline", "bm25", "--json"),
            ("encode", *["--text", "x"] * 40),
        ],
        ids=["info", "search", "encode"],
    )
    def test_a_reader_that_goes_away_is_no_error(self, indexed: Path, words: tuple[str, ...]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            command(*(word.format(indexed) for word in words)),
            stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=environment(),
        )  # fmt: skip
        os.close(writer)
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr
        assert done.returncode == 0

    def test_a_run_into_head_is_no_error(self, indexed: Path, tmp_path: Path) -> None:
        queries = [{"_id": str(number), "text": "card"} for number in range(2000)]
        path = write_lines(tmp_path / "q.jsonl", queries)
        words = command("run", indexed, path, "-o", "-", "--pipeline", "bm25")
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith("0 Q0 ")
            process.stdout.close()
            err = process.stderr.read()
            assert process.wait(timeout=60) == 0
        assert "Traceback" not in err


class TestInterruption:
    @pytest.mark.parametrize("name", ["index", "add"])
    def test_ctrl_c_ends_with_code_130_and_leaves_a_whole_collection(
        self, collection: Path, tmp_path: Path, name: str
    ) -> None:
        texts = [{"id": str(n), "text": f"number {n} " * 60} for n in range(5000)]
        source = write_lines(tmp_path / "s.jsonl", texts)
        target = tmp_path / "new" if name == "index" else collection
        (collection / "writer.lock").unlink()
        with subprocess.Popen(
            command(name, target, source, "--threads", 1),
            stderr=subprocess.PIPE,
            text=True,
            # a shell that starts the tests in the background has it ignored, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            deadline = time.monotonic() + 30
            while not (target / "writer.lock").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.3)
            begin = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
            seconds = time.monotonic() - begin
        assert process.returncode == 130, err
        assert "Traceback" not in err
        assert "error: interrupted" in err
        assert seconds < 10
        if name == "index":
            assert not target.exists(), "nothing was committed, so nothing is left in the way"
        else:
            assert count(collection) == 3
            assert spawn("check", collection).code == 0


class TestEncodings:
    def test_a_title_that_the_output_cannot_encode_is_shown_with_what_it_can(self, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "s.jsonl", [{"id": "a", "title": "日本語", "text": "card"}])
        assert spawn("index", tmp_path / "c", source).code == 0
        for words in (("search", tmp_path / "c", "card"), ("search", tmp_path / "c", "card", "--json")):
            outcome = spawn(*words, PYTHONIOENCODING="ascii")
            assert outcome.code == 0, outcome.err
            assert "Traceback" not in outcome.err

    def test_json_is_utf8_and_complete(self, tmp_path: Path) -> None:
        record = {"id": "ä", "title": "日本語 🙂", "text": "a\u2028b \x1b[2J"}
        source = write_lines(tmp_path / "s.jsonl", [record])
        assert spawn("index", tmp_path / "c", source).code == 0
        outcome = spawn("search", tmp_path / "c", "b", "--json")
        (hit,) = json.loads(outcome.out)["hits"]
        assert (hit["doc_id"], hit["title"], hit["text"]) == ("ä", record["title"], record["text"])
        assert "\x1b" not in outcome.out

    def test_a_collection_whose_name_is_not_utf8_makes_no_traceback(
        self, collection: Path, tmp_path: Path
    ) -> None:
        name = os.fsencode(tmp_path) + b"/caf\xe9"
        try:
            collection.rename(os.fsdecode(name))
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        for words in (("info",), ("info", "--json"), ("check",), ("search", "card")):
            verb, *rest = words
            outcome = spawn(verb, os.fsdecode(name), *rest, PYTHONIOENCODING="utf-8:strict")
            assert "Traceback" not in outcome.err, outcome.err
            assert outcome.code == 0


def test_a_package_that_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('libonnx.so: cannot open')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "shortlist.cli.main", "doctor"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: libonnx.so: cannot open\nhint: a package is missing")
