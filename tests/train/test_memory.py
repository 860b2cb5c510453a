from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from shortlist.train.memory import kept_memory
from tests.models.hostile.test_hostile import MEMORY_BYTES, peak_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_memory_is_given_back_afterwards() -> None:
    with kept_memory() as kept:
        for _ in range(3):
            assert np.ones(2 * MEMORY_BYTES, np.uint8).all()
    if kept:
        before = peak_bytes(reset=True)
        assert np.ones(2 * MEMORY_BYTES, np.uint8).all()
        assert peak_bytes() - before > MEMORY_BYTES  # it was the kernel's again


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with kept_memory() as kept:
        assert not kept
