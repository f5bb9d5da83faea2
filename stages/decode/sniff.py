"""What a file is, read from its bytes. A suffix is believed only where it chooses among kinds of text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from schemas.errors import UnreadableError
from stages.decode._containers import by_container
from stages.decode._encoding import decode_head, is_text
from stages.decode._magic import by_number, by_structure
from stages.decode._textkind import text_kind

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES: Final = 1 << 16
UNKNOWN: Final = "application/octet-stream"
_PDF_SEARCH_BYTES: Final = 1024  # Adobe's readers look this far (PDF 1.7, appendix H, note 13)
_LATE_PDF: Final = re.compile(rb"%PDF-[12]\.\d[\x00-\x20]")


def sniff(path: Path, hint: str) -> str:
    """Media type of a file by its content.

    A playlist (m3u8, ffconcat) is text and never media, so that no decoder follows what it names.

    Args:
        path: The file.
        hint: Lower-case suffix without a dot, or empty; only breaks ties among kinds of text.

    Returns:
        A media type; ``application/octet-stream`` for binary data that is nothing known.

    Raises:
        UnreadableError: It cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            binary = _pdf(head) or by_number(head) or by_container(head, file)
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path} cannot be read: {error}") from error
    if binary:
        return binary
    if is_text(head):
        return text_kind(decode_head(head), hint)
    return _tagged_audio(head) or by_structure(head) or UNKNOWN


def _pdf(head: bytes) -> str | None:
    if head.lstrip(b"\0\t\r\n\x0c \xef\xbb\xbf").startswith(b"%PDF-"):
        return "application/pdf"
    late = _LATE_PDF.search(head, 0, _PDF_SEARCH_BYTES)
    # A text about PDF says "%PDF-1.4" too, but has no objects.
    return "application/pdf" if late and b" obj" in head else None


def _tagged_audio(head: bytes) -> str | None:
    if head[:3] != b"ID3" or len(head) < 10:
        return None
    size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    tagged = head[10 + size :]
    return "audio/flac" if tagged.startswith(b"fLaC") else "audio/mpeg"
