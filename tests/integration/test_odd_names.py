"""Names and kinds of files that no corpus should have: each is indexed, or rejected for what it is."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows.listing import list_sources
from tests.integration.mill import Mill

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
READABLE = (
    b"two words.txt",
    b"line\nbreak.txt",
    b"tab\tand\rreturn.txt",
    b"bytes \xff\xfe\x80.txt",
    b"-rf.txt",
    b"--help",
    b"%2e%2e%2f.txt",
    b"file:name?query#fragment.txt",
    b"pipe:1",
    "mühle \N{GRINNING FACE} \u202etxt.exe".encode(),
    b"*[!a]?.txt",
    b"'\"$(touch x)`.txt",
    b" ",
    b"...",
    b"n" * 251 + b".txt",
)


def fill(folder: Path) -> None:
    for number, name in enumerate(READABLE):
        with open(os.fsencode(folder) + b"/" + name, "w") as file:  # noqa: PTH123  # names of bytes
            file.write(f"The mill number {number} grinds.")
    deep = folder / "/".join(["d" * 100] * 20)
    deep.mkdir(parents=True)
    (deep / "deep.txt").write_text("Deep down.")
    (folder / "link.txt").symlink_to(folder / "two words.txt")


def spoil(folder: Path) -> int:
    """Add what cannot be read; gives how many names that are."""
    (folder / "self.txt").symlink_to("self.txt")
    (folder / "ping.txt").symlink_to("pong.txt")
    (folder / "pong.txt").symlink_to("ping.txt")
    (folder / "nowhere.txt").symlink_to("no such file")
    (folder / "folder").symlink_to(folder)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "tty.txt").symlink_to("/dev/tty")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket has at most 107 bytes
        try:
            listener.bind("socket.txt")
        finally:
            os.chdir(here)
    return 9


def test_every_name_is_accounted_for(tmp_path: Path):
    mill = Mill(tmp_path)
    fill(mill.corpus)
    unreadable = spoil(mill.corpus)
    balance = mill.ingest()
    assert balance.found == len(READABLE) + 2 + unreadable
    assert balance.indexed == len(READABLE) + 1
    assert balance.duplicate == 1
    assert balance.rejected == {"unreadable": unreadable}
    rejects = {row["path"]: row["reason"] for row in mill.lake.rejects().to_pylist()}
    assert "not a regular file" in rejects["pipe.mp4"]
    assert "Too many levels" in rejects["self.txt"]
    assert "not followed" in rejects["folder"]
    texts = {text for found in mill.live().values() for text in found}
    assert {f"The mill number {n} grinds." for n in range(len(READABLE))} | {"Deep down."} == texts
    again = mill.ingest()
    assert (again.found, again.unchanged + again.duplicate) == (balance.found, len(READABLE) + 2)


def test_a_file_that_vanishes_between_listing_and_decoding(tmp_path: Path):
    mill = Mill(tmp_path)
    mill.write("stays.txt", "The mill stays.")
    mill.write("goes.txt", "The mill goes.")

    def plan_and_remove(state):
        plan = mill.listed(state)
        (mill.corpus / "goes.txt").unlink()
        return plan

    balance = mill.work(plan_and_remove)
    assert (balance.found, balance.indexed) == (2, 1)
    assert balance.rejected == {"unreadable": 1}


def test_what_may_not_be_read(tmp_path: Path):
    mill = Mill(tmp_path)
    mill.write("a.txt", "The mill.")
    (mill.corpus / "a.txt").chmod(0)
    if os.access(mill.corpus / "a.txt", os.R_OK):
        pytest.skip("root reads everything")
    (mill.corpus / "closed").mkdir(mode=0)
    assert mill.ingest().rejected == {"unreadable": 2}


def test_the_listing_names_each_once(tmp_path: Path):
    fill(tmp_path)
    found = list_sources([str(tmp_path)])
    assert len({file.uri for file in found.files}) == len(READABLE) + 2
    for file in found.files:
        json.dumps(file.uri).encode()


def test_the_command_line_prints_json_whatever_the_names(tmp_path: Path):
    mill = Mill(tmp_path)
    for name in READABLE:
        with open(os.fsencode(mill.corpus) + b"/" + name, "w"):  # noqa: PTH123  # empty: rejected
            pass
    mill.ingest()
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "rejects", "--lake", str(tmp_path / "lake"), "--json"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    rows = json.loads(done.stdout.decode("utf-8"))["rejects"]
    assert {row["code"] for row in rows} == {"empty"}
    assert len(rows) == len(READABLE)
