"""Opening a PDF: damage, passwords, and how many pages it has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from schemas.errors import CorruptError, EncryptedError, LimitError, NoContentError
from stages.decode._mupdf import MUPDF_ERRORS, pymupdf, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from schemas.config import Limits


@contextmanager
def opened(path: Path, limits: Limits, passwords: Sequence[SecretStr]) -> Iterator[Any]:
    """A pymupdf.Document, unlocked and with pages; nothing of it stays in MuPDF's store afterwards.

    Args:
        path: The file.
        limits: How many pages it may have.
        passwords: Tried in order if it is encrypted.

    Raises:
        EncryptedError: It needs a password that is not among the configured ones.
        CorruptError: It cannot be opened.
        LimitError: It has more pages than allowed.
        NoContentError: It has no pages.
    """
    # MuPDF prints what it repairs; the reader of our log has no use for that.
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    try:
        document = pymupdf.open(path, filetype="pdf")
    except MUPDF_ERRORS as error:
        raise CorruptError(f"{path} cannot be opened as a PDF: {reason_of(error)}") from error
    try:
        _unlock(document, path, passwords)
        _check(document, path, limits)
        yield document
    finally:
        document.close()
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _unlock(document: Any, path: Path, passwords: Sequence[SecretStr]) -> None:
    """Open an encrypted file with the first password that fits; none of them is ever told."""
    if not document.needs_pass:
        return
    tried = ("", *(password.get_secret_value() for password in passwords))
    try:
        if any(document.authenticate(password) for password in tried):
            return
    except MUPDF_ERRORS as error:
        raise EncryptedError(
            f"{path} needs a password, but its encryption is damaged: save a copy without one"
        ) from error
    known = (
        f", and none of the {len(passwords)} in decoding.passwords opens it" if passwords else ""
    )
    raise EncryptedError(
        f"{path} needs a password{known}: add it to decoding.passwords,"
        " then run `gristmill retry --lake URL --code encrypted`"
    )


def _check(document: Any, path: Path, limits: Limits) -> None:
    try:
        count = document.page_count
    except MUPDF_ERRORS as error:
        raise CorruptError(f"{path}: its pages cannot be counted: {reason_of(error)}") from error
    if count < 1:
        raise NoContentError(f"{path} has no pages")
    if count > limits.pages:
        raise LimitError(f"{path} has {count} pages, more than limits.pages = {limits.pages}")
