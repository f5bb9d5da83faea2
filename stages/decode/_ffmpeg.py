"""One ffmpeg process for one file: started fenced in, drained, ended in time, never left behind.

The fence (https://ffmpeg.org/ffmpeg-all.html, "security"): the demuxer is forced by the sniffed media type, so a
playlist or concat script lying as media is a parse error instead of a list of files to open; only the protocols
`file` and `pipe` are allowed; the child may write no file, dump no core, and has a cap on its memory and CPU time.
"""

from __future__ import annotations

import fcntl
import os
import resource
import selectors
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import ffmpeg
import imageio_ffmpeg

from schemas.errors import (
    CrashError,
    LimitError,
    MissingExtraError,
    TimeoutExceededError,
    UnsupportedError,
)
from stages.decode._fence import fenced
from stages.decode._fflog import LogSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from schemas.config import Limits

_DEMUXERS: Final = {
    "audio/wav": "wav",
    "audio/aiff": "aiff",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/ac3": "ac3",
    "audio/mp4": "mov",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/amr": "amr",
    "audio/basic": "au",
    "audio/x-caf": "caf",
    "audio/x-ape": "ape",
    "audio/x-dff": "iff",
    "audio/x-dsf": "dsf",
    "audio/x-matroska": "matroska",
    "audio/x-ms-wma": "asf",
    "audio/x-musepack": "mpc",
    "audio/x-tak": "tak",
    "audio/x-tta": "tta",
    "audio/x-wavpack": "wv",
    "audio/x-w64": "w64",
    "audio/x-voc": "voc",
    "audio/x-sox": "sox",
    "audio/x-nist": "nistsphere",
    "audio/x-8svx": "iff",
    "audio/vnd.dts": "dts",
    "audio/vnd.dolby.mlp": "mlp",
    "audio/x-truehd": "truehd",
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/x-matroska": "matroska",
    "video/webm": "matroska",
    "video/x-msvideo": "avi",
    "video/x-ms-wmv": "asf",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/mp2t": "mpegts",
    "video/ogg": "ogg",
    "video/vnd.rn-realvideo": "rm",
}
# Media types that stand for two demuxers, told apart by the first bytes.
_BY_HEAD: Final = {
    ("audio/x-musepack", b"MPCK"): "mpc8",
    ("video/mpeg", b"\0\0\x01\xb3"): "mpegvideo",
}
_QUIET: Final = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info")
_PIPE_BYTES: Final = 1 << 20
_POLL_S: Final = 0.5


class Sink(Protocol):
    """Takes what ffmpeg writes to one pipe."""

    def read(self, fd: int) -> bool:
        """Read once from a descriptor that has data; False at its end."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended. `returncode` is negative where a signal ended it."""

    returncode: int
    log: LogSink


@cache
def find_ffmpeg() -> str:
    """Path of the system's ffmpeg if it runs fenced in, else of the one in the package imageio-ffmpeg.

    One that is a script around another program (as some package managers install it) does not run fenced in.

    Raises:
        MissingExtraError: There is neither.
    """
    system = shutil.which("ffmpeg")
    if system and _runs_fenced(system):
        return system
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MissingExtraError(
            "no ffmpeg found: install the system's package (apt install ffmpeg) or"
            " `pip install imageio-ffmpeg`"
        ) from error


def program() -> str:
    """The path of :func:`find_ffmpeg`, empty without any: what is not media decodes all the same."""
    try:
        return find_ffmpeg()
    except MissingExtraError:
        return ""


def _runs_fenced(command: str) -> bool:
    start = partial(subprocess.run, [command, "-version"], capture_output=True, check=True)
    try:
        fenced(Path(command), start, program=command)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def demuxer(path: Path, media_type: str) -> str:
    """Name of ffmpeg's demuxer for a media type.

    Raises:
        UnsupportedError: The media type is none that ffmpeg is used for.
    """
    if media_type not in _DEMUXERS:
        raise UnsupportedError(f"{path} is {media_type}, which is not read through ffmpeg")
    with path.open("rb") as file:
        head = file.read(4)
    return _BY_HEAD.get((media_type, head), _DEMUXERS[media_type])


def source(path: Path, media_type: str, *, threads: int = 1, **options: Any) -> Any:
    """The input of an ffmpeg-python graph, with demuxer, protocols, decoder threads and further input options.

    Raises:
        UnsupportedError: The media type is none that ffmpeg is used for.
    """
    return ffmpeg.input(
        f"file:{path.absolute()}",
        f=demuxer(path, media_type),
        protocol_whitelist="file,pipe",
        threads=threads,
        **options,
    )


def run(
    path: Path,
    build: Callable[[Sequence[str]], Any],
    sinks: Sequence[Sink],
    limits: Limits,
) -> Run:
    """Run one ffmpeg process over one file until all its pipes are at their end.

    Args:
        path: The file, for messages.
        build: Gives the ffmpeg-python graph for the pipe URLs (``pipe:5``) that belong to `sinks`, in order.
        sinks: Where the output goes. A sink that raises ends the process.
        limits: `decode_timeout_s` and `decode_memory_bytes` are used.

    Returns:
        Exit status and log. A status other than 0 may come with usable output.

    Raises:
        TimeoutExceededError: It ran past the deadline.
        CrashError: It died by a signal of its own before it wrote its header.
        LimitError: It needed more memory than allowed.
    """
    reads, writes = _pipes(len(sinks))
    log = LogSink(secret=str(path.absolute()))
    try:
        graph = build([f"pipe:{fd}" for fd in writes])
        process = _spawn(ffmpeg.compile(graph, cmd=[find_ffmpeg(), *_QUIET]), writes, limits)
    except BaseException:
        _close(reads)
        raise
    finally:
        _close(writes)
    assert process.stderr is not None  # noqa: S101 - for mypy: stderr=PIPE
    try:
        channels = {process.stderr.fileno(): log, **dict(zip(reads, sinks, strict=True))}
        _drain(path, channels, limits.decode_timeout_s)
        returncode = process.wait(timeout=_POLL_S * 20)
    except subprocess.TimeoutExpired as error:
        raise CrashError(f"{path}: ffmpeg closed its output but did not end") from error
    finally:
        _end(process)
        _close(reads)
    _check(path, returncode, log)
    return Run(returncode, log)


def _pipes(count: int) -> tuple[list[int], list[int]]:
    pairs = [os.pipe() for _ in range(count)]
    for read, write in pairs:
        os.set_blocking(read, False)
        _widen(write)
    return [read for read, _ in pairs], [write for _, write in pairs]


def _widen(fd: int) -> None:
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except PermissionError:
        return  # the user has many pipes: the default of 64 KiB works too, in more steps


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _spawn(command: list[str], fds: Sequence[int], limits: Limits) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=fds,
    )
    cpu_s = int(limits.decode_timeout_s) + 1
    _fence(process.pid, resource.RLIMIT_AS, limits.decode_memory_bytes)
    # Also ends an orphan, should this process be killed while ffmpeg computes without writing.
    _fence(process.pid, resource.RLIMIT_CPU, cpu_s)
    _fence(process.pid, resource.RLIMIT_FSIZE, 0)
    _fence(process.pid, resource.RLIMIT_CORE, 0)
    return process


def _fence(pid: int, what: int, limit: int) -> None:
    # Set from outside: a preexec_fn is not safe beside threads. Only Linux can.
    if not hasattr(resource, "prlimit"):
        return
    try:
        resource.prlimit(pid, what, (limit, limit))
    except ProcessLookupError:
        return  # it has ended already; its status will say how


def _drain(path: Path, channels: dict[int, Sink], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for fd, sink in channels.items():
            selector.register(fd, selectors.EVENT_READ, sink)
        while selector.get_map():
            if time.monotonic() > deadline:
                raise TimeoutExceededError(
                    f"{path}: decoding ran past limits.decode_timeout_s = {timeout_s:g}"
                )
            for key, _ in selector.select(_POLL_S):
                if not key.data.read(key.fd):
                    selector.unregister(key.fd)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it if it still runs, and reap it."""
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _check(path: Path, returncode: int, log: LogSink) -> None:
    if log.out_of_memory:
        raise LimitError(f"{path}: decoding needs more than limits.decode_memory_bytes")
    if returncode < 0 and not log.has_input:
        name = signal.Signals(-returncode).name
        raise CrashError(f"{path}: ffmpeg was ended by {name} before it had read the header")
