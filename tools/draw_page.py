"""Take the README's picture of a report's first screen, docs/img/report.png, with Chromium.

    python tools/draw_page.py results/regimes/report.html

Needs `chromium` on the PATH, or its path in CHROMIUM. The picture is 1300 x 900 pixels in 256 colours,
under 300 kB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

OUT = Path(__file__).parents[1] / "docs" / "img" / "report.png"
WIDTH, HEIGHT = 1300, 900
MOST_BYTES = 300_000


def shoot(page: Path, out: Path) -> None:
    """Draw the page's first screen into `out`."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        raise SystemExit("the picture needs Chromium: install chromium, or write CHROMIUM=/path/to/it")
    with tempfile.TemporaryDirectory() as home:
        flags = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={home}",
        )
        shot = Path(home) / "shot.png"
        asked = (f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", page.resolve().as_uri())
        subprocess.run([chromium, *flags, *asked], check=True, timeout=120, capture_output=True)
        smaller(shot, out)


def smaller(shot: Path, out: Path) -> None:
    """The picture in 256 colours."""
    from PIL import Image

    out.parent.mkdir(exist_ok=True)
    with Image.open(shot) as image:
        image.convert("RGB").quantize(256).save(out, optimize=True)
    assert out.stat().st_size < MOST_BYTES, f"{out} has {out.stat().st_size} bytes"


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description="Draw docs/img/report.png.")
    parser.add_argument("page", type=Path, help="a report's page")
    shoot(parser.parse_args().page, OUT)


if __name__ == "__main__":
    main()
