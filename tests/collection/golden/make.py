"""Make a golden collection with the shortlist that is installed; its format is the one of that version.

    python tests/collection/golden/make.py FOLDER

Format 1 was made by commit 9412ce7, format 2 by the commit that added it here. They are never made again:
what once was written must always open.
"""

import sys
from pathlib import Path
from typing import Any

from shortlist import Collection

RECORDS: list[dict[str, Any]] = [
    {
        "id": "declined",
        "title": "Card declined abroad",
        "text": "Allow foreign use of the card.",
        "year": 2020,
    },
    {"id": "order", "title": "Order a card", "text": "A new card takes five working days.", "lang": "en"},
    {"id": "hours", "text": "We are open from nine to five.", "tag": ["news", "faq"], "open": True},
    {"id": "größe", "title": "Größe 🙂", "text": "Die Karte ist 85 mm breit.\n日本語", "width": 85.6},
    {"id": "lost", "title": "Lost card", "text": "Call us, we block it at once.", "lang": "en"},
    {"id": "old", "text": "Cheques were given up long ago.", "year": 1999},
]
CHANGED: dict[str, Any] = {
    "id": "order",
    "title": "Order a card",
    "text": "A new card takes three days.",
    "lang": "en",
}


def main() -> None:
    with Collection.create(Path(sys.argv[1])) as collection:
        collection.add(RECORDS)
        collection.add([CHANGED])
        collection.delete(["old"])


if __name__ == "__main__":
    main()
