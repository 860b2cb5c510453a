import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.api import Collection
from shortlist.collection import Store, StoreSettings, Writer
from shortlist.collection.directory import Directory
from shortlist.errors import CollectionStorageError, DataError
from shortlist.formats import Rejected, Source, open_source
from shortlist.indexing import Report, derived, indexer
from shortlist.indexing.passages import split_passages
from shortlist.models import Encoder, Views
from shortlist.types import Document, passage_text
from tests.conftest import MakeCollection

LONG = Document(
    "long",
    " ".join(f"Paragraph {n} is about gardens and weather." for n in range(60))
    + " To unblock a stolen credit card call the bank. "
    + " ".join(f"Paragraph {n} is about music and food." for n in range(60)),
    "Miscellany",
)


def documents(*ids: str, text: str = "A text.") -> list[Document]:
    return [Document(doc_id, text) for doc_id in ids]


def ids(collection: Collection) -> list[str]:
    with collection._store.snapshot() as snapshot:
        return sorted(snapshot.doc_ids(snapshot.live.nonzero()[0]))


def stored(collection: Collection, doc_id: str) -> Document:
    with collection._store.snapshot() as snapshot:
        (document,) = snapshot.documents([snapshot.find([doc_id])[doc_id]])
        return document


def generation(collection: Collection) -> int:
    return collection.info().generation


def counts(report: Report) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: count for name, count in asdict(report).items() if count and name != "problems"}


@pytest.fixture
def commits_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "DOCUMENTS_A_COMMIT", 3)


class TestCounting:
    def test_new_documents_are_added(self, small_collection: MakeCollection) -> None:
        report = small_collection().add(documents("a", "b"))
        assert counts(report) == {"added": 2, "passages": 2, "commits": 1}
        assert report.problems == []

    def test_known_ids_are_replaced_and_equal_documents_are_left_alone(
        self, small_collection: MakeCollection
    ) -> None:
        collection = small_collection()
        stays = Document("a", "A text.", "T", {"tags": ["x", 1], "f": 0.5, "on": True})
        collection.add([stays, *documents("b", "c")])
        report = collection.add([stays, *documents("b"), *documents("c", text="New."), *documents("d")])
        assert counts(report) == {"added": 1, "replaced": 1, "unchanged": 2, "passages": 2, "commits": 1}
        assert ids(collection) == ["a", "b", "c", "d"]
        assert collection.search("new", pipeline="bm25").ranking[0].doc_id == "c"

    @pytest.mark.parametrize(
        "changed",
        [
            Document("a", "text.", "title", {"x": 1}),
            Document("a", "text", "titles", {"x": 1}),
            Document("a", "text", "title", {"x": 2}),
            Document("a", "text", "title", {"x": "1"}),
            Document("a", "text", "title", {"x": 1, "y": 1}),
            Document("a", "text", "title"),
        ],
    )
    def test_any_change_replaces(self, small_collection: MakeCollection, changed: Document) -> None:
        collection = small_collection()
        collection.add([Document("a", "text", "title", {"x": 1})])
        assert counts(collection.add([changed])) == {"replaced": 1, "passages": 1, "commits": 1}
        assert stored(collection, "a") == changed

    def test_adding_what_is_there_already_makes_no_generation(self, small_collection: MakeCollection) -> None:
        collection = small_collection()
        collection.add(documents("a", "b"))
        assert counts(collection.add(documents("a", "b"))) == {"unchanged": 2}
        assert generation(collection) == 1

    def test_of_two_records_with_one_id_the_last_counts_and_both_places_are_named(
        self, small_collection: MakeCollection
    ) -> None:
        collection = small_collection()
        report = collection.add([*documents("a"), *documents("b"), *documents("a", text="The last.")])
        assert counts(report) == {"added": 2, "duplicates": 1, "passages": 2, "commits": 1}
        assert report.problems == [
            Rejected("records:3", "id 'a' stands before at records:1; the last one counts")
        ]
        assert stored(collection, "a").text == "The last."

    def test_bad_records_are_counted_with_their_places_and_the_rest_is_indexed(
        self, small_collection: MakeCollection
    ) -> None:
        collection = small_collection()
        report = collection.add(
            [{"text": "no id"}, {"id": "a", "text": "A text."}, {"id": " ", "text": "x"}, 7]
        )
        assert counts(report) == {"added": 1, "rejected": 3, "passages": 1, "commits": 1}
        assert [problem.place for problem in report.problems] == ["records:1", "records:3", "records:4"]
        assert ids(collection) == ["a"]

    def test_problems_beyond_a_limit_are_only_counted(
        self, small_collection: MakeCollection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexer, "MAX_SHOWN", 2)
        report = small_collection().add([{"id": "a"}] * 5)
        assert (report.rejected, len(report.problems)) == (5, 2)

    def test_an_empty_source_changes_nothing(self, small_collection: MakeCollection) -> None:
        collection = small_collection()
        assert counts(collection.add([])) == {}
        assert generation(collection) == 0


@pytest.mark.usefixtures("commits_of_three")
class TestCommitting:
    def test_a_large_source_is_committed_in_parts(self, small_collection: MakeCollection) -> None:
        collection = small_collection()
        report = collection.add(documents(*"abcdefgh"))
        assert counts(report) == {"added": 8, "passages": 8, "commits": 3}
        assert generation(collection) == collection.info().segments == 3
        assert ids(collection) == list("abcdefgh")

    def test_the_last_of_equal_ids_counts_across_commits_too(self, small_collection: MakeCollection) -> None:
        collection = small_collection()
        report = collection.add([*documents(*"abcd"), *documents("a", text="The last."), *documents("b")])
        assert report.duplicates == 2
        assert ids(collection) == list("abcd")
        assert stored(collection, "a").text == "The last."
        assert collection.check() == []

    def test_what_was_committed_before_a_source_fails_is_kept(self, small_collection: MakeCollection) -> None:
        def read() -> Iterator[Document | Rejected]:
            yield from documents(*"abcd")
            raise DataError("a.jsonl.gz: damaged gzip file")

        collection = small_collection()
        with pytest.raises(DataError, match="damaged gzip"):
            collection.add(Source("a.jsonl.gz", None, read))
        assert ids(collection) == list("abc")
        assert counts(collection.add(documents(*"abcd"))) == {
            "added": 1, "unchanged": 3, "passages": 1, "commits": 1,
        }  # fmt: skip


class TestSizes:
    """How a source is divided into commits."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(indexer, "DOCUMENTS_A_COMMIT", 6)
        monkeypatch.setattr(indexer, "WHOLE_COMMIT", 4)
        monkeypatch.setattr(indexer, "CHARACTERS_A_COMMIT", 100)

    @pytest.mark.parametrize(
        ("lengths", "commits"),
        [
            ([1] * 4, 1),
            ([1000] * 4, 1),
            ([1] * 6, 1),
            ([1] * 7, 2),
            ([1] * 12, 2),
            ([1] * 13, 3),
            ([1, 1, 1, 95, 1, 1], 1),
            ([1, 1, 1, 96, 1, 1], 2),
            ([1, 1, 1, 1, 96, 1], 2),
            ([1000] * 9, 3),
            ([1000] * 3 + [1] * 3, 2),
            ([1] * 4 + [200] + [1] * 7, 3),
        ],
    )
    def test_a_few_documents_are_one_commit_and_more_are_divided(
        self, small_collection: MakeCollection, lengths: list[int], commits: int
    ) -> None:
        collection = small_collection()
        texts = [("a" * length).ljust(length) for length in lengths]
        report = collection.add([Document(str(number), text) for number, text in enumerate(texts)])
        assert (
            (report.added, report.commits)
            == (len(lengths), commits)
            == (len(lengths), generation(collection))
        )

    def test_the_real_limits_are_those_that_the_documentation_states(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.undo()
        assert (indexer.WHOLE_COMMIT, indexer.DOCUMENTS_A_COMMIT) == (1000, 5000)
        assert indexer.CHARACTERS_A_COMMIT == 32_000_000
        assert all(text in str(indexer.Indexer.add.__doc__) for text in ("1,000", "5,000", "32 million"))


class Refusing:
    """An encoder that must not be asked for vectors."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        assert name != "views", "the disk had no room for them"
        return getattr(self._encoder, name)


class TestRoom:
    @pytest.fixture
    def free(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Say how many bytes the disk has left."""
        return lambda count: monkeypatch.setattr(Directory, "free_bytes", lambda _: count)

    def test_what_the_disk_has_no_room_for_is_refused_before_anything_is_encoded(
        self, tmp_path: Path, store_settings: StoreSettings, encoder: Encoder, free: Callable[[int], None]
    ) -> None:
        collection = Collection(
            Store.create(tmp_path / "c", store_settings), cast("Encoder", Refusing(encoder)), None
        )
        free(10_000)
        with pytest.raises(
            CollectionStorageError, match=r"100 documents needs about 0\.1 MB, 0\.0 MB"
        ) as caught:
            collection.add(documents(*map(str, range(100))))
        assert caught.value.hint == "free some space; nothing was changed"
        assert generation(collection) == 0
        assert list((tmp_path / "c" / "segments").iterdir()) == []

    def test_the_first_commit_asks_for_all_that_is_to_come(
        self, small_collection: MakeCollection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexer, "DOCUMENTS_A_COMMIT", 10)
        collection = small_collection()
        asked: list[tuple[int, str]] = []
        monkeypatch.setattr(Writer, "need_bytes", lambda _, count, doing: asked.append((count, doing)))
        collection.add(documents(*map(str, range(100))))
        whole, *rest = asked
        assert whole[1] == "adding 100 documents"
        assert [doing for _, doing in rest if doing != "compacting"] == ["adding 10 documents"] * 9
        assert whole[0] == pytest.approx(10 * rest[0][0], rel=0.05)

    def test_what_is_there_already_needs_no_room(
        self, small_collection: MakeCollection, free: Callable[[int], None]
    ) -> None:
        collection = small_collection()
        collection.add(documents("a", "b"))
        free(0)
        assert collection.add(documents("a", "b")).unchanged == 2

    def test_what_is_asked_for_is_less_than_what_is_written(
        self, small_collection: MakeCollection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []
        monkeypatch.setattr(Writer, "need_bytes", lambda _, count, __: asked.append(count))
        collection = small_collection()
        collection.add([LONG, *documents("a", text="The quick brown fox jumps over the lazy dog. " * 50)])
        assert asked[0] < sum(collection.info().size_bytes.values()) < 4 * asked[0]


@pytest.mark.usefixtures("commits_of_three")
class TestStrict:
    @pytest.mark.parametrize(
        ("bad", "problem"),
        [
            ({"text": "no id"}, "records:5: no id"),
            ({"id": "a", "text": "again"}, "records:5: id 'a' stands before at records:1"),
        ],
    )
    def test_one_bad_record_fails_before_anything_is_committed(
        self, small_collection: MakeCollection, bad: dict[str, object], problem: str
    ) -> None:
        collection = small_collection()
        with pytest.raises(DataError, match="1 bad of 5 records; nothing was committed") as caught:
            collection.add([*documents(*"abcd"), bad], strict=True)
        assert problem in caught.value.message
        assert "--strict" in caught.value.hint
        assert generation(collection) == 0

    def test_many_problems_are_shown_in_part(self, small_collection: MakeCollection) -> None:
        with pytest.raises(DataError, match="1,500 bad of 1,500 records") as caught:
            small_collection().add([{"text": "x"}] * 1500, strict=True)
        assert caught.value.message.count("\n") == 11
        assert "and 1,490 more" in caught.value.message

    def test_good_records_are_added_even_from_a_stream(self, small_collection: MakeCollection) -> None:
        collection = small_collection()
        assert counts(collection.add((d for d in documents("a", "b")), strict=True)) == {
            "added": 2, "passages": 2, "commits": 1,
        }  # fmt: skip

    def test_known_ids_are_no_problem(self, small_collection: MakeCollection) -> None:
        collection = small_collection()
        collection.add(documents("a"))
        assert collection.add(documents("a", text="New."), strict=True).replaced == 1


RECORDS = st.lists(
    st.one_of(
        st.builds(Document, st.sampled_from("abcd"), st.sampled_from(["x", "y", "The cat. " * 150])),
        st.just({"text": "no id"}),
    ),
    max_size=10,
)


@settings(max_examples=10)
@given(records=RECORDS, size=st.integers(1, 4), at_once=st.integers(1, 5))
def test_progress_adds_up_to_the_number_of_records_and_the_last_of_an_id_wins(
    store_settings: StoreSettings,
    encoder: Encoder,
    tmp_path_factory: pytest.TempPathFactory,
    records: list[Any],
    size: int,
    at_once: int,
) -> None:
    done: list[int] = []
    store = Store.create(tmp_path_factory.mktemp("progress") / "c", store_settings)
    with pytest.MonkeyPatch.context() as patch, Collection(store, encoder, None) as collection:
        patch.setattr(indexer, "DOCUMENTS_A_COMMIT", size)
        patch.setattr(derived, "PASSAGES_AT_ONCE", at_once)
        collection.add(documents("a", text="x"))
        report = collection.add(records, progress=done.append)
        last = {"a": "x"} | {r.doc_id: r.text for r in records if isinstance(r, Document)}
        assert {doc_id: stored(collection, doc_id).text for doc_id in last} == last
        assert collection.check() == []
    assert sum(done) == len(records)
    assert all(count >= 0 for count in done)
    good = sum(isinstance(record, Document) for record in records)
    assert report.rejected == len(records) - good
    assert report.duplicates == good - len({r.doc_id for r in records if isinstance(r, Document)})


class TestIndexing:
    def test_stored_vectors_are_the_encoders_own(
        self, small_collection: MakeCollection, encoder: Encoder
    ) -> None:
        records = [LONG, *documents("a", text="A cat."), Document("b", "", "Only a title")]
        collection = small_collection()
        collection.add(records)
        texts = [passage_text(d, p) for d in records for p in split_passages(d, encoder.tokenizer)]
        views, about = encoder.views(texts), encoder.settings
        with collection._store.snapshot() as snapshot:
            (segment,) = snapshot.segments
            np.testing.assert_array_equal(segment.dense, views.dense.quantized(about.dense_scale).data)
            np.testing.assert_array_equal(segment.tokens, views.tokens.quantized(about.token_scale).data)
            np.testing.assert_array_equal(segment.token_offsets, views.tokens.offsets)

    @pytest.mark.parametrize("name", ["PASSAGES_AT_ONCE", "threads"])
    def test_how_the_work_is_cut_changes_no_byte(
        self, small_collection: MakeCollection, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        whole, cut = small_collection(name="whole"), small_collection(name="cut")
        records = [LONG, *documents("a", "b", text="A cat.")]
        whole.add(records, threads=1)
        if name == "threads":
            cut.add(records, threads=2)
        else:
            monkeypatch.setattr(derived, "PASSAGES_AT_ONCE", 2)
            cut.add(records)
        with whole._store.snapshot() as one, cut._store.snapshot() as other:
            assert one.segments[0].file.path.read_bytes() == other.segments[0].file.path.read_bytes()

    def test_a_collection_without_the_token_view_stores_none(self, small_collection: MakeCollection) -> None:
        collection = small_collection([{"id": "a", "text": "A cat."}], token_dimensions=0)
        assert collection.info().token_vectors == 0
        assert collection.check() == []
        assert len(collection.search("cat").ranking) == 1

    def test_words_of_the_title_are_indexed_with_the_text(self, small_collection: MakeCollection) -> None:
        collection = small_collection([{"id": "a", "title": "Gardening", "text": "A cat."}])
        assert len(collection.search("garden", pipeline="bm25").ranking) == 1

    @pytest.mark.parametrize("pipeline", ["bm25", "dense", "late", "hybrid", "hybrid+late"])
    def test_a_hit_in_a_long_document_names_the_passage_that_matched(
        self, small_collection: MakeCollection, encoder: Encoder, pipeline: str
    ) -> None:
        collection = small_collection()
        collection.add([LONG, *documents("a")])
        (hit, document), *_ = collection.search("unblock a stolen credit card", pipeline=pipeline)
        assert hit.doc_id == "long"
        assert hit.span is not None
        assert hit.span in split_passages(LONG, encoder.tokenizer)
        assert "stolen credit card" in document.text[hit.span.start : hit.span.end]


class Listening:
    """An encoder that remembers what of each text the model reads."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def views(self, texts: Sequence[str], **options: Any) -> Views:
        tokenizer = self._encoder.tokenizer
        room = tokenizer.max_tokens - tokenizer.overhead
        for text in texts:
            tokens = tokenizer.offsets(text)
            self.read.append(text if len(tokens) <= room else text[: tokens[room - 1][1]])
        return self._encoder.views(texts, **options)


def random_letters(length: int, alphabet: str) -> str:
    return "".join(random.Random(7).choices(alphabet, k=length))


WORDS = " ".join(f"Word{n} is here." for n in range(300))
HARD_TO_CUT = {
    "words": WORDS,
    "one word": "a" * 5000,
    "base64": random_letters(6000, string.ascii_letters + string.digits + "+/"),
    "path": "/".join(random_letters(30, string.ascii_lowercase) for _ in range(200)),
    "signs": "?!" * 1000,
    "chinese": random_letters(2000, "一二三四五六七八九十漢字文書銀行海外決済不能"),
    "korean": "해외에서 카드가 안돼요 은행에 전화하세요. " * 40,
    "korean, short": "해외에서 카드가 안돼요 은행에 전화하세요. " * 10,
    "jamo": "각 나 다 한국어 " * 25,
}


class TestReading:
    """Nothing that a document says is kept from the model, whatever its shape."""

    @pytest.fixture
    def collection(
        self, tmp_path: Path, store_settings: StoreSettings, encoder: Encoder
    ) -> Iterator[Collection]:
        self.listening = Listening(encoder)
        made = Collection(Store.create(tmp_path / "c", store_settings), cast("Encoder", self.listening), None)
        with made:
            yield made

    @pytest.mark.parametrize("title_words", [0, 1, 20, 60, 80, 120, 200, 250, 400])
    @pytest.mark.parametrize("text", [WORDS, "Word0 is here and Word1 is here"], ids=["long", "short"])
    def test_no_title_keeps_a_word_of_the_text_from_the_model(
        self, collection: Collection, text: str, title_words: int
    ) -> None:
        collection.add([Document("a", text, "card " * title_words)])
        read = set(" ".join(self.listening.read).split())
        assert [word for word in text.split() if word not in read] == []
        assert title_words == 0 or all(passage.startswith("card") for passage in self.listening.read)

    @pytest.mark.parametrize("text", HARD_TO_CUT.values(), ids=HARD_TO_CUT)
    @pytest.mark.parametrize("title", ["", "Title"], ids=["no title", "title"])
    def test_no_text_is_cut_by_the_model(self, collection: Collection, text: str, title: str) -> None:
        report = collection.add([Document("a", text, title)])
        assert report.truncated_tokens == 0
        assert collection.info().passages == len(self.listening.read)

    def test_only_what_is_lost_of_a_title_is_counted(self, collection: Collection, encoder: Encoder) -> None:
        report = collection.add([Document("a", "A short text", "card " * 300)])
        assert 300 + 3 + encoder.tokenizer.overhead - report.truncated_tokens <= 256
        assert report.truncated_tokens < 300


@pytest.mark.parametrize(
    "make", [list, iter, lambda records: open_source(records)], ids=["list", "iterator", "source"]
)
def test_documents_may_come_in_any_shape(
    small_collection: MakeCollection, make: Callable[[list[Document]], Any]
) -> None:
    assert small_collection().add(make(documents("a", "b"))).added == 2
