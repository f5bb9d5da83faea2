"""Files that ask their decoder to fetch something else: a file or an address. By name, as (suffix, bytes)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.security.bombs import SHOWN, one_page, stream
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path

    Lures = dict[str, tuple[str, bytes]]


def lures(folder: Path, secret: Path, url: str) -> Lures:
    """All of them; `folder` is scratch space."""
    return {
        **_texts(secret, url),
        **_pdf_actions(secret, url),
        **_pdf_streams(secret, url),
        **_playlists(secret, url),
        **_media(folder, secret, url),
    }


def _texts(secret: Path, url: str) -> Lures:
    file = secret.as_uri()
    page = (
        f"<html><head><base href='{url}'><link rel=stylesheet href='{url}'>"
        f"<meta http-equiv=refresh content='0;url={file}'></head><body><p>The mill grinds."
        f"<img src='{file}'><img src='{url}'><iframe src='{file}'></iframe><iframe src='{url}'></iframe>"
        f"<object data='{file}'></object><embed src='{url}'><script src='{url}'></script>"
        f"<svg><image href='{file}'/><use href='{url}'/></svg><audio src='{url}'></audio></body></html>"
    )
    entities = (
        f"<!DOCTYPE html [<!ENTITY a SYSTEM '{file}'><!ENTITY b SYSTEM '{url}'>"
        f"<!ENTITY % c SYSTEM '{url}'> %c;]>"
    )
    xhtml = (
        f"<?xml version='1.0'?>{entities}<html xmlns='http://www.w3.org/1999/xhtml'"
        " xmlns:xi='http://www.w3.org/2001/XInclude'><body><p>The mill &a; &b;</p>"
        f"<xi:include href='{file}' parse='text'/></body></html>"
    )
    laughs = "".join(f"<!ENTITY l{i} '{f'&l{i - 1};' * 10}'>" for i in range(1, 10))
    laughing = (
        f"<!DOCTYPE html [<!ENTITY l0 'ha'>{laughs}]><html><body><p>The mill &l9;</p></body></html>"
    )
    links = (
        f"# The mill\n\n![a]({file}) ![b]({url}) [c]({file})\n\n[d]: {url}\n\n<{url}>\n\n"
        f"<iframe src='{file}'></iframe>\n\n<object data='{url}'>\n"
    )
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'>"
        f"<image xlink:href='{file}'/><image href='{url}'/><text>mill</text></svg>"
    )
    table = f"name,value\nmill,=HYPERLINK(\"{url}\")\ngrain,=cmd|' /c {file}'!A0\n"
    return {
        "html": ("html", page.encode()),
        "xhtml with entities": ("xhtml", xhtml.encode()),
        "html with a billion laughs": ("html", laughing.encode()),
        "xml with entities": ("xml", f"<?xml version='1.0'?>{entities}<a>&a; mill</a>".encode()),
        "markdown": ("md", links.encode()),
        "svg": ("svg", svg.encode()),
        "csv with formulas": ("csv", table.encode()),
    }


def _pdf_actions(secret: Path, url: str) -> Lures:
    path, address = f"({secret})".encode(), f"({url})".encode()
    actions = b" ".join(
        [
            b"/A << /S /Launch /F %s >>" % path,
            b"/AA << /O << /S /URI /URI %s >> /C << /S /GoToR /F %s /D [0 /Fit] >> >>"
            % (address, path),
        ]
    )
    opening = b"/OpenAction << /S /JavaScript /JS (app.launchURL('%s');) >> /URI << /Base %s >>" % (
        url.encode(),
        address,
    )
    link = (
        b"<< /Type /Annot /Subtype /Link /Rect [0 0 300 300] /A << /S /Launch /F %s /Next"
        b" << /S /SubmitForm /F %s >> >> >>" % (path, address)
    )
    return {
        "pdf with actions": (
            "pdf",
            one_page(
                stream(SHOWN),
                page=actions + b" /Annots [6 0 R]",
                catalogue=opening,
                more=[link],
            ),
        ),
    }


def _pdf_streams(secret: Path, url: str) -> Lures:
    path, address = f"({secret})".encode(), f"({url})".encode()
    image = b"/Type /XObject /Subtype /Image /Width 8 /Height 8 /BitsPerComponent 8 /ColorSpace /DeviceGray"
    web = b"<< /FS /URL /F %s >>" % address
    return {
        "pdf with external images": (
            "pdf",
            one_page(
                stream(SHOWN + b"/A Do /B Do"),
                resources=b"/XObject << /A 6 0 R /B 7 0 R >>",
                more=[
                    stream(b"", image + b" /F %s" % path),
                    stream(b"", image + b" /F %s /FFilter /FlateDecode" % web),
                ],
            ),
        ),
        "pdf with external content": ("pdf", one_page(stream(SHOWN, b"/F %s" % path))),
        "pdf with an embedded file": (
            "pdf",
            one_page(
                stream(SHOWN),
                catalogue=b"/Names << /EmbeddedFiles << /Names [(a) << /Type /Filespec /F %s"
                b" /EF << /F 6 0 R >> >>] >> >>" % path,
                more=[stream(b"", b"/Type /EmbeddedFile /F %s" % path)],
            ),
        ),
        "pdf with a reference": (
            "pdf",
            one_page(
                stream(SHOWN + b"/A Do"),
                resources=b"/XObject << /A 6 0 R >>",
                more=[
                    stream(
                        b"",
                        b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]"
                        b" /Ref << /F %s /Page 0 >>" % path,
                    )
                ],
            ),
        ),
    }


def _playlists(secret: Path, url: str) -> Lures:
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{secret}'\nfile '{url}'\n"
    dash = (
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><Period><AdaptationSet>"
        f"<Representation><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={url}\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n"
    found = {}
    for name, text in {"hls": hls, "concat": concat, "dash": dash, "sdp": sdp}.items():
        for suffix in ("mp4", "ogg", "mp3", "txt", "jpg"):
            found[f"{name} as {suffix}"] = (suffix, text.encode())
    # With a head that makes it a medium, so that it comes to ffmpeg.
    found["hls behind an ID3 tag"] = ("mp3", b"ID3\x04\0\0\0\0\0\0" + hls.encode() * 9)
    found["hls behind an Ogg page"] = ("ogg", b"OggS\0\x02" + hls.encode() * 9)
    found["concat behind ftyp"] = ("mp4", b"\0\0\0\x10ftypisom\0\0\0\0" + concat.encode())
    return found


def _media(folder: Path, secret: Path, url: str) -> Lures:
    film = make(folder / "film.mov", *lavfi("testsrc=s=64x64:r=5:d=2"), "-c:v", "mpeg4")
    attached = make(
        folder / "film.mkv",
        *lavfi("testsrc=s=64x64:r=5:d=2"),
        *("-c:v", "mpeg4", "-attach", str(secret), "-metadata:s:t", "mimetype=text/plain"),
    )
    data = film.read_bytes()
    return {
        "mov with its data elsewhere": ("mov", _with_reference(data, b"alis", _alias(secret))),
        "mov with its data at an address": (
            "mov",
            _with_reference(data, b"url ", url.encode() + b"\0"),
        ),
        "matroska with an attachment": ("mkv", attached.read_bytes()),
        "matroska with a linked segment": ("mkv", _linked(attached.read_bytes(), secret)),
    }


def _with_reference(movie: bytes, kind: bytes, where: bytes) -> bytes:
    """The movie with its data reference (a ``dref`` entry that says: here) pointing somewhere else."""
    at = movie.index(b"dref") - 4
    size = struct.unpack(">I", movie[at : at + 4])[0]
    entry = struct.pack(">I", 12 + len(where)) + kind + b"\0\0\0\0" + where
    box = struct.pack(">I", 16 + len(entry)) + b"dref\0\0\0\0\0\0\0\x01" + entry
    grown = len(box) - size
    out = bytearray(movie[:at] + box + movie[at + size :])
    for outer in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = movie.rindex(outer, 0, at) - 4
        struct.pack_into(">I", out, place, struct.unpack(">I", movie[place : place + 4])[0] + grown)
    return bytes(out)


def _alias(secret: Path) -> bytes:
    """An alias record of the classic Mac OS with an absolute path, as ffmpeg's ``mov.c`` reads it."""
    path = str(secret).encode()
    body = bytearray(150)
    body[10:12] = b"\x01v"
    return bytes(body) + struct.pack(">hh", 2, len(path)) + path + b"\xff\xff\0\0"


def _linked(movie: bytes, secret: Path) -> bytes:
    """The film with a name for the segment before it, in the segment's own head."""
    name = str(secret).encode()
    element = b"\x3c\x83\xab" + bytes([0x80 | min(len(name), 126)]) + name[:126]
    at = movie.index(b"\x15\x49\xa9\x66") + 4
    length = 8 if movie[at] == 1 else 4 - (movie[at] >= 0x20) - (movie[at] >= 0x40)
    return movie[: at + length] + element + movie[at + length :]
