import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shortlist.api import Collection
from shortlist.collection import array_file
from shortlist.collection.directory import Directory
from shortlist.collection.generation import Generation, commit, read_generation
from tests.collection.building import SETTINGS

from .running import RECORDS, Shortlist, spawn, write_lines

GOOD = {"id": "good", "text": "A good text."}

BAD_LINES: dict[str, tuple[bytes, str]] = {
    "malformed": (b'{"id": "a", "text": "x', "malformed JSON at column 21"),
    "invalid UTF-8": (b'{"id": "a", "text": "caf\xe9"}', "invalid UTF-8 at byte 25 (0xe9)"),
    "lone surrogate": (
        b'{"id": "a", "text": "\\ud83d"}',
        "text has a lone surrogate (U+D83D) at character 1",
    ),
    "NUL": (b'{"id": "a", "text": "a\\u0000b"}', "text has a NUL at character 2"),
    "empty document": (b'{"id": "a", "title": "", "text": " "}', "empty document: title and text are blank"),
    "no id": (b'{"text": "x"}', "no id, expected one under `_id`, `id` or `doc_id`"),
    "no text": (b'{"id": "a"}', "empty document"),
    "id of spaces": (b'{"id": "   ", "text": "x"}', "id is blank"),
    "no object": (b"[1, 2]", "a list, expected a JSON object"),
    "NaN in metadata": (b'{"id": "a", "text": "x", "score": NaN}', "metadata 'score' is nan"),
}
LINES = [pytest.param(line, reason, id=name) for name, (line, reason) in BAD_LINES.items()]


def count(path: Path) -> int:
    with Collection.open(path) as collection:
        return collection.count()


class TestBadRecords:
    @pytest.mark.parametrize(("line", "reason"), LINES)
    def test_a_bad_line_is_reported_with_file_and_line_and_the_rest_is_indexed(
        self, shortlist: Shortlist, tmp_path: Path, line: bytes, reason: str
    ) -> None:
        source = write_lines(tmp_path / "s.jsonl", [GOOD, line, {**GOOD, "id": "last"}])
        outcome = shortlist("index", tmp_path / "c", source)
        assert outcome.code == 0
        assert "1 record skipped:" in outcome.err
        assert f"  {source}:2: {reason}" in outcome.err
        assert "2 documents added" in outcome.err
        assert count(tmp_path / "c") == 2

    @pytest.mark.parametrize(("line", "reason"), LINES)
    def test_strict_fails_with_nothing_committed(
        self, shortlist: Shortlist, collection: Path, tmp_path: Path, line: bytes, reason: str
    ) -> None:
        source = write_lines(tmp_path / "s.jsonl", [GOOD, line, {**GOOD, "id": "last"}])
        outcome = shortlist("add", collection, source, "--strict")
        outcome.failed_with("1 bad of 3 records; nothing was committed", hint="leave --strict out")
        assert f"{source}:2: {reason}" in outcome.err
        assert shortlist("info", collection, "--json").json["generation"] == 1

    def test_a_strict_index_that_fails_leaves_no_collection_in_the_way(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        source = write_lines(tmp_path / "s.jsonl", [GOOD, b"{"])
        shortlist("index", tmp_path / "c", source, "--strict").failed_with("1 bad of 2 records")
        assert not (tmp_path / "c").exists()
        assert shortlist("index", tmp_path / "c", write_lines(source, [GOOD]), "--strict").code == 0

    def test_documents_of_50_megabytes_are_skipped_and_the_rest_is_indexed(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        huge = json.dumps({"id": "huge", "text": "x" * 50_000_000}).encode()
        source = write_lines(tmp_path / "s.jsonl", [GOOD, huge, {**GOOD, "id": "last"}])
        (tmp_path / "huge.txt").write_bytes(b"x" * 50_000_000)
        outcome = shortlist("index", tmp_path / "c", source, tmp_path / "huge.txt", "--json")
        assert (outcome.code, outcome.json["added"], outcome.json["rejected"]) == (0, 2, 2)
        assert outcome.json["problems"] == [
            f"{source}:2: text of 50,000,000 bytes is more than 10,485,760; split it",
            f"{tmp_path / 'huge.txt'}: text of 50,000,000 bytes is more than 10,485,760; split it",
        ]

    def test_of_duplicate_ids_the_last_counts_and_both_places_are_named(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        source = write_lines(tmp_path / "s.jsonl", [GOOD, GOOD, {**GOOD, "text": "The last."}])
        outcome = shortlist("index", tmp_path / "c", source)
        assert outcome.code == 0
        assert "2 records with an id that stands before; the last one counts:" in outcome.err
        assert f"{source}:3: id 'good' stands before at {source}:2" in outcome.err
        words = ("search", tmp_path / "c", "last", "--pipeline", "bm25", "--json")
        assert shortlist(*words).json["hits"][0]["text"] == "The last."
        shortlist("index", tmp_path / "d", source, "--strict").failed_with("2 bad of 3 records")

    def test_many_problems_are_counted_and_some_shown(self, shortlist: Shortlist, tmp_path: Path) -> None:
        source = write_lines(tmp_path / "s.jsonl", [b"{"] * 1234)
        outcome = shortlist("index", tmp_path / "c", source)
        assert outcome.code == 0
        assert "1,234 records skipped:" in outcome.err
        assert outcome.err.count(str(source)) == 10
        assert "and 1,224 more (--json lists up to 1,000)" in outcome.err
        outcome = shortlist("add", tmp_path / "c", source, "--json")
        assert (outcome.json["rejected"], len(outcome.json["problems"])) == (1234, 1000)

    def test_control_characters_in_a_record_do_not_reach_the_terminal(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "\x1b[2Jevil.txt").write_bytes(b"\xff")
        (tmp_path / "notes" / "good.txt").write_bytes(b"x")
        source = write_lines(
            tmp_path / "s.jsonl", [{"id": "\x1b[31m", "text": "x"}, {"id": "a", "x\x1b[2J": []}]
        )
        outcome = shortlist("index", tmp_path / "c", source, tmp_path / "notes")
        assert outcome.code == 0
        assert "3 records skipped" in outcome.err
        assert "\x1b" not in outcome.err


class TestBadPlaces:
    COMMANDS = (
        ("add", "{}", "{articles}"),
        ("delete", "{}", "x"),
        ("search", "{}", "x"),
        ("run", "{}", "{articles}", "-o", "-"),
        ("info", "{}"),
        ("check", "{}"),
        ("compact", "{}"),
        ("repair", "{}"),
    )

    @pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
    def test_a_missing_folder_is_named_with_the_command_that_creates_one(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path, words: tuple[str, ...]
    ) -> None:
        missing = tmp_path / "nowhere"
        outcome = shortlist(*(word.format(missing, articles=articles) for word in words))
        outcome.failed_with(f"{missing}: does not exist", hint=f"shortlist index {missing} SOURCE")
        assert not missing.exists()

    @pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
    def test_a_file_where_a_collection_is_expected_is_named(
        self, shortlist: Shortlist, articles: Path, words: tuple[str, ...]
    ) -> None:
        outcome = shortlist(*(word.format(articles, articles=articles) for word in words))
        outcome.failed_with(f"{articles}: is not a collection", hint="shortlist index")

    def test_index_refuses_what_is_there_already(
        self, shortlist: Shortlist, articles: Path, collection: Path, tmp_path: Path
    ) -> None:
        shortlist("index", collection, articles).failed_with("is a collection already", hint="shortlist add")
        shortlist("index", articles, articles).failed_with(f"{articles}: is a file", hint="another path")
        shortlist("index", tmp_path, articles).failed_with("is not empty", hint="choose another path")
        shortlist("index", articles / "deeper", articles).failed_with(f"{articles}/deeper")
        assert count(collection) == 3
        assert articles.is_file()

    @pytest.mark.parametrize("command", ["index", "add"])
    def test_a_source_that_is_not_there_fails_and_leaves_nothing_behind(
        self, shortlist: Shortlist, collection: Path, tmp_path: Path, command: str
    ) -> None:
        target = tmp_path / "new" if command == "index" else collection
        missing = tmp_path / "nowhere.jsonl"
        shortlist(command, target, missing).failed_with(f"{missing}: path doesn't exist", hint="spelling")
        assert (tmp_path / "new").exists() is False

    def test_a_source_of_an_unknown_kind_says_which_are_known(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        (tmp_path / "a.pdf").touch()
        shortlist("index", tmp_path / "c", tmp_path / "a.pdf").failed_with("no known kind", hint=".jsonl")
        (tmp_path / "empty").mkdir()
        shortlist("index", tmp_path / "c", tmp_path / "empty").failed_with(
            "neither a BEIR corpus", hint=".md"
        )

    def test_a_damaged_archive_fails_and_leaves_no_collection(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8b\x08 no more")
        shortlist("index", tmp_path / "c", tmp_path / "a.jsonl.gz").failed_with("damaged gzip", hint="again")
        assert not (tmp_path / "c").exists()

    def test_an_output_that_cannot_be_written_is_named(
        self, shortlist: Shortlist, indexed: Path, tmp_path: Path
    ) -> None:
        queries = write_lines(tmp_path / "q.jsonl", [{"_id": "q", "text": "card"}])
        output = tmp_path / "nowhere" / "run.trec"
        shortlist("run", indexed, queries, "-o", output).failed_with(f"{output}: No such file or directory")
        vectors = tmp_path / "nowhere" / "v.npy"
        shortlist("encode", "--text", "x", "-o", vectors).failed_with(f"{vectors}: No such file or directory")

    def test_ids_that_a_run_cannot_hold_fail_before_anything_is_written(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        source = write_lines(tmp_path / "s.jsonl", [{"id": "two words", "text": "card"}])
        shortlist("index", tmp_path / "c", source)
        queries = write_lines(tmp_path / "q.jsonl", [{"_id": "q", "text": "card"}])
        shortlist("run", tmp_path / "c", queries, "-o", tmp_path / "r").failed_with("two words")
        assert not (tmp_path / "r").exists()


class TestBadOptions:
    @pytest.mark.parametrize(
        ("pipeline", "problem", "hint"),
        [
            ("hybird", "there is no stage 'hybird'", "did you mean 'hybrid'?"),
            ("fuse(bm25", "pipeline 'fuse(bm25' can't be read", "short names: bm25"),
            ("bm25(depth=0)", "depth must be a whole number from 1, not 0", None),
            ("fuse(bm25)", "fuse needs two stages or more", None),
            ("nothing", "there is no stage 'nothing'", "short names"),
            (
                "cross(model='')",
                "cross needs the folder of a cross-encoder",
                "write cross, or cross(model='FOLDER')",
            ),
        ],
    )
    @pytest.mark.parametrize("command", ["search", "run"])
    def test_an_unknown_pipeline_says_which_are_known(
        self,
        shortlist: Shortlist,
        articles: Path,
        command: str,
        pipeline: str,
        problem: str,
        hint: str | None,
    ) -> None:
        rest = ("card",) if command == "search" else (articles, "-o", "-")
        # No collection is needed to see that it can't be read.
        outcome = shortlist(command, "nowhere", *rest, "--pipeline", pipeline)
        outcome.failed_with(problem, hint=hint, code=2)

    @pytest.mark.parametrize("command", ["search", "delete", "run"])
    @pytest.mark.parametrize(
        "text", ["lang =", "(lang = en", "lang = \udcff", "year < 99999999999999999999", 'x = "\\ud800"']
    )
    def test_a_filter_that_makes_no_sense_is_refused(
        self, shortlist: Shortlist, articles: Path, collection: Path, command: str, text: str
    ) -> None:
        rest = {"search": ("card",), "delete": (), "run": (articles, "-o", "-")}[command]
        outcome = shortlist(command, collection, *rest, "--filter", text)
        outcome.failed_with("filter: ", code=2)
        assert count(collection) == 3

    def test_a_language_without_a_stemmer_is_refused(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path
    ) -> None:
        outcome = shortlist("index", tmp_path / "c", articles, "--language", "klingon")
        outcome.failed_with("language 'klingon' has no stemmer", hint="english")
        assert not (tmp_path / "c").exists()

    @pytest.mark.parametrize("command", ["index", "encode"])
    def test_a_model_that_is_none_is_refused(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path, command: str
    ) -> None:
        (tmp_path / "model").mkdir()
        rest = (tmp_path / "c", articles) if command == "index" else ("--text", "x")
        shortlist(command, *rest, "--model", tmp_path / "nowhere").failed_with("no such model folder")
        shortlist(command, *rest, "--model", tmp_path / "model").failed_with(
            "neither model.json", hint="model"
        )
        assert not (tmp_path / "c").exists()

    @pytest.mark.parametrize(
        "words",
        [
            ("search", "{}", "caf\udce9"),
            ("search", "{}", "caf\udce9", "--pipeline", "bm25"),
            ("encode", "--text", "caf\udce9"),
            ("delete", "{}", "caf\udce9"),
        ],
        ids=["search", "search bm25", "encode", "delete"],
    )
    def test_a_word_of_the_command_line_that_is_not_utf8_makes_no_traceback(
        self, collection: Path, words: tuple[str, ...]
    ) -> None:
        outcome = spawn(*(word.format(collection) for word in words))
        assert "Traceback" not in outcome.err, outcome.err
        assert outcome.code in (0, 1)
        if outcome.code:
            assert outcome.err.startswith("error: ")


def change_settings(collection: Path, **changes: Any) -> None:
    """Commit a generation with other settings."""
    directory = Directory(collection)
    found = read_generation(directory)
    commit(directory, replace(found, settings=replace(found.settings, **changes)))


class TestBadCollections:
    @pytest.fixture
    def of_another_model(self, collection: Path) -> Path:
        change_settings(collection, fingerprint="0123456789abcdef", model_name="other-model")
        return collection

    def test_a_collection_made_by_another_model_names_both_and_the_way_out(
        self, shortlist: Shortlist, of_another_model: Path, articles: Path
    ) -> None:
        for words in (("search", of_another_model, "card"), ("add", of_another_model, articles)):
            outcome = shortlist(*words)
            outcome.failed_with("encoded by other-model (0123456789abcdef), not by", hint="--model FOLDER")
            assert str(of_another_model) in outcome.err

    def test_what_needs_no_model_works_without_it(self, shortlist: Shortlist, of_another_model: Path) -> None:
        words = ("search", of_another_model, "card", "--pipeline", "bm25", "--json")
        assert len(shortlist(*words).json["hits"]) == 2
        assert shortlist("delete", of_another_model, "order").code == 0
        assert shortlist("compact", of_another_model).code == 0

    def test_check_finds_that_the_model_is_another(
        self, shortlist: Shortlist, of_another_model: Path
    ) -> None:
        outcome = shortlist("check", of_another_model)
        assert outcome.code == 3
        assert "other-model" in outcome.out

    def test_a_model_that_has_moved_is_named(self, shortlist: Shortlist, collection: Path) -> None:
        change_settings(collection, model="/nowhere/model")
        shortlist("search", collection, "card").failed_with(
            "/nowhere/model: no such model folder", hint="--model"
        )

    def test_a_missing_file_is_named_by_every_command_that_reads(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        (collection / "segments" / "00000001.safetensors").unlink()
        for words in (("search", collection, "card"), ("info", collection), ("compact", collection)):
            shortlist(*words).failed_with("00000001.safetensors: is missing", hint="shortlist repair")

    @pytest.mark.parametrize("command", ["search", "check"])
    def test_a_document_damaged_inside_makes_no_traceback(
        self, shortlist: Shortlist, collection: Path, command: str
    ) -> None:
        path = collection / "segments" / "00000001.safetensors"
        content = path.read_bytes()
        at = content.index(b"A new card takes")
        path.write_bytes(content[:at] + b"\xff\xfe" + content[at + 2 :])
        if command == "search":
            outcome = shortlist("search", collection, "card", "--pipeline", "bm25")
            outcome.failed_with(str(path), hint="shortlist repair")
        else:
            outcome = shortlist("check", collection, "--deep")
            assert outcome.code == 3
            assert f"{path}: documents" in outcome.out

    @pytest.mark.parametrize("command", ["search", "info", "compact", "delete"])
    def test_a_generation_that_is_none_makes_no_traceback(
        self, shortlist: Shortlist, collection: Path, command: str
    ) -> None:
        (collection / "generation.safetensors").write_bytes(b"no generation" * 1000)
        rest = ("card",) if command in ("search", "delete") else ()
        shortlist(command, collection, *rest).failed_with(f"{collection}/generation.safetensors")

    def test_check_names_a_generation_that_is_none_as_damage(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        (collection / "generation.safetensors").write_bytes(b"no generation" * 1000)
        outcome = shortlist("check", collection)
        assert outcome.code == 3
        assert outcome.out == (f"{collection}/generation.safetensors: 13000 bytes are not what was written\n")

    @pytest.mark.parametrize("command", ["search", "info", "compact", "delete", "repair", "check"])
    def test_a_newer_format_is_refused_by_name(
        self, shortlist: Shortlist, collection: Path, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(array_file, "FORMAT", 3)
            commit(Directory(collection), Generation(SETTINGS))
        rest = ("card",) if command in ("search", "delete") else ()
        outcome = shortlist(command, collection, *rest)
        outcome.failed_with("format 3, written by shortlist", hint="pip install --upgrade shortlist")

    def test_a_full_disk_is_said_with_what_to_do(
        self, shortlist: Shortlist, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        more = write_lines(tmp_path / "m.jsonl", [GOOD])
        with monkeypatch.context() as patch:
            patch.setattr(Directory, "free_bytes", lambda _: 10)
            outcome = shortlist("add", collection, more)
            outcome.failed_with("adding 1 documents needs about 0.0 MB", hint="free some space")
            outcome = shortlist("index", tmp_path / "new", more)
            outcome.failed_with("adding 1 documents needs about", hint="free some space")
        assert not (tmp_path / "new").exists()
        assert count(collection) == 3

    def test_a_busy_collection_says_who_is_writing(
        self, shortlist: Shortlist, collection: Path, articles: Path
    ) -> None:
        with Collection.open(collection) as opened, opened._store.writer():
            for words in (
                ("add", collection, articles),
                ("delete", collection, "x"),
                ("compact", collection),
                ("repair", collection),
            ):
                shortlist(*words).failed_with("is writing to this collection", hint="wait")
            assert shortlist("search", collection, "card", "--json").code == 0


def test_debug_shows_the_traceback(collection: Path) -> None:
    outcome = spawn("search", collection, "card", "--pipeline", "nothing", "--debug")
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "PipelineError: pipeline: there is no stage 'nothing'" in outcome.err


def test_nan_and_other_bad_values_from_python_are_rejected_by_name(
    shortlist: Shortlist, tmp_path: Path
) -> None:
    records: list[Any] = [
        *RECORDS,
        {"id": "x", "text": "x", "n": 2**70},
        {"id": "y", "text": "x", "n": [None]},
    ]
    outcome = shortlist("index", tmp_path / "c", write_lines(tmp_path / "s.jsonl", records), "--json")
    assert (outcome.json["added"], outcome.json["rejected"]) == (3, 2)
