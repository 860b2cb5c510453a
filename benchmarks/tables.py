"""Make the tables of README.md, docs/benchmarks.md and the models' cards from the files in results/.

    python benchmarks/tables.py [--check]

With ``--check`` it only says whether they are up to date, and fails if they are not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from growth_plot import growth_plot

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
README, DETAILS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "plots"
MODELS = ROOT / "src" / "shortlist" / "models"
START, END = "<!-- tables -->", "<!-- /tables -->"
TAUGHT = "with the judge's scores"
SETS = {
    "squad_dev": "SQuAD heldout",
    "tldr": "tldr",
    "medquad": "MedQuAD",
    "fairytaleqa": "FairytaleQA",
    "nfcorpus": "NFCorpus",
    "cranfield": "Cranfield",
    "cisi": "CISI",
    "med": "MED",
}
MACHINES = ("intel", "avx2")
"""Other kinds of machines than that of ``NAME.json``: an Intel with VNNI, an AMD without."""
UNSEEN = ("nfcorpus", "cranfield", "cisi", "med")
SHOWN = ("bm25", "dense", "poly", "hybrid", "hybrid+poly", "late", "hybrid+late", "hybrid+cross", "cascade")


def load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def note(name: str, record: dict[str, Any]) -> str:
    return f"`{name}`, commit {record['commit']}"


def machine() -> list[str]:
    return [f"Where a table names no machine it is {load('stages')['machine']}."]


def stages() -> list[str]:
    """Make the README's table: the pipelines in rows, sets in columns."""
    record = load("stages")
    sets = {name: record["results"][name] for name in SETS if name in record["results"]}
    best = {name: max(found["nDCG@10"][stage] for stage in SHOWN) for name, found in sets.items()}
    lines = [
        "| nDCG@10 | " + " | ".join(f"{SETS[name]}{'*' * (name in UNSEEN)}" for name in sets) + " |",
        "|---|" + "---|" * len(sets),
    ]
    for stage in SHOWN:
        values = {name: found["nDCG@10"][stage] for name, found in sets.items()}
        cells = [f"**{v:.3f}**" if v == best[name] else f"{v:.3f}" for name, v in values.items()]
        lines.append(f"| `{stage}` | " + " | ".join(cells) + " |")
    counts = ", ".join(f"{found['queries']:,}" for found in sets.values())
    drawn = any(found["drawn"] for found in sets.values())
    return [
        *lines,
        "",
        f"{'Test queries, drawn at random' if drawn else 'All test queries'} ({counts})"
        + ("; * of kinds that no model was trained on" if set(UNSEEN) & sets.keys() else ""),
        f"({note('stages.py', record)}, {record['machine']}).",
    ]


def differences(*pairs: str) -> list[str]:
    """Make a table of what stages add; of these pairs, or of all."""
    record = load("stages")
    lines = [
        f"**What each stage adds**: differences of nDCG@10 with 95 % intervals ({note('stages.py', record)}).",
        "",
        "| set | | difference | p |",
        "|---|---|---|---|",
    ]
    known = {pair for found in record["results"].values() for pair in found["differences"]}
    if not set(pairs) <= known:
        raise SystemExit(f"results/stages.json has no {', '.join(sorted(set(pairs) - known))}")
    for name, found in record["results"].items():
        for pair, values in found["differences"].items():
            if pairs and pair not in pairs:
                continue
            low, high = values["interval"]
            p = f"{values['p']:.2g}" if "p" in values else ""
            lines.append(
                f"| {SETS.get(name, name)} | {pair} | {values['difference']:+.4f} ({low:+.4f} to {high:+.4f}) | {p} |"
            )
    return lines


def distillation() -> list[str]:
    lines = [
        "**Taught by the judge**, nDCG@10: late interaction by its order of hybrid's documents alone, a bi-encoder for",
        "commands and medical questions by `dense`. Both learned from the same examples with the judge's scores and",
        "without; the bi-encoder started as the default model's",
    ]
    records = {kind: load(f"distillation-{kind}") for kind in ("late", "bi-encoder")}
    made = ", ".join(f"{kind}: {note('distillation.py', record)}" for kind, record in records.items())
    lines += [
        f"({made}).",
        "",
        "| | set | queries | with the judge's scores | than | difference | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, record in records.items():
        for name, found in record["results"].items():
            values = found["nDCG@10"]
            for other, value in list(values.items())[1:]:
                low, high = found[other]["interval"]
                lines.append(
                    f"| {kind} | {SETS[name]} | {found['queries']:,} | {values[TAUGHT]:.4f} | {other}, {value:.4f} "
                    f"| {found[other]['difference']:+.4f} ({low:+.4f} to {high:+.4f}) | {found[other]['p']:.2g} |"
                )
    return lines


def judges() -> list[str]:
    record = load("judges")
    reranking, searches = record["results"]["reranking"], record["results"]["searches"]
    lines = [
        f"**Judging** {reranking['candidates']} candidates of {reranking['tokens a pair']} tokens on",
        f"{reranking['threads']} threads ({note('judges.py', record)}, {record['machine']}).",
        "",
        "| | ms | against sentence-transformers' CrossEncoder, torch float32 |",
        "|---|---|---|",
    ]
    slow = reranking["ms"]["sentence-transformers"]
    lines += [f"| {name} | {ms:.0f} | {slow / ms:.2f}x |" for name, ms in reranking["ms"].items()]
    times = searches["p50 ms"]
    return [
        *lines,
        "",
        (
            f"Of {searches['queries']} searches on one thread the median with `cascade` takes"
            f" {times['cascade, one thread']:.0f} ms, with all of hybrid's first 100 read by the judge"
            f" {times['all 100, one thread']:.0f} ms: {searches['cascade, times as fast']} times as fast."
            f" On two threads `cascade` takes {times['cascade']:.0f} ms, `hybrid+cross` {times['hybrid+cross']:.0f} ms,"
            f" `hybrid+late` {times['hybrid+late']:.0f} ms."
        ),
    ]


def on_machines(name: str) -> list[dict[str, Any]]:
    """Give what a script has written, and what it wrote on other kinds of machines."""
    others = (f"{name}-{machine}" for machine in MACHINES)
    return [load(name), *(load(other) for other in others if (RESULTS / f"{other}.json").exists())]


def left_out(record: dict[str, Any]) -> str:
    return f" Left out: {record['left out']}." if "left out" in record else ""


def kernels() -> list[str]:
    lines: list[str] = []
    for record in on_machines("kernels"):
        for name, what in (
            ("maxsim", "MaxSim of 1,000 passages of 100 tokens of 128 numbers with 32 query tokens"),
            ("dense", "The first 100 of {vectors:,} vectors of 384 numbers"),
        ):
            found = record["results"][name]
            ratios = next(value for key, value in found.items() if key.startswith("times "))
            lines += [
                f"**{what.format(vectors=found.get('vectors', 0))}**, one thread unless said, the best of several",
                f"in turn ({note('kernel_speed.py', record)}, {record['machine']}).{left_out(record)}",
                "",
                "| | ms | |",
                "|---|---|---|",
                *(f"| {run} | {ms:.2f} | {ratios[run]:.2f}x |" for run, ms in found["ms"].items()),
                "",
            ]
    return lines[:-1]


def scale() -> list[str]:
    return [line for record in on_machines("scale") for line in [*scale_of(record), ""]][:-1]


def scale_of(record: dict[str, Any]) -> list[str]:
    found = record["results"]
    about = found["collection"]
    kinds = list(found["recall@10 of late interaction"])
    recalls = found["recall@10 of late interaction"]
    lines = [
        f"**A large collection**: {about['passages']:,} passages of arXiv abstracts and medical answers",
        f"({note('scale.py', record)}, {record['machine']}).",
        "",
        "| share of the true ten that is found | " + " | ".join(kinds) + " |",
        "|---|" + "---|" * len(kinds),
    ]
    signs = found["recall@10 of signs first, by what was asked for"]
    rows = {name: {kind: recalls[kind][name] for kind in kinds} for name in recalls[kinds[0]]}
    rows |= {f"`dense(recall={target})`": each for target, each in signs.items()}
    lines += [
        f"| {name} | " + " | ".join(f"{each[k]:.3f}" for k in kinds) + " |" for name, each in rows.items()
    ]
    if alone := found.get("nearest of a vector, 1 thread"):
        lines += [
            "",
            "| the ten nearest of a vector, one thread | p50, ms | against faiss |",
            "|---|---|---|",
            *(
                f"| {name} | {each['p50_ms']:.2f} | {each['times faiss']:.1f}x |"
                for name, each in alone.items()
            ),
        ]
    threads = [name for name in found if name.startswith("ms, ")]
    lines += [
        "",
        "| whole searches, p50 and p95 | " + " | ".join(name.removeprefix("ms, ") for name in threads) + " |",
        "|---|" + "---|" * len(threads),
    ]
    for name in found[threads[0]]:
        cells = [f"{found[t][name]['p50_ms']:.1f} / {found[t][name]['p95_ms']:.1f} ms" for t in threads]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def stacks() -> list[str]:
    record = load("stacks")
    about = record["results"]
    lines = [
        f"**Whole stacks** on {SETS[about['set']]}, {about['threads']} threads, each in a process of its own",
        f"({note('stacks.py', record)}, {record['machine']}).",
        "",
        "| | nDCG@10 | p50 | p95 | built in | memory | on disk |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in about["stacks"].items():
        built = "" if found["build, s"] is None else f"{found['build, s']:.0f} s"
        quality = "" if found["nDCG@10"] is None else f"{found['nDCG@10']:.3f}"
        lines.append(
            f"| {name} | {quality} | {found['p50_ms']:.1f} ms | {found['p95_ms']:.1f} ms | {built} |"
            f" {found['memory'] / 1e6:,.0f} MB | {found['bytes'] / 1e6:,.1f} MB |"
        )
    return lines


def growth() -> list[str]:
    parts = [line for record in on_machines("growth") for line in [*growth_of(record), ""]]
    return [*parts, "![Median time of a search as a collection grows]({plots}/growth.svg)"]


def growth_of(record: dict[str, Any]) -> list[str]:
    sizes = record["results"]
    rows: dict[str, list[str]] = {}
    for found in sizes.values():
        for name, value in found.items():
            if name.startswith("ms, "):
                for pipeline, times in value.items():
                    rows.setdefault(f"{pipeline}, p50, {name.removeprefix('ms, ')}", []).append(
                        f"{times['p50_ms']:.1f} ms"
                    )
            elif name.endswith(", s"):
                rows.setdefault(name.removesuffix(", s"), []).append(f"{value:.1f} s")
            else:
                rows.setdefault(name, []).append(f"{value / 1e6:,.0f} MB")
    return [
        f"**As a collection grows**, one segment, 64 token vectors a passage ({note('growth.py', record)},",
        f"{record['machine']}).",
        "",
        "| passages | " + " | ".join(sizes) + " |",
        "|---|" + "---|" * len(sizes),
        *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()),
    ]


def pair_training() -> list[str]:
    record = load("pair-training")
    found = record["results"]["stsb"]
    lines = [
        "**Graded pairs**: a cross-encoder trained on STS-B's training split, Spearman on its development split",
        f"({note('pair_training.py', record)}; {found['training, seconds']} s of training).",
        "",
        "| | Spearman (95 %) |",
        "|---|---|",
    ]
    for name, values in found.items():
        if isinstance(values, dict) and "interval" in values:
            low, high = values["interval"]
            lines.append(f"| {name} | {values['value']:.4f} ({low:.4f} to {high:.4f}) |")
    return lines


def encoders() -> list[str]:
    lines: list[str] = []
    for record in on_machines("encoders-1"):
        lines += [
            f"**Encoding** SQuAD passages, one thread ({note('encoders.py', record)}, {record['machine']}).",
            "Overlap: share of sentence-transformers' top 10 found again.",
            "",
            "| engine | passages a second | one query | cosine, mean (min) | top-10 overlap | changed by the batch |",
            "|---|---|---|---|---|---|",
        ]
        for name, r in record["results"].items():
            changed = "no" if r["largest change by batch"] == 0 else f"{r['largest change by batch']:.0e}"
            lines.append(
                f"| {name} | {r['passages a second']} ({r['times sentence-transformers']}x) | "
                f"{r['one query, ms']} ms ({r['times sentence-transformers, query']}x) | "
                f"{r['cosine mean']:.5f} ({r['cosine min']:.5f}) | {r['top-10 overlap']:.3f} | {changed} |"
            )
        lines.append("")
    return lines[:-1]


def speed() -> list[str]:
    lines = [line for record in on_machines("search-speed") for line in [*speed_of(record), ""]]
    demo = load("demo-speed")
    small = demo["results"]
    cold, late = small["cold command line, open and first search"], small["later searches, hybrid+late"]
    built = f"{small['documents']:,} pages indexed in {small['build_s']:.0f} s"
    return [
        *lines,
        f"**The demo** ({note('demo_speed.py', demo)}): {built}; a cold command line answers in",
        f"{cold['p50_ms']:.0f} ms, later searches with `hybrid+late` take {late['p50_ms']:.1f} ms (p50).",
    ]


def speed_of(record: dict[str, Any]) -> list[str]:
    found = record["results"]
    lines = [
        "**Searching 100,000 passages**, one thread, vectors given: in turn with the others, and alone",
        f"({note('search_speed.py', record)}, {record['machine']}).",
        "",
        "| | in turn, p50 and p95 | alone, p50 and p95 | |",
        "|---|---|---|---|",
    ]

    def both(values: dict[str, float]) -> str:
        return f"{values['in turn']}x and {values['alone']}x"

    for group, title in (
        ("dense", ""),
        ("bm25, questions", ", questions"),
        ("bm25, titles", ", paper titles"),
    ):
        values = found[group]
        if group == "dense":
            remark = f"recall@10 {values['recall@10 against float']}, {both(values['times faster than faiss'])} as fast"
            remark += " as faiss"
            for asked, its in values["signs first"].items():
                remark += f"; asked for {asked}: recall@10 {its['recall@10 against float']},"
                remark += f" {both(its['times faster than faiss'])} as fast as faiss"
        else:
            remark = f"{both(values['times faster than bm25s'])} as fast as bm25s, the ranking alone"
            remark += f" {both(values['ranking alone, times faster than bm25s'])};"
            remark += f" {both(values['times faster than tantivy'])} as fast as tantivy"
        in_turn, alone = values["timings"]["in turn"], values["timings"]["alone"]
        for index, name in enumerate(in_turn):
            cells = [
                name + title,
                *(f"{t['p50_ms']:.2f} / {t['p95_ms']:.2f} ms" for t in (in_turn[name], alone[name])),
            ]
            lines.append(f"| {' | '.join([*cells, '' if index else remark])} |")
    return lines


def durability() -> list[str]:
    record = load("durability")
    found = record["results"]
    waiting, whole, slow = (
        f"{100 * found[f'{name}']:.2f} %"
        for name in (
            "waiting for the disk, share of encoding",
            "writing and waiting, share of encoding",
            "share if an fsync took 10 ms",
        )
    )
    where = note("durability.py", record)
    return [
        f"**A durable commit** of {found['documents a commit']:,} documents ({where}) waits for the disk",
        f"for {waiting} of the time that encoding takes; with the writing, {whole}. An fsync takes",
        f"{found['fsync of 4 KiB, ms']} ms here; if it took 10 ms, it would be {slow}.",
    ]


def size() -> list[str]:
    record = load("install-size")["results"]
    total, model = record["total_mb"], record["model_mb"]
    return [f"**Installed**: {total:.0f} MB with everything it pulls, and {model:.0f} MB of model."]


def classification() -> list[str]:
    record = load("classification-fast")
    found = record["results"]
    head, words, difference = found["head"], found["tfidf"], found["difference"]
    title = (
        f"**Classification** of clinc150's {found['test']:,} test questions into {found['labels']} intents, "
        f"{found['train']:,} to train on ({note('classification.py', record)})."
    )
    lines = [
        title,
        "",
        "| | accuracy (95 %) | calibration error | training |",
        "|---|---|---|---|",
    ]
    for name, values, error in (
        ("shortlist classify", head, f"{head['calibration_error']:.3f}"),
        ("logistic regression on TF-IDF", words, ""),
    ):
        low, high = values["accuracy"]["low"], values["accuracy"]["high"]
        lines.append(
            f"| {name} | {values['accuracy']['value']:.3f} ({low:.3f} to {high:.3f}) | {error} "
            f"| {values['training_s']:.0f} s |"
        )
    outside = found["outside"]
    at = outside["thresholds"]["0.7"]
    low, high = difference["low"], difference["high"]
    return [
        *lines,
        "",
        f"The difference is {difference['value']:.3f} ({low:.3f} to {high:.3f}), McNemar's p = {found['p_value']:.1g}.",
        f"Encoding the training questions took {head['encoding_s']:.0f} s. If {outside['intents_left_out']} intents",
        f"are left out of the training, `--threshold 0.7` says none of them to {at['outside_told_as_none']:.0%} of",
        f"their questions, and {at['known_told_right']:.0%} of the others still get the right label.",
    ]


def comparison() -> list[str]:
    record = load("compare-sets")
    lines = []
    for key, title in (("squad_dev", "SQuAD, heldout articles"), ("tldr", "tldr, test queries")):
        found = record["results"][key]
        lines += [
            f"**{title}**: {found['queries']:,} questions over {found['documents']:,} documents",
            f"(`{found['command']}`, commit {record['commit']}, {record['machine']}).",
            "",
            "```text",
            *found["table"],
            "```",
            "",
            f"![Quality against latency]({{plots}}/{key}-latency.svg)",
            "",
        ]
    return lines[:-1]


def adaptive() -> list[str]:
    record = load("adaptive-fusion")
    found = record["results"]
    lines = [
        f"**Fusion without judgements**, nDCG@10 ({note('adaptive_fusion.py', record)}). Fixed is",
        "`bm25 / max + 4 dense`; the difference is to the better of BM25 and dense, with its 95 % interval; left out:",
        "adaptive with numbers fitted without any split of the set.",
        "",
        "| set | queries | bm25 | dense | fixed | adaptive | difference | p | left out |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    without = found["fitted without the set"]
    for name, values in found["sets"].items():
        mean, low, high, p = values["against better of both"]
        cells = [f"{values[key]:.3f}" for key in ("bm25", "dense", "fixed", "adaptive")]
        left_out = f"{without[name]['adaptive']:.3f}" if name in without else ""
        lines.append(
            f"| {name} | {values['queries']:,} | {' | '.join(cells)} | {mean:+.3f} ({low:+.3f} to {high:+.3f}) "
            f"| {p:.2g} | {left_out} |"
        )
    means = " | ".join(f"**{found[f'mean {key}']:.3f}**" for key in ("bm25", "dense", "fixed", "adaptive"))
    return [*lines, f"| mean | | {means} | | | |"]


def advice() -> list[str]:
    record = load("advice")
    lines = [
        "**Advice** on half of the queries and a third of the documents, tried on the other half and all documents",
        f"({note('advice.py', record)}). Lost: nDCG@10 below the best pipeline whose p95 was within the limit there.",
        "",
        "| set | limits | advised | its p95, ms | lost |",
        "|---|---|---|---|---|",
    ]
    ratios = []
    for name, found in record["results"].items():
        for row in found["limits"]:
            limits = [f"{row['latency_ms']:g} ms"] if row["latency_ms"] else []
            limits += [f"{row['bytes_per_document']:,.0f} bytes"] if row["bytes_per_document"] else []
            lost = row.get("nDCG@10 lost on unseen queries")
            lines.append(
                f"| {name} | {', '.join(limits)} | `{row['advised']}` | {row.get('p95 of the advised', '')} "
                f"| {'' if lost is None else f'{lost:.3f}'} |"
            )
        ratios += [values["ratio"] for values in found["latency"].values()]
    far = max(abs(ratio - 1) for ratio in ratios)
    return [*lines, "", f"Latency extrapolated to all documents was within {far:.0%} of the one measured."]


def statistics() -> list[str]:
    record = load("significance")
    rates = record["results"]["false positives"].values()
    speed = load("comparison-speed")
    times = speed["results"]
    slowest = max(times["alone, seconds"].values())
    return [
        f"**The paired test** found a difference between shuffled labels in {min(rates):.1%} to {max(rates):.1%} of",
        f"{record['results']['simulations']:,} simulations at the level of .05 ({note('significance.py', record)}).",
        f"Comparing {len(times['alone, seconds'])} pipelines on {times['queries']:,} queries of SQuAD took",
        f"{times['compare, seconds']:.0f} s,",
        f"the slowest of them alone {slowest:.0f} s, all one after the other",
        f"{times['all one after the other, seconds']:.0f} s",
        f"({note('comparison_speed.py', speed)}).",
    ]


def training() -> list[str]:
    record = load("training-speed")
    found = record["results"]
    lines = [
        f"**Training a cross-encoder**: {found['pairs']} pairs of {found['tokens a pair']} tokens a step, forward and",
        f"backward in bfloat16, {found['threads']} threads ({note('training_speed.py', record)}, {record['machine']}).",
        "",
        "| | a step | pairs a second |",
        "|---|---|---|",
    ]
    for name, values in found.items():
        if isinstance(values, dict):
            lines.append(f"| {name} | {values['step, seconds']:.2f} s | {values['pairs a second']} |")
    return lines


def similarity() -> list[str]:
    record = load("similarity")
    systems = [name for name in record["results"]["stsb"] if name not in ("pairs", "measure")]
    lines = [
        f"**Similarity of pairs**, development sets, with 95 % intervals ({note('similarity.py', record)}).",
        "",
        f"| set | pairs | measure | {' | '.join(systems)} |",
        f"|---|---|---|{'---|' * len(systems)}",
    ]
    for name, found in record["results"].items():
        cells = []
        for system in systems:
            low, high = found[system]["interval"]
            cells.append(f"{found[system]['value']:.3f} ({low:.3f} to {high:.3f})")
        lines.append(f"| {name} | {found['pairs']:,} | {found['measure']} | {' | '.join(cells)} |")
    return lines


def graph_speed() -> list[str]:
    record = load("graph-speed")
    lines = [
        "**A graph of vectors** beside comparing all, or their signs first: the ten nearest of real passages' vectors",
        f"and of others like them, one thread; built on two ({note('graph_speed.py', record)}, {record['machine']}).",
        "",
        "| vectors | | p50 | p95 | recall@10 | bytes a vector | built in |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, ways in record["results"].items():
        for name, found in ways.items():
            lines.append(
                f"| {size} | {name} | {found['p50_ms']:.2f} ms | {found['p95_ms']:.2f} ms | {found['recall@10']:.3f}"
                f" | {found['bytes a vector']:.0f} | {found['built in, s']:.0f} s |"
            )
    return lines


def calibration() -> list[str]:
    record = load("calibration")
    found = record["results"]
    signs = found["signs"]
    cosines = list(next(iter(signs.values())))
    lines = [
        "**Where queries lie**: in how many of 384 signs they differ from passages of a cosine, give or take",
        f"({note('calibration.py', record)}, {record['machine']}).",
        "",
        "| cosine | " + " | ".join(cosines) + " |",
        "|---|" + "---|" * len(cosines),
    ]
    for kind, by_cosine in signs.items():
        cells = [
            f"{one['signs']:.1f} ± {one['deviation']:.1f}" if one["pairs"] else ""
            for one in by_cosine.values()
        ]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    graphs = [name for name in found if name.startswith("graph of")]
    efforts = list(next(iter(found[graphs[0]].values())))
    lines += [
        "",
        "| share of the ten nearest, by effort | " + " | ".join(efforts) + " |",
        "|---|" + "---|" * len(efforts),
    ]
    for name in graphs:
        for kind, by_effort in found[name].items():
            cells = [f"{by_effort[effort]:.3f}" for effort in efforts]
            lines.append(f"| {name}: {kind} | " + " | ".join(cells) + " |")
    return lines


def token_storage() -> list[str]:
    record = load("token-storage")
    means = record["results"]["mean of the unseen"]
    lines = [
        "**Token vectors in fewer bytes**: `late`, every document read, all test queries; differences of nDCG@10",
        f"from int8 with 95 % intervals ({note('token_storage.py', record)}).",
        "",
        "| set | | bytes a passage | nDCG@10 | difference | of int8's ten best |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in record["results"].items():
        if name == "mean of the unseen":
            continue
        for kind, values in found.items():
            if kind == "queries":
                continue
            mean, low, high = values["difference"]
            difference = "" if kind == "int8" else f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
            again = "" if kind == "int8" else format(values["of int8's ten best"], ".3f")
            lines.append(
                f"| {SETS.get(name, name)} | {kind} | {values['bytes a passage']:,} | {values['nDCG@10']:.4f} "
                f"| {difference} | {again} |"
            )
    for kind, (mean, low, high) in means.items():
        lines.append(f"| mean of the unseen | {kind} | | | {mean:+.4f} ({low:+.4f} to {high:+.4f}) | |")
    return lines


SECTIONS: dict[str, list[Callable[[], list[str]]]] = {
    "How good": [differences, comparison, adaptive, statistics, similarity, classification],
    "What training gains": [distillation, pair_training, training],
    "How fast the parts are": [kernels, encoders, judges],
    "How fast searches are": [speed, stacks, graph_speed],
    "Large collections": [scale, growth, calibration, token_storage],
    "Choosing, and what else it costs": [advice, durability, size],
}
"""What docs/benchmarks.md tells, in this order."""


def filled(path: Path, parts: list[list[str]]) -> str:
    """Put tables between the markers of a document."""
    before, rest = path.read_text().split(START)
    _, after = rest.split(END)
    plots = "docs/plots" if path == README else "plots"
    tables = "\n\n".join("\n".join(part) for part in parts).replace("{plots}", plots)
    return f"{before}{START}\n{tables}\n{END}{after}"


def main() -> int:
    made = {
        PLOTS / "growth.svg": growth_plot(load("growth")),
        README: filled(README, [stages()]),
        DETAILS: filled(
            DETAILS,
            [machine()]
            + [
                part
                for title, tables in SECTIONS.items()
                for part in ([f"## {title}"], *(table() for table in tables))
            ],
        ),
        MODELS / "default" / "README.md": filled(
            MODELS / "default" / "README.md",
            [differences(
                "late - late, untrained", "late, pooled by 2 - late", "hybrid+late - hybrid+late, untrained",
                "poly - dense", "hybrid+poly - hybrid",
            )],
        ),
        MODELS / "judge" / "README.md": filled(
            MODELS / "judge" / "README.md", [differences("hybrid+cross - hybrid+late", "cascade - hybrid+late")]
        ),
        MODELS / "judge-small" / "README.md": filled(
            MODELS / "judge-small" / "README.md",
            [differences(
                "hybrid+cross by the small judge - hybrid+late", "hybrid+cross - hybrid+cross by the small judge"
            )],
        ),
    }  # fmt: skip
    if "--check" in sys.argv:
        stale = [path.name for path, text in made.items() if not path.exists() or text != path.read_text()]
        if stale:
            print(
                f"{', '.join(stale)}: the tables are not those of benchmarks/results; run benchmarks/tables.py"
            )
        return int(bool(stale))
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
