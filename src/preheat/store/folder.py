"""The folder of a store: what tells that it is one, and of which format."""

from __future__ import annotations

from pathlib import Path

from preheat.core.errors import UserError, explain
from preheat.store.blobs import read_json

FORMAT = 1
KEY = "preheat-store"
_OWN = ("format.json", "records", "checkpoints", "weights", "trackers", "claims")


def exists(root: str | Path) -> bool:
    """Whether `root` holds a store, of whatever version."""
    return (Path(root) / "format.json").is_file()


def check_format(path: Path) -> None:
    """Errors: UserError where the file `path` names no format, or a newer one."""
    data = read_json(path)
    version = data.get(KEY) if isinstance(data, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UserError(f'{path} must be {{"{KEY}": {FORMAT}}}, got {data!r}: name another folder')
    if version > FORMAT:
        raise UserError(
            f"this preheat reads results of format {FORMAT} or older, and {path.parent} has format "
            f"{version}: install a newer preheat, or name another folder"
        )


def refuse_others(root: Path) -> None:
    """A folder that holds someone's files is not taken over; what another process makes of it meanwhile is a
    store."""
    try:
        names = (
            sorted(p.name for p in root.iterdir() if p.name not in _OWN and p.name[0] != ".")
            if root.exists()
            else []
        )
    except OSError as error:
        raise explain("keep results", root, error) from error
    if names and not exists(root):
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise UserError(
            f"a results folder must be new, empty or have a format.json; {root} holds {shown}: name another "
            "folder"
        )
