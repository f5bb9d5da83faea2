from __future__ import annotations

import gzip
import io
import struct
import wave
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from schemas.config import Limits
from schemas.errors import EmptyError, LimitError, SourceError, UnreadableError, UnsupportedError
from stages.decode.options import DecodeOptions
from stages.decode.registry import DECODERS, decode
from stages.decode.sniff import UNKNOWN, sniff

if TYPE_CHECKING:
    from pathlib import Path


def kind(tmp_path: Path, data: bytes | str, hint: str = "") -> str:
    path = tmp_path / "file"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return sniff(path, hint)


def picture(fmt: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(buffer, fmt)
    return buffer.getvalue()


def silence() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return buffer.getvalue()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "application/epub+zip" if name == "mimetype" else "x")
    return buffer.getvalue()


def box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


@pytest.mark.parametrize(
    ("fmt", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("WEBP", "image/webp"),
        ("ICO", "image/x-icon"),
        ("PPM", "image/x-portable-anymap"),
        ("PCX", "image/vnd.zbrush.pcx"),
        ("TGA", "image/x-tga"),
        ("SGI", "image/x-sgi"),
        ("DDS", "image/vnd-ms.dds"),
        ("JPEG2000", "image/jp2"),
        ("AVIF", "image/avif"),
    ],
)
def test_pictures_are_known_and_decodable(tmp_path: Path, fmt: str, media_type: str) -> None:
    assert kind(tmp_path, picture(fmt)) == media_type
    assert media_type in DECODERS


FTYP = box(b"ftyp", b"isom\0\0\2\0")
EBML = b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88"
MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (silence(), "audio/wav"),
        (b"FORM\0\0\0\x20AIFF", "audio/aiff"),
        (MP3_FRAME * 4, "audio/mpeg"),
        (bytes(100) + MP3_FRAME * 4, "audio/mpeg"),
        (b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + MP3_FRAME, "audio/mpeg"),
        (b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"fLaC", "audio/flac"),
        (b"OggS\0\2" + bytes(22) + b"\x01vorbis", "audio/ogg"),
        (b"OggS\0\2" + bytes(22) + b"\x80theora", "video/ogg"),
        (FTYP + box(b"moov", b"hdlr....soun"), "audio/mp4"),
        (FTYP + box(b"mdat", bytes(99)) + box(b"moov", b"soun vide"), "video/mp4"),
        (box(b"ftyp", b"heic\0\0\0\0"), "image/heic"),
        (box(b"wide") + box(b"mdat", b"x"), "video/quicktime"),
        (EBML + b"webm V_VP8 \x86", "video/webm"),
        (EBML + b"matroska A_OPUS", "audio/x-matroska"),
        ((b"G" + bytes(187)) * 5, "video/mp2t"),
        (b"\0\0\x01\xba" + bytes(20), "video/mpeg"),
        (b"FLV\x01\x05", "video/x-flv"),
        (b"\xef\xbb\xbf%PDF-1.7\n", "application/pdf"),
        (b"junk\n\x01%PDF-1.4\n1 0 obj", "application/pdf"),
        (b"MThd\0\0\0\x06\0\1", "audio/midi"),
        (gzip.compress(b"x", mtime=0), "application/gzip"),
        (zipped("a"), "application/zip"),
        (zipped("mimetype", "a"), "application/epub+zip"),
        (
            zipped("[Content_Types].xml", "word/document.xml"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (b"%!PS-Adobe-3.0\n", "application/postscript"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
        (b"\x00\x01\x02\x03binary\x04\x05\x00", UNKNOWN),
        (b"\xff\xfe\x00\xdc\x01\xdc\x02\xdc\x00\xe0\x00\xe0", UNKNOWN),  # a mark, but no UTF-16
        (b"RIFF\0\0\0\0XXXX\0\0", UNKNOWN),
    ],
)
def test_binary_kinds(tmp_path: Path, data: bytes, media_type: str) -> None:
    assert kind(tmp_path, data) == media_type


@pytest.mark.parametrize(
    ("text", "hint", "media_type"),
    [
        ("Just words.", "", "text/plain"),
        ("BMW and MP+ and P6 are words, GIF too.", "", "text/plain"),
        ("The header %PDF-1.4 begins a file.", "", "text/plain"),
        ("#EXTM3U\n#EXT-X-VERSION:3\nhttp://example.org/a.ts\n", "", "text/plain"),
        ("ffconcat version 1.0\nfile '/etc/passwd'\n", "", "text/plain"),
        ("<?xml version='1.0'?><!-- x --><html><body>a", "", "text/html"),
        ("<!DOCTYPE html><p>a", "txt", "text/html"),
        ("<p>One <b>two</b><p>three</p><br>", "", "text/html"),
        ("<p align=center>x</p>\n\n# Title", "md", "text/markdown"),
        ("no tag at all", "html", "text/plain"),
        ("<?xml version='1.0'?><svg xmlns='x'/>", "", "image/svg+xml"),
        ("<?xml version='1.0'?><note>a</note>", "", "text/plain"),
        ("# Title\n\nSee [this](http://x.org) and\n\n```\ncode\n```\n", "", "text/markdown"),
        ("# a comment\nexport X=1\n# another\n", "", "text/plain"),
        ("# Only a heading", "md", "text/markdown"),
        ("a\tb\n1\t2\n3\t4\n", "", "text/tab-separated-values"),
        ("name,age,town\nAl,3,X\nBo,4,Y\nCy,5,Z\n", "", "text/csv"),
        (
            "Well, he said, no.\nYes, she said, so.\nOh, he said, go.\nNo, I say, ha.\n",
            "",
            "text/plain",
        ),
        ("single\ncolumn\n", "csv", "text/csv"),
        ('{"a": [1, 2]}', "json", "text/plain"),
    ],
)
def test_kinds_of_text(tmp_path: Path, text: str, hint: str, media_type: str) -> None:
    assert kind(tmp_path, text, hint) == media_type


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-16-le", "cp1251"])
def test_text_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    assert kind(tmp_path, "Привет, plain text.\n".encode(encoding) * 3) == "text/plain"


def test_a_suffix_never_beats_the_content(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(picture("PNG"))
    assert sniff(path, "csv") == "image/png"


def test_refusals_say_what_and_why(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"MThd\0\0\0\x06\0\1")
    with pytest.raises(UnsupportedError, match=r"audio/midi.*supported: text \(plain"):
        decode(path, "", DecodeOptions())
    path.write_bytes(b"")
    with pytest.raises(EmptyError):
        decode(path, "", DecodeOptions())
    with pytest.raises(UnreadableError, match="regular"):
        decode(tmp_path, "", DecodeOptions())
    with pytest.raises(UnreadableError):
        decode(tmp_path / "gone", "", DecodeOptions())
    path.write_bytes(b"too long")
    with pytest.raises(LimitError, match="file_bytes"):
        decode(path, "", DecodeOptions(limits=Limits(file_bytes=3)))


TEXT_KINDS = ("text/plain", "text/markdown", "text/html", "text/csv", "text/tab-separated-values")


@given(
    data=st.binary(min_size=1, max_size=300)
    | st.text(alphabet="<>/!-|`#*[]()ab,;\"'\t\n &=%0é\0", min_size=1, max_size=200).map(
        str.encode
    ),
    hint=st.sampled_from(["", "txt", "md", "html", "csv", "tsv"]),
)
def test_any_bytes_give_content_or_a_source_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, hint: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    if sniff(path, hint) not in (*TEXT_KINDS, UNKNOWN):
        return
    try:
        content, arrays = decode(path, hint, DecodeOptions())
    except SourceError:
        return
    assert content.blocks or content.tables
    assert all(block.text.strip() for block in content.blocks)
    assert arrays == ()
