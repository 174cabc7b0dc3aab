"""Create .venv and install preheat into it, from pinned versions; quick when there is nothing to do.

    python3 tools/setup_venv.py        what `make demo` needs
    python3 tools/setup_venv.py dev    and what `make test` needs

torch is the CPU build unless there is an NVIDIA driver. On Linux the public package index holds only torch's CUDA
build, gigabytes of it, so there the CPU build is asked for by its own version (2.13.0+cpu), and if pip's sources do
not have it, by uv, which knows where torch's own builds are.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if platform.system() == "Windows" else "bin")
PYTHON = BIN / ("python.exe" if platform.system() == "Windows" else "python")
CONSTRAINTS = ROOT / "constraints.txt"
TORCH = next(line.strip() for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))


def main(kind: str) -> int:
    """Set up; returns the exit code."""
    if sys.version_info < (3, 11):
        print(f"preheat needs Python 3.11 or newer, this is {platform.python_version()}: write make PYTHON=python3.11 demo")
        return 2
    stamp = VENV / f".ready-{kind}"
    if stamp.exists() and stamp.read_text() == fingerprint():
        return 0
    if not PYTHON.exists():
        print(f"creating {VENV.name}")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    if not install_torch():
        return 1
    extra = "[dev]" if kind == "dev" else ""
    print(f"installing preheat{extra}")
    if pip("install", "-e", f"{ROOT}{extra}"):
        return 1
    stamp.write_text(fingerprint())
    return 0


def fingerprint() -> str:
    """Changes when what must be installed does."""
    text = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt", "tools/setup_venv.py"))
    return hashlib.sha256(text).hexdigest()


def pip(*args: str) -> int:
    """pip in the virtual environment, with the pinned versions."""
    command = [str(PYTHON), "-m", "pip", *args, "--quiet", "--disable-pip-version-check", "--constraint", str(CONSTRAINTS)]
    return subprocess.run(command, check=False).returncode


def has_driver() -> bool:
    """Whether an NVIDIA driver is there."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def install_torch() -> bool:
    """torch for this machine; whether it is there now."""
    ask = [str(PYTHON), "-c", "import torch; print(torch.__version__)"]
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
    uv = [str(BIN / "uv"), "pip", "install", "--python", str(PYTHON), "--torch-backend", "cpu", TORCH]
    if pip("install", "uv") == 0 and subprocess.run(uv, check=False).returncode == 0:
        return True
    print(f"no CPU build of {TORCH} could be installed: install it into .venv as pytorch.org says, then run this again")
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "run"))
