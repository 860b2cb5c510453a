import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from shortlist.api import Collection
from shortlist.collection import Store, StoreSettings
from shortlist.models import Encoder

MakeCollection = Callable[..., Collection]
"""``make(records, name="small", **settings)``: a collection in ``tmp_path`` that holds these records."""

# A file system or another process may be slow; what a test says doesn't depend on it.
settings.register_profile("shortlist", deadline=None)
settings.load_profile("shortlist")


@pytest.fixture(scope="session", autouse=True)
def impatient() -> Iterator[None]:
    """Don't wait for the disk in this process: no test pulls the plug, and the waiting would take ten times
    as long as the tests. Processes that tests start do wait.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder.load()


@pytest.fixture(scope="session")
def store_settings(encoder: Encoder) -> StoreSettings:
    """What ``Collection.create`` writes down for the encoder that comes along."""
    about = encoder.settings
    return StoreSettings(
        language="english",
        model="",
        model_name=about.name,
        fingerprint=about.fingerprint,
        mode=encoder.mode,
        similarity=about.similarity,
        dimensions=about.dimensions,
        dense_scale=about.dense_scale,
        token_dimensions=about.token_dimensions,
        token_scale=about.token_scale,
    )


@pytest.fixture
def small_collection(
    tmp_path: Path, encoder: Encoder, store_settings: StoreSettings
) -> Iterator[MakeCollection]:
    """Make collections that share one loaded encoder; they are closed at the end."""
    made = []

    def make(records: Sequence[Mapping[str, object]] = (), name: str = "small", **changes: Any) -> Collection:
        store = Store.create(tmp_path / name, replace(store_settings, **changes))
        collection = Collection(store, encoder, None)
        made.append(collection)
        if records:
            collection.add(records)
        return collection

    yield make
    for collection in made:
        collection.close()
