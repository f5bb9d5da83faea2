"""PDFs with a password: rejected without it, read by `gristmill retry` with it, and it stands nowhere afterwards."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow.parquet
import pymupdf
import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.ray, pytest.mark.slow]

IN_FILE, IN_ENVIRONMENT = "plumage-of-the-rook", "seven-sacks-of-barley"
SAID = "The miller keeps the sluice shut on Sundays."
CONFIG = """
[engine]
workers = 1
[recognition]
ocr = false
layout = false
speech = false
sound_tags = false
"""
PASSWORDS = f'[decoding]\npasswords = ["wrong", "{IN_FILE}", "env:MILL_SECRET"]\n'


class Desk:
    """The command line in one folder, and all that it ever printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""

    def gristmill(self, *arguments: str, config: str = "") -> dict:
        (self.folder / "gristmill.toml").write_text(config)
        settings = ("--config", "gristmill.toml") if config else ()
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments, *settings, "--json"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=420,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "MILL_SECRET": IN_ENVIRONMENT,
            },
        )
        assert done.returncode == 0, done.stderr[-3000:]
        self.printed += done.stdout + done.stderr
        return json.loads(done.stdout)

    def written(self) -> dict[str, str]:
        """Every file of the lake and of Prefect as text; what is compressed in tables, too."""
        files = [
            path
            for part in ("lake", "cache")
            for path in sorted((self.folder / part).rglob("*"))
            if path.is_file()
        ]
        texts = {str(path): path.read_bytes().decode("utf-8", "replace") for path in files}
        tables = [path for path in files if path.suffix == ".parquet"]
        return texts | {
            f"{path} as a table": str(pyarrow.parquet.read_table(path).to_pylist())
            for path in tables
        }


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "corpus").mkdir()
    for name, password in (("a.pdf", IN_FILE), ("b.pdf", IN_ENVIRONMENT)):
        with pymupdf.open() as made:
            made.new_page().insert_text((72, 100), f"{name}. {SAID}", fontsize=11)
            made.save(
                tmp_path / "corpus" / name,
                encryption=pymupdf.PDF_ENCRYPT_AES_256,
                owner_pw=f"{password}-owner",
                user_pw=password,
            )
    (tmp_path / "corpus" / "open.txt").write_text("Anyone may read this.\n")
    return Desk(tmp_path)


def test_a_retry_reads_what_a_password_opens_and_tells_none(desk: Desk) -> None:
    balance = desk.gristmill("ingest", "corpus", "--lake", "lake", config=CONFIG)["balance"]
    assert balance["rejected"] == {"encrypted": 2}

    reason = desk.gristmill("rejects", "--lake", "lake")["rejects"][0]["reason"]
    _, command, _ = reason.split("`")
    program, *arguments = shlex.split(command.replace("URL", "lake"))
    assert (program, arguments[0]) == ("gristmill", "retry")
    balance = desk.gristmill(*arguments, config=CONFIG + PASSWORDS)["balance"]
    assert (balance["found"], balance["indexed"], balance["rejected"]) == (2, 2, {})

    said = desk.gristmill("run", "corpus", "--lake", "lake", config=CONFIG + PASSWORDS)
    assert said["balance"]["unchanged"] == 3
    assert desk.gristmill("rejects", "--lake", "lake")["rejects"] == []

    written = desk.written()
    assert sum(SAID in text for text in written.values()) > 0  # what is written is found
    assert any(name.endswith(".html") for name in written)
    for password in (IN_FILE, IN_ENVIRONMENT):
        assert password not in desk.printed
        assert [name for name, text in written.items() if password in text] == []
