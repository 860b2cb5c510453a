"""How many megabytes does an installation take, with everything it pulls, the model apart?

python benchmarks/install_size.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import write_results

ROOT = Path(__file__).parent.parent
FORBIDDEN = ("torch", "sentence_transformers", "scipy", "transformers")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        environment = Path(temporary) / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
        begin = time.perf_counter()
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(environment / "bin" / "python"),
            "install",
            "--quiet",
        ]
        subprocess.run([*pip, str(ROOT)], check=True)
        seconds = time.perf_counter() - begin
        (site,) = (environment / "lib").glob("python*/site-packages")
        sizes = {p.name: sum(f.stat().st_size for f in p.rglob("*") if f.is_file()) for p in site.iterdir()}
        model = sum(f.stat().st_size for f in (site / "shortlist" / "models" / "default").iterdir())
        found = [name for name in FORBIDDEN if (site / name).exists()]
    largest = dict(sorted(sizes.items(), key=lambda item: -item[1])[:8])
    results = {
        "total_mb": round((sum(sizes.values()) - model) / 1e6, 1),
        "model_mb": round(model / 1e6, 1),
        "largest_mb": {name: round(size / 1e6, 1) for name, size in largest.items()},
        "install_s": round(seconds, 1),
        "heavy packages found": found,
    }
    print(json.dumps(results, indent=1))
    if found:
        raise SystemExit(f"an installation must not pull {found}")
    write_results("install-size", results)


if __name__ == "__main__":
    main()
