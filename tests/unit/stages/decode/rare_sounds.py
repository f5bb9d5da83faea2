"""A second or two of sound in formats that ffmpeg reads and no encoder here writes, made byte by byte.

The layouts are those of the formats' own descriptions, or of ffmpeg's demuxer where there is none.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ: Final = 8000  # of `tone`
_DSD_HZ: Final = 128_000  # one bit a sample
_DSD_SILENCE: Final = b"\x69"  # as many ones as zeros


def tone() -> np.ndarray:
    """Two seconds of 1 kHz, int16 [n] at 8 kHz."""
    return (8000 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.int16)


def nist(path: Path) -> None:
    """NIST Sphere: a header of text, then samples."""
    samples = tone()
    head = f"NIST_1A\n   1024\nsample_count -i {len(samples)}\nsample_rate -i {RATE_HZ}\nchannel_count -i 1\n"
    head += "sample_n_bytes -i 2\nsample_byte_format -s2 10\nsample_coding -s3 pcm\nend_head\n"
    path.write_bytes(head.encode().ljust(1024, b"\0") + samples.astype(">i2").tobytes())


def amiga(path: Path) -> None:
    """IFF 8SVX: samples of 8 bits."""
    body = (tone() >> 8).astype(np.int8).tobytes()
    voice = struct.pack(">III HBBI", len(body), 0, 0, RATE_HZ, 1, 0, 65536)
    chunks = b"VHDR" + struct.pack(">I", 20) + voice + b"BODY" + struct.pack(">I", len(body)) + body
    path.write_bytes(b"FORM" + struct.pack(">I", 4 + len(chunks)) + b"8SVX" + chunks)


def amr(path: Path) -> None:
    """AMR (RFC 4867, section 5): one second, a frame of 12.2 kbit/s each 20 ms."""
    path.write_bytes(b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50)


def ape(path: Path) -> None:
    """Monkey's Audio 3.99: one second, a frame whose flags (3) say that nothing is to be heard."""
    frame = struct.pack("<4I", 1 << 31, 3, 0, 0)
    sizes = struct.pack("<HHIIIIIII", 3990, 0, 52, 24, 4, 0, len(frame), 0, 0)
    header = struct.pack("<HHIIIHHI", 2000, 32, 73_728, 16_000, 1, 16, 1, 16_000)
    seek_table = struct.pack("<I", 52 + 24 + 4)
    path.write_bytes(b"MAC " + sizes + bytes(16) + header + seek_table + frame)


def dff(path: Path) -> None:
    """DSDIFF 1.5: one second of one channel, not compressed."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack(">Q", len(body)) + body

    properties = (
        b"SND "
        + chunk(b"FS  ", struct.pack(">I", _DSD_HZ))
        + chunk(b"CHNL", struct.pack(">H", 1) + b"C   ")
        + chunk(b"CMPR", b"DSD \x0enot compressed\0")
    )
    sound = chunk(b"DSD ", _DSD_SILENCE * (_DSD_HZ // 8))
    inside = b"DSD " + chunk(b"FVER", bytes([1, 5, 0, 0])) + chunk(b"PROP", properties) + sound
    path.write_bytes(chunk(b"FRM8", inside))


def dsf(path: Path) -> None:
    """DSF 1.01: one second of one channel, in blocks of 4096 bytes."""
    sound = _DSD_SILENCE * 4096 * 4
    shape = struct.pack("<6IQII", 1, 0, 1, 1, _DSD_HZ, 1, len(sound) * 8, 4096, 0)
    chunks = b"fmt " + struct.pack("<Q", 12 + len(shape)) + shape
    chunks += b"data" + struct.pack("<Q", 12 + len(sound)) + sound
    path.write_bytes(b"DSD " + struct.pack("<3Q", 28, 28 + len(chunks), 0) + chunks)


def musepack(path: Path) -> None:
    """Musepack, stream version 8: packets of one frame (1152 samples at 44.1 kHz) without a band in it."""

    def packet(name: bytes, body: bytes) -> bytes:
        return name + bytes([3 + len(body)]) + body  # sizes below 128 are one byte, and count it

    frames = 44
    samples = 1152 * frames
    count = bytes([128 | samples >> 14, 128 | samples >> 7 & 127, samples & 127])
    header = packet(b"SH", b"\0\0\0\1\x08" + count + b"\0" + b"\x00\x10")
    sound = packet(b"AP", bytes(4)) * frames
    path.write_bytes(b"MPCK" + header + sound + packet(b"SE", b""))


def tak(path: Path) -> None:
    """TAK: one second at 16 kHz in four frames, all zeros."""
    info = (
        (2, 6),
        (0, 4),
        (3, 4),
        (16_000, 35),
        (0, 3),
        (16_000 - 6000, 18),
        (8, 5),
        (0, 4),
        (0, 1),
    )
    frames = b""
    for number in range(4):
        last = number == 3
        flags = (1 if last else 0) | (0 if number else 2)
        head = [(0xA0FF, 16), (flags, 3), (number, 21)]
        head += [(4000 - 1, 14), (0, 2)] if last else []
        head += [*info, (0, 6)] if not number else []
        frames += _checked(_bits(*head)) + _checked(bytes(64))
    stream_info = _checked(_bits(*info))
    path.write_bytes(
        b"tBaK\x01" + len(stream_info).to_bytes(3, "little") + stream_info + bytes(4) + frames
    )


def _bits(*fields: tuple[int, int]) -> bytes:
    """Numbers of so many bits, the least significant first."""
    number = width = 0
    for value, size in fields:
        number |= value << width
        width += size
    return number.to_bytes(-(-width // 8), "little")


def _checked(data: bytes) -> bytes:
    """With the 24-bit checksum of OpenPGP (RFC 4880, 6.1), its bytes in reverse."""
    checksum = 0xB704CE
    for byte in data:
        checksum ^= byte << 16
        for _ in range(8):
            checksum <<= 1
            checksum ^= 0x1864CFB if checksum >> 24 else 0
    return data + checksum.to_bytes(3, "little")
