"""A fence of the kernel around the decoding of one file: nothing but this file can be read, nothing written.

Landlock (https://docs.kernel.org/userspace-api/landlock.html) and the filter of :mod:`stages.decode._syscalls` hold
for one thread and what it starts, for good. So every file gets a thread of its own that fences itself in before it
decodes; the other threads of the process, which Ray needs, stay free. A decoder that is led to open another file or
an address gets EACCES or EPERM, and so does every ffmpeg that it starts.

What this does not stop: a decoder that is made to run foreign machine code shares its memory with the free threads.
ffmpeg, which has the largest surface, is a process of its own, and for it the fence is whole.
"""

from __future__ import annotations

import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from landlockpy import AccessFS, Ruleset, Scope, abi_version

from stages.decode._syscalls import can_filter, deny_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_READ: Final = AccessFS.READ_FILE | AccessFS.READ_DIR
_RUN: Final = AccessFS.READ_FILE | AccessFS.EXECUTE
_LIBRARIES: Final = ("/usr", "/lib", "/lib32", "/lib64")
_LOADERS: Final = (
    "lib/ld-*.so*",
    "lib64/ld-*.so*",
)  # execute any program that is linked to libraries
# The index of libraries, the time zone (read once for the whole process), and what `subprocess` and `random` open.
_FILES: Final = (
    ("/etc/ld.so.cache", AccessFS.READ_FILE),
    ("/etc/localtime", AccessFS.READ_FILE),
    ("/dev/null", AccessFS.READ_FILE | AccessFS.WRITE_FILE),
    ("/dev/urandom", AccessFS.READ_FILE),
)
_PACKAGE_FOLDERS: Final = ("site-packages", "dist-packages")
_STACK_BYTES: Final = 16 << 20  # how deep a parser may go must not depend on `ulimit -s`


@dataclass(frozen=True, slots=True)
class Fence:
    """What the kernel here offers.

    Attributes:
        landlock_abi: Version of Landlock, 0 without: from 1 it fences files, from 4 TCP, from 6 signals.
        filters_calls: Whether system calls can be filtered (seccomp).
    """

    landlock_abi: int
    filters_calls: bool


@cache
def fence() -> Fence:
    """The fence that :func:`fenced` puts up in this process: what was tried on a thread and worked."""
    files = _works(_deny_all_files)
    return Fence(abi_version() if files else 0, can_filter() and _works(deny_calls))


def _works(step: Callable[[], None]) -> bool:
    """Whether the kernel, and a container around this, lets a thread do it."""
    with ThreadPoolExecutor(1, "fence-trial") as pool:
        try:
            pool.submit(step).result()
        except OSError:
            return False
    return True


def _deny_all_files() -> None:
    with Ruleset() as rules:
        rules.restrict()


def fenced(path: Path, work: Callable[[], T], *, program: str = "") -> T:
    """Do the work on a thread that can read nothing but this file, code and libraries, and write nothing.

    Where the kernel offers no fence the work is done all the same; `gristmill doctor` says so.

    Args:
        path: The file. What is no regular file cannot be read.
        work: What it gives or raises comes back as it is.
        program: The one program that may be executed; empty for none.
    """
    fence()  # it looks for the C library, which a fenced thread could not
    with _deep_stack(), ThreadPoolExecutor(1, "fenced") as pool:
        return pool.submit(_fence_in_and, path, work, program).result()


def _fence_in_and(path: Path, work: Callable[[], T], program: str) -> T:
    if fence().landlock_abi:
        _deny_files(path, program)
    if fence().filters_calls:
        deny_calls()
    return work()


def _deny_files(path: Path, program: str) -> None:
    with Ruleset(scoped=Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL) as rules:
        for place, access in _everyones():
            rules.allow_path(place, access)
        if program:
            rules.allow_path(program, _RUN)
        # One that vanished or is no file gets no rule, and the decoder says what it is.
        with suppress(OSError, ValueError):
            if stat.S_ISREG(path.stat().st_mode):
                rules.allow_path(path, AccessFS.READ_FILE)
        rules.restrict()


@cache
def _everyones() -> tuple[tuple[str, AccessFS], ...]:
    """What any decoder may open: code, libraries, a few files of the system. Sorted out once in a process."""
    loaders = {str(path.resolve()) for pattern in _LOADERS for path in Path("/").glob(pattern)}
    rules = [
        *((place, _READ) for place in _outermost([*_LIBRARIES, *_code_folders()])),
        *((loader, _RUN) for loader in sorted(loaders)),
        *_FILES,
    ]
    return tuple((place, access) for place, access in rules if Path(place).exists())


def _code_folders() -> Iterator[str]:
    """The interpreter's, the environment's, and those of packages loaded from elsewhere (a checkout of this one)."""
    yield from (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    yield from (entry for entry in sys.path if Path(entry).name in _PACKAGE_FOLDERS)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and "." not in module.__name__ and Path(file).name.startswith("__init__."):
            yield str(Path(file).parent)


def _outermost(folders: list[str]) -> list[str]:
    """Folders without links and without those inside of others."""
    kept: list[Path] = []
    for folder in sorted({Path(folder).resolve() for folder in folders}):
        if not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return [str(folder) for folder in kept]


@contextmanager
def _deep_stack() -> Iterator[None]:
    before = threading.stack_size(_STACK_BYTES)
    try:
        yield
    finally:
        threading.stack_size(before)
