"""What a bug report should say: software, machine, disks, model, collections, and what is wrong with them.

Nothing here raises for what it looks at: what can't be found out is None or empty, what is broken is a
`Problem`. No name of a person or a machine is kept, and nothing is sent anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shortlist.doctor.collection import CollectionHealth, examine_collection
from shortlist.doctor.disk import Disk, examine_disk
from shortlist.doctor.machine import Machine, examine_machine
from shortlist.doctor.model import ModelHealth, examine_model
from shortlist.doctor.problem import Problem
from shortlist.doctor.software import Software, examine_software

__all__ = [
    "CollectionHealth",
    "Diagnosis",
    "Disk",
    "Machine",
    "ModelHealth",
    "Problem",
    "Software",
    "examine",
]


@dataclass(frozen=True)
class Diagnosis:
    """Hold all that was found; every part lists its own problems."""

    software: Software
    machine: Machine
    disks: tuple[Disk, ...]
    model: ModelHealth
    collections: tuple[CollectionHealth, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong, in the order in which it is shown."""
        lists = [part.problems for part in self.disks] + [self.model.problems]
        lists += [part.problems for part in self.collections]
        return tuple(problem for problems in lists for problem in problems)


def examine(collections: Sequence[str | os.PathLike[str]] = (), *, deep: bool = False) -> Diagnosis:
    """Look at everything; ``deep`` reads every byte of the collections.

    The disks are those of the collections, or that of the working folder if there is none.
    """
    paths = [Path(path) for path in collections]
    folders = list(dict.fromkeys(path for path in paths if _is_folder(path))) or [Path()]
    return Diagnosis(
        software=examine_software(),
        machine=examine_machine(),
        disks=tuple(examine_disk(folder) for folder in folders),
        model=examine_model(),
        collections=tuple(examine_collection(path, deep=deep) for path in paths),
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # in a folder that we may not read
        return False
