"""How the command line starts a command, and how it ends.

Exit codes: 0 done (skipped records are counted, not an error), 1 failed, 2 wrong usage, 3 ``check``, ``doctor`` or
``models verify`` found something wrong, 130 interrupted. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from shortlist.cli.arguments import build_parser
from shortlist.cli.terminal import UsageError, say
from shortlist.errors import FilterError, MeasureError, PipelineError, ShortlistError

__all__ = ["build_parser", "main"]

FAILED, USAGE, INTERRUPTED = 1, 2, 130

_MODULES = {
    **dict.fromkeys(("evaluate", "compare", "tune", "advise"), "evaluation"),
    **dict.fromkeys(("similarity", "duplicates"), "similarity"),
    "classify": "classification",
    "train": "training",
    "models": "models",
}
"""Where a command is that is not in ``commands``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a title may have what the terminal can't show
    # One search is too short to share: a second BLAS thread that waits for its core costs more than it gives.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = build_parser().parse_args(argv)
    try:
        module = _MODULES.get(arguments.command, "commands")
        command = importlib.import_module(f"shortlist.cli.{module}").COMMANDS[arguments.command]
        code = int(command(arguments) or 0)
        sys.stdout.flush()
        return code
    except ShortlistError as error:
        if arguments.debug:
            raise
        wrong_usage = isinstance(error, PipelineError | FilterError | MeasureError | UsageError)
        return _fail(str(error), error.hint, USAGE if wrong_usage else FAILED)
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if arguments.debug:
            raise
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}", "", FAILED)
    except ImportError as error:
        if arguments.debug:
            raise
        return _fail(
            f"{error}",
            "a package is missing or damaged; install them again: pip install --force-reinstall shortlist",
            FAILED,
        )
    except MemoryError:
        if arguments.debug:
            raise
        return _fail(
            "out of memory", "free some memory, or raise the limit; what was committed is kept", FAILED
        )
    except Exception as error:
        if arguments.debug:
            raise
        return _fail(
            f"{type(error).__name__}: {error}",
            "this is ours to mend: run it with --debug and report it",
            FAILED,
        )
    except KeyboardInterrupt:
        return _fail("interrupted", "what was committed is kept", INTERRUPTED)


def _fail(message: str, hint: str, code: int) -> int:
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
    return code


if __name__ == "__main__":
    sys.exit(main())
