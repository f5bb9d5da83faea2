"""A server on loopback and a secret file: what escapes from a decoder ends up here."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CANARY = "xyzzy-canary-4711"


@dataclass
class Trap:
    """Counts who connects, over TCP or with a datagram.

    Attributes:
        secret: A file whose text must never come out.
        calls: What came in, in order.
    """

    secret: Path
    calls: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.secret.write_text(f"{CANARY}\n" * 3)
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port: int = self._tcp.getsockname()[1]
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=work) for work in (self._listen, self._receive)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> list[str]:
        """What came in until now; nothing is taken in any more."""
        for closing in (self._tcp, self._udp):
            if closing.fileno() != -1:
                try:
                    closing.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
                except OSError:
                    continue  # a socket for datagrams says that it is not connected, and wakes it
        for thread in self._threads:
            thread.join()
        self._tcp.close()
        self._udp.close()
        return self.calls

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary"

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            self.calls.append("tcp")
            connection.close()

    def _receive(self) -> None:
        while True:
            try:
                data = self._udp.recv(1)
            except OSError:
                return
            if not data:
                return
            self.calls.append("udp")
