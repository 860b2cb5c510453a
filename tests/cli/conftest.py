import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from shortlist.api import Collection
from shortlist.collection import Store, StoreSettings
from shortlist.models import Encoder

from .running import RECORDS, Shortlist, write_lines


@pytest.fixture(scope="session")
def load_once() -> Callable[..., Encoder]:
    return cache(Encoder.load)


@pytest.fixture
def shortlist(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, load_once: Callable[..., Encoder]
) -> Shortlist:
    """The command line in this process; it loads a model once, not once a command."""
    monkeypatch.setattr(Encoder, "load", load_once)
    return Shortlist(capsys)


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "articles.jsonl", RECORDS)


@pytest.fixture(scope="session")
def indexed(
    tmp_path_factory: pytest.TempPathFactory, encoder: Encoder, store_settings: StoreSettings
) -> Path:
    """The three articles in one generation; not to be changed."""
    path = tmp_path_factory.mktemp("indexed") / "articles.shortlist"
    with Collection(Store.create(path, store_settings), encoder, None) as collection:
        collection.add(RECORDS)
    return path


@pytest.fixture
def collection(indexed: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(indexed, tmp_path / "c")
    return tmp_path / "c"
