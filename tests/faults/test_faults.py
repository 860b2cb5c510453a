import os
import random
from pathlib import Path

import pytest

from shortlist.errors import CollectionError
from tests.faults import __main__ as faults
from tests.faults import kills, many, power
from tests.faults.cases import Family
from tests.faults.families import FAMILIES
from tests.faults.world import DisagreementError

SHARE = 10  # one case in ten; `make faults` runs all of them
SHORT = {
    "kill-at-random": f"1:{kills.KILLS // SHARE}:{kills.ADDED // SHARE}:{kills.LARGEST}",
    "kill-first-build": "1",
    "readers": f"1:{many.COMMITS // SHARE}",
    "hostile-models": None,  # tests/models/hostile runs all of them
}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder in memory, if there is one."""
    return Path(faults.scratch_root() or tmp_path)


@pytest.mark.parametrize("family", FAMILIES, ids=[family.name for family in FAMILIES])
def test_nothing_is_lost(family: Family) -> None:
    cases = sample(family)
    if not cases:
        pytest.skip("not possible here, or run elsewhere")
    result = faults.run_family(family, cases, verbose=False)
    assert result["failed"] == []


def sample(family: Family) -> list[str]:
    """A tenth of a family's cases; another tenth with another ``FAULTS_SEED``."""
    if family.name in SHORT:
        short = SHORT[family.name]
        return [short] if short else []
    cases = list(family.cases())
    seed = os.environ.get("FAULTS_SEED", "1")
    chosen = random.Random(f"{family.name} {seed}").sample(range(len(cases)), -(-len(cases) // SHARE))
    return [cases[number] for number in sorted(chosen)]  # neighbours share what is costly to make


class TestThatTheHarnessNotices:
    """A fault that nobody would notice proves nothing."""

    @pytest.mark.parametrize(
        ("forgotten", "at_least"),
        [
            ("", 0),
            ("sync segments", 10),
            ("sync generation", 10),
            ("sync_folder segments", 5),
            ("sync_folder", 5),
        ],
    )
    def test_a_sync_that_is_left_out(self, tmp_path: Path, forgotten: str, at_least: int) -> None:
        noticed = 0
        for number in range(30):
            scratch = tmp_path / str(number)
            scratch.mkdir()
            try:
                power.lose_power(f"0:{number}", scratch, forget=forgotten)
            except (DisagreementError, CollectionError):
                noticed += 1
        assert noticed >= at_least
        assert noticed == 0 or forgotten

    def test_a_document_too_many(self, tmp_path: Path) -> None:
        from tests.faults.world import assess, create, documents, state_of

        with create(tmp_path / "c") as made:
            made.add(documents(range(3)))
        with pytest.raises(DisagreementError, match="extra"):
            assess(tmp_path / "c", [state_of(documents(range(2)))], tmp_path)
        with pytest.raises(DisagreementError, match="lost"):
            assess(tmp_path / "c", [state_of(documents(range(4)))], tmp_path)
