"""Ray's blocking calls, on a thread of their own.

On the main thread they look for signals while they wait, and what a handler raises there does not come out as it was:
an exit becomes an exit with 1, another exception the cause of a SystemError. On this thread they see no signals, and
the main thread waits for them in Python, which leaves an exception as it is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_THREAD: Final = ThreadPoolExecutor(1, "gristmill-ray-calls")


def aside(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``call(*args, **kwargs)``; its exceptions are raised here. An interrupted wait leaves it to end by itself."""
    return _THREAD.submit(call, *args, **kwargs).result()
