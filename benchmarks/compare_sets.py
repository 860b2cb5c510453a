"""What does `shortlist compare` say of two judged sets? Tables and plots.

    python benchmarks/compare_sets.py --data FOLDER [--keep FOLDER]

SQuAD's heldout articles and tldr's test queries, all short names but cross, all judged queries. Writes the terminal's
table and the figures to results/, the plots to docs/plots/.
"""

from __future__ import annotations

from pathlib import Path

from measuring import RESULTS, arguments, data_folder, write_results

from shortlist.evaluation.comparison import compare
from shortlist.evaluation.report import plot_svg, to_html, to_terminal
from shortlist.evaluation.sources import judged_files, opened
from shortlist.search import ANY_SIZE, NAMES

SETS = {"squad_dev": "heldout", "tldr": "test"}
PLOTS = RESULTS.parent.parent / "docs" / "plots"


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    parser.add_argument("--pages", type=Path, help="folder to write the HTML reports to")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    PLOTS.mkdir(exist_ok=True)
    results = {}
    for name, split in SETS.items():
        folder = data / "retrieval" / name
        judged = judged_files(folder, None, None, split)
        if judged is None:
            raise SystemExit(f"{folder}: no judged queries")
        with opened(folder, keep=given.keep / name if given.keep else None) as (collection, findings):
            found = compare(collection, judged, [NAMES[name] for name in ANY_SIZE], findings=findings)
        for against in ("latency", "bytes"):
            (PLOTS / f"{name}-{against}.svg").write_text(plot_svg(found, against), encoding="utf-8")
        command = f"shortlist compare {name} --split {split}"
        if given.pages:
            given.pages.mkdir(exist_ok=True)
            (given.pages / f"{name}.html").write_text(to_html(found, command=command), encoding="utf-8")
        text = to_terminal(found)
        print(text, flush=True)
        results[name] = {
            "command": command,
            "queries": len(found.query_ids),
            "documents": found.documents,
            "table": text.splitlines(),
            "systems": {
                system.name: {
                    **{measure: round(interval.mean, 4) for measure, interval in system.intervals.items()},
                    "p50_ms": round(system.latency.p50_ms, 2),
                    "p95_ms": round(system.latency.p95_ms, 2),
                    "bytes a document": round(system.costs.total_bytes),
                }
                for system in found.systems
            },
            "seconds": {step: round(seconds, 1) for step, seconds in found.seconds.items()},
        }
    write_results("compare-sets", results)


if __name__ == "__main__":
    main()
