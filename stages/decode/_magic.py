"""Magic numbers: what a file is by its first bytes.

The numbers are those of the formats' own specifications, checked against `file(1)`. Formats without a decoder are
here too, so that the refusal can name them.
"""

from __future__ import annotations

import re
from typing import Final

# (offset, bytes, media type); the first that matches wins, so longer ones stand before shorter ones.
_TABLE: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"II+\0", "image/tiff"),
    (0, b"MM\0+", "image/tiff"),
    (0, b"8BPS\0\x01", "image/vnd.adobe.photoshop"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"\xff\x4f\xff\x51", "image/jp2"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\0\0\x01\0", "image/x-icon"),
    (0, b"icns", "image/icns"),
    (0, b"DDS |\0\0\0", "image/vnd-ms.dds"),
    (0, b"qoif", "image/x-qoi"),
    (0, b"\x59\xa6\x6a\x95", "image/x-sun-raster"),
    (0, b"\xd7\xcd\xc6\x9a", "image/wmf"),
    (40, b" EMF", "image/emf"),
    (0, b"SIMPLE  =", "image/fits"),
    (0, b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (0, b"gimp xcf ", "image/x-xcf"),
    (0, b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (0, b"%!PS", "application/postscript"),
    (0, b"\x04%!PS", "application/postscript"),
    (0, b"AT&TFORM", "image/vnd.djvu"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"fLaC", "audio/flac"),
    (0, b"MThd\0\0\0\x06", "audio/midi"),
    (0, b".snd\0\0", "audio/basic"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"caff\0\x01", "audio/x-caf"),
    (0, b"DSD \x1c\0\0\0", "audio/x-dsf"),
    (0, b"MPCK", "audio/x-musepack"),
    (0, b"MP+\x07", "audio/x-musepack"),
    (0, b"MP+\x17", "audio/x-musepack"),
    (0, b"TTA1", "audio/x-tta"),
    (0, b"tBaK", "audio/x-tak"),
    (0, bytes.fromhex("726966662e91cf11a5d628db04c10000"), "audio/x-w64"),
    (0, b"Creative Voice File\x1a", "audio/x-voc"),
    (0, b".SoX", "audio/x-sox"),
    (0, b"XoS.", "audio/x-sox"),
    (0, b"NIST_1A\n", "audio/x-nist"),
    (0, bytes.fromhex("7ffe8001"), "audio/vnd.dts"),
    (0, bytes.fromhex("fe7f0180"), "audio/vnd.dts"),
    (4, bytes.fromhex("f8726fba"), "audio/x-truehd"),
    (4, bytes.fromhex("f8726fbb"), "audio/vnd.dolby.mlp"),
    (0, b"/* XPM */", "image/x-xpixmap"),
    (0, b"\xb1\x68\xde\x3a", "image/x-dcx"),
    (0, b"Image type: ", "image/x-im"),
    (0, b"DanM", "image/x-msp"),
    (0, b"LinS", "image/x-msp"),
    (0, b"BLP1", "image/x-blp"),
    (0, b"BLP2", "image/x-blp"),
    (4, b"\x11\xaf", "image/x-fli"),
    (4, b"\x12\xaf", "image/x-fli"),
    (0, b"wvpk", "audio/x-wavpack"),
    (0, b"OFR \x0f\0\0\0", "audio/x-optimfrog"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b".RMF\0\0", "video/vnd.rn-realvideo"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"\0\0\x01\xb3", "video/mpeg"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"ARROW1\0\0", "application/vnd.apache.arrow.file"),
    (0, b"\x93NUMPY", "application/x-npy"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"OTTO\0", "font/otf"),
    (0, b"\0\x01\0\0\0", "font/ttf"),
    (0, b"!<arch>\n", "application/x-archive"),
)

# Short numbers that text can begin with by chance, told apart by the fields that follow them.
_PATTERNS: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), media_type)
    for pattern, media_type in (
        (rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", "image/bmp"),
        (rb"P[1-6](?:\s+#[^\n]*)*\s+\d+(?:\s+#[^\n]*)*\s+\d+\s", "image/x-portable-anymap"),
        (rb"P7\s+(?:#[^\n]*\n|[A-Z]+ \S+\n)*(?:WIDTH|HEIGHT) \d", "image/x-portable-anymap"),
        (rb"P[Ff]\n\d+ \d+\n", "image/x-portable-anymap"),
        (rb"\x0a[\x00-\x05][\x00\x01][\x01\x02\x04\x08]", "image/vnd.zbrush.pcx"),
        (rb"\x01\xda[\x00\x01][\x01\x02]\0[\x01-\x03]", "image/x-sgi"),
        (rb"\0\0\x02\0[\x01-\xff]\0.{4}.{2}", "image/x-icon"),  # .cur
        (rb"(?:G.{187}){3}G|.{4}G(?:.{191}G){3}", "video/mp2t"),
        (rb"\xff[\xf0\xf1\xf8\xf9][\x40-\xbf]", "audio/aac"),
        (rb"\x0b\x77.{2}[\x00-\xa5][\x30-\x47\x80-\x87]", "audio/ac3"),
        (rb"#define \w{1,100}_width \d+\s+#define \w{1,100}_height \d+\s", "image/x-xbitmap"),
        (rb"MAC .[\x0b-\x0f]", "audio/x-ape"),  # version 3.0 to 3.99 in thousandths
        (rb"FRM8.{8}DSD ", "audio/x-dff"),
        (rb"MZ.{58}[\x40-\xff\x00][\x00-\x10]\0\0", "application/x-executable"),
    )
)
_TGA: Final = re.compile(
    rb".[\x00\x01](?:\x01|\x09|[\x02\x0a]|[\x03\x0b]).{2}.{2}[\x00\x0f\x10\x18\x20].{4}..(?<!\0\0)..(?<!\0\0)"
    rb"[\x08\x0f\x10\x18\x20][\x00-\x3f]",
    re.DOTALL,
)

# MPEG audio header tables (ISO/IEC 11172-3 and 13818-3): kbit/s by (is MPEG-1, layer), Hz by version.
_KBITS: Final[dict[tuple[bool, int], tuple[int, ...]]] = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ: Final = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_MP3_SEARCH_BYTES: Final = 8192
_MP3_FRAMES: Final = 3  # frames in a row that must agree


def by_number(head: bytes) -> str | None:
    """Media type by a magic number at a fixed place, or None."""
    for offset, number, media_type in _TABLE:
        if head.startswith(number, offset):
            return media_type
    for pattern, media_type in _PATTERNS:
        if pattern.match(head):
            return media_type
    return None


def by_structure(head: bytes) -> str | None:
    """Media type of binary data without a magic number: MPEG audio by its chain of frames, TGA by its header."""
    if _has_mpeg_audio(head):
        return "audio/mpeg"
    return "image/x-tga" if _TGA.match(head) else None


def _has_mpeg_audio(head: bytes) -> bool:
    start = head.find(b"\xff")
    while 0 <= start < _MP3_SEARCH_BYTES:
        if _frames_agree(head, start):
            return True
        start = head.find(b"\xff", start + 1)
    return False


def _frames_agree(head: bytes, offset: int) -> bool:
    for count in range(_MP3_FRAMES):
        if offset + 4 > len(head):
            return count > 1
        length = mpeg_frame_bytes(head[offset : offset + 4])
        if length is None:
            return False
        offset += length
    return True


def mpeg_frame_bytes(header: bytes) -> int | None:
    """Length of an MPEG audio frame from its 4-byte header, or None if it is not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    kbits = _KBITS[version == 3, layer][bitrate - 1]
    rate_hz = _RATES_HZ[version][rate]
    if layer == 1:
        return (12_000 * kbits // rate_hz + padding) * 4
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * 1000 * kbits // rate_hz + padding
