"""Test the trackers with the real packages, in an environment of its own: nothing else needs them.

    python3 tools/track_env.py        makes .venv-track where it is not there, and runs tests/trackers in it

It sees the packages of .venv (tools/setup_venv.py dev), so that only the trackers' own are installed, no
second torch. Nothing is written into .venv. The versions are those of tools/track_constraints.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

from setup_venv import ROOT, VENV, fingerprint, make_venv, python_of

HERE = ROOT / ".venv-track"
OWN = Path(__file__).with_name("track_constraints.txt")


def main() -> int:
    """Set up and test; the exit code."""
    stamp = HERE / ".ready"
    text = sha256(f"{fingerprint()}{OWN.read_text()}{Path(__file__).read_text()}".encode()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != text:
        if not make_venv(HERE) or install():
            return 1
        stamp.write_text(text, encoding="utf-8")
    test = [str(python_of(HERE)), "-m", "pytest", "-p", "no:xdist", "-rs", "tests/trackers"]
    return subprocess.run(test, cwd=ROOT, check=False).returncode


def install() -> int:
    """The trackers' packages, beside what .venv has."""
    # addsitedir also reads .venv's own .pth files, among them that of the editable preheat
    link = f"import site; site.addsitedir({packages(VENV)!r})\n"
    Path(packages(HERE), "shared.pth").write_text(link, encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {**os.environ, "PIP_CONSTRAINT": OWN.as_uri()}
    pip = [str(python_of(HERE)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run(
        [*pip, *project["optional-dependencies"]["track"]], env=pinned, check=False
    ).returncode


def packages(venv: Path) -> str:
    """The folder of an environment's packages."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    said = subprocess.run([str(python_of(venv)), "-c", ask], capture_output=True, text=True, check=True)
    return said.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
