"""PyMuPDF as a value of type Any: it says that it is typed, but its functions have no annotations."""

from __future__ import annotations

from typing import Any, Final

import pymupdf as _pymupdf

pymupdf: Final[Any] = _pymupdf
