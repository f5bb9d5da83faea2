"""A preview drawn in a process of its own, with a deadline and a limit on its memory."""

from __future__ import annotations

import json
import resource
import time
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import CrashError, GristmillError, LimitError, TimeoutExceededError
from stages.preview.registry import Preview, preview

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from schemas.partition import Partition
    from schemas.unit import Locator
    from stages.preview.options import PreviewOptions

_START_S: Final = 30.0  # for Python and the libraries, on a busy machine
_HEAD_BYTES: Final = 1 << 16
_MOST_BYTES: Final = 64 << 20


def preview_apart(
    path: Path, partition: Partition, locator: Locator, media_type: str, options: PreviewOptions
) -> Preview:
    """The same as :func:`stages.preview.registry.preview`, for files that nobody vouches for.

    The process is started anew and told nothing but the arguments; what it answers is a line of JSON and the bytes
    of a picture, never objects. It may take `limits.decode_memory_bytes` beyond what it starts with.

    Raises:
        TimeoutExceededError: It took longer than `timeout_s`.
        CrashError: It died.
        SourceError: As :func:`stages.preview.registry.preview`.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    arguments = (theirs, path, partition, locator, media_type, options)
    process = context.Process(target=_work, args=arguments, daemon=True)
    process.start()
    theirs.close()
    until_s = time.monotonic() + options.timeout_s + _START_S
    try:
        head = json.loads(_received(ours, until_s, _HEAD_BYTES))
        data = _received(ours, until_s, _MOST_BYTES)
    except TimeoutError as error:
        raise TimeoutExceededError(
            f"{path}: its preview took longer than {options.timeout_s:g} s"
        ) from error
    except (EOFError, OSError, ValueError) as error:
        process.join(1)
        raise CrashError(
            f"{path}: the process that drew its preview ended with {process.exitcode}"
        ) from error
    finally:
        process.kill()
        process.join()
        ours.close()
    if "code" in head:
        raise _error(head["code"])(head["message"])
    return Preview(data, head["media_type"], head["width"], head["height"])


def _received(connection: Connection, until_s: float, most_bytes: int) -> bytes:
    if not connection.poll(max(0.0, until_s - time.monotonic())):
        raise TimeoutError
    return connection.recv_bytes(most_bytes)


def _work(
    connection: Connection,
    path: Path,
    partition: Partition,
    locator: Locator,
    media_type: str,
    options: PreviewOptions,
) -> None:
    """What the process does."""
    _limit_memory(options.limits.decode_memory_bytes)
    head: dict[str, Any]
    data = b""
    try:
        drawn = preview(path, partition, locator, media_type, options)
        head, data = (
            {"media_type": drawn.media_type, "width": drawn.width, "height": drawn.height},
            drawn.data,
        )
    except GristmillError as error:
        head = {"code": error.code, "message": error.message}
    except MemoryError:
        message = f"{path}: its preview needs more than limits.decode_memory_bytes"
        head = {"code": LimitError.code, "message": message}
    connection.send_bytes(json.dumps(head).encode())
    connection.send_bytes(data)


def _limit_memory(limit_bytes: int) -> None:
    """Of address space, beyond what the process has now; only Linux says how much that is."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    now_bytes = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now_bytes + limit_bytes
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _error(code: str) -> type[GristmillError]:
    """The class of a code."""
    classes = [GristmillError]
    for known in classes:
        classes += known.__subclasses__()
    return next((known for known in classes if known.code == code), CrashError)
