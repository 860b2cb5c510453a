"""What a path leads to, how its name ends, and how it is shown in a message."""

import os
import stat
from pathlib import Path

from shortlist.errors import DataError

__all__ = [
    "StrPath",
    "existing_file",
    "existing_folder",
    "existing_path",
    "full_extension",
    "refuse_existing",
    "shown",
]

StrPath = str | os.PathLike[str]


def shown(path: Path) -> str:
    """Write a path so that it can be printed, also where its name isn't UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def full_extension(path: Path) -> str:
    """Return how a file's name ends, in lower case, compression included.

    >>> full_extension(Path("v1.2/corpus.JSONL.gz"))
    '.jsonl.gz'
    """
    extension = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + extension if extension == ".gz" else extension


def existing_path(path: StrPath) -> Path:
    """Return a path that leads to a file or a folder.

    Raises:
        DataError: it doesn't exist, can't be reached, has a NUL, or is a pipe or a device.
    """
    found = Path(path)
    try:
        mode = found.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{shown(found)}: path doesn't exist", hint="check its spelling") from error
    except OSError as error:
        raise DataError(f"{shown(found)}: can't be opened: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{shown(found)!r}: no path has a NUL") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError(f"{shown(found)}: neither a file nor a folder", hint="write the data to a file first")
    return found


def existing_file(path: StrPath) -> Path:
    """Return a path that leads to a file.

    Raises:
        DataError: it doesn't, see :func:`existing_path`.
    """
    found = existing_path(path)
    if found.is_dir():
        raise DataError(f"{shown(found)}: is a folder, expected a file", hint="name a file in it")
    return found


def existing_folder(path: StrPath) -> Path:
    """Return a path that leads to a folder.

    Raises:
        DataError: it doesn't, see :func:`existing_path`.
    """
    found = existing_path(path)
    if not found.is_dir():
        raise DataError(f"{shown(found)}: is a file, expected a folder", hint="name the folder it is in")
    return found


def refuse_existing(path: StrPath) -> None:
    """Refuse a path where something is, so that no long work is for nothing.

    Raises:
        DataError: there is something.
    """
    if os.path.lexists(path):
        raise DataError(
            f"{path}: there is something at this path already", hint="remove it, or name another path"
        )
