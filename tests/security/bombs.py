"""Files that want to be much more than they are. Each is small to make and to store."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1 << 20


def png(width: int, height: int, *chunks: tuple[bytes, bytes], rows: bytes = b"") -> bytes:
    """A grey PNG that announces this size, with further chunks before its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*part) for part in parts)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + b"\0\0\0\xff\xff\xff,"
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x02\x44\x01\0;"
    )


def tiff(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, width * height % (1 << 32))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + b"x" * 100


def webp(width: int, height: int) -> bytes:
    """An extended WebP whose canvas has this size (at most 16,777,216 a side)."""
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + canvas
    vp8l = b"VP8L" + struct.pack("<I", 10) + b"\x2f" + b"\xff" * 9
    return b"RIFF" + struct.pack("<I", 4 + len(vp8x) + len(vp8l)) + b"WEBP" + vp8x + vp8l


def pdf(objects: Sequence[bytes]) -> bytes:
    """A PDF of these objects; number 1 is the catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Root 1 0 R /Size %d >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)


def stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n" % (len(data), more) + data + b"\nendstream"


def one_page(
    content: bytes,
    *,
    media_box: bytes = b"[0 0 300 300]",
    resources: bytes = b"",
    more: Sequence[bytes] = (),
    catalogue: bytes = b"",
    page: bytes = b"",
) -> bytes:
    """A PDF of one page; `content` is the body of object 4, `more` are objects 6 and on; 5 is Helvetica."""
    return pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents 4 0 R"
            b" /Resources << /Font << /F 5 0 R >> %s >> %s >>" % (media_box, resources, page),
            content,
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            *more,
        ]
    )


SHOWN = b"BT /F 12 Tf 20 200 Td (The mill grinds on) Tj ET\n"


def flate_bomb(times: int, size: int, what: bytes = b" ") -> bytes:
    """A page whose content, packed `times` over, unpacks to `size` bytes."""
    data = _packed(what, size)
    for _ in range(times - 1):
        data = zlib.compress(data, 9)
    filters = b"/Filter [" + b"/FlateDecode " * times + b"]"
    return one_page(stream(data, filters))


def form_bomb(size: int) -> bytes:
    """A page that draws a form that unpacks to `size` bytes."""
    kind = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Filter /FlateDecode"
    form = stream(_packed(b" ", size), kind)
    return one_page(stream(b"/X Do"), resources=b"/XObject << /X 6 0 R >>", more=[form])


def _packed(what: bytes, size: int) -> bytes:
    packer = zlib.compressobj(9)
    block = what * (MIB // len(what))
    parts = [packer.compress(block) for _ in range(size // len(block))]
    return b"".join([*parts, packer.flush()])


def laughing_forms(depth: int = 10) -> bytes:
    """A page that draws a form ten times, which draws another ten times, and so on."""
    forms = [
        stream(
            b"/X Do\n" * 10 if number < depth else SHOWN,
            b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] /Resources << /Font << /F 5 0 R >>"
            b" /XObject << /X %d 0 R >> >>" % (6 + number),
        )
        for number in range(1, depth + 1)
    ]
    return one_page(stream(b"/X Do\n" * 10), resources=b"/XObject << /X 6 0 R >>", more=forms)


def many_pages(kids: int, levels: int) -> bytes:
    """`kids` to the power of `levels` pages, all of them one object."""
    nodes = []
    for level in range(levels):
        kid = 3 + level
        count = kids ** (levels - level)
        refs = b" ".join([b"%d 0 R" % kid] * kids)
        nodes.append(b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, refs))
    page = b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 99 99] >>" % (1 + levels)
    return pdf([b"<< /Type /Catalog /Pages 2 0 R >>", *nodes, page])


def looping_pages() -> bytes:
    return pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 9 /Kids [3 0 R] >>",
            b"<< /Type /Pages /Count 9 /Kids [2 0 R] /Parent 2 0 R >>",
        ]
    )


def lying_count(count: int) -> bytes:
    return one_page(stream(SHOWN)).replace(b"/Count 1 ", b"/Count %d " % count)


def zip_bomb(name: str, size: int, layers: int = 1) -> bytes:
    """A zip whose one member is `size` zeros; further layers hold ten copies of the one below."""
    data, members = b"\0" * size, [name]
    for layer in range(layers):
        box = io.BytesIO()
        with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                archive.writestr(member, data)
        data, members = box.getvalue(), [f"{layer}-{i}.zip" for i in range(10)]
    return data
