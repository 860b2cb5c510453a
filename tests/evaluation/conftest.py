from collections.abc import Iterator

import pytest

from shortlist import Collection
from shortlist.evaluation.judged import Judged
from tests.evaluation.questions import judged as judged_questions
from tests.search.corpus import build


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """The small corpus of the search tests; not to be changed."""
    with build(tmp_path_factory.mktemp("evaluation") / "corpus.shortlist") as made:
        yield made


@pytest.fixture
def judged() -> Judged:
    """Sixteen questions about it, with grades."""
    return judged_questions()
