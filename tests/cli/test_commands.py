import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from shortlist.api import Collection
from shortlist.collection import Store, StoreSettings
from shortlist.formats import open_source, read_run
from shortlist.models import Encoder
from shortlist.search import NAMES

from .running import RECORDS, Shortlist, write_lines

WRITE_KEYS = {
    "added", "replaced", "unchanged", "rejected", "duplicates", "passages", "truncated_tokens", "commits",
    "problems", "seconds", "documents", "generation",
}  # fmt: skip


def ids(collection: Path) -> set[str]:
    with Collection.open(collection) as opened:
        known = [record["id"] for record in RECORDS] + ["new", "a", "b", "c"]
        with opened._store.snapshot() as snapshot:
            return set(snapshot.find(known))


class TestIndexAndAdd:
    def test_index_creates_a_collection_and_says_what_it_did(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path
    ) -> None:
        outcome = shortlist("index", tmp_path / "deep" / "c", articles)
        assert (outcome.code, outcome.out) == (0, "")
        assert "3 documents added (3 passages) in " in outcome.err
        assert f"{tmp_path / 'deep' / 'c'}: 3 documents, " in outcome.err
        assert ids(tmp_path / "deep" / "c") == {"declined", "order", "hours"}

    def test_index_takes_several_sources_of_several_kinds(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_text("")
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "a.md").write_text("# Cats\n\nThey sleep.", encoding="utf-8")
        (tmp_path / "t.csv").write_text("id,title,text\nnew,A table,Of one row\n", encoding="utf-8")
        outcome = shortlist(
            "index", tmp_path / "c", articles, tmp_path / "notes", tmp_path / "t.csv", "--json"
        )
        assert outcome.json["added"] == 5
        assert (
            shortlist("search", tmp_path / "c", "cats", "-k", 1, "--json").json["hits"][0]["doc_id"] == "a.md"
        )

    @pytest.mark.parametrize("command", ["index", "add"])
    def test_json_has_every_count(
        self, shortlist: Shortlist, articles: Path, collection: Path, tmp_path: Path, command: str
    ) -> None:
        target = tmp_path / "new" if command == "index" else collection
        outcome = shortlist(command, target, articles, "--json")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.json.keys() == WRITE_KEYS
        expected = (3, 0, 1, 2) if command == "index" else (0, 3, 0, 1)  # the end of a build is a generation
        assert expected == tuple(
            outcome.json[name] for name in ("added", "unchanged", "commits", "generation")
        )
        assert outcome.json["documents"] == 3

    def test_add_updates_documents_with_known_ids(
        self, shortlist: Shortlist, collection: Path, tmp_path: Path
    ) -> None:
        more = write_lines(
            tmp_path / "m.jsonl", [{"id": "order", "text": "Changed."}, {"id": "new", "text": "x"}]
        )
        outcome = shortlist("add", collection, more)
        assert outcome.code == 0
        assert "1 document added, 1 replaced (2 passages)" in outcome.err
        assert "4 documents" in outcome.err
        assert "generation 2" in outcome.err

    def test_index_without_the_token_view_searches_without_late_interaction(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path
    ) -> None:
        assert shortlist("index", tmp_path / "c", articles, "--no-tokens", "--threads", 1).code == 0
        info = shortlist("info", tmp_path / "c", "--json").json
        assert (info["token_vectors"], info["default_pipeline"]) == (0, "hybrid")
        assert len(shortlist("search", tmp_path / "c", "card", "--json").json["hits"]) == 3
        shortlist("search", tmp_path / "c", "card", "--pipeline", "late").failed_with(
            "no token vectors", hint="--no-tokens", code=2
        )

    def test_mode_and_language_are_settings_of_the_collection(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "c"
        assert shortlist("index", path, articles, "--mode", "exact", "--language", "german").code == 0
        info = shortlist("info", path, "--json").json
        assert (info["mode"], info["language"]) == ("exact", "german")
        assert shortlist("search", path, "card", "--json").code == 0


class TestDelete:
    def test_ids_are_deleted_and_those_not_found_counted(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        outcome = shortlist("delete", collection, "order", "nowhere", "order")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == "1 document deleted, 1 id not found\n"
        assert ids(collection) == {"declined", "hours"}

    def test_a_filter_deletes_all_that_it_finds(self, shortlist: Shortlist, collection: Path) -> None:
        outcome = shortlist("delete", collection, "--filter", "lang = en and not exists(tag)", "--json")
        assert outcome.json == {"deleted": 1, "not_found": 0}
        assert outcome.err == "", "nothing is asked without a terminal"
        assert ids(collection) == {"order", "hours"}

    def test_deleting_nothing_is_no_error(self, shortlist: Shortlist, collection: Path) -> None:
        assert shortlist("delete", collection, "nowhere", "--json").json == {"deleted": 0, "not_found": 1}
        assert shortlist("delete", collection, "--filter", "year > 3000").err == "0 documents deleted\n"

    @pytest.mark.parametrize("words", [[], ["order", "--filter", "year = 2021"]], ids=["neither", "both"])
    def test_it_takes_either_ids_or_a_filter(
        self, shortlist: Shortlist, collection: Path, words: list[str]
    ) -> None:
        shortlist("delete", collection, *words).failed_with(
            "name the ids to delete, or a --filter", hint="shortlist delete", code=2
        )
        assert ids(collection) == {"declined", "order", "hours"}


class TestSearch:
    def test_results_go_to_stdout_and_how_they_were_found_to_stderr(
        self, shortlist: Shortlist, indexed: Path
    ) -> None:
        outcome = shortlist("search", indexed, "my payment in Spain was refused", "-k", 2)
        assert outcome.code == 0
        lines = outcome.out.splitlines()
        assert lines[0] == "  1  International transaction declined"
        assert lines[1].startswith("     Payments in other countries are refused")
        assert lines[2].endswith("declined")
        assert "  2  " in outcome.out
        assert "  3  " not in outcome.out
        assert outcome.err.startswith("2 documents · cascade · ")
        assert outcome.err.count("\n") == 1

    def test_json_has_hits_pipeline_timings_and_generation(self, shortlist: Shortlist, indexed: Path) -> None:
        outcome = shortlist("search", indexed, "order a new card", "--json")
        assert outcome.err == ""
        found = outcome.json
        assert found.keys() == {"hits", "pipeline", "timings_ms", "generation"}
        assert found["generation"] == 1
        assert found["pipeline"].startswith("rerank(rerank(rerank(fuse(bm25, dense")
        assert found["timings_ms"]["total"] > 0
        assert all(isinstance(value, float) for value in found["timings_ms"].values())
        hit = found["hits"][0]
        assert hit.keys() == {"rank", "doc_id", "score", "title", "text", "span", "stages"}
        assert (hit["rank"], hit["doc_id"], hit["title"]) == (1, "order", "Order a card")
        assert hit["span"] == [0, len(hit["text"])]
        assert hit["stages"].keys() == {"bm25", "dense", "late", "judge-small", "judge"}
        assert [one["rank"] for one in found["hits"]] == [1, 2, 3]
        scores = [one["score"] for one in found["hits"]]
        assert scores == sorted(scores, reverse=True)

    @pytest.mark.parametrize("pipeline", NAMES)
    def test_every_short_name_finds_the_article(
        self, shortlist: Shortlist, indexed: Path, pipeline: str
    ) -> None:
        outcome = shortlist("search", indexed, "foreign card payments", "--pipeline", pipeline, "--json")
        assert outcome.json["hits"][0]["doc_id"] == "declined"

    def test_a_pipeline_of_ones_own_is_run_and_named(self, shortlist: Shortlist, indexed: Path) -> None:
        text = "rerank(bm25(depth=50), maxsim, depth=10)"
        outcome = shortlist("search", indexed, "card", "--pipeline", text, "--json")
        assert outcome.json["pipeline"] == text
        assert outcome.json["hits"][0]["stages"].keys() == {"bm25", "late"}

    def test_a_filter_is_applied_first(self, shortlist: Shortlist, indexed: Path) -> None:
        words = ("search", indexed, "card", "-k", 1, "--filter", "tag in (faq)", "--json")
        assert [hit["doc_id"] for hit in shortlist(*words).json["hits"]] == ["hours"]

    def test_nothing_found_is_said_and_no_error(self, shortlist: Shortlist, indexed: Path) -> None:
        outcome = shortlist("search", indexed, "zebra", "--pipeline", "bm25")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err.startswith("nothing found · bm25")

    @pytest.mark.parametrize("query", ["", " ", "?!", "the of", "\0", "card " * 2000, "日本語 🙂"])
    @pytest.mark.parametrize("pipeline", ["bm25", "cascade"])
    def test_any_text_is_a_query(
        self, shortlist: Shortlist, indexed: Path, query: str, pipeline: str
    ) -> None:
        assert shortlist("search", indexed, query, "--pipeline", pipeline, "--json").code == 0

    @pytest.mark.parametrize("pipeline", NAMES)
    def test_an_empty_collection_finds_nothing(
        self, shortlist: Shortlist, tmp_path: Path, pipeline: str
    ) -> None:
        shortlist("index", tmp_path / "c", write_lines(tmp_path / "a.jsonl", []))
        outcome = shortlist("search", tmp_path / "c", "card", "--pipeline", pipeline, "--json")
        assert outcome.json["hits"] == []

    def test_a_collection_of_deleted_documents_finds_nothing(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        shortlist("delete", collection, "order", "declined", "hours")
        assert shortlist("search", collection, "card", "--json").json["hits"] == []
        shortlist("compact", collection)
        assert shortlist("search", collection, "card", "--json").json["hits"] == []


class TestRun:
    @pytest.fixture
    def queries(self, tmp_path: Path) -> Path:
        lines = [{"_id": "q1", "text": "payment refused"}, b"{", {"_id": "q2", "text": "opening hours"}]
        return write_lines(tmp_path / "queries.jsonl", lines)

    def test_a_trec_run_is_written_and_skipped_queries_are_named(
        self, shortlist: Shortlist, indexed: Path, queries: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "run.trec"
        outcome = shortlist("run", indexed, queries, "-o", output, "-k", 2)
        assert (outcome.code, outcome.out) == (0, "")
        assert f"skipped {queries}:2: malformed JSON" in outcome.err
        assert re.search(
            r"^2 queries in \d\.\d s, [\d,]+ a second; 1 skipped; wrote ", outcome.err, re.MULTILINE
        )
        assert outcome.err.endswith(f"wrote {output}\n")
        run = read_run(output)
        assert run.name == "cascade"
        assert {query_id: len(ranking) for query_id, ranking in run.rankings.items()} == {"q1": 2, "q2": 2}
        assert run.rankings["q2"][0].doc_id == "hours"

    def test_the_run_is_what_single_searches_find(
        self, shortlist: Shortlist, indexed: Path, queries: Path, tmp_path: Path
    ) -> None:
        for pipeline in ("bm25", "dense", "late", "hybrid+late"):
            shortlist("run", indexed, queries, "-o", tmp_path / "r", "--pipeline", pipeline, "--threads", 1)
            words = ("search", indexed, "payment refused", "--pipeline", pipeline, "--json")
            single = [(hit["doc_id"], hit["score"]) for hit in shortlist(*words).json["hits"]]
            assert [(hit.doc_id, hit.score) for hit in read_run(tmp_path / "r").rankings["q1"]] == single

    def test_json_says_what_was_done(
        self, shortlist: Shortlist, indexed: Path, queries: Path, tmp_path: Path
    ) -> None:
        words = ("run", indexed, queries, "-o", tmp_path / "r", "--pipeline", "bm25", "--json")
        found = shortlist(*words).json
        assert found.keys() == {"queries", "skipped", "seconds", "name"}
        assert (found["queries"], found["skipped"], found["name"]) == (2, 1, "bm25")

    def test_the_run_may_go_to_stdout_and_then_nothing_else_does(
        self, shortlist: Shortlist, indexed: Path, queries: Path
    ) -> None:
        words = ("run", indexed, queries, "-o", "-", "-k", 1, "--filter", "year = 2021", "--json")
        outcome = shortlist(*words)
        assert [line.split()[:4] for line in outcome.out.splitlines()] == [
            ["q1", "Q0", "order", "1"],
            ["q2", "Q0", "order", "1"],
        ]
        assert json.loads(outcome.err.splitlines()[-1])["queries"] == 2

    def test_a_file_without_queries_makes_an_empty_run(
        self, shortlist: Shortlist, indexed: Path, tmp_path: Path
    ) -> None:
        queries = write_lines(tmp_path / "none.jsonl", [])
        assert shortlist("run", indexed, queries, "-o", tmp_path / "run.trec").code == 0
        assert (tmp_path / "run.trec").read_bytes() == b""


class TestEncode:
    def test_texts_become_json_lines_on_stdout(self, shortlist: Shortlist, encoder: Encoder) -> None:
        outcome = shortlist("encode", "--text", "a cat", "--text", "a dog")
        assert (outcome.code, outcome.err) == (0, "")
        lines = [json.loads(line) for line in outcome.out.splitlines()]
        assert [line["id"] for line in lines] == ["1", "2"]
        found = np.array([line["vector"] for line in lines], np.float32)
        np.testing.assert_array_equal(found, encoder.encode(["a cat", "a dog"]))

    def test_sources_become_rows_of_a_numpy_file(
        self, shortlist: Shortlist, articles: Path, encoder: Encoder, tmp_path: Path
    ) -> None:
        outcome = shortlist("encode", articles, "-o", tmp_path / "v.npy", "--threads", 1)
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == "3 texts x 384 dimensions; 0 skipped; 0 longer than 256 tokens were cut\n"
        texts = [f"{r['title']} {r['text']}".strip() for r in RECORDS]
        np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), encoder.encode(texts))

    def test_json_counts_what_was_skipped_and_cut(self, shortlist: Shortlist, tmp_path: Path) -> None:
        source = write_lines(
            tmp_path / "s.jsonl", [{"id": "a", "text": "card " * 300}, b"{", {"id": "b", "text": "x"}]
        )
        outcome = shortlist("encode", source, "-o", tmp_path / "v.jsonl", "--json")
        assert outcome.json == {"texts": 2, "dimensions": 384, "skipped": 1, "truncated": 1}
        lines = (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["id"] for line in lines] == ["a", "b"]

    def test_exact_mode_is_near_and_not_the_same(self, shortlist: Shortlist, encoder: Encoder) -> None:
        line = shortlist("encode", "--text", "a cat", "--mode", "exact", "--prompt", "query").out
        exact = np.array(json.loads(line)["vector"], np.float32)
        cosine = float(exact @ encoder.encode(["a cat"])[0])
        assert 0.98 < cosine < 0.99999

    @pytest.mark.parametrize("words", [[], ["--text", "x", "a.jsonl"]], ids=["neither", "both"])
    def test_it_takes_either_sources_or_texts(self, shortlist: Shortlist, words: list[str]) -> None:
        shortlist("encode", *words).failed_with(
            "name sources to encode, or texts", hint="encode SOURCE", code=2
        )

    def test_an_ending_that_it_cannot_write_is_refused_before_any_work(
        self, shortlist: Shortlist, articles: Path, tmp_path: Path
    ) -> None:
        outcome = shortlist("encode", articles, "-o", tmp_path / "v.csv")
        outcome.failed_with("v.csv: the ending must be .npy or .jsonl", code=2)
        assert not (tmp_path / "v.csv").exists()


class TestCare:
    def test_info_describes_the_collection(self, shortlist: Shortlist, collection: Path) -> None:
        shortlist("delete", collection, "order")
        outcome = shortlist("info", collection)
        assert (outcome.code, outcome.err) == (0, "")
        assert "documents    2 in generation 2; 1 deleted or replaced ones await compact" in outcome.out
        assert "3; " in outcome.out
        assert "cascade unless another is named" in outcome.out

    def test_info_as_json(self, shortlist: Shortlist, indexed: Path) -> None:
        info = shortlist("info", indexed, "--json").json
        assert info.keys() == {
            "path", "generation", "documents", "deleted_documents", "passages", "token_vectors", "segments",
            "size_bytes", "language", "model", "fingerprint", "mode", "token_pooling", "token_bits", "hnsw",
            "default_pipeline", "format", "unfinished",
        }  # fmt: skip
        assert (info["documents"], info["deleted_documents"], info["passages"]) == (3, 0, 3)
        assert (info["format"], info["unfinished"]) == (2, "")
        assert info["size_bytes"]["dense"] == 3 * 384
        assert sum(info["size_bytes"].values()) == sum(
            file.stat().st_size for file in indexed.rglob("*.safetensors")
        )

    def test_check_finds_a_sound_collection_sound_and_says_how_far_it_looked(
        self, shortlist: Shortlist, indexed: Path
    ) -> None:
        assert shortlist("check", indexed).err == (
            f"{indexed}: sound, as far as opening every file tells; --deep reads every byte\n"
        )
        assert shortlist("check", indexed, "--deep").err == f"{indexed}: sound; every byte was read\n"
        outcome = shortlist("check", indexed, "--json")
        assert (outcome.code, outcome.json) == (0, {"sound": True, "deep": False, "problems": []})

    def test_check_ends_with_code_3_and_a_line_for_each_problem(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        damaged = collection / "segments" / "00000001.safetensors"
        damaged.write_bytes(damaged.read_bytes()[:-1])
        outcome = shortlist("check", collection)
        assert outcome.code == 3
        assert outcome.out.count("\n") == 1
        assert str(damaged) in outcome.out
        assert outcome.err == f"mend what can be mended: shortlist repair {collection}\n"
        outcome = shortlist("check", collection, "--deep", "--json")
        assert outcome.code == 3
        assert (outcome.json["sound"], outcome.json["deep"]) == (False, True)
        assert str(damaged) in outcome.json["problems"][0]

    def test_only_the_deep_check_reads_every_byte(self, shortlist: Shortlist, collection: Path) -> None:
        damage(collection, "tokens")
        assert shortlist("check", collection).code == 0
        outcome = shortlist("check", collection, "--deep")
        assert outcome.code == 3
        assert "00000001.safetensors: tokens: its checksum is not the one it was written with" in outcome.out

    def test_compact_says_what_it_saved_and_then_that_nothing_is_left_to_do(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        shortlist("delete", collection, "order")
        found = shortlist("compact", collection, "--json").json
        assert found.keys() == {"compacted", "size_bytes_before", "size_bytes_after"}
        assert found["compacted"]
        assert found["size_bytes_after"] < found["size_bytes_before"]
        assert shortlist("info", collection, "--json").json["deleted_documents"] == 0
        assert shortlist("compact", collection).err == "nothing to do\n"


def damage(collection: Path, section: str, document: int = 0) -> None:
    """Flip a byte in an array of the first segment."""
    with Collection.open(collection) as opened, opened._store.snapshot() as snapshot:
        segment = snapshot.segments[0]
        path, start = segment.file.path, segment.file.sections[section].start
        if section == "documents":
            start += segment.file.sections["document_offsets"][document : document + 1].tolist()[0]
    content = bytearray(path.read_bytes())
    content[start] ^= 0xFF
    path.write_bytes(content)


class TestRepair:
    def test_what_is_derived_is_made_again_and_searches_as_before(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        words = ("search", collection, "foreign card", "--json")
        before = shortlist(*words).json["hits"]
        path = collection / "segments" / "00000001.safetensors"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        shortlist(*words).failed_with("its checksums are not those", hint="shortlist repair COLLECTION")
        outcome = shortlist("repair", collection)
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == "1 segment written anew from 3 documents\n"
        assert shortlist("check", collection, "--deep").code == 0
        assert shortlist(*words).json["hits"] == before

    def test_a_sound_collection_is_left_alone(self, shortlist: Shortlist, collection: Path) -> None:
        assert shortlist("repair", collection).err == "nothing to do\n"
        assert shortlist("repair", collection, "--json").json == {
            "generation": False,
            "segments": 0,
            "documents": 0,
            "lost": [],
        }
        assert shortlist("info", collection, "--json").json["generation"] == 1

    def test_lost_documents_are_named_and_only_dropped_when_told_to(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        damage(collection, "documents")
        outcome = shortlist("repair", collection)
        outcome.failed_with("1 documents can't be read; nothing was changed", hint="shortlist repair --drop")
        assert outcome.err.count("\n  ") == 1
        assert shortlist("info", collection, "--json").json["generation"] == 1
        outcome = shortlist("repair", collection, "--drop")
        assert outcome.code == 0
        assert outcome.err.startswith("1 segment written anew from 2 documents\n  lost: ")
        assert shortlist("check", collection, "--deep").code == 0
        assert shortlist("info", collection, "--json").json["documents"] == 2

    def test_a_generation_that_cannot_be_read_nor_its_copy_is_beyond_repair(
        self, shortlist: Shortlist, collection: Path
    ) -> None:
        for name in ("generation.safetensors", "generation-copy.safetensors"):
            (collection / name).write_bytes(b"x" * 20_000)
        shortlist("repair", collection).failed_with(f"{collection}/generation-copy.safetensors")

    def test_a_generation_is_mended_by_its_copy(self, shortlist: Shortlist, collection: Path) -> None:
        (collection / "generation.safetensors").write_bytes(b"x" * 20_000)
        outcome = shortlist("repair", collection)
        assert outcome.code == 0
        assert "the generation's file and its copy are the same again" in outcome.err
        assert shortlist("check", collection, "--deep").code == 0
        assert ids(collection) == {"declined", "order", "hours"}


class TestUpgrade:
    @pytest.fixture
    def old(self, tmp_path: Path) -> Path:
        shutil.copytree(Path(__file__).parent.parent / "collection" / "golden" / "format-1", tmp_path / "old")
        return tmp_path / "old"

    def test_a_collection_of_the_format_before_is_brought_to_this_one(
        self, shortlist: Shortlist, old: Path
    ) -> None:
        for words in (
            ("search", old, "card"),
            ("info", old),
            ("check", old),
            ("add", old, "x"),
            ("repair", old),
        ):
            shortlist(*words).failed_with("collection format 1", hint=f"shortlist upgrade {old}")
        outcome = shortlist("upgrade", old)
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == f"{old}: 5 documents brought to format 2\n"
        assert shortlist("check", old, "--deep").code == 0
        assert "lost" in [
            hit["doc_id"] for hit in shortlist("search", old, "stolen credit card", "--json").json["hits"]
        ]

    def test_json_counts_documents(self, shortlist: Shortlist, old: Path) -> None:
        assert shortlist("upgrade", old, "--json", "--threads", 1).json == {"documents": 5}

    def test_a_collection_of_this_format_has_nothing_to_upgrade(
        self, shortlist: Shortlist, indexed: Path
    ) -> None:
        shortlist("upgrade", indexed).failed_with(f"{indexed}: no collection of format 1")


class TestGoingOn:
    """An index that was interrupted is gone on with by the same command."""

    @pytest.fixture
    def interrupted(self, tmp_path: Path, articles: Path, store_settings: StoreSettings) -> Path:
        store = Store.create(tmp_path / "c", store_settings, unfinished=open_source(articles).name)
        with Collection(store, None, None) as opened:
            opened.add(RECORDS[:2])
        return tmp_path / "c"

    def test_the_same_command_goes_on(self, shortlist: Shortlist, articles: Path, interrupted: Path) -> None:
        assert "unfinished   indexing " in shortlist("info", interrupted).out
        outcome = shortlist("index", interrupted, articles)
        assert outcome.code == 0
        assert "1 document added, 2 unchanged" in outcome.err
        assert "unfinished" not in shortlist("info", interrupted).out
        shortlist("index", interrupted, articles).failed_with("is a collection already")

    def test_what_was_committed_can_be_searched_and_added_to(
        self, shortlist: Shortlist, articles: Path, interrupted: Path
    ) -> None:
        assert len(shortlist("search", interrupted, "card", "--json").json["hits"]) == 2
        assert shortlist("add", interrupted, articles, "--json").json["added"] == 1

    @pytest.mark.parametrize("change", ["source", "options"])
    def test_another_command_is_refused_and_what_was_begun_is_named(
        self, shortlist: Shortlist, articles: Path, interrupted: Path, tmp_path: Path, change: str
    ) -> None:
        other = write_lines(tmp_path / "other.jsonl", RECORDS)
        words = (other,) if change == "source" else (articles, "--no-tokens")
        outcome = shortlist("index", interrupted, *words)
        outcome.failed_with(
            f"its first build, from {articles}, was interrupted", hint="index the same source"
        )
        assert ids(interrupted) == {"declined", "order"}
