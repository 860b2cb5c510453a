"""Which commands there are, and what they take. Nothing heavy is imported here: help answers at once."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import TypeAlias

from shortlist import __version__
from shortlist.errors import ShortlistError
from shortlist.memory import as_bytes

__all__ = ["build_parser"]

_PIPELINE_HELP = (
    "bm25, tfidf, dense, poly, late, cross, hybrid, hybrid+poly, hybrid+late, hybrid+cross, cascade, or one of your "
    "own such as 'rerank(fuse(bm25, dense), maxsim, depth=100)' (default: what `info` says, cascade for most)"
)
_PIPELINES_HELP = (
    "short names or pipelines of your own, each in quotes (default: all that the model can run, but cross)"
)
_FILTER_HELP = """metadata filter, as in 'lang = "en" and (year >= 2020 or tag in (news, faq))'"""
_SOURCE_HELP = (
    "a BEIR folder, a folder of .md and .txt files, a .jsonl, .csv or .tsv file (or .gz), or one text file"
)
_MODEL_HELP = "a model folder (default: the one that comes along)"
_MEMORY_HELP = "index, search and join segments in about so much memory: 500MB, 4GB (default: no limit)"
_MINING_MEMORY_HELP = "index and search the passages in about so much memory: 4GB (default: no limit)"
_TRAINING_MEMORY_HELP = "keep to so much memory, or refuse and say how much it takes: 4GB (default: no limit)"
_LABELLED_HELP = (
    "a .jsonl, .csv or .tsv file (or .gz) whose records have a `text`, a label and maybe a `split`"
)
_MOVED_HELP = "where the collection's model is now, if it moved"


class _Parser(argparse.ArgumentParser):
    """Keep the command line beside what was read from it, as ``typed``: a report shows how it was made."""

    def parse_args(  # type: ignore[override]  # typeshed overloads it by the namespace's type
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        found = super().parse_args(args, namespace)
        found.typed = shlex.join([self.prog, *(sys.argv[1:] if args is None else args)])
        return found


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser: argparse.ArgumentParser = _Parser(
        prog="shortlist",
        description="Search your own text by meaning.",
        epilog="exit codes: 0 done, 1 failed, 2 wrong usage, 3 something checked is damaged, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"shortlist {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _writing_commands(commands)
    _reading_commands(commands)
    _measuring_commands(commands)
    _similarity_commands(commands)
    _care_commands(commands)
    _classification_commands(commands)
    _training_commands(commands)
    _models_commands(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(
    commands: Commands, name: str, text: str, *, part_of_another: bool = False
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    # A part leaves alone what was said before its name: `classify --json predict` is `classify predict --json`.
    default = argparse.SUPPRESS if part_of_another else False
    parser.add_argument("--json", action="store_true", default=default, help="print JSON")
    parser.add_argument("--debug", action="store_true", default=default, help="show a traceback on errors")
    return parser


def _writing_commands(commands: Commands) -> None:
    index = _command(commands, "index", "create a collection and add documents to it")
    add = _command(commands, "add", "add documents to a collection, or update those with known ids")
    for parser in (index, add):
        parser.add_argument("collection", metavar="COLLECTION", help="the collection's folder")
        parser.add_argument("sources", metavar="SOURCE", nargs="+", help=_SOURCE_HELP)
        parser.add_argument(
            "--strict", action="store_true", help="fail before anything is committed if a record is bad"
        )
        parser.add_argument(
            "--threads", type=_positive, metavar="N", help="for encoding (default: all cores)"
        )
        parser.add_argument("--memory", type=_memory, metavar="SIZE", help=_MEMORY_HELP)
    index.add_argument("--model", metavar="FOLDER", help=_MODEL_HELP)
    add.add_argument("--model", metavar="FOLDER", help=_MOVED_HELP)
    index.add_argument(
        "--mode", choices=("fast", "exact"), default="fast", help="int8 or float32 arithmetic (default: fast)"
    )
    index.add_argument(
        "--language", default="english", metavar="NAME", help="of the stemmer (default: english)"
    )
    index.add_argument(
        "--no-tokens", action="store_true", help="leave token vectors out: smaller, no late interaction"
    )
    index.add_argument(
        "--pool-tokens", type=int, choices=range(1, 5), default=1, metavar="N",
        help="join N token vectors that say nearly the same into one, 1 to 4 (default: 1, all of them)",
    )  # fmt: skip
    index.add_argument(
        "--token-bits", type=int, choices=(8, 4, 2), default=8, metavar="BITS",
        help="of each component of a token vector: 8, 4 for half the space, 2 for a quarter (default: 8)",
    )  # fmt: skip
    index.add_argument(
        "--hnsw", action="store_true",
        help="make a graph of the vectors of large segments, for --recall in collections of millions",
    )  # fmt: skip

    delete = _command(commands, "delete", "delete documents by id, or all that a filter finds")
    delete.add_argument("collection", metavar="COLLECTION", help="the collection's folder")
    delete.add_argument("ids", metavar="ID", nargs="*", help="the ids to delete")
    delete.add_argument("--filter", metavar="FILTER", help=_FILTER_HELP)
    delete.add_argument("--yes", action="store_true", help="don't ask on a terminal")


def _reading_commands(commands: Commands) -> None:
    search = _command(commands, "search", "find the documents that answer a query")
    search.add_argument("collection", metavar="COLLECTION", help="the collection's folder")
    search.add_argument("query", metavar="QUERY", help="the question, in quotes")
    search.add_argument("-k", type=_positive, default=10, metavar="N", help="how many (default: 10)")

    run = _command(commands, "run", "search for many queries and write a TREC run")
    run.add_argument("collection", metavar="COLLECTION", help="the collection's folder")
    run.add_argument("queries", metavar="QUERIES", help="a BEIR queries.jsonl, or id<TAB>text lines")
    run.add_argument("-o", "--output", metavar="FILE", required=True, help="the run to write ('-': stdout)")
    run.add_argument("-k", type=_positive, default=100, metavar="N", help="documents a query (default: 100)")
    run.add_argument("--threads", type=_positive, metavar="N", help="for encoding (default: all cores)")
    for parser in (search, run):
        parser.add_argument("--pipeline", metavar="PIPELINE", help=_PIPELINE_HELP)
        parser.add_argument("--filter", metavar="FILTER", help=_FILTER_HELP)
        parser.add_argument(
            "--recall", type=_probability, metavar="SHARE",
            help="of a large collection's nearest vectors find about this share, faster (0.98, say; default: all)",
        )  # fmt: skip
        parser.add_argument("--memory", type=_memory, metavar="SIZE", help=_MEMORY_HELP)
        parser.add_argument("--model", metavar="FOLDER", help=_MOVED_HELP)

    encode = _command(commands, "encode", "turn texts into vectors")
    encode.add_argument("sources", metavar="SOURCE", nargs="*", help=_SOURCE_HELP)
    encode.add_argument("--text", action="append", default=[], metavar="TEXT", help="a text; may be repeated")
    encode.add_argument(
        "-o", "--output", metavar="FILE", help=".npy or .jsonl (default: JSON lines on stdout)"
    )
    encode.add_argument(
        "--prompt",
        choices=("query", "document"),
        default="document",
        help="which prefix the model adds, if it has any",
    )
    encode.add_argument("--model", metavar="FOLDER", help=_MODEL_HELP)
    encode.add_argument(
        "--mode", choices=("fast", "exact"), default="fast", help="int8 or float32 arithmetic (default: fast)"
    )
    encode.add_argument("--threads", type=_positive, metavar="N", help="default: all cores")


def _measuring_commands(commands: Commands) -> None:
    evaluate = _command(commands, "evaluate", "measure a TREC run against judgements")
    evaluate.add_argument("run", metavar="RUN", help="a run in TREC's six columns (or .gz)")
    evaluate.add_argument("qrels", metavar="QRELS", help="judgements in TREC's four columns or BEIR's three")
    evaluate.add_argument(
        "--against", metavar="RUN", action="append", default=[],
        help="another run of the same queries to test the first one against; may be repeated",
    )  # fmt: skip
    evaluate.add_argument("--per-query", metavar="FILE", help="write every query's values as CSV")

    compare = _command(commands, "compare", "compare pipelines on judged queries: quality, latency, size")
    tune = _command(
        commands, "tune", "tune a pipeline's weights and depths on judged queries, cross-validated"
    )
    advise = _command(commands, "advise", "recommend a pipeline for given limits, by measurement")
    for parser in (compare, tune, advise):
        parser.add_argument("source", metavar="SOURCE", help=f"a collection, or {_SOURCE_HELP}")
        parser.add_argument("--queries", metavar="FILE", help="the queries, if they aren't in the folder")
        parser.add_argument("--qrels", metavar="FILE", help="the judgements, if they aren't in the folder")
        parser.add_argument(
            "--split",
            metavar="NAME",
            help="which judgements of the folder (default: the first of test, heldout, dev, validation, train)",
        )
        parser.add_argument("--model", metavar="FOLDER", help=_MODEL_HELP)
        parser.add_argument(
            "--mode",
            choices=("fast", "exact"),
            help="int8 or float32 arithmetic, of what is indexed now (default: fast); a collection has its own",
        )
        parser.add_argument(
            "--threads",
            type=_positive,
            metavar="N",
            help="for encoding (default: all cores); searches use one",
        )
    for parser in (compare, tune):
        parser.add_argument(
            "--keep", metavar="COLLECTION", help="index SOURCE into this collection, or use it again"
        )
        parser.add_argument(
            "--limit", type=_positive, metavar="N", help="use N judged queries, drawn at random"
        )
    for parser, default in (
        (evaluate, "nDCG@10, MRR@10, Recall@100 and AP"),
        (compare, "nDCG@10, MRR@10 and Recall@100"),
    ):
        parser.add_argument(
            "--measures", metavar="MEASURE", nargs="+",
            help=f"such as P@5, P(rel=2)@5, Success@1, Judged@10, nDCG@20 (default: {default})",
        )  # fmt: skip
    for parser in (tune, advise):
        parser.add_argument("--measure", metavar="MEASURE", default="nDCG@10", help="default: nDCG@10")
    for parser in (compare, advise):
        parser.add_argument("--pipelines", metavar="PIPELINE", nargs="+", help=_PIPELINES_HELP)
    for parser in (evaluate, compare, tune, advise):
        parser.add_argument(
            "--seed", type=_seed, default=0, metavar="N", help="of all that is random (default: 0)"
        )
    compare.add_argument(
        "--baseline",
        metavar="PIPELINE",
        help="what the others are tested against (default: bm25, or the first of yours)",
    )
    compare.add_argument("--timed-queries", type=_positive, default=100, metavar="N",
                         help="searches timed a pipeline (default: 100)")  # fmt: skip
    compare.add_argument(
        "-o", "--output", metavar="FILE", action="append", default=[],
        help="a report.html, .json, .csv or .tex to write; may be repeated",
    )  # fmt: skip
    compare.add_argument("--per-query", metavar="FILE", help="write every query's values as CSV")
    tune.add_argument(
        "--pipeline", metavar="PIPELINE", default="hybrid+late", help="what to tune (default: hybrid+late)"
    )
    advise.add_argument(
        "--latency-ms",
        type=_limit,
        metavar="MS",
        help="at most this for 95 of 100 searches, encoding included",
    )
    advise.add_argument("--bytes-per-document", type=_limit, metavar="N", help="at most this on disk")
    advise.add_argument(
        "--documents",
        type=_positive,
        metavar="N",
        help="how many there will be (default: as many as there are)",
    )
    advise.add_argument(
        "--sample", type=_positive, default=5000, metavar="N",
        help="documents to measure on; of more, latency is extrapolated (default: 5000)",
    )  # fmt: skip


def _similarity_commands(commands: Commands) -> None:
    similarity = _command(
        commands, "similarity", "score how alike pairs of texts are, and hold it to what people said"
    )
    similarity.add_argument(
        "file", metavar="FILE", nargs="?",
        help="pairs: .jsonl, .tsv or .csv (or .gz) with sentence1, sentence2 and score or label, or the STS benchmark",
    )  # fmt: skip
    similarity.add_argument(
        "--pair", nargs=2, action="append", default=[], metavar=("TEXT", "TEXT"),
        help="two texts instead of a file; may be repeated",
    )  # fmt: skip
    similarity.add_argument("--split", metavar="NAME", help="only the file's pairs of this split")
    similarity.add_argument(
        "--by", choices=("dense", "late", "cross"), default="dense",
        help="one vector a text, MaxSim of the first text's tokens among the second's, or a cross-encoder, which reads"
        " both together (default: dense)",
    )  # fmt: skip
    similarity.add_argument("-o", "--output", metavar="FILE", help="JSON lines with the scores ('-': stdout)")
    similarity.add_argument("--strict", action="store_true", help="fail if a record is bad")
    similarity.add_argument(
        "--prompt", choices=("query", "document"), default="document",
        help="which prefix the model adds to both texts, if it has any (default: document)",
    )  # fmt: skip
    similarity.add_argument("--model", metavar="FOLDER", help=_MODEL_HELP)
    similarity.add_argument(
        "--mode", choices=("fast", "exact"), default="fast", help="int8 or float32 arithmetic (default: fast)"
    )
    similarity.add_argument("--threads", type=_positive, metavar="N", help="default: all cores")

    duplicates = _command(commands, "duplicates", "find documents of a collection that say nearly the same")
    duplicates.add_argument("collection", metavar="COLLECTION", help="the collection's folder")
    duplicates.add_argument(
        "--threshold", type=_cosine, default=0.9, metavar="COSINE",
        help="the least cosine of two documents' nearest passages, -1 to 1 (default: 0.9)",
    )  # fmt: skip
    duplicates.add_argument(
        "--top-k", type=_positive, metavar="N",
        help="only pairs of which one document is among the N nearest of the other",
    )  # fmt: skip
    duplicates.add_argument(
        "--limit", type=_positive, default=1000, metavar="N",
        help="how many pairs or clusters to give, best first (default: 1000)",
    )  # fmt: skip
    duplicates.add_argument("--clusters", action="store_true", help="give groups of documents, not pairs")
    duplicates.add_argument("--filter", metavar="FILTER", help=_FILTER_HELP)
    duplicates.add_argument("-o", "--output", metavar="FILE", help="write JSON lines ('-': stdout)")


def _care_commands(commands: Commands) -> None:
    made = {
        name: _command(commands, name, text)
        for name, text in (
            ("info", "say what is in a collection"),
            ("check", "say whether a collection's files are those that were written"),
            ("compact", "join segments and remove what deleted documents left"),
            ("repair", "make damaged postings and vectors again from the documents"),
            ("upgrade", "bring a collection of an older format to this one"),
        )
    }
    for parser in made.values():
        parser.add_argument("collection", metavar="COLLECTION", help="the collection's folder")
    made["compact"].add_argument("--memory", type=_memory, metavar="SIZE", help=_MEMORY_HELP)
    made["check"].add_argument("--deep", action="store_true", help="read every byte")
    made["repair"].add_argument(
        "--drop", action="store_true", help="go on without the documents that can't be read"
    )
    for name in ("repair", "upgrade"):
        made[name].add_argument("--model", metavar="FOLDER", help=_MOVED_HELP)
        made[name].add_argument(
            "--threads", type=_positive, metavar="N", help="for encoding (default: all cores)"
        )
    doctor = _command(
        commands, "doctor", "describe software, machine and collections, and what is wrong, for a bug report"
    )
    doctor.add_argument("collections", metavar="COLLECTION", nargs="*", help="a collection's folder")
    doctor.add_argument("--deep", action="store_true", help="read every byte of the collections")


def _classification_commands(commands: Commands) -> None:
    classify = _command(commands, "classify", "tell the labels of single texts: intents, topics")
    parts = classify.add_subparsers(
        dest="part", required=True, metavar="PART", help="train, predict or evaluate"
    )
    train = _command(parts, "train", "train a head on texts with labels", part_of_another=True)
    train.add_argument("file", metavar="FILE", help=_LABELLED_HELP)
    train.add_argument("-o", "--output", metavar="HEAD", required=True, help="the folder to write")
    train.add_argument("--split", metavar="NAME", help="of the file's splits, the one to train on")
    train.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of the cross-validation (default: 0)"
    )
    train.add_argument("--model", metavar="FOLDER", help=_MODEL_HELP)
    train.add_argument(
        "--mode", choices=("fast", "exact"), default="fast", help="int8 or float32 arithmetic (default: fast)"
    )

    predict = _command(parts, "predict", "give texts their labels", part_of_another=True)
    predict.add_argument("head", metavar="HEAD", help="the head's folder")
    predict.add_argument("texts", metavar="TEXT", nargs="*", help="a text, in quotes")
    predict.add_argument(
        "--file",
        metavar="FILE",
        help="texts: .jsonl, .csv or .tsv with a `text` column, or a .txt, one a line",
    )
    predict.add_argument("-k", type=_positive, default=1, metavar="N", help="how many labels (default: 1)")
    predict.add_argument("-o", "--output", metavar="FILE", help="write JSON lines there, a text each")

    evaluate = _command(parts, "evaluate", "compare a head's answers with known labels", part_of_another=True)
    evaluate.add_argument("head", metavar="HEAD", help="the head's folder")
    evaluate.add_argument("file", metavar="FILE", help=_LABELLED_HELP)
    evaluate.add_argument("--split", metavar="NAME", help="of the file's splits, the one to test on")
    evaluate.add_argument(
        "--baseline", metavar="FILE", help="compare with words alone, trained on these texts (takes minutes)"
    )
    evaluate.add_argument(
        "--baseline-split", metavar="NAME", help="of that file's splits, the one to train on"
    )
    evaluate.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the resampling (default: 0)")
    for parser in (train, evaluate):
        parser.add_argument(
            "--label",
            metavar="COLUMN",
            help="where the label stands (default: the first of label, intent, topic)",
        )
    for parser in (predict, evaluate):
        parser.add_argument(
            "--threshold", type=_probability, default=0.0, metavar="P",
            help="below this probability the answer is none of the labels",
        )  # fmt: skip
        parser.add_argument(
            "--model", metavar="FOLDER", help="the head's model, if it isn't the one that comes along"
        )
    for parser in (train, predict, evaluate):
        parser.add_argument(
            "--strict", action="store_true", help="fail before anything is encoded if a record is bad"
        )
        parser.add_argument("--threads", type=_positive, metavar="N", help="default: all cores")


def _training_commands(commands: Commands) -> None:
    train = _command(commands, "train", "train models on your own data")
    parts = train.add_subparsers(
        dest="part",
        required=True,
        metavar="PART",
        help="negatives, distill, or what to train: bi-encoder, cross-encoder, late-interaction, poly-encoder",
    )
    negatives = _command(
        parts, "negatives", "find passages that look like answers and are none", part_of_another=True
    )
    negatives.add_argument(
        "files", metavar="FILE", nargs="+", help="JSON lines with a `query` and a `passage` that answers it"
    )
    negatives.add_argument("-o", "--output", metavar="FILE", required=True, help="the JSON lines to write")
    negatives.add_argument(
        "--pipelines", metavar="PIPELINE", nargs="+", default=["hybrid+late"],
        help="where negatives come from; the first one gives the scores (default: hybrid+late)",
    )  # fmt: skip
    negatives.add_argument(
        "--ranks", type=_ranks, default=(1, 30), metavar="FIRST:LAST",
        help="of each pipeline, answers left out (default: 1:30)",
    )  # fmt: skip
    negatives.add_argument("--count", type=_positive, default=4, metavar="N", help="a query (default: 4)")
    negatives.add_argument(
        "--margin", type=_probability, metavar="SHARE",
        help="leave out what scores above 1 - SHARE of the answer's score, as a likely answer",
    )  # fmt: skip
    negatives.add_argument(
        "--depth", type=_positive, default=50, metavar="N",
        help="a query whose answer isn't among so many is left out (default: 50)",
    )  # fmt: skip
    negatives.add_argument(
        "--max-tokens", type=_positive, default=192, metavar="N",
        help="longer passages are cut into windows (default: 192)",
    )  # fmt: skip
    negatives.add_argument("--model", metavar="FOLDER", help=_MODEL_HELP)
    negatives.add_argument(
        "--judge", metavar="FOLDER", help="leave out what this cross-encoder takes for an answer too"
    )
    negatives.add_argument(
        "--judge-margin", type=_number, default=0.0, metavar="LOGIT",
        help="how far below the answer's score a negative's must be (default: 0.0)",
    )  # fmt: skip
    negatives.add_argument("--keep", metavar="FOLDER", help="keep the passages' collection, or use it again")
    negatives.add_argument("--memory", type=_memory, metavar="SIZE", help=_MINING_MEMORY_HELP)
    judge = _command(parts, "cross-encoder", "train a cross-encoder by a recipe", part_of_another=True)
    bi = _command(parts, "bi-encoder", "train an encoder of one vector a text", part_of_another=True)
    late = _command(
        parts,
        "late-interaction",
        "train token vectors on an encoder that stays as it is",
        part_of_another=True,
    )
    poly = _command(
        parts,
        "poly-encoder",
        "train a poly-encoder's codes on an encoder that stays as it is",
        part_of_another=True,
    )
    distill = _command(
        parts, "distill", "let a cross-encoder score examples, for others to learn from", part_of_another=True
    )
    distill.add_argument("files", metavar="FILE", nargs="+", help="JSON lines of examples with negatives")
    distill.add_argument("-o", "--output", metavar="FILE", required=True, help="the JSON lines to write")
    distill.add_argument(
        "--teacher", metavar="FOLDER", default="judge",
        help="a cross-encoder's model folder, or judge or judge-small (default: judge)",
    )  # fmt: skip
    distill.add_argument(
        "--beside", type=_number, default=0.0, metavar="WEIGHT",
        help="add so many times the score that a passage has: what the teacher learned beside (default: 0.0)",
    )  # fmt: skip
    distill.add_argument(
        "--count",
        type=_positive,
        metavar="N",
        help="negatives of each that are drawn and scored (default: all of them)",
    )
    distill.add_argument(
        "--cache", metavar="FILE", help="keep scores in this file: a run that was killed goes on from there"
    )
    for parser in (judge, bi, late, poly):
        parser.add_argument("recipe", metavar="RECIPE", help="a TOML file (docs/training.md)")
        parser.add_argument(
            "-o", "--output", metavar="FOLDER", required=True, help="the model folder to write"
        )
        parser.add_argument(
            "--base", metavar="FOLDER", help="the transformer to start from (default: the recipe's)"
        )
        parser.add_argument("--memory", type=_memory, metavar="SIZE", help=_TRAINING_MEMORY_HELP)
    for parser in (bi, late, poly):
        parser.add_argument("--cache", metavar="FOLDER", help="keep what frozen layers give, or use it again")
    for parser in (late, poly):
        parser.add_argument(
            "--beside", metavar="FOLDER",
            help="a model folder with the same transformer whose other heads are taken over",
        )  # fmt: skip
    for parser in (negatives, distill):
        parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the drawing (default: 0)")
    for parser in (negatives, distill, judge, bi, late, poly):
        parser.add_argument("--threads", type=_positive, metavar="N", help="default: all cores")


def _models_commands(commands: Commands) -> None:
    models = _command(commands, "models", "list, check, describe and convert models")
    parts = models.add_subparsers(
        dest="part", required=True, metavar="PART", help="list, verify, card or convert"
    )
    listed = _command(parts, "list", "list the models that come along, and others", part_of_another=True)
    listed.add_argument("folders", metavar="FOLDER", nargs="*", help="model folders to list besides")
    verified = _command(
        parts, "verify", "check that models are whole and run in every mode", part_of_another=True
    )
    verified.add_argument(
        "models", metavar="MODEL", nargs="*", help="model folders or names (default: those that come along)"
    )
    carded = _command(
        parts, "card", "print what a model is, from what, and under which licence", part_of_another=True
    )
    converted = _command(
        parts, "convert", "make a model folder of another project's checkpoint", part_of_another=True
    )
    converted.add_argument(
        "source", metavar="SOURCE",
        help="a folder that sentence-transformers, PyLate or ColBERT saved, or hub:NAME to download one",
    )  # fmt: skip
    converted.add_argument(
        "-o", "--output", metavar="FOLDER", required=True, help="the model folder to write"
    )
    converted.add_argument(
        "--weights", choices=("int8", "float32"), default="int8",
        help="int8 runs in both modes, float32 in exact only (default: int8)",
    )  # fmt: skip
    converted.add_argument("--name", metavar="NAME", help="what the model is called (default: as its source)")
    converted.add_argument("--license", metavar="NAME", help="its licence, for its card")
    carded.add_argument("model", metavar="MODEL", help="a model folder, or the name of one that comes along")


def _ranks(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"must be two ranks such as 1:30, not {text!r}")
    return _positive(first), _positive(last)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise argparse.ArgumentTypeError(f"must be a whole number of up to 12 digits, not {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None


def _probability(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, not {text}")
    return value


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _memory(text: str) -> int | None:
    try:
        return as_bytes(text)
    except ShortlistError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _limit(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def _cosine(text: str) -> float:
    value = _number(text)
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a cosine from -1 to 1, not {text}")
    return value
