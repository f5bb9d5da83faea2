"""Runs on a lake whose disk fills up, one size after the other; called in a mount namespace of its own.

    unshare --mount python -m tests.integration.full_disk FOLDER KIB...

Prints a JSON object for each size: what the first run said, and what the second made of it once there was space.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from infra.lake import lock
from schemas.errors import GristmillError
from tests.integration.damage import DamagedMill
from tests.integration.mill import EACH_ALONE, session_of

PLENTY_KIB = 64 << 10
MOUNT, UMOUNT = (shutil.which(name) or name for name in ("mount", "umount"))


class FilledMill(DamagedMill):
    """Its lake lies on a small disk of its own."""

    def __init__(self, folder: Path, kib: int) -> None:
        disk = folder / "lake"
        disk.mkdir(exist_ok=True)
        self._mount(disk, f"size={kib}k")
        super().__init__(folder, EACH_ALONE)

    def _mount(self, disk: Path, options: str) -> None:
        subprocess.run([MOUNT, "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)

    def make_room(self) -> None:
        self._mount(self.folder, f"remount,size={PLENTY_KIB}k")

    def remove(self) -> None:
        subprocess.run([UMOUNT, "--lazy", str(self.folder)], check=True)

    def change(self) -> None:
        self.write("mill.txt", "The mill has a wheel, the wheel has nine paddles.")
        self.write("prices.csv", "grain,price\nwheat,3\nrye,2\n")
        self.write("broken.pdf", "%PDF-1.4 nothing")

    def run(self) -> str:
        """What it ended with; empty if it went through."""
        session = session_of(self.config)
        try:
            self.ingest()
            self.publish()
        except GristmillError as error:
            while (
                session.pending()
            ):  # what a run leaves in its engine ends with it; here it is shared
                session.poll(1.0)
            return f"{error.code}: {error}"
        return ""


def main() -> None:
    """See above."""
    lock.STALE_S = 0.2  # the run that ended is this process, which is alive
    folder = Path(sys.argv[1])
    for kib in [PLENTY_KIB, *map(int, sys.argv[2:])]:
        mill = FilledMill(folder, kib)
        mill.change()
        said = mill.run()
        mill.make_room()
        damaged = [finding.wrong for finding in mill.verify().findings]
        again = mill.run() if said else ""
        shown = json.dumps([mill.shown(), mill.published(), mill.verify().as_dict()["findings"]])
        print(json.dumps({"said": said, "damaged": damaged, "again": again, "shown": shown}))  # noqa: T201
        mill.remove()


if __name__ == "__main__":
    main()
