"""Every error that shortlist raises on purpose, in one tree.

::

    ShortlistError                  catch this to catch them all
    ├── DataError                   (ValueError)         a record, file or array is malformed
    ├── PipelineError               (ValueError)         a pipeline's text or combination makes no sense
    ├── FilterError                 (ValueError)         a metadata filter can't be parsed
    ├── MeasureError                (ValueError)         there is no such measure
    ├── ModelError                  (ValueError)         a model folder can't be used
    │   └── ModelMismatchError                           a collection or head is of another model
    ├── CollectionError             (RuntimeError)       a collection can't do what was asked
    │   ├── CollectionNotFoundError (FileNotFoundError)
    │   ├── CollectionExistsError   (FileExistsError)
    │   ├── CollectionBusyError     (BlockingIOError)    another process is writing
    │   ├── CollectionDamagedError                       files disagree with what was committed
    │   ├── CollectionFormatError                        another version of shortlist made it
    │   └── CollectionStorageError  (OSError)            the disk is full, the system refuses a file
    └── MissingExtraError           (ImportError)        an optional dependency is not installed

Each is also the builtin that a caller without our names would catch. A message says what failed and
where; ``hint`` says what to do about it, and the command line prints it on a line of its own.
"""

__all__ = [
    "CollectionBusyError",
    "CollectionDamagedError",
    "CollectionError",
    "CollectionExistsError",
    "CollectionFormatError",
    "CollectionNotFoundError",
    "CollectionStorageError",
    "DataError",
    "FilterError",
    "MeasureError",
    "MissingExtraError",
    "ModelError",
    "ModelMismatchError",
    "PipelineError",
    "ShortlistError",
]


class ShortlistError(Exception):
    """Say what failed, and in ``hint`` what to do.

    >>> str(DataError("articles.jsonl:17: no `text`", hint="give each record a `text`"))
    'articles.jsonl:17: no `text`'
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:  # OSError subclasses would print (errno, message)
        return self.message


class DataError(ShortlistError, ValueError):
    """A record, file or array is malformed."""


class PipelineError(ShortlistError, ValueError):
    """A pipeline's text or its combination of stages makes no sense."""


class FilterError(ShortlistError, ValueError):
    """A metadata filter can't be parsed."""


class MeasureError(ShortlistError, ValueError):
    """A measure's name or setting makes no sense."""


class ModelError(ShortlistError, ValueError):
    """A model folder can't be used."""


class ModelMismatchError(ModelError):
    """A collection was encoded by, or a head trained on, another model than the one at hand."""


class CollectionError(ShortlistError, RuntimeError):
    """A collection can't do what was asked."""


class CollectionNotFoundError(CollectionError, FileNotFoundError):
    """There is no collection at this path."""


class CollectionExistsError(CollectionError, FileExistsError):
    """There is something at this path already."""


class CollectionBusyError(CollectionError, BlockingIOError):
    """Another process is writing to this collection."""


class CollectionDamagedError(CollectionError):
    """Files on disk disagree with what was committed."""


class CollectionFormatError(CollectionError):
    """The collection has the format of another version of shortlist."""


class CollectionStorageError(CollectionError, OSError):
    """The system refused to read or write: disk full, quota, too many open files, I/O error, permissions.

    ``errno`` is the system's number, as of any ``OSError``.
    """


class MissingExtraError(ShortlistError, ImportError):
    """An optional dependency is not installed; the hint has the command that installs it."""
