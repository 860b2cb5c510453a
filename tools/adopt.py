"""Put models that recipes/build.sh made into the package: heads beside the default model's weights, judges as folders.

    python tools/adopt.py --work WORK heads|judge|judge-small

The default model's weights stay as they are, byte for byte: the heads lie in a file of their own, and the graphs are
those that were drawn with them. Cards are written by hand from what was measured, so a folder's README.md is left alone
if there is one.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from shortlist.models.catalogue import verify
from shortlist.models.heads import HEADS
from shortlist.models.own_folder import DEFAULT, JUDGES
from shortlist.train.export import write_description

TAKEN = ("dense_scale", "token_scale", "token_dimensions", "heads", "late", "training", "transformer")


def adopt_heads(made: Path) -> Path:
    """Copy heads and graphs, and say in the default model's description what they need."""
    theirs, ours = (json.loads((folder / "model.json").read_text()) for folder in (made, DEFAULT))
    if (
        theirs.get("shared_weights") != ours["files"]["weights.safetensors"]
        or "weights.safetensors" in theirs["files"]
    ):
        raise SystemExit(f"{made}: has another transformer than the default model")
    for name in (HEADS, "graph.fast.onnx", "graph.exact.onnx"):
        shutil.copyfile(made / name, DEFAULT / name)
    del ours["files"]
    write_description(DEFAULT, ours | {name: theirs[name] for name in TAKEN if name in theirs})
    return DEFAULT


def adopt_judge(made: Path, place: Path) -> Path:
    """Copy a judge's folder but its card."""
    place.mkdir(exist_ok=True)
    for file in made.iterdir():
        if file.name != "README.md" or not (place / "README.md").exists():
            shutil.copyfile(file, place / file.name)
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("what", choices=("heads", *JUDGES))
    given = parser.parse_args()
    made = given.work / given.what
    place = adopt_heads(made) if given.what == "heads" else adopt_judge(made, JUDGES[given.what])
    found = verify(place)
    print(f"{place.name}: {found.summary.size_bytes / 1e6:.1f} MB, modes agree to {found.agreement}")


if __name__ == "__main__":
    main()
