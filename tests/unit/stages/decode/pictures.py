"""Pictures and colour profiles made for the tests of picture decoding."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from schemas.config import Limits
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode as decode_any

if TYPE_CHECKING:
    from pathlib import Path

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)

# Columns: XYZ of red, green and blue, adapted to D50, as the profiles Display P3 and sRGB of their makers have them.
P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
SRGB = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
GAMMA = 2.2


def decode(path: Path, **limits):
    """By what the bytes are, as a run does it."""
    return decode_any(path, "", DecodeOptions(limits=Limits(**limits)))


def shown(decoded):
    """The picture at model size."""
    content, arrays = decoded
    return arrays[content.image.pixels_array][0]


def at(picture, y: int, x: int) -> tuple[int, ...]:
    """A pixel as numbers that do not overflow."""
    return tuple(int(v) for v in picture[y, x])


def middle(decoded) -> tuple[int, ...]:
    side = shown(decoded).shape[0]
    return at(shown(decoded), side // 2, side // 2)


def page_shown(decoded, number: int):
    content, arrays = decoded
    return arrays[content.pages[number - 1].pixels_array][0]


def halves(left=RED, right=BLUE, size=(400, 200), mode="RGB"):
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image.convert(mode)


def save(image, path, **options):
    image.save(path, **options)
    return path


def psd(image, layers=2) -> bytes:
    """A Photoshop file of version 1: so many empty layers, and this picture of all of them."""
    width, height = image.size
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    record = struct.pack(">iiiiH", 0, 0, 1, 1, 3)
    record += b"".join(struct.pack(">hI", channel, 3) for channel in range(3))
    record += b"8BIMnorm" + bytes([255, 0, 0, 0]) + struct.pack(">III", 12, 0, 0) + b"\3one"
    info = struct.pack(">h", layers) + record * layers + b"\0\0\1" * 3 * layers
    sized = struct.pack(">I", len(info)) + info + struct.pack(">I", 0) if layers else b""
    planes = b"".join(channel.tobytes() for channel in image.split())
    return header + bytes(8) + struct.pack(">I", len(sized)) + sized + b"\0\0" + planes


def in_srgb(colour: tuple[int, int, int], primaries: np.ndarray) -> np.ndarray:
    """What a colour of a space with these primaries and gamma 2.2 is in sRGB, by the formulas of IEC 61966-2-1."""
    linear = np.linalg.inv(SRGB) @ primaries @ (np.array(colour) / 255) ** GAMMA
    linear = np.clip(linear, 0, 1)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
    return np.rint(encoded * 255)


def rgb_profile(primaries: np.ndarray = P3, name: str = "made for a test") -> bytes:
    tags = {f"{channel}XYZ": _xyz(*primaries[:, i]) for i, channel in enumerate("rgb")} | {
        f"{channel}TRC": _curve(GAMMA) for channel in "rgb"
    }
    return _profile(b"RGB ", b"XYZ ", tags, name)


def grey_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", b"XYZ ", {"kTRC": _curve(gamma)}, "grey for a test")


def cmyk_profile() -> bytes:
    """Ink-less paper is white, full black is black, full cyan is a middle grey (L* 50), the rest lies between."""
    nodes = bytearray()
    for node in range(16):
        cyan, black = node >> 3 & 1, node & 1
        nodes += bytes([0 if black else 128 if cyan else 255, 128, 128])
    line = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += (
        b"".join(_fixed(v) for v in (1, 0, 0, 0, 1, 0, 0, 0, 1))
        + line * 4
        + bytes(nodes)
        + line * 3
    )
    return _profile(b"CMYK", b"Lab ", {"A2B0": lut}, "inks for a test", kind=b"prtr")


def _profile(
    space: bytes, pcs: bytes, tags: dict[str, bytes], name: str, kind: bytes = b"mntr"
) -> bytes:
    """An ICC profile of version 2.4 (ICC.1:2001-04)."""
    text = name.encode() + b"\0"
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    tags = {"desc": desc, "cprt": b"text\0\0\0\0none\0", "wtpt": _xyz(0.9642, 1.0, 0.8249), **tags}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag.encode() + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"\0\0\0\0", 0x02400000, kind, space, pcs
    )
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + bytes(12)
    header = header[:68] + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(x) + _fixed(y) + _fixed(z)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
