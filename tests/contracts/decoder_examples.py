"""One small file of each format that can be decoded, made here: by the format's own library, by ffmpeg, or by hand."""

from __future__ import annotations

import io
import struct
import warnings
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.documents import docx, epub, ods, ods_row, xls
from tests.unit.stages.decode import rare_sounds
from tests.unit.stages.decode.media import lavfi, make
from tests.unit.stages.decode.pictures import halves, psd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Maker = Callable[[Path], None]  # writes to the path that it is given

_HTML: Final = "<!DOCTYPE html><title>Mill</title><h1>Mill</h1><p>It grinds.<table><tr><th>a<th>b<tr><td>1<td>2</table>"
_MARKDOWN: Final = "# Mill\n\nIt [grinds](x).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
_TABLE: Final = "mill,built,sacks\nUpper,1810,3\nLower,1850,4\nBoth,1900,7\n"
_SOURCES: Final = {
    "py": "def turn():\n    return 1\n",
    "js": "function turn() {\n  return 1\n}\n",
    "ts": "export class Mill {\n}\n",
    "java": "class Mill {\n}\n",
    "kt": "fun turn(): Int {\n}\n",
    "scala": "object Mill {\n}\n",
    "cs": "namespace Mill {\n}\n",
    "swift": "func turn() {\n}\n",
    "go": "func Turn() int {\n}\n",
    "rs": "fn turn() -> u8 {\n}\n",
    "rb": "def turn\nend\n",
    "php": "<?php\nfunction turn() {\n}\n",
    "pl": "sub turn {\n}\n",
    "lua": "function turn()\nend\n",
    "r": "turn <- function(x) x\n",
    "jl": "function turn(x)\nend\n",
    "hs": "turn :: Int -> Int\nturn = id\n",
    "sql": "CREATE TABLE mills (a int);\n",
    "sh": "turn() {\n  ls\n}\n",
    "c": "int turn(int n)\n{\n}\n",
    "cpp": "namespace mill {\n}\n",
}
_PICTURES: Final = {
    "png": "PNG",
    "jpg": "JPEG",
    "gif": "GIF",
    "bmp": "BMP",
    "tif": "TIFF",
    "webp": "WEBP",
    "avif": "AVIF",
    "jp2": "JPEG2000",
    "ico": "ICO",
    "icns": "ICNS",
    "ppm": "PPM",
    "pcx": "PCX",
    "dds": "DDS",
    "tga": "TGA",
    "sgi": "SGI",
    "qoi": "QOI",
    "im": "IM",
}
_BITS: Final = {"xbm": "XBM", "msp": "MSP"}  # pictures of one bit a pixel
_TONE: Final = "sine=d=1:r=16000"
_SOUNDS: Final = (
    "wav",
    "aiff",
    "mp3",
    "aac",
    "ac3",
    "m4a",
    "flac",
    "au",
    "caf",
    "mka",
    "wma",
    "tta",
    "wv",
    "w64",
    "voc",
    "sox",
    "dts",
    "mlp",
    "thd",
    "ogg",
)
_RARE_SOUNDS: Final = {  # that no encoder here writes
    "amr": rare_sounds.amr,
    "ape": rare_sounds.ape,
    "dff": rare_sounds.dff,
    "dsf": rare_sounds.dsf,
    "mpc": rare_sounds.musepack,
    "sph": rare_sounds.nist,
    "8svx": rare_sounds.amiga,
    "tak": rare_sounds.tak,
}
_FILM: Final = "testsrc=s=64x48:r=10:d=1"
_FILMS: Final = {
    "mp4": ("-c:v", "mpeg4"),
    "mov": ("-c:v", "mpeg4"),
    "mkv": ("-c:v", "mpeg4"),
    "webm": ("-c:v", "libvpx"),
    "avi": ("-c:v", "mpeg4"),
    "wmv": ("-c:v", "wmv2"),
    "flv": ("-c:v", "flv"),
    "mpg": ("-c:v", "mpeg1video", "-r", "25"),
    "mts": ("-c:v", "mpeg2video", "-r", "25"),
    "ogv": ("-c:v", "libtheora"),
    "rm": ("-c:v", "rv10"),
}


def _text(text: str, path: Path) -> None:
    path.write_text(text)


def _pillow(kind: str, mode: str, path: Path) -> None:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # some formats are going to be read only
        Image.linear_gradient("L").resize((64, 64)).convert(mode).save(path, kind)


def _blp(path: Path) -> None:
    from PIL import Image

    Image.linear_gradient("L").resize((64, 64)).convert("P").save(path, "BLP", blp_version="BLP2")


def _dcx(path: Path) -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, "PCX")
    path.write_bytes(struct.pack("<III", 0x3ADE68B1, 12, 0) + file.getvalue())


def _fli(path: Path) -> None:
    """An animation (Autodesk FLI) of one frame of 16x16, stored as it is."""
    pixels = bytes(range(256))
    chunk = struct.pack("<IH", 6 + len(pixels), 16) + pixels
    frame = struct.pack("<IHH8x", 16 + len(chunk), 0xF1FA, 1) + chunk
    head = struct.pack("<IHHHHHHI", 128 + len(frame), 0xAF11, 1, 16, 16, 8, 3, 5)
    path.write_bytes(head.ljust(128, b"\0") + frame)


def _sun(path: Path) -> None:
    path.write_bytes(struct.pack(">8I", 0x59A66A95, 16, 16, 8, 256, 1, 0, 0) + bytes(range(256)))


def _xpm(path: Path) -> None:
    rows = ",\n".join(['"' + "ab" * 8 + '"'] * 16)
    path.write_text(
        '/* XPM */\nstatic char *x[] = {\n"16 16 2 1",\n"a c #ff0000",\n"b c #0000ff",\n'
        + rows
        + "\n};\n"
    )


def _heif(path: Path) -> None:
    import pillow_heif
    from PIL import Image

    pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red")).save(str(path))


def _pdf(path: Path) -> None:
    import pymupdf

    with pymupdf.open() as document:
        document.new_page().insert_text((72, 72), "The mill grinds.")
        document.save(path)


def _pptx(path: Path) -> None:
    import pptx

    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "The mill"
    deck.save(str(path))


def _xlsx(path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for number, line in enumerate(_TABLE.split()):
            sheet.write_row(number, 0, line.split(","))


def _sound(path: Path) -> None:
    codec = ("-c:a", "libvorbis") if path.suffix == ".ogg" else ()
    make(path, *lavfi(_TONE), *codec, "-strict", "-2")  # some encoders count as experiments


def _film(codec: tuple[str, ...], path: Path) -> None:
    make(path, *lavfi(_FILM), *codec)


# Suffix -> maker. What the file is, is read from its bytes, as in a run.
MAKERS: Final[dict[str, Maker]] = {
    "txt": partial(_text, "The mill.\n\nIt grinds.\n"),
    "md": partial(_text, _MARKDOWN),
    "html": partial(_text, _HTML),
    "csv": partial(_text, _TABLE),
    "tsv": partial(_text, _TABLE.replace(",", "\t")),
    "jsonl": partial(_text, '{"title": "Mill", "text": "It grinds."}\n{"text": "It stops."}\n'),
    **{suffix: partial(_text, source) for suffix, source in _SOURCES.items()},
    "pdf": _pdf,
    "docx": lambda path: docx(path) and None,
    "pptx": _pptx,
    "xlsx": _xlsx,
    "xls": lambda path: xls(path, [("mill", "sacks"), ("Upper", 3.0)]) and None,
    "ods": lambda path: ods(path, ods_row("mill", "sacks") + ods_row("Upper", 3)) and None,
    "epub": lambda path: epub(path, {"a.xhtml": "<p>It grinds.</p>"}) and None,
    **{suffix: partial(_pillow, kind, "RGB") for suffix, kind in _PICTURES.items()},
    **{suffix: partial(_pillow, kind, "1") for suffix, kind in _BITS.items()},
    "blp": _blp,
    "dcx": _dcx,
    "fli": _fli,
    "ras": _sun,
    "xpm": _xpm,
    "heic": _heif,
    "svg": partial(
        _text,
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="5" height="5"/></svg>',
    ),
    "psd": lambda path: path.write_bytes(psd(halves(), layers=0)) and None,
    **dict.fromkeys(_SOUNDS, _sound),
    **_RARE_SOUNDS,
    **{suffix: partial(_film, codec) for suffix, codec in _FILMS.items()},
}
# Read by ffmpeg, which takes its time.
MEDIA: Final = frozenset((*_SOUNDS, *_RARE_SOUNDS, *_FILMS))
