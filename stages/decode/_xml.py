"""XML parts of documents, read without entities, without the network and without going deep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.errors import CorruptError

if TYPE_CHECKING:
    from pathlib import Path

    Element = Any  # lxml has no types of its own

_WORD: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def parse_xml(data: bytes, path: Path, name: str) -> Element:
    """Root of an XML document.

    The parser's own limits stay on (256 levels, 10 MB in one text), entities stay unexpanded.

    Args:
        data: The document.
        path: The file that it is a part of, for messages.
        name: Its name in there, for messages.

    Raises:
        CorruptError: It is no XML.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise CorruptError(f"{path}: {name!r} cannot be read as XML: {error}") from error


def local_name(element: Element) -> str:
    """Its name without the namespace; empty for entities, comments and their kin."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def word(name: str) -> str:
    """A name in the namespace of WordprocessingML, as lxml wants it."""
    return _WORD + name
