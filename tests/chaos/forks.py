"""The other side of `tests.chaos.driver`: work on lakes in processes that can be killed, and start at once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

ROOT = Path(__file__).parents[2]
# A library that started threads before the fork would wait for them for ever after it.
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


class Forks:
    """A driver process, and the children that it forks; end it with :meth:`close`."""

    def __init__(self) -> None:
        self._errors = TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.driver"],
            cwd=ROOT,
            env=os.environ | ALONE | {"TOKENIZERS_PARALLELISM": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def send(self, folder: Path, what: str, *names: str, **how: Any) -> None:
        """Have some work done; :meth:`receive` waits for it.

        Args:
            folder: Holds the corpus and the lake.
            what: See `tests.chaos.driver.work`.
            *names: Likewise.
            **how: ``number`` of the point to be killed at, or ``after_s``, the seconds until then; ``config``: which
                of `tests.chaos.driver.CONFIGS`.
        """
        request = {
            "folder": str(folder),
            "what": what,
            "names": names,
            "number": None,
            "after_s": None,
            "config": "plain",
        }
        self._process.stdin.write(json.dumps(request | how) + "\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """``status`` (negative: the signal) and, unless it was killed, ``points`` that were passed and ``balance``."""
        answer = self._process.stdout.readline()
        assert answer, self.errors()
        said: dict[str, Any] = json.loads(answer)
        assert said["status"] in (-9, 0), (said["status"], self.errors())
        return said

    def work(self, folder: Path, what: str, *names: str, **how: Any) -> dict[str, Any]:
        """Do it undisturbed; gives ``points`` and ``balance``."""
        self.send(folder, what, *names, **how)
        said = self.receive()
        assert said["status"] == 0, self.errors()
        return said

    def kill(self, folder: Path, what: str, *names: str, **how: Any) -> bool:
        """Do it and be killed; False if it was done before that."""
        self.send(folder, what, *names, **how)
        return self.receive()["status"] == -9

    def errors(self) -> str:
        """What was written to stderr."""
        self._errors.seek(0)
        return self._errors.read()[-6000:]

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        self._errors.close()
