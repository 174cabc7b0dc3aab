"""Pages as a browser reads them: their tags, ids and addresses, and what a headless browser makes of them."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

from preheat.report.report import Report
from preheat.report.write import write_report

VOID = {"meta", "br", "img", "input", "link", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(made: Report, folder: Path) -> Path:
    """The report's page, with a text of where it comes from that must be escaped."""
    return write_report(made, folder, provenance={"version": "0.1.0 <x>"})


class Balance(HTMLParser):
    """Opening and closing tags, ids and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.figures = self.labelled = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [v for k, v in attrs if k in ("href", "src") and v]
        self.figures += tag == "svg"
        self.labelled += tag == "svg" and bool(values.get("aria-label")) and values.get("role") == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def parsed(path: Path) -> Balance:
    parser = Balance()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    return parser


def browse(path: Path, profile: Path, *, width: int = 1300, place: str = "dark") -> tuple[str, str]:
    """(the page's DOM after its script has run, what the browser logged), at a place of it: dark is its
    colours."""
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={profile}", f"--window-size={width},900", "--virtual-time-budget=3000"),
        *("--enable-logging=stderr", "--v=0"),
    ]
    call = [str(CHROMIUM), *flags, "--dump-dom", f"{path.as_uri()}#{place}"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr
