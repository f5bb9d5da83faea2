"""PyMuPDF as a value of type Any: it says that it is typed, but its functions have no annotations."""

from __future__ import annotations

import sys
from typing import Any, Final

# PyMuPDF loads these two where they are installed, and they bring onnxruntime: 2 s and 55 MiB for every decoding
# process, and a thread that reports to its maker. Nothing here uses them. None is how Python says "no such module".
_KEPT_OUT: Final = {"pymupdf.layout", "pymupdf4llm"} - set(sys.modules)
sys.modules.update(dict.fromkeys(_KEPT_OUT))  # type: ignore[arg-type]  # typeshed has no None
import pymupdf as _pymupdf  # noqa: E402  # after the line above

for _name in _KEPT_OUT:
    del sys.modules[_name]

pymupdf: Final[Any] = _pymupdf

# What PyMuPDF lets out for damaged input: MuPDF's own errors, and Python's from its wrapper around odd values.
MUPDF_ERRORS: Final = (
    pymupdf.mupdf.FzErrorBase,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ZeroDivisionError,
    OverflowError,
)


def reason_of(error: BaseException) -> str:
    """What an error says, on one line of at most 300 characters."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
