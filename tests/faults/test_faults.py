import os
import random
from pathlib import Path

import pytest

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
    """A tenth of a family's cases: another one on every day, the same one all day long."""
    if family.name in SHORT:
        short = SHORT[family.name]
        return [short] if short else []
    cases = list(family.cases())
    seed = os.environ.get("FAULTS_SEED", "1")
    return random.Random(f"{family.name} {seed}").sample(cases, -(-len(cases) // SHARE))


class TestThatTheHarnessNotices:
    """A fault that nobody would notice proves nothing."""

    def test_forgotten_syncs(self, tmp_path: Path) -> None:
        noticed = 0
        for number in range(10):
            (tmp_path / str(number)).mkdir()
            try:
                power.lose_power(f"0:{number}", tmp_path / str(number), forget_syncs=True)
            except Exception:
                noticed += 1
        assert noticed > 5

    def test_a_document_too_many(self, tmp_path: Path) -> None:
        from tests.faults.world import assess, create, documents, state_of

        with create(tmp_path / "c") as made:
            made.add(documents(range(3)))
        with pytest.raises(DisagreementError, match="extra"):
            assess(tmp_path / "c", [state_of(documents(range(2)))], tmp_path)
        with pytest.raises(DisagreementError, match="lost"):
            assess(tmp_path / "c", [state_of(documents(range(4)))], tmp_path)
