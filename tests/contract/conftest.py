from collections.abc import Iterator
from pathlib import Path

import pytest

from shortlist import Collection, Encoder
from tests.models.tiny_model import write_folder
from tests.search.corpus import build, build_in_steps


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Collection]]:
    """The corpus in one segment, and in several with deleted and replaced documents between its own."""
    folder = tmp_path_factory.mktemp("contract")
    with build(folder / "fresh") as fresh, build_in_steps(folder / "grown") as grown:
        yield {"fresh": fresh, "grown": grown}


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    """An encoder of every kind."""
    folder: Path = tmp_path_factory.mktemp("encoders")
    dot = write_folder(folder / "dot", normalize=False, similarity="dot")
    return {
        "default, fast": Encoder.load(mode="fast"),
        "default, exact": Encoder.load(mode="exact"),
        "sentence-transformers, cosine": Encoder.load(write_folder(folder / "cosine"), mode="exact"),
        "sentence-transformers, dot": Encoder.load(dot, mode="exact"),
    }
