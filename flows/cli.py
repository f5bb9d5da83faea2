"""The command line. Thin: reads arguments, calls a flow, shows what came back.

Heavy libraries load inside the commands, so that ``--help`` is instant.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from flows import (
    cli_care,
    cli_exact,
    cli_index,
    cli_inspect,
    cli_near,
    cli_snapshots,
    cli_spaces,
    cli_upgrade,
)
from flows.options import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    NAMES,
    AcceptGone,
    Acl,
    AsJson,
    ConfigFile,
    LakeUrl,
    MaxRejectShare,
    Queries,
    Sources,
    Wait,
    Where,
    Workers,
    check_rejects,
    give,
    make_config,
    say_error,
)
from schemas.errors import ConfigError, GristmillError

if TYPE_CHECKING:
    from types import FrameType

    from schemas.search import Mode, Way

_RERANK_DEPTH: Final = 5  # hits that a cross-encoder reads for each one wanted

app = typer.Typer(
    name="gristmill",
    help="From folders of PDFs, videos, audio, images and text to validated, versioned search indices.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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

    chosen = make_config(config, workers, wait, max_reject_share, accept_gone=accept_gone)
    summary = flows.run(list(sources), lake, chosen)
    give(as_json, summary.as_dict(), lambda: show_run(summary))
    check_rejects(summary.balance, chosen)


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

    chosen = make_config(config, workers, wait, max_reject_share, accept_gone=accept_gone)
    balance = flows.ingest(list(sources), lake, chosen)
    give(as_json, {"balance": balance.as_dict()}, lambda: show_balance(balance))
    check_rejects(balance, chosen)


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
    space: Annotated[
        list[str] | None,
        typer.Option(help="Ask vectors of this space only, by name or key; repeat it for more."),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="What counts: hybrid (all there is), dense, lexical or sparse.")
    ] = "hybrid",
    where: Where = None,
    acl: Acl = None,
    snapshot: Annotated[
        str, typer.Option("--snapshot", metavar="ID", help=f"Ask this one. {NAMES}")
    ] = "current",
    rerank: Annotated[
        str,
        typer.Option(metavar="MODEL", help="Read the best hits again with this cross-encoder."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask the published snapshot."""
    from flows.show import show_hits
    from flows.wiring import open_retriever, reranked_by

    if way not in ("routed", "unified"):
        raise ConfigError(f"--way {way}: choose routed or unified")
    if mode not in ("hybrid", "dense", "lexical", "sparse"):
        raise ConfigError(f"--mode {mode}: choose hybrid, dense, lexical or sparse")
    retriever = open_retriever(lake, snapshot, spaces=space or ())
    result = retriever.search(
        query,
        k=k * _RERANK_DEPTH if rerank else k,
        route=route,
        way=cast("Way", way),
        mode=cast("Mode", mode),
        where=where or (),
        acl=acl or None,
    )
    if rerank:
        result = reranked_by(rerank, query, result, k)
    give(as_json, result.as_dict(), lambda: show_hits(query, result, rerank))


@app.command()
def status(lake: LakeUrl, as_json: AsJson = False) -> None:
    """Tables, rows by partition and space, current snapshot, balance of the last run."""
    from flows.show import show_status
    from flows.snapshots import lake_status

    found = lake_status(lake)
    give(as_json, found, lambda: show_status(found))


@app.command()
def rejects(lake: LakeUrl, as_json: AsJson = False) -> None:
    """What could not be indexed, where and why."""
    from flows.show import show_rejects
    from flows.snapshots import lake_rejects

    rows = lake_rejects(lake)
    give(as_json, {"rejects": rows}, lambda: show_rejects(rows))


@app.command()
def evaluate(
    lake: LakeUrl,
    queries: Queries,
    as_json: AsJson = False,
) -> None:
    """Recall, nDCG and MRR by modality, for routed, unified and oracle search."""
    from flows.show import show_evaluation
    from flows.wiring import evaluate_queries

    table = evaluate_queries(lake, queries)
    give(as_json, table, lambda: show_evaluation(table))


cli_index.register(app)
cli_exact.register(app)
cli_snapshots.register(app)
cli_care.register(app)
cli_inspect.register(app)
cli_near.register(app)
cli_spaces.register(app)
cli_upgrade.register(app)


def main() -> None:
    """Entry point: errors become one line on stderr and an exit code."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        say_error("interrupted; what was committed stays, run it again to go on")
        sys.exit(EXIT_INTERRUPTED)

    # A scheduler's stop ends the engine in order, as Ctrl-C does.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        app(prog_name="gristmill")
    except GristmillError as error:
        say_error(f"gristmill: {error.code}: {error}")
        sys.exit(EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED)


if __name__ == "__main__":
    main()
