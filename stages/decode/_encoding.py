"""From bytes to text: is it text at all, and in which encoding."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final
from unicodedata import category

from schemas.errors import CorruptError, EmptyError, LimitError, UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

# The four-byte marks stand first: UTF-32-LE begins with UTF-16-LE's.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# As file(1) has it: everything below space but BEL BS HT LF VT FF CR ESC is no text; DEL neither.
_CONTROL: Final = bytes([*range(7), *range(14, 27), *range(28, 32), 127])
_CONTROL_SHARE: Final = 0.002  # a log or a mail archive has a few
_SAMPLE_BYTES: Final = 1 << 16
_ODD_SHARE: Final = 0.02
_MIXED_SHARE: Final = 0.3
_BYTES_PER_CHAR: Final = 4
_DECLARATION_BYTES: Final = 4096
_NON_ASCII_LINES: Final = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")


# The single- and multi-byte encodings that browsers know (WHATWG Encoding Standard), under Python's names.
_LEGACY: Final = (
    *(
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "cp866",
        "cp874",
    ),
    *("iso8859_2", "iso8859_5", "iso8859_7", "koi8_r", "koi8_u", "mac_roman", "mac_cyrillic"),
    *("big5", "euc_jp", "euc_kr", "gb18030", "shift_jis"),
)
# What a file may declare: written text in one byte or a few, none of Python's transforms such as unicode_escape.
_DECLARABLE: Final = re.compile(r"cp\d|iso|koi8|mac_|big5|gb|euc_|shift_jis|tis_620|hz$|johab")
# charset-normalizer takes French, Spanish and German for these; the far likelier cp1252 is tried first.
_LATIN: Final = frozenset({"cp1250", "cp1257", "iso8859_2", "mac_roman"})
_SYMBOL_IN_WORD: Final = re.compile(
    r"[^\W\d_][\u00a1-\u00a9\u00ab-\u00b3\u00b5-\u00b9\u00bb-\u00bf\u00d7\u00f7][^\W\d_]"
)


def is_text(head: bytes) -> bool:
    """Whether bytes are text: a byte-order mark, or no NUL and hardly any control characters."""
    if _mark(head) or _bare_utf16(head):
        return _odd_share(decode_head(head)) <= _ODD_SHARE
    controls = len(head) - len(head.translate(None, _CONTROL))
    return b"\0" not in head and controls <= len(head) * _CONTROL_SHARE


def _odd_share(text: str) -> float:
    """Share of characters that written text does not have: unassigned, private, undecodable, control."""
    odd = sum(
        char == "\ufffd" or (category(char) in ("Cc", "Cn", "Co", "Cs") and not char.isspace())
        for char in text
    )
    return odd / max(1, len(text))


def decode_head(head: bytes) -> str:
    """The beginning of a text, good enough to see which kind it is; never fails."""
    name, skip = _known_encoding(head)
    return head[skip:].decode(name or "latin-1", "replace")


def read_text(
    path: Path, limit_chars: int, declaration: re.Pattern[bytes] | None = None
) -> tuple[str, tuple[str, ...]]:
    r"""Read and decode a text file.

    Newlines become ``\n`` and a byte-order mark goes, as in Python's text mode; offsets count in this text.

    Args:
        path: The file.
        limit_chars: `limits.text_chars`.
        declaration: Finds, as group 1, an encoding that the file names for itself; believed if the bytes are not
            plainly in another one.

    Returns:
        The text, and notes for a person (an encoding other than UTF-8, characters that were lost).

    Raises:
        UnreadableError: It cannot be opened.
        EmptyError: It has only white space.
        LimitError: It has more characters than allowed.
        CorruptError: No encoding fits.
    """
    try:
        if path.stat().st_size > limit_chars * _BYTES_PER_CHAR:
            raise LimitError(f"{path} has more characters than limits.text_chars = {limit_chars}")
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error}") from error
    text, notes = decode_bytes(data, path, declaration)
    if len(text) > limit_chars:
        raise LimitError(f"{path} has more characters than limits.text_chars = {limit_chars}")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise EmptyError(f"{path} has only white space")
    return text, notes


def decode_bytes(
    data: bytes, path: Path, declaration: re.Pattern[bytes] | None
) -> tuple[str, tuple[str, ...]]:
    """Decode a text whose bytes are at hand, a part of an archive for one.

    Args:
        data: The bytes.
        path: The file they come from, for messages.
        declaration: As for :func:`read_text`.

    Returns:
        The text as it stands, and notes for a person.

    Raises:
        CorruptError: No encoding fits.
    """
    name, skip = _known_encoding(data)
    if name is None:
        name = _declared(data, declaration) or _guess(data)
    if name is None:
        raise CorruptError(f"{path} looks like text, but no encoding fits; save it as UTF-8")
    text = data[skip:].decode(name, "replace")
    lost = text.count("\ufffd") - data.count("\ufffd".encode())
    notes = [] if name == "utf-8" else [f"encoding: {name}"]
    if lost > 0:
        notes.append(f"{lost} characters could not be decoded as {name}")
    return text, tuple(notes)


def _known_encoding(data: bytes) -> tuple[str | None, int]:
    """Encoding by mark or by being valid UTF-8 (but for a few bad bytes), and the bytes of the mark."""
    mark = _mark(data)
    if mark:
        return dict(_MARKS)[mark], len(mark)
    if bare := _bare_utf16(data):
        return bare, 0
    bad = data.decode("utf-8", "replace").count("\ufffd") - data.count("\ufffd".encode())
    # A cut or spoilt character among many good ones is damage, not another encoding.
    return ("utf-8", 0) if bad == 0 or bad * 20 < _high(data) else (None, 0)


def _mark(data: bytes) -> bytes:
    return next((mark for mark, _ in _MARKS if data.startswith(mark)), b"")


def _bare_utf16(data: bytes) -> str | None:
    """UTF-16 without a mark, seen from NULs in every other byte of mostly Latin text."""
    sample = data[: _SAMPLE_BYTES // 2 * 2]
    half = len(sample) // 2
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if half < 8 or max(even, odd) < half * 0.7 or min(even, odd) > 0:
        return None
    return "utf-16-be" if even else "utf-16-le"


def _declared(data: bytes, declaration: re.Pattern[bytes] | None) -> str | None:
    """The encoding a file names; Latin-1 is read as its superset cp1252, as browsers do."""
    found = declaration.search(data, 0, _DECLARATION_BYTES) if declaration else None
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1].decode("ascii", "replace")).name.replace("-", "_")
    except LookupError:
        return None
    if name in ("iso8859_1", "ascii"):
        return "cp1252"
    return name if _DECLARABLE.match(name) else None


def _guess(data: bytes) -> str | None:
    from charset_normalizer import from_bytes

    lines = bytearray()
    for match in _NON_ASCII_LINES.finditer(data):  # the lines that can tell, not megabytes of ASCII
        lines += match[0]
        if len(lines) >= _SAMPLE_BYTES:
            break
    sample = bytes(lines[:_SAMPLE_BYTES])
    best = from_bytes(sample, cp_isolation=list(_LEGACY)).best()
    if (best is None or best.encoding in _LATIN) and _reads_as_western(sample):
        return "cp1252"
    if best is None:
        # Mostly ASCII with bytes of no one encoding among it: its words can be read all the same.
        return "cp1252" if _high(data) <= len(data) * _MIXED_SHARE else None
    return str(best.encoding)


def _high(data: bytes) -> int:
    return len(data) - len(data.translate(None, bytes(range(128, 256))))


def _reads_as_western(sample: bytes) -> bool:
    """Whether cp1252 gives no symbol inside a word, as Polish in it would: ``za¿ó³æ``."""
    try:
        return _SYMBOL_IN_WORD.search(sample.decode("cp1252")) is None
    except UnicodeDecodeError:
        return False
