"""What the commands share: their options, exit codes, and how they answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

if TYPE_CHECKING:
    from schemas.balance import Balance
    from schemas.config import Config

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_REJECTS: Final = 3
EXIT_INTERRUPTED: Final = 130
NAMES: Final = "An id, the start of one, current or previous."  # of snapshots, as arguments

Sources = Annotated[
    list[str],
    typer.Argument(metavar="SRC...", help="Files or folders to read, or s3://bucket/prefix."),
]
LakeUrl = Annotated[
    str, typer.Option("--lake", metavar="URL", help="The lake: a folder, or s3://bucket/prefix.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file; see docs/config.md.")
]
Workers = Annotated[
    int, typer.Option("--workers", min=0, help="Actors per pool; 0 means one per CPU core.")
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait", min=0, help="Seconds to wait for another run on this lake.  [default: 3600]"
    ),
]
AcceptGone = Annotated[
    bool, typer.Option("--accept-gone", help="Believe a folder that lacks most of its known files.")
]
MaxRejectShare = Annotated[
    float | None,
    typer.Option(
        "--max-reject-share",
        min=0,
        max=1,
        help="Exit with 3 if more than this share of the files found was rejected.  [default: 1]",
    ),
]
Queries = Annotated[
    Path, typer.Option("--queries", metavar="FILE.jsonl", help="Queries with known answers.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="A condition on hits, e.g. 'attributes.year >= 2020'; repeat it for more. See docs/filters.md.",
    ),
]
Acl = Annotated[
    list[str] | None,
    typer.Option(
        "--acl",
        metavar="LABEL",
        help="A label of the one who asks: hits are public or share one. Repeat it for more.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; logs go to stderr.")
]


def make_config(
    path: Path | None,
    workers: int,
    wait_s: float | None,
    max_reject_share: float | None = None,
    *,
    accept_gone: bool = False,
    keep_snapshots: int | None = None,
) -> Config:
    """The file's, with what the command line says put over it."""
    from schemas.config import Config

    config = Config.load(path)
    said = {
        "wait_s": wait_s,
        "max_reject_share": max_reject_share,
        "max_gone_share": 1.0 if accept_gone else None,
        "keep_snapshots": keep_snapshots,
    }
    runs = {name: value for name, value in said.items() if value is not None}
    engine = {"workers": workers} if workers else {}
    return config.model_copy(
        update={
            "engine": config.engine.model_copy(update=engine),
            "runs": config.runs.model_copy(update=runs),
        }
    )


def check_rejects(balance: Balance, config: Config) -> None:
    """End with `EXIT_REJECTS` when more was rejected than the configuration allows."""
    allowed = config.runs.max_reject_share
    if balance.rejected_total > allowed * balance.found:
        say_error(
            f"gristmill: {balance.rejected_total} of {balance.found} files were rejected, more than the share of"
            f" {allowed:g} that is allowed; the others are in the lake. gristmill rejects tells why"
        )
        raise typer.Exit(EXIT_REJECTS)


def give(as_json: bool, document: dict[str, Any], show: Any) -> None:
    """Print the document, or show it to a person."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    else:
        show()


def say(text: str) -> None:
    """A line on stdout."""
    Console().print(text, highlight=False)


def say_error(text: str) -> None:
    """A line on stderr, as it is."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
