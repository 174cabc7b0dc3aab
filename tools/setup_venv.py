"""Create .venv and install preheat into it, from pinned versions; quick when there is nothing to do.

    python3 tools/setup_venv.py        what `make demo` needs
    python3 tools/setup_venv.py dev    and what `make test` needs
    python3 tools/setup_venv.py bench  and what `make bench` needs

torch is the CPU build unless there is an NVIDIA driver. On Linux the public package index holds only torch's
CUDA build, gigabytes of it, so there the CPU build is asked for by its own version (2.13.0+cpu), and if pip's
sources do not have it, by uv, which knows where torch's own builds are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
WINDOWS = platform.system() == "Windows"
CONSTRAINTS = ROOT / "constraints.txt"
TORCH = next(
    line.strip()
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    if line.startswith("torch==")
)
EXTRAS = {"run": "", "dev": "[dev,peers]", "bench": "[dev,peers,bench]"}  # each has what those before it have
ALONE = {"run": (), "dev": ("timm",), "bench": ("timm",)}  # without dependencies: timm asks for torchvision
NO_VENV = """{python} can't make a virtual environment{why}
On Debian and Ubuntu install the package python{version}-venv (or python3-venv) and run this again.
Elsewhere name another Python, such as: make PYTHON=python3.12 demo"""


def main(kind: str = "run") -> int:
    """Set up; returns the exit code."""
    if sys.version_info < (3, 11):
        print(
            f"preheat needs Python 3.11 or newer, this is {platform.python_version()}: write make "
            "PYTHON=python3.11 demo"
        )
        return 2
    if kind not in EXTRAS:
        print(f"what to set up is one of {', '.join(EXTRAS)}, got {kind!r}")
        return 2
    kinds = list(EXTRAS)
    if any(ready(k) for k in kinds[kinds.index(kind) :]):
        return 0
    if not make_venv(VENV) or not install_torch():
        return 1
    print(f"installing preheat{EXTRAS[kind]}")
    if pip("install", "-e", f"{ROOT}{EXTRAS[kind]}"):
        return 1
    if ALONE[kind] and pip("install", "--no-deps", *ALONE[kind]):
        return 1
    stamp(kind).write_text(fingerprint(), encoding="utf-8")
    return 0


def stamp(kind: str) -> Path:
    """The file that says what was installed for this kind."""
    return VENV / f".ready-{kind}"


def ready(kind: str) -> bool:
    """Whether this kind was installed from the files as they are now."""
    return (
        stamp(kind).exists()
        and stamp(kind).read_text(encoding="utf-8") == fingerprint()
        and python_of(VENV).exists()
    )


def fingerprint() -> str:
    """Changes when what must be installed does."""
    text = b"".join(
        (ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt", "tools/setup_venv.py")
    )
    return hashlib.sha256(text).hexdigest()


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / "Scripts" / "python.exe" if WINDOWS else venv / "bin" / "python"


def make_venv(venv: Path) -> bool:
    """A virtual environment with pip; whether it is there now. One without pip, or without its Python, is
    made anew."""
    if has_pip(venv):
        return True
    print(f"creating {venv.name}")
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True, check=False
    )
    if done.returncode == 0 and has_pip(venv):
        return True
    said = (done.stderr or done.stdout).strip()
    missing = importlib.util.find_spec("ensurepip") is None
    why = ": its module ensurepip is missing." if missing else f":\n{said}"
    print(
        NO_VENV.format(python=sys.executable, why=why, version=".".join(platform.python_version_tuple()[:2]))
    )
    return False


def has_pip(venv: Path) -> bool:
    """Whether the environment's Python runs and has pip."""
    try:
        return (
            subprocess.run(
                [str(python_of(venv)), "-m", "pip", "--version"], capture_output=True, check=False
            ).returncode
            == 0
        )
    except OSError:
        return False


def pip(*args: str) -> int:
    """pip in the virtual environment, with the pinned versions, also for what builds the package."""
    pinned = CONSTRAINTS.as_uri()  # a path would be cut at its spaces
    names = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")
    env = {**os.environ, **{n: f"{os.environ.get(n, '')} {pinned}".strip() for n in names}}
    command = [str(python_of(VENV)), "-m", "pip", *args, "--quiet", "--disable-pip-version-check"]
    return subprocess.run(command, env=env, check=False).returncode


def has_driver() -> bool:
    """Whether an NVIDIA driver is there."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def install_torch() -> bool:
    """torch for this machine; whether it is there now."""
    python = str(python_of(VENV))
    ask = [python, "-c", "import torch; print(torch.__version__)"]
    have = subprocess.run(ask, capture_output=True, text=True, check=False)
    if have.returncode == 0 and f"torch=={have.stdout.strip().split('+')[0]}" == TORCH:
        return True
    if platform.system() != "Linux" or has_driver():
        print(f"installing {TORCH}")
        return pip("install", TORCH) == 0
    print(f"installing {TORCH}+cpu (no NVIDIA driver here)")
    if pip("install", f"{TORCH}+cpu") == 0:
        return True
    print("pip's sources do not have that build; asking uv for it")
    uv = [
        python,
        "-m",
        "uv",
        "pip",
        "install",
        "--python",
        python,
        "--constraint",
        str(CONSTRAINTS),
        "--torch-backend",
        "cpu",
    ]
    if pip("install", "uv") == 0 and subprocess.run([*uv, TORCH], check=False).returncode == 0:
        return True
    print(
        f"no CPU build of {TORCH} could be installed: install one into .venv as torch's own pages say, then "
        "run this again"
    )
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
