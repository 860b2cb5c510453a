"""Write docs/commands.md from the command line's own parser.

python tools/command_reference.py [--check]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shortlist.cli.main import build_parser

TARGET = Path(__file__).parent.parent / "docs" / "commands.md"

HEAD = """# Commands

Made by `tools/command_reference.py` from the parser itself; `shortlist COMMAND --help` says the same.

Data goes to stdout, everything else to stderr. Exit codes: 0 done (skipped records are counted and shown; with
`--strict` they fail), 1 failed, 2 wrong usage, 3 `check` or `doctor` found damage, 130 interrupted.
"""


def shown(action: argparse.Action) -> str:
    if not action.option_strings:
        dots = " ..." if action.nargs in ("*", "+") else ""
        return f"`{action.metavar or action.dest}{dots}`"
    named = " ".join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar
    value = "" if action.nargs == 0 else f" {named or '{' + ','.join(map(str, action.choices or ())) + '}'}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def section(name: str, parser: argparse.ArgumentParser, level: int) -> str:
    """Describe a command, and below it its parts."""
    lines = [f"\n{'#' * level} {name}\n\n{parser.description}\n\n| argument | meaning |\n|---|---|\n"]
    below = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = [section(f"{name} {part}", inner, level + 1) for part, inner in action.choices.items()]
        if not isinstance(action, argparse._HelpAction):
            meaning = (action.help or "").replace("|", "\\|")
            lines.append(f"| {shown(action)} | {meaning} |\n")
    return "".join([*lines, *below])


def reference() -> str:
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return "".join([HEAD, *(section(name, parser, 2) for name, parser in commands.choices.items())])


def main() -> int:
    if "--check" in sys.argv:
        return int(not TARGET.exists() or TARGET.read_text() != reference())
    TARGET.write_text(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
