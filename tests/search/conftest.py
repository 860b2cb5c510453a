from collections.abc import Iterator

import pytest

from shortlist import Collection
from tests.search.corpus import build, build_in_steps


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """The corpus in one segment."""
    with build(tmp_path_factory.mktemp("search") / "whole") as made:
        yield made


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """The corpus in several segments, with deleted and replaced documents between its own."""
    with build_in_steps(tmp_path_factory.mktemp("search") / "grown") as made:
        assert made.info().segments > 2
        assert made.info().deleted_documents > 0
        yield made
