"""The command line. Thin: reads arguments, calls a flow, shows what came back.

Heavy libraries load inside the commands, so that ``--help`` is instant.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer
from rich.console import Console

from schemas.errors import ConfigError, GristmillError

if TYPE_CHECKING:
    from types import FrameType

    from schemas.balance import Balance
    from schemas.config import Config
    from schemas.search import Way

app = typer.Typer(
    name="gristmill",
    help="From folders of PDFs, videos, audio, images and text to validated, versioned search indices.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_REJECTS: Final = 3
EXIT_INTERRUPTED: Final = 130

Sources = Annotated[list[str], typer.Argument(metavar="SRC...", help="Files or folders to read.")]
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
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; logs go to stderr.")
]


@app.command()
def run(
    sources: Sources,
    lake: LakeUrl,
    config: ConfigFile = None,
    workers: Workers = 0,
    wait: Wait = None,
    max_reject_share: MaxRejectShare = None,
    accept_gone: AcceptGone = False,
    as_json: AsJson = False,
) -> None:
    """Ingest, index and publish."""
    from flows import flows
    from flows.show import show_run

    chosen = _config(config, workers, wait, max_reject_share, accept_gone=accept_gone)
    summary = flows.run(list(sources), lake, chosen)
    _give(as_json, summary.as_dict(), lambda: show_run(summary))
    _check_rejects(summary.balance, chosen)


@app.command()
def ingest(
    sources: Sources,
    lake: LakeUrl,
    config: ConfigFile = None,
    workers: Workers = 0,
    wait: Wait = None,
    max_reject_share: MaxRejectShare = None,
    accept_gone: AcceptGone = False,
    as_json: AsJson = False,
) -> None:
    """Decode, embed and commit to the tables; publish nothing."""
    from flows import flows
    from flows.show import show_balance

    chosen = _config(config, workers, wait, max_reject_share, accept_gone=accept_gone)
    balance = flows.ingest(list(sources), lake, chosen)
    _give(as_json, {"balance": balance.as_dict()}, lambda: show_balance(balance))
    _check_rejects(balance, chosen)


@app.command()
def retry(
    lake: LakeUrl,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH...]", help="As gristmill rejects shows them; * and ? match."),
    ] = None,
    code: Annotated[
        list[str] | None, typer.Option(help="Every reject with this code, e.g. timeout.")
    ] = None,
    config: ConfigFile = None,
    workers: Workers = 0,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Read rejected files again: the named ones, or else those that may come good by themselves."""
    from flows import flows
    from flows.show import show_balance

    balance = flows.retry(lake, _config(config, workers, wait), names or [], code or [])
    _give(as_json, {"balance": balance.as_dict()}, lambda: show_balance(balance))


@app.command()
def index(
    lake: LakeUrl,
    config: ConfigFile = None,
    workers: Workers = 0,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Build and check a snapshot from the tables; the current one stays published."""
    from flows import flows
    from flows.show import show_manifest

    manifest = flows.index(lake, _config(config, workers, wait))
    _give(as_json, json.loads(manifest.to_json()), lambda: show_manifest(manifest))


@app.command()
def publish(
    lake: LakeUrl,
    snapshot: Annotated[str, typer.Argument(help="Snapshot id; default: the newest built.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a built snapshot the current one."""
    from flows.snapshots import publish_snapshot

    chosen = publish_snapshot(lake, snapshot)
    _give(as_json, {"snapshot": chosen}, lambda: _say(f"published {chosen}"))


@app.command()
def rollback(
    lake: LakeUrl,
    snapshot: Annotated[str, typer.Argument(help="Snapshot id; default: the one before.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an earlier snapshot the current one again."""
    from flows.snapshots import rollback_snapshot

    chosen = rollback_snapshot(lake, snapshot)
    _give(as_json, {"snapshot": chosen}, lambda: _say(f"rolled back to {chosen}"))


@app.command()
def snapshots(lake: LakeUrl, as_json: AsJson = False) -> None:
    """List the snapshots of a lake; the current one is marked."""
    from flows.show import show_snapshots
    from flows.snapshots import list_snapshots

    rows = list_snapshots(lake)
    _give(as_json, {"snapshots": rows}, lambda: show_snapshots(rows))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    lake: LakeUrl,
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="Hits to show.")] = 10,
    route: Annotated[
        str | None, typer.Option(help="Ask this partition only, e.g. text/paragraph.")
    ] = None,
    way: Annotated[str, typer.Option(help="routed, or unified: all partitions in one ranking.")] = (
        "routed"
    ),
    as_json: AsJson = False,
) -> None:
    """Ask the published snapshot."""
    from flows.show import show_hits
    from flows.wiring import open_retriever

    if way not in ("routed", "unified"):
        raise ConfigError(f"--way {way}: choose routed or unified")
    result = open_retriever(lake).search(query, k=k, route=route, way=cast("Way", way))
    _give(as_json, result.as_dict(), lambda: show_hits(query, result))


@app.command()
def status(lake: LakeUrl, as_json: AsJson = False) -> None:
    """Tables, rows by partition and space, current snapshot, balance of the last run."""
    from flows.show import show_status
    from flows.snapshots import lake_status

    found = lake_status(lake)
    _give(as_json, found, lambda: show_status(found))


@app.command()
def rejects(lake: LakeUrl, as_json: AsJson = False) -> None:
    """What could not be indexed, where and why."""
    from flows.show import show_rejects
    from flows.snapshots import lake_rejects

    rows = lake_rejects(lake)
    _give(as_json, {"rejects": rows}, lambda: show_rejects(rows))


@app.command()
def evaluate(
    lake: LakeUrl,
    queries: Annotated[
        Path, typer.Option(metavar="FILE.jsonl", help="Queries with known answers.")
    ],
    as_json: AsJson = False,
) -> None:
    """Recall, nDCG and MRR by modality, for routed, unified and oracle search."""
    from flows.show import show_evaluation
    from flows.wiring import evaluate_queries

    table = evaluate_queries(lake, queries)
    _give(as_json, table, lambda: show_evaluation(table))


@app.command()
def verify(
    lake: LakeUrl,
    snapshot: Annotated[str, typer.Argument(help="Snapshot id; default: the current one.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check a snapshot again from its bytes: checksums, counts, recall."""
    from flows.show import show_verified
    from flows.snapshots import verify_snapshot

    found = verify_snapshot(lake, snapshot)
    _give(as_json, found, lambda: show_verified(found))
    if not found["ok"]:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is installed, which models, GPU and ffmpeg; what is missing and how to get it."""
    from flows.doctor import examine
    from flows.show import show_doctor

    found = examine()
    _give(as_json, {"checks": found}, lambda: show_doctor(found))
    if any(check["needed"] and not check["ok"] for check in found):
        raise typer.Exit(EXIT_FAILED)


def main() -> None:
    """Entry point: errors become one line on stderr and an exit code."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        _say_error("interrupted; what was committed stays, run it again to go on")
        sys.exit(EXIT_INTERRUPTED)

    # A scheduler's stop ends the engine in order, as Ctrl-C does.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        app(prog_name="gristmill")
    except GristmillError as error:
        _say_error(f"gristmill: {error.code}: {error}")
        sys.exit(EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED)


def _say_error(text: str) -> None:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def _config(
    path: Path | None,
    workers: int,
    wait_s: float | None,
    max_reject_share: float | None = None,
    *,
    accept_gone: bool = False,
) -> Config:
    """The file's, with what the command line says put over it."""
    from schemas.config import Config

    config = Config.load(path)
    said = {
        "wait_s": wait_s,
        "max_reject_share": max_reject_share,
        "max_gone_share": 1.0 if accept_gone else None,
    }
    runs = {name: value for name, value in said.items() if value is not None}
    engine = {"workers": workers} if workers else {}
    return config.model_copy(
        update={
            "engine": config.engine.model_copy(update=engine),
            "runs": config.runs.model_copy(update=runs),
        }
    )


def _check_rejects(balance: Balance, config: Config) -> None:
    allowed = config.runs.max_reject_share
    if balance.rejected_total > allowed * balance.found:
        _say_error(
            f"gristmill: {balance.rejected_total} of {balance.found} files were rejected, more than the share of"
            f" {allowed:g} that is allowed; the others are in the lake. gristmill rejects tells why"
        )
        raise typer.Exit(EXIT_REJECTS)


def _give(as_json: bool, document: dict[str, Any], show: Any) -> None:
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    else:
        show()


def _say(text: str) -> None:
    Console().print(text, highlight=False)


if __name__ == "__main__":
    main()
