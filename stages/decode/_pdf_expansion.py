"""How much a compressed stream of a PDF becomes, found out without keeping it."""

from __future__ import annotations

from typing import Any, Final

from stages.decode._mupdf import pymupdf

_FLATE_RATIO: Final = 1032  # the most that deflate can do: a match of 258 bytes in 2 bits
_SKIP_BYTES: Final = 1 << 30  # the argument of fz_skip is a C int


def expands_beyond(document: Any, xref: int, limit_bytes: int) -> bool:
    """Whether a stream decodes to more than `limit_bytes`.

    Small streams with one filter of which the ratio is known are not looked into; others are decoded up to the limit
    and thrown away, at some 300 MB a second.

    Args:
        document: An open pymupdf.Document.
        xref: Number of the stream's object.
        limit_bytes: The limit.
    """
    if _cannot(document, xref, limit_bytes):
        return False
    pdf = pymupdf.mupdf.pdf_specifics(document.this)
    opened = pymupdf.mupdf.pdf_open_stream_number(pdf, xref)
    left = limit_bytes + 1
    while left > 0:
        skipped = pymupdf.mupdf.fz_skip(opened, min(left, _SKIP_BYTES))
        if not skipped:
            return False
        left -= skipped
    return True


def _cannot(document: Any, xref: int, limit_bytes: int) -> bool:
    kind, length = document.xref_get_key(xref, "Length")
    if kind == "xref":
        length = document.xref_object(int(length.split()[0]))
    if not length.isdigit():
        return False
    filter_kind, name = document.xref_get_key(xref, "Filter")
    if filter_kind == "null":
        return int(length) <= limit_bytes
    return name == "/FlateDecode" and int(length) * _FLATE_RATIO <= limit_bytes
