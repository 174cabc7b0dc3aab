"""Texts for language models: Python's own source, a file of the user's, WikiText-2's files; and their tokens.

A text is three parts of bytes, for training, validation and test, which follow one another. Tokens are the
bytes themselves, or those of a byte-pair encoding that is trained on the training part.
"""

from __future__ import annotations

import hashlib
import sysconfig
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preheat.core.errors import UserError, explain

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from preheat.tasks.sets import Stamp

BYTES = 256  # tokens, where they are bytes
MOST_TOKENS = 32_768
SOURCE_BYTES = 2_000_000
Parts = tuple[bytes, bytes, bytes]
Tokens = tuple[np.ndarray, np.ndarray, np.ndarray]


def parts(text: bytes) -> Parts:
    """The first 90 % to train on, the next 5 % for validation, the rest for test.

    >>> [len(part) for part in parts(bytes(1000))]
    [900, 50, 50]
    """
    train, validation = (len(text) * share // 20 for share in (18, 19))
    return text[:train], text[train:validation], text[validation:]


@lru_cache(maxsize=1)
def python_source() -> bytes:
    """The first 2,000,000 bytes of the running Python's standard library: the .py files of its top folder, in
    the order of their names, one after the other.

    Errors: UserError where there are fewer, as in a Python that ships them compiled or packed.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    text, files = b"", sorted(folder.glob("*.py"))
    for path in files:
        if len(text) < SOURCE_BYTES:
            text += _read(path)
    if len(text) < SOURCE_BYTES:
        raise UserError(
            f"Python's own source must hold {SOURCE_BYTES:,} bytes, the {len(files)} .py files in {folder} "
            f"hold {len(text):,}: use a Python that ships its library's source, or a text file of your own"
        )
    return text[:SOURCE_BYTES]


def stamp_of(path: Path) -> Stamp:
    """What tells whether a file is still the one that was read. Errors: UserError where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path} in {Path.cwd()}: write the path of a text file") from error
    except OSError as error:
        raise explain("read the text", path, error) from error
    return path.absolute(), found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4)
def plain_text(path: Path, size: int, changed: int) -> bytes:
    """A file of UTF-8 text with this stamp. Errors: UserError where it can't be read, is empty or other."""
    return _utf8(_read(path), path.name)


@lru_cache(maxsize=2)
def members(path: Path, names: tuple[str, str, str], stamps: tuple[Stamp, ...]) -> Parts:
    """The three files of these names in a folder or a zip with these stamps.

    Errors: UserError where one is missing or no UTF-8 text, or the zip is none.
    """
    if path.is_dir():
        train, validation, test = (_utf8(_read(path / name), name) for name in names)
        return train, validation, test
    try:
        with zipfile.ZipFile(path) as packed:
            inside = {name.rpartition("/")[2]: name for name in packed.namelist()}
            lost = [name for name in names if name not in inside]
            if lost:
                raise UserError(f"{path} must hold {', '.join(names)}; {lost[0]} is missing")
            train, validation, test = (_utf8(packed.read(inside[name]), name) for name in names)
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} must be a zip file: {error}") from error
    except OSError as error:
        raise explain(f"read {path.name}", path.parent, error) from error
    return train, validation, test


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise explain("read the text", path, error) from error


def _utf8(text: bytes, name: str) -> bytes:
    """The text, which must be some, in UTF-8."""
    if not text:
        raise UserError(f"{name} must hold text, it is empty")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} must be UTF-8 text, byte {error.start} (from 0) is 0x{text[error.start]:02x}: convert "
            "it, for example with iconv -f latin1 -t utf-8"
        ) from error
    return text


def sha256(text: bytes) -> str:
    """The checksum, in hexadecimal digits.

    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(text).hexdigest()


@lru_cache(maxsize=4)
def tokens(text: Parts, vocabulary: int) -> Tokens:
    """The tokens of each part, each [N]: uint8 for bytes, else int16.

    Errors: UserError where the package `tokenizers` is needed and not installed.
    """
    if vocabulary == BYTES:
        first, second, third = (np.frombuffer(part, np.uint8) for part in text)
        return first, second, third
    made = byte_pairs(text[0], vocabulary)
    train, validation, test = (made.encode(part.decode("utf-8", "ignore")).ids for part in text)
    return np.array(train, np.int16), np.array(validation, np.int16), np.array(test, np.int16)


@lru_cache(maxsize=4)
def byte_pairs(text: bytes, vocabulary: int) -> Tokenizer:
    """A byte-pair encoding trained on a text, of at most `vocabulary` tokens.

    Words and runs of punctuation are encoded each for itself; white space is dropped. A character that is cut
    at an end of the text is left out. The alphabet is the text's most frequent characters, at most half of
    the vocabulary; others, and the text <unk>, are the token <unk>. Sennrich et al. 2016, arXiv 1508.07909.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError as error:
        raise UserError(
            f"vocabulary={vocabulary} needs the package tokenizers: pip install 'preheat[text]', or write "
            f"vocabulary={BYTES} for bytes"
        ) from error
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<unk>"],
        limit_alphabet=vocabulary // 2,
        show_progress=False,
    )
    made.train_from_iterator(text.decode("utf-8", "ignore").splitlines(), trainer)
    return made
