"""A decoder that is out for no good. Registered by tests; not a test itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas.content import Block, Content

if TYPE_CHECKING:
    from collections.abc import Callable

    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

NAME: Final = f"{__name__}:decode_evil"


def decode_evil(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """The file says in its lines what to do and to what; the blocks say how it went."""
    del options
    deed, _, target = path.read_text().partition("\n")
    try:
        came = DEEDS[deed](target.strip())
    except OSError as error:
        came = f"stopped: {error.strerror}"
    except subprocess.CalledProcessError as error:
        came = f"stopped: exit status {error.returncode}"
    return Content(media_type, blocks=(Block("paragraph", str(came)),)), ()


def _in_a_thread(target: str) -> str:
    found: list[str] = []

    def read() -> None:
        try:
            found.append(Path(target).read_text())
        except OSError as error:
            found.append(f"stopped: {error.strerror}")

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    return found[0]


def _tcp(target: str) -> object:
    return socket.create_connection(("127.0.0.1", int(target)), timeout=5)


def _udp(target: str) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"x", ("127.0.0.1", int(target)))


def _unix(target: str) -> object:
    with socket.socket(socket.AF_UNIX) as sender:
        return sender.connect(target)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _fork(_: str) -> str:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"


DEEDS: Final[dict[str, Callable[[str], object]]] = {
    "read": lambda target: Path(target).read_text(),
    "read in a thread": _in_a_thread,
    "list": lambda target: list(Path(target).iterdir()),
    "environment": lambda _: Path("/proc/self/environ").read_text(),
    "write": lambda target: Path(target).write_text("x"),
    "append": lambda target: Path(target).open("a").close(),
    "remove": lambda target: Path(target).unlink(),
    "rename": lambda target: Path(target).rename(target + ".new"),
    "link": lambda target: Path(target + ".new").symlink_to("x"),
    "mode": lambda target: Path(target).chmod(0o777),
    "times": os.utime,
    "tcp": _tcp,
    "udp": _udp,
    "unix": _unix,
    "shell": lambda _: _run("/bin/sh", "-c", "echo went through"),
    "python": lambda _: _run(sys.executable, "-c", "print('went through')"),
    "fork": _fork,
    "signal": lambda _: os.kill(os.getppid(), 0),
    "ffmpeg reads": lambda target: _run("ffmpeg", "-f", "data", "-i", target, "-map", "0", "-f", "data", "-"),
    "ffmpeg calls": lambda target: _run("ffmpeg", "-i", f"tcp://127.0.0.1:{target}", "-f", "null", "-"),
}  # fmt: skip
