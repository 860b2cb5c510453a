from __future__ import annotations

from dataclasses import replace

import pytest

from shortlist.evaluation.checks import RULES, Checked, check_judgements, unjudged
from shortlist.evaluation.results import Finding
from shortlist.types import Document, Qrels, Ranking, Run
from tests.evaluation.questions import document, judge

DOCUMENTS = [
    document("d1", "Foreign use is blocked.", "Card declined"),
    document("d2", "It takes five days.", "Order a card"),
    document("d3", "We are open from nine to five."),
]
SOUND = judge({"q1": "card abroad", "q2": "new card"}, {"q1": {"d1": 1}, "q2": {"d2": 2, "d1": 0}})


def found(
    documents: list[Document], queries: dict[str, str], relevance: dict[str, dict[str, int]]
) -> Checked:
    return check_judgements(documents, judge(queries, relevance))


def by_rule(checked: Checked) -> dict[str, Finding]:
    findings = checked.judged.findings
    assert len({finding.rule for finding in findings}) == len(findings)
    assert {finding.rule for finding in findings} <= set(RULES)
    assert all(finding.count >= 1 for finding in findings)
    return {finding.rule: finding for finding in findings}


def test_rules_that_find_nothing_are_silent_and_change_nothing() -> None:
    checked = check_judgements(DOCUMENTS, SOUND)
    assert checked.judged == SOUND
    assert checked.self_hits == {}
    assert checked.most_self_hits == 0


def test_findings_of_the_reading_are_kept() -> None:
    before = Finding("bad-queries", 2, "left out")
    checked = check_judgements(DOCUMENTS, replace(SOUND, findings=(before,)))
    assert checked.judged.findings == (before,)


class TestDuplicateDocuments:
    def test_are_those_of_the_same_words_case_and_whitespace_aside(self) -> None:
        documents = [
            *DOCUMENTS,
            document("d4", "we are OPEN from\n\n nine to five."),
            document("d5", " We are open from nine to five."),
        ]
        finding = by_rule(check_judgements(documents, SOUND))["duplicate-documents"]
        assert finding.count == 2
        assert finding.examples == ("d3=d4",)

    def test_are_not_those_of_other_words_or_other_titles(self) -> None:
        documents = [
            *DOCUMENTS,
            document("d4", "We are open from nine to six."),
            document("d5", "Foreign use is blocked.", "Card refused"),
        ]
        assert by_rule(check_judgements(documents, SOUND)) == {}

    def test_stay_in_rankings_and_judgements(self) -> None:
        checked = check_judgements([*DOCUMENTS, replace(DOCUMENTS[0], doc_id="d9")], SOUND)
        assert checked.judged.qrels == SOUND.qrels
        assert checked.self_hits == {}


class TestDuplicateQueries:
    def test_are_counted_and_stay(self) -> None:
        checked = found(
            DOCUMENTS,
            {"q1": "new card", "q2": "other", "q3": "New  card", "q4": "new card "},
            {f"q{n}": {"d2": 1} for n in range(1, 5)},
        )
        assert by_rule(checked)["duplicate-queries"].count == 2
        assert by_rule(checked)["duplicate-queries"].examples == ("q1=q3",)
        assert len(checked.judged.queries) == 4


class TestAbsentDocuments:
    def test_are_those_judged_relevant_that_the_corpus_lacks(self) -> None:
        checked = found(
            DOCUMENTS,
            {"q1": "a", "q2": "b"},
            {"q1": {"d1": 1, "gone": 2, "lost": 1}, "q2": {"d2": 1, "gone": 1}},
        )
        assert set(by_rule(checked)) == {"absent-documents"}
        assert by_rule(checked)["absent-documents"].count == 3
        assert by_rule(checked)["absent-documents"].examples == ("gone", "lost", "gone")

    def test_still_count_as_missed(self) -> None:
        checked = found(DOCUMENTS, {"q1": "a"}, {"q1": {"d1": 1, "gone": 2}})
        assert checked.judged.qrels.relevance["q1"] == {"d1": 1, "gone": 2}

    def test_that_are_judged_not_relevant_are_nobodys_concern(self) -> None:
        assert by_rule(found(DOCUMENTS, {"q1": "a"}, {"q1": {"d1": 1, "gone": 0, "lost": -1}})) == {}

    def test_make_a_query_hopeless_only_if_they_are_all_it_has(self) -> None:
        queries = {"q1": "a", "q2": "b"}
        checked = found(DOCUMENTS, queries, {"q1": {"gone": 1, "d1": 0}, "q2": {"gone": 1, "d2": 1}})
        assert by_rule(checked)["nothing-left"].count == 1
        assert by_rule(checked)["nothing-left"].examples == ("q1",)
        assert "nothing-relevant" not in by_rule(checked)


class TestNothingRelevant:
    def test_are_queries_whose_grades_are_all_0_or_below_and_they_stay(self) -> None:
        checked = found(
            DOCUMENTS, {"q1": "a", "q2": "b", "q3": "c"}, {"q1": {"d1": 0}, "q2": {"d1": -1}, "q3": {"d1": 1}}
        )
        assert set(by_rule(checked)) == {"nothing-relevant"}
        assert by_rule(checked)["nothing-relevant"].examples == ("q1", "q2")
        assert len(checked.judged.queries) == 3

    def test_are_also_queries_whose_only_relevant_document_is_the_query_itself(self) -> None:
        checked = found(DOCUMENTS, {"d3": "We are open from nine to five."}, {"d3": {"d3": 1}})
        assert set(by_rule(checked)) == {"self-hits", "nothing-relevant"}
        assert checked.judged.qrels.relevance == {"d3": {}}


class TestSelfHits:
    @pytest.mark.parametrize(
        "text",
        [
            "We are open from nine to five.",
            "  WE are\topen from nine\nto five. ",
        ],
    )
    @pytest.mark.parametrize("query_id", ["d3", "another"])
    def test_are_documents_with_the_words_of_the_query(self, text: str, query_id: str) -> None:
        checked = found(DOCUMENTS, {query_id: text}, {query_id: {"d1": 1}})
        assert checked.self_hits == {query_id: frozenset({"d3"})}
        assert by_rule(checked)["self-hits"].examples == (query_id,)

    @pytest.mark.parametrize("text", ["Card declined Foreign use is blocked.", "Foreign use is blocked."])
    def test_may_have_a_title_that_the_query_repeats_or_not(self, text: str) -> None:
        assert found(DOCUMENTS, {"q": text}, {"q": {"d2": 1}}).self_hits == {"q": frozenset({"d1"})}

    def test_are_not_documents_that_only_have_the_querys_id(self) -> None:
        checked = found(
            DOCUMENTS, {"d1": "card abroad", "d3": "opening hours"}, {"d1": {"d1": 1}, "d3": {"d3": 1}}
        )
        assert checked.self_hits == {}
        assert by_rule(checked) == {}
        assert checked.judged.qrels.relevance == {"d1": {"d1": 1}, "d3": {"d3": 1}}

    def test_are_not_documents_whose_title_alone_is_the_query(self) -> None:
        assert found(DOCUMENTS, {"q": "Order a card"}, {"q": {"d1": 1}}).self_hits == {}

    def test_are_not_answers_that_repeat_the_question(self) -> None:
        checked = found(DOCUMENTS, {"q": DOCUMENTS[2].text}, {"q": {"d3": 1}})
        assert checked.self_hits == {}
        assert checked.judged.qrels.relevance == {"q": {"d3": 1}}

    def test_lose_their_judgement_if_they_have_the_querys_id_or_are_judged_not_relevant(self) -> None:
        text = DOCUMENTS[2].text
        checked = found(
            DOCUMENTS, {"d3": text, "q": text}, {"d3": {"d3": 2, "d1": 1}, "q": {"d3": 0, "d2": 1}}
        )
        assert checked.self_hits == {"d3": frozenset({"d3"}), "q": frozenset({"d3"})}
        assert checked.judged.qrels.relevance == {"d3": {"d1": 1}, "q": {"d2": 1}}

    def test_leave_the_rankings_of_their_query_alone_and_k_hits_remain(self) -> None:
        text = DOCUMENTS[2].text
        documents = [*DOCUMENTS, document("d4", text)]
        checked = found(documents, {"q": text, "p": "card"}, {"q": {"d1": 1}, "p": {"d1": 1}})
        assert checked.most_self_hits == 2
        ranking = Ranking.of((doc_id, -float(place)) for place, doc_id in enumerate(["d4", "d1", "d3", "d2"]))
        kept = checked.without_self_hits(Run({"q": ranking, "p": ranking}, "bm25"), 2)
        assert kept.name == "bm25"
        assert [(hit.rank, hit.doc_id) for hit in kept.rankings["q"]] == [(1, "d1"), (2, "d2")]
        assert kept.rankings["p"].hits == ranking.hits[:2]


def judgements(*counts: int) -> Qrels:
    return Qrels({f"q{n}": {f"d{i}": i % 2 for i in range(count)} for n, count in enumerate(counts)})


class TestUnjudged:
    def test_is_silent_where_half_of_what_is_attainable_is_judged(self) -> None:
        assert unjudged({"bm25": 0.5, "dense": 0.9}, judgements(10, 30)) is None
        assert unjudged({"bm25": 0.05, "dense": 0.1}, judgements(1, 1, 1)) is None
        assert unjudged({"bm25": 0.19, "dense": 0.3}, judgements(1, 5)) is None
        assert unjudged({}, judgements(10)) is None

    def test_names_the_pipelines_of_which_little_is_judged_and_how_little(self) -> None:
        finding = unjudged({"bm25": 0.31, "dense": 0.054, "late": 0.15}, judgements(3, 20, 2))
        assert finding is not None
        assert finding.count == 2
        assert finding.examples == ("dense 5%", "late 15%")
        assert finding.message.startswith(
            "pipelines of whose first ten hits less than 25% is judged, where 50% could be"
        )

    def test_takes_one_judgement_a_query_to_be_there_if_nobody_says_how_many(self) -> None:
        assert unjudged({"bm25": 0.05, "dense": 0.1}) is None
        finding = unjudged({"bm25": 0.04, "dense": 0.1}, Qrels({}))
        assert finding == unjudged({"bm25": 0.04, "dense": 0.1})
        assert finding is not None
        assert finding.examples == ("bm25 4%",)
