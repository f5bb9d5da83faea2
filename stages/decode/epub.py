"""E-books (EPUB 2 and 3): the chapters in the order of the spine, each read as a web page."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from schemas.content import Content, PartialReject
from schemas.errors import CorruptError, EncryptedError
from stages.decode._archive import open_archive
from stages.decode._encoding import decode_bytes
from stages.decode._normalise import squeeze
from stages.decode._offsets import with_offsets
from stages.decode._xml import parse_xml
from stages.decode.html import DECLARATION, read_html

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Block, TableData
    from stages.decode._archive import Archive
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

    Element = Any  # lxml has no types of its own

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_PAGES: Final = ("application/xhtml+xml", "text/html")


def decode_epub(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode an e-book: what a reader of its chapters sees, without the navigation.

    The title is that of the package. A chapter that is damaged or missing is lost alone. Offsets count in the blocks
    joined by newlines.

    Raises:
        LimitError: It unpacks to more bytes, or has more rows, or elements inside each other, than allowed.
        EncryptedError: Its chapters are encrypted.
        CorruptError: It is no e-book, or none of its chapters can be read.
    """
    blocks: list[Block] = []
    tables: list[TableData] = []
    notes: dict[str, None] = {}
    rejects: list[PartialReject] = []
    with open_archive(path, options.limits.expanded_bytes) as archive:
        package, folder = _package(archive, path)
        chapters = _spine(package, folder)
        _refuse_encrypted(archive, chapters, path)
        for name in chapters:
            try:
                found = read_html(_page(archive, name, path), path, options)
            except CorruptError as error:
                rejects.append(PartialReject("decode", error.code, error.message))
                continue
            blocks += found.blocks
            tables += found.tables
            notes.update(dict.fromkeys(found.notes))
    if rejects and not (blocks or tables):
        raise CorruptError(rejects[0].reason)
    return Content(
        media_type,
        title=_title(package),
        blocks=tuple(with_offsets(blocks)),
        tables=tuple(tables),
        notes=tuple(notes),
        rejects=tuple(rejects),
    ), ()


def _package(archive: Archive, path: Path) -> tuple[Element, str]:
    """The package document, and the folder that its names start from."""
    container = archive.read(_CONTAINER)
    if container is None:
        raise CorruptError(f"{path} is an e-book without {_CONTAINER}")
    root = next(parse_xml(container, path, _CONTAINER).iter("{*}rootfile"), None)
    name = unquote(root.get("full-path", "")) if root is not None else ""
    data = archive.read(name)
    if data is None:
        raise CorruptError(f"{path} is an e-book without its package document {name!r}")
    return parse_xml(data, path, name), posixpath.dirname(name)


def _spine(package: Element, folder: str) -> list[str]:
    """Names of the chapters in reading order, each once; the page of navigation is none."""
    items = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
    names: dict[str, None] = {}
    for reference in package.iterfind("{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES:
            continue
        if "nav" not in item.get("properties", "").split():
            names[posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))] = None
    return list(names)


def _refuse_encrypted(archive: Archive, chapters: list[str], path: Path) -> None:
    """Fonts may be scrambled; chapters that are come from a shop and need its key."""
    data = archive.read(_ENCRYPTION)
    if data is None:
        return
    references = parse_xml(data, path, _ENCRYPTION).iter("{*}CipherReference")
    encrypted = {unquote(reference.get("URI", "")) for reference in references}
    if encrypted.intersection(chapters):
        raise EncryptedError(
            f"{path} is an e-book with copy protection; its chapters cannot be read"
        )


def _page(archive: Archive, name: str, path: Path) -> str:
    data = archive.read(name)
    if data is None:
        raise CorruptError(f"{path}: the chapter {name!r} is missing")
    return decode_bytes(data, path, DECLARATION)[0]


def _title(package: Element) -> str:
    title = next(package.iterfind("{*}metadata/{http://purl.org/dc/elements/1.1/}title"), None)
    return "" if title is None else squeeze("".join(title.itertext()))
