import os
from collections.abc import Iterator
from os import fsync

import pytest


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """Wait for the disk, which the other tests don't: here it is a call that can fail or be killed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield
