"""What is believed of a model folder? Regular files inside it, of bounded size, holding data and no code.

Whoever made a folder may want to run code, to read other files or to fill the memory. So nothing in it is
opened by another library before this module, or one that it serves (``graph_check``, ``weights``,
``tokenizer_check``), has looked at it; and every file is read once, so that what was checked is what is
used. docs/decisions/0006-model-folders.md says what is believed and what a folder within the limits can
still do.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from shortlist.errors import ModelError

__all__ = [
    "GRAPH_BYTES",
    "JSON_BYTES",
    "TOKENIZER_BYTES",
    "TOKENIZER_VALUES",
    "WEIGHTS_BYTES",
    "ModelFolder",
    "parse_json",
    "pickles_hint",
    "read_exactly",
    "refuse_code",
    "shown",
]

JSON_BYTES = 8 << 20  # tokenizer_config.json of a Gemma has 1.2 MB, the largest that is met
TOKENIZER_BYTES = 48 << 20  # that of a Gemma has 33 MB
GRAPH_BYTES = WEIGHTS_BYTES = (2 << 30) - 1  # what protobuf can hold at all
JSON_VALUES = 500_000  # each costs Python about 100 bytes
TOKENIZER_VALUES = 4_000_000  # 1.8 million in that of a Gemma
_JSON_DEPTH = 32

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".joblib"}
_CODE = {"auto_map", "trust_remote_code", "custom_generate", "custom_pipelines", "custom_code"}
_CONFIGS = (
    "config.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)


@dataclass(frozen=True)
class ModelFolder:
    """Read the files of one folder, and of nothing else.

    ``trusted`` is the model that comes with the package, as much as the package's code: its files may be links
    that lead out, as uv and Bazel install them, and its tokenizer, whose check takes 10 ms, is not checked.
    """

    path: Path
    trusted: bool = False

    def has(self, name: str) -> bool:
        """Say whether there is anything under this name; a link that leads nowhere is something."""
        return os.path.lexists(self._inside(name))

    def contains(self, name: str) -> bool:
        """Say whether a path stays inside the folder, links followed."""
        try:
            return Path(os.path.realpath(self._inside(name))).is_relative_to(os.path.realpath(self.path))
        except (ModelError, OSError, RuntimeError, ValueError):
            return False

    def read(self, name: str, limit_bytes: int = JSON_BYTES) -> bytes:
        """Read a file as a whole.

        Raises:
            ModelError: it is missing, no regular file, larger than ``limit_bytes``, or outside the folder.
        """
        with self.open(name, limit_bytes) as file:
            return read_exactly(file, os.fstat(file.fileno()).st_size, self.path / name)

    def open(self, name: str, limit_bytes: int) -> BufferedReader:
        """Open a file whose kind, place and size are as they should be.

        Raises:
            ModelError: as :meth:`read`.
        """
        path = self._inside(name)
        try:
            real = path.resolve(strict=True)
            if not self.trusted and not real.is_relative_to(os.path.realpath(self.path)):
                raise ModelError(
                    f"{path}: a link that leads out of the folder",
                    hint="Hugging Face's cache is made of such links; copy their files: cp -rL FOLDER COPY",
                )
            # Before it is opened: opening a FIFO waits for its other end, opening a device may do anything.
            _check_file(path, real.stat(), limit_bytes)
            file = os.fdopen(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
            try:
                _check_file(path, os.fstat(file.fileno()), limit_bytes)
            except ModelError:
                file.close()
                raise
        except FileNotFoundError:
            hint = pickles_hint(self) or "is this a model folder?"
            raise ModelError(f"{path.parent}: no {path.name}", hint=hint) from None
        except ModelError:
            raise
        except (OSError, RuntimeError, ValueError) as error:
            # RuntimeError: links in a circle, before Python 3.13. ValueError: a name that no file can have.
            raise ModelError(f"{path}: can't be read: {error}") from error
        return file

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON object.

        Raises:
            ModelError: the file can't be read, or holds something else.
        """
        value = parse_json(self.read(name), self.path / name)
        if not isinstance(value, dict):
            raise ModelError(f"{self.path / name}: holds {type(value).__name__}, expected an object")
        return value

    def optional_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object, or give an empty one where there is no such file."""
        return self.json(name) if self.has(name) else {}

    def _inside(self, name: str) -> Path:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or "\\" in name or not name.isprintable():
            raise ModelError(
                f"{self.path}: path {shown(name)} leads out of the folder, or is none",
                hint="paths in a model folder are relative to it, with / between their parts",
            )
        return self.path / relative


def _check_file(path: Path, found: os.stat_result, limit_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "folder" if stat.S_ISDIR(found.st_mode) else "FIFO, socket or device"
        raise ModelError(f"{path}: can't be read: it is a {kind}, expected a regular file")
    if found.st_size > limit_bytes:
        raise ModelError(f"{path}: {found.st_size:,} bytes, at most {limit_bytes:,} are read")


def read_exactly(file: BufferedReader, size_bytes: int, where: Path) -> bytes:
    """Read the next ``size_bytes`` of a file.

    Raises:
        ModelError: there are fewer, or the disk fails.
    """
    try:
        data = file.read(size_bytes)
    except OSError as error:
        raise ModelError(f"{where}: can't be read: {error}") from error
    if len(data) != size_bytes:
        raise ModelError(f"{where}: can't be read: it ends after {len(data):,} bytes of {size_bytes:,}")
    return data


def parse_json(data: bytes | bytearray, where: Path, *, limit_values: int = JSON_VALUES) -> Any:
    """Parse JSON whose objects name no key twice, within bounds on the number of values and their depth.

    A key named twice means one thing to this parser and may mean another to the library that gets the file.

    Raises:
        ModelError: it is no JSON, or beyond the bounds.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > limit_values:
        raise ModelError(f"{where}: can't be read: more than {limit_values:,} values")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: can't be read: {error}") from error
    level: list[Any] = [value]
    for _ in range(_JSON_DEPTH):
        level = [child for one in level for child in _children(one)]
        if not level:
            return value
    raise ModelError(f"{where}: can't be read: nested deeper than {_JSON_DEPTH} levels")


def _children(value: Any) -> list[Any]:
    """Give what an object or a list holds of objects and lists."""
    if type(value) not in (dict, list):
        return []
    values = value.values() if isinstance(value, dict) else value
    if {dict, list}.isdisjoint(map(type, values)):  # a vocabulary, a list of numbers: most of a large file
        return []
    return [one for one in values if type(one) in (dict, list)]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {shown(twice)} is named twice")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def refuse_code(folder: ModelFolder, inside: str = "") -> None:
    """Refuse a folder whose configuration asks for code of its own; ``.py`` files nobody names are left alone.

    Raises:
        ModelError: a configuration asks for code.
    """
    for name in _CONFIGS:
        name = f"{inside}/{name}" if inside else name
        level: list[Any] = [folder.optional_json(name)]
        while level:
            for one in level:
                asked = _CODE & one.keys() if isinstance(one, dict) else set()
                for key in sorted(asked):
                    if one[key]:
                        raise ModelError(
                            f"{folder.path / name}: asks for code of its own ({key}), which is never run",
                            hint="export the model to a graph of standard operators",
                        )
            level = [child for one in level for child in _children(one)]


def pickles_hint(folder: ModelFolder) -> str:
    """Say in a hint that the folder's weights are pickles, or give an empty text where there are none."""
    try:
        with os.scandir(folder.path) as entries:
            found = sorted(e.name for e in islice(entries, 1000) if Path(e.name).suffix.lower() in _PICKLES)
    except OSError:
        return ""
    if not found:
        return ""
    return f"{shown(found[0])} may be a pickle, which can run code and is never opened: convert it"


def shown(value: object) -> str:
    """Give a value as a message may show it: quoted, printable, and short whatever a folder says."""
    found = repr(value[:200] if isinstance(value, str | bytes) else value)
    return found if len(found) <= 120 else f"{found[:117]}..."
