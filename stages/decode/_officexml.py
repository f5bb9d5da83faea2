"""What Word and PowerPoint files have in common: the parts that matter, kinds of main parts, errors, titles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stages.decode._archive import ZIP_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

# What python-docx, python-pptx and lxml raise for files that are not what they should be.
OFFICE_ERRORS: Final = (
    *ZIP_ERRORS,
    SyntaxError,  # lxml's XMLSyntaxError is one
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    AssertionError,
    RecursionError,  # parts that refer to each other in a chain of thousands
)
_CONTENT_TYPES: Final = "[Content_Types].xml"
_PARTS: Final = (".xml", ".rels")
# Templates, slide shows and files with macros have the same parts; the libraries only know the plain kind.
_MAIN_TYPE: Final = re.compile(
    rb"application/vnd\.(?:ms-(?:word|powerpoint)|openxmlformats-officedocument\.(?:wordprocessingml|presentationml))"
    rb"\.(?:document|template|presentation|slideshow)\.(?:macroEnabled(?:Template)?\.)?main\+xml"
)
# What programs write where nobody gave a title.
_NO_TITLE: Final = re.compile(
    r"(?:powerpoint|word|microsoft)\b.*|(?:document|presentation|untitled)\s*\d*|.*\.(?:docx?|pptx?|dotx?|potx?)",
    re.I,
)


def is_text_part(name: str) -> bool:
    """Whether a part can hold text or says where parts are: no picture, film, font, object or macro."""
    return name == _CONTENT_TYPES or name.endswith(_PARTS)


def with_plain_type(main_type: str) -> Callable[[str, bytes], bytes]:
    """An edit for :func:`stages.decode._archive.plain_copy` that makes the main part one of the plain kind."""
    plain = main_type.encode()

    def edit(name: str, data: bytes) -> bytes:
        return _MAIN_TYPE.sub(plain, data) if name == _CONTENT_TYPES else data

    return edit


def title_of(document: Any) -> str:
    """The title in the document's properties, unless a program made it up.

    Args:
        document: A document or presentation with `core_properties`.
    """
    title = (document.core_properties.title or "").strip()
    return "" if _NO_TITLE.fullmatch(title) else title
