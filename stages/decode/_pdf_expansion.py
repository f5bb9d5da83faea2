"""What drawing a page of a PDF would take: refused before MuPDF runs or unpacks it."""

from __future__ import annotations

from typing import Any, Final

from schemas.errors import LimitError
from stages.decode._mupdf import pymupdf

_FLATE_RATIO: Final = 1032  # the most that deflate can do: a match of 258 bytes in 2 bits
_SKIP_BYTES: Final = 1 << 30  # the argument of fz_skip is a C int


def picture_sizes(document: Any, number: int, limit_pixels: int) -> list[int]:
    """Pixels of each picture that a page may draw.

    Args:
        document: An open pymupdf.Document.
        number: Of the page, 1-based.
        limit_pixels: The most that one may have.

    Raises:
        LimitError: One has more.
    """
    sizes = []
    for _, _, width, height, *_ in document.get_page_images(number - 1):
        if width * height > limit_pixels:
            raise LimitError(
                f"a picture of {width} x {height} pixels, more than limits.pixels = {limit_pixels}"
            )
        sizes.append(width * height)
    return sizes


def check_drawing(page: Any, limit_bytes: int, checked: set[int]) -> None:
    """Refuse a page whose drawing expands without end.

    Args:
        page: A pymupdf.Page.
        limit_bytes: What one of its streams may become.
        checked: xrefs of streams that need no look any more; those of this page are added.

    Raises:
        LimitError: One becomes more.
    """
    document = page.parent
    forms = (form[0] for form in document.get_page_xobjects(page.number))
    for xref in {*page.get_contents(), *forms} - checked:
        if _expands_beyond(document, xref, limit_bytes):
            raise LimitError(
                f"its drawing expands to more than limits.expanded_bytes = {limit_bytes}"
            )
        checked.add(xref)


def _expands_beyond(document: Any, xref: int, limit_bytes: int) -> bool:
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
