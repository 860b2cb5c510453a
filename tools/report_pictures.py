"""Take pictures of a report with Chromium: on a desk, in the dark, on a phone and on paper.

    python tools/report_pictures.py report.html pictures/

A browser's window is never narrower than 500 pixels, so the phone is a frame of 390 in a page.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
LIGHT, DARK = ("--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0")
HEIGHT = 5000


def take(page: Path, *options: str) -> None:
    subprocess.run([*BROWSER, *options, page.as_uri()], check=True, capture_output=True, timeout=120)


def main(report: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        phone = Path(temporary) / "phone.html"
        frame = f'<iframe src="{report.as_uri()}" style="border:0;width:390px;height:{HEIGHT}px"></iframe>'
        phone.write_text(f'<body style="margin:0">{frame}', encoding="utf-8")
        for name, page, scheme, width in (
            ("desk", report, LIGHT, 1280),
            ("dark", report, DARK, 1280),
            ("phone", phone, LIGHT, 500),
        ):
            picture = f"--screenshot={folder / name}.png"
            take(page, scheme, f"--window-size={width},{HEIGHT}", picture)
    take(report, "--no-pdf-header-footer", f"--print-to-pdf={folder / 'paper.pdf'}")
    print(f"desk.png, dark.png, phone.png and paper.pdf are in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tools/report_pictures.py report.html folder/")
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
