"""The rule of thumb is what was measured."""

import json
from pathlib import Path

from shortlist.evaluation.advice import RULE_OF_THUMB
from shortlist.search import ANY_SIZE

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_the_rule_of_thumb_is_the_order_of_the_means_over_the_sets() -> None:
    results = json.loads((RESULTS / "stages.json").read_text())["results"]
    sets = [values["nDCG@10"] for name, values in results.items() if "drawn" in values]
    means = {name: sum(values[name] for values in sets) / len(sets) for name in RULE_OF_THUMB}
    assert set(RULE_OF_THUMB) == set(ANY_SIZE)
    assert list(RULE_OF_THUMB) == sorted(means, key=lambda name: -means[name])
