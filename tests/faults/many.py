"""Many processes and threads at once: writers that race, readers while others write, forks."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from shortlist.errors import CollectionBusyError, CollectionNotFoundError, CollectionStorageError
from tests.faults.cases import Family
from tests.faults.disks import can_mount, read_only
from tests.faults.world import (
    DisagreementError,
    State,
    assess,
    collection,
    create,
    documents,
    look,
    oracle,
    state_of,
)

__all__ = ["FAMILIES"]

WRITERS, RACES = 8, 200
READERS, COMMITS = 8, 200


def fork(act: Callable[[], Any]) -> tuple[int, int]:
    """Do something in a child; give its number and a pipe with its answer as JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        answer = json.dumps(act())
    except BaseException as error:
        answer = json.dumps({"error": f"{type(error).__name__}: {error}"})
    os.write(writing, answer.encode())
    os._exit(0)


def answers(children: list[tuple[int, int]]) -> list[Any]:
    """Wait for children and give their answers."""
    found = []
    for child, reading in children:
        with os.fdopen(reading, "rb") as pipe:
            content = pipe.read()
        os.waitpid(child, 0)
        found.append(json.loads(content) if content else {"error": "died"})
    return found


def race_cases() -> Iterator[str]:
    """Races of eight writers."""
    return (str(number) for number in range(RACES))


def race_run(case: str, scratch: Path) -> None:
    """Eight writers start at once: one wins, the others hear at once who it is; a killed holder blocks nobody."""
    path, dice = scratch / "c", random.Random(case)
    create(path).close()
    barrier, start = os.pipe()
    tried, told = os.pipe()

    def write() -> object:
        os.close(start)
        os.read(barrier, 1)  # the end of the pipe comes to all at once
        begin = time.perf_counter()
        try:
            with collection(path).store.writer():
                os.write(told, b"w")
                time.sleep(30)
                return {"won": True}
        except CollectionBusyError as error:
            os.write(told, b"t")
            return {"told": str(error), "ms": 1000 * (time.perf_counter() - begin)}

    children = [fork(write) for _ in range(WRITERS)]
    os.close(barrier)
    os.close(start)
    said = b"".join(os.read(tried, 1) for _ in range(WRITERS))
    os.close(tried)
    os.close(told)
    if said.count(b"w") != 1:
        raise DisagreementError(f"{said.count(b'w')} writers won")
    ready = {child: select_ready(reading) for child, reading in children}
    ((winner, pipe),) = (one for one in children if not ready[one[0]])
    losers = answers([one for one in children if ready[one[0]]])
    _thread_is_told(path, winner)
    os.kill(winner, dice.choice((signal.SIGKILL, signal.SIGTERM)))
    answers([(winner, pipe)])
    for one in losers:
        if f"process {winner} " not in one.get("told", "") or one["ms"] > 2000:
            raise DisagreementError(f"a loser heard {one}; process {winner} won")
    with collection(path) as opened:
        opened.add(documents([int(case)]))
    assess(path, [state_of(documents([int(case)]))], scratch)


def select_ready(reading: int) -> bool:
    """Say whether a child has answered or ended, within a moment."""
    return bool(select.select([reading], [], [], 0.3)[0])


def _thread_is_told(path: Path, winner: int) -> None:
    try:
        collection(path).delete(["x"])
    except CollectionBusyError as error:
        if f"process {winner} " in str(error):
            return
    raise DisagreementError("a writer in this process was not told")


def reader_cases() -> Iterator[str]:
    """One long run."""
    return iter((f"1:{COMMITS}",))


def reader_run(case: str, scratch: Path) -> int:
    """Search in eight processes through many commits: every answer is that of one generation, never an older one."""
    seed, commits = map(int, case.split(":"))
    path, dice = scratch / "c", random.Random(seed)
    create(path).close()
    stop = scratch / "stop"
    children = [fork(partial(_search, path, stop, number)) for number in range(READERS)]
    states: dict[int, State] = {0: {}}
    with collection(path) as opened:
        state: State = {}
        for number in range(commits):
            if number % 11 == 10:
                opened.compact()
            elif number % 5 == 4 and len(state) > 5:
                gone = dice.sample(sorted(state), 3)
                opened.delete(gone)
                state = {key: one for key, one in state.items() if key not in gone}
            else:
                batch = documents(dice.sample(range(40), 3), version=number)
                opened.add(batch)
                state = {**state, **state_of(batch)}
            states[opened.info().generation] = state
            time.sleep(0.01)
    stop.touch()
    return _compare(answers(children), states, scratch)


def _search(path: Path, stop: Path, number: int) -> object:
    """Search until told to stop; give the generations seen and what was found in each."""
    seen: dict[int, list[Any]] = {}
    last, count = -1, 0
    with collection(path) as kept:
        while not stop.exists():
            opened = collection(path) if number % 2 else kept
            found = opened.search("international card payment", 5, pipeline="hybrid+late")
            texts = {doc_id: one.text for doc_id, one in found.documents.items()}
            answer = [[hit.doc_id, hit.score, texts[hit.doc_id]] for hit in found.ranking]
            if found.generation < last:
                return {"error": f"generation {found.generation} after {last}"}
            if seen.setdefault(found.generation, answer) != answer:
                return {"error": f"two answers in generation {found.generation}"}
            last, count = found.generation, count + 1
            if number % 2:
                opened.close()
    return {"seen": seen, "count": count}


def _compare(found: list[Any], states: dict[int, State], scratch: Path) -> int:
    """Compare what readers saw with collections built afresh; merges make generations between two commits."""
    count = 0
    for one in found:
        if "error" in one:
            raise DisagreementError(one["error"])
        count += one["count"]
        if not one["count"]:
            raise DisagreementError("a reader never searched")
        for generation, answer in one["seen"].items():
            before = max(number for number in states if number <= int(generation))
            after = min((number for number in states if number >= int(generation)), default=before)
            expected = [_expected(states[number], scratch) for number in {before, after}]
            if answer not in expected:
                raise DisagreementError(f"generation {generation}: {answer}, expected one of {expected}")
    return count


def _expected(state: State, scratch: Path) -> object:
    key = f"fresh-{abs(hash(tuple(sorted((one.doc_id, one.text) for one in state.values()))))}"
    if not (scratch / key).exists():
        with create(scratch / key) as made:
            made.add(list(state.values()))
    with collection(scratch / key) as opened:
        found = opened.search("international card payment", 5, pipeline="hybrid+late")
    return [[hit.doc_id, hit.score, found.documents[hit.doc_id].text] for hit in found.ranking]


def fork_cases() -> Iterator[str]:
    """What may happen around an open collection."""
    return iter(FORKS)


def _searched_in_a_child(path: Path, _: Path) -> None:
    with collection(path) as opened:
        expected = look(opened)
        (answer,) = answers([fork(lambda: look(opened) == expected)])
        if answer is not True or look(opened) != expected:
            raise DisagreementError(f"a forked child finds something else: {answer}")


def _lock_dies_with_its_holder(path: Path, _: Path) -> None:
    """A child of the holder lives on: it must not keep the lock."""

    def hold() -> None:
        writer = collection(path).store.writer()
        writer.__enter__()
        grandchild = os.fork()
        if not grandchild:
            time.sleep(20)
            os._exit(0)
        os.write(ready, str(grandchild).encode())
        time.sleep(20)

    known, ready = os.pipe()
    child, reading = fork(hold)
    grandchild = int(os.read(known, 20))
    os.kill(child, signal.SIGKILL)
    try:
        os.waitpid(child, 0)
        with collection(path).store.writer():
            pass
    finally:
        os.kill(grandchild, signal.SIGKILL)
        for one in (reading, known, ready):
            os.close(one)


def _moved(path: Path, scratch: Path) -> None:
    with collection(path) as opened:
        expected = look(opened)
        snapshot = opened.store.snapshot()
        path.rename(scratch / "elsewhere")
        if len(snapshot.documents(snapshot.live.nonzero()[0])) != opened_count(scratch / "elsewhere"):
            raise DisagreementError("a reader lost its generation")
        _must_be_gone(opened)
        with collection(scratch / "elsewhere") as again:
            if look(again) != expected:
                raise DisagreementError("the moved collection answers otherwise")


def opened_count(path: Path) -> int:
    """Count the documents of a collection."""
    with collection(path) as opened:
        return opened.count()


def _removed(path: Path, _: Path) -> None:
    with collection(path) as opened:
        look(opened)
        with opened.store.snapshot() as snapshot:
            count = snapshot.document_count
            shutil.rmtree(path)
            if len(snapshot.documents(snapshot.live.nonzero()[0])) != count:
                raise DisagreementError("a reader lost its generation")
        _must_be_gone(opened)


def _must_be_gone(opened: Any) -> None:
    for act in (lambda: opened.search("card"), opened.count, lambda: opened.add([{"id": "x", "text": "y"}])):
        try:
            act()
        except CollectionNotFoundError:
            continue
        raise DisagreementError("no error although the collection is gone")


def _replaced(path: Path, scratch: Path) -> None:
    """Another collection comes into its place: its documents are found, none of the old ones."""
    with collection(path) as opened:
        look(opened)
        path.rename(scratch / "elsewhere")
        with create(path) as other:
            other.add(documents(range(100, 110)))
        if look(opened) != oracle(state_of(documents(range(100, 110))), scratch):
            raise DisagreementError("not the answers of the collection that is there now")


def _read_only(path: Path, _: Path) -> None:
    """Nothing is opened for writing by a reader: on a read-only disk a search works, and a write says why not."""
    with collection(path) as opened:
        expected = look(opened)
    with read_only(path), collection(path) as opened:
        if look(opened) != expected:
            raise DisagreementError("another answer")
        if can_mount():  # else root may write everywhere
            try:
                opened.delete(["d1"])
            except CollectionStorageError as error:
                if "read-only" not in str(error).lower():
                    raise
            else:
                raise DisagreementError("a read-only collection was written to")


FORKS: dict[str, Callable[[Path, Path], None]] = {
    "searched-in-a-forked-child": _searched_in_a_child,
    "lock-dies-with-its-holder": _lock_dies_with_its_holder,
    "moved-under-a-reader": _moved,
    "removed-under-a-reader": _removed,
    "replaced-under-a-reader": _replaced,
    "read-only": _read_only,
}


def fork_run(case: str, scratch: Path) -> None:
    """Do it to a collection that is open."""
    path = scratch / "c"
    with create(path) as made:
        made.add(documents(range(30)))
        made.add(documents(range(25, 35), version=1))
    FORKS[case](path, scratch)
    sys.stdout.flush()


FAMILIES = [
    Family(
        "writers-race",
        "eight writers start at once: one wins, the others are told at once which process; the lock dies with its "
        "holder",
        race_cases,
        race_run,
    ),
    Family(
        "readers",
        "eight processes search through 200 commits, deletes and compactions: every answer is one generation's, "
        "never an older one than before",
        reader_cases,
        reader_run,
        counted="searches",
        heavy=True,
    ),
    Family(
        "under-a-reader",
        "forked, moved, removed, replaced, made read-only while it is open",
        fork_cases,
        fork_run,
    ),
]
