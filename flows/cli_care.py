"""The commands that look after a lake. Thin, as those of flows/cli.py."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import (
    EXIT_FAILED,
    NAMES,
    AsJson,
    ConfigFile,
    LakeUrl,
    Wait,
    Workers,
    give,
    make_config,
)
from schemas.errors import ConfigError


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

    balance = flows.retry(lake, make_config(config, workers, wait), names or [], code or [])
    give(as_json, {"balance": balance.as_dict()}, lambda: show_balance(balance))


def forget(
    names: Annotated[
        list[str],
        typer.Argument(metavar="PATH|SOURCE_ID...", help="As search shows them; * and ? match."),
    ],
    lake: LakeUrl,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove every trace now, and search for what is left.")
    ] = False,
    even_protected: Annotated[
        bool, typer.Option("--even-protected", help="Drop protected snapshots that hold it.")
    ] = False,
    config: ConfigFile = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Hide sources from the next snapshot; with --purge remove every trace of them."""
    from flows import flows
    from flows.show import show_forgotten

    chosen = make_config(config, 0, wait)
    proof = flows.forget(lake, names, chosen, purged=purge, even_protected=even_protected)
    give(as_json, proof.as_dict(), lambda: show_forgotten(proof))


def gc(
    lake: LakeUrl,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Published snapshots to keep.  [default: 10]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; change nothing.")
    ] = False,
    config: ConfigFile = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Expire old snapshots, delete what nothing needs any more, compact the tables."""
    from flows import flows
    from flows.show import show_collected

    chosen = make_config(config, 0, wait, keep_snapshots=keep)
    found = flows.gc(lake, chosen, dry_run=dry_run)
    give(as_json, found.as_dict(), lambda: show_collected(found))


def verify(
    lake: LakeUrl,
    snapshot: Annotated[
        str, typer.Argument(help=f"Look at this one only; default: at the whole lake. {NAMES}")
    ] = "",
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Take out what is damaged, so that a run builds it again."),
    ] = False,
    config: ConfigFile = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Read every byte of a lake: tables, segments, manifests, publish log; say what is damaged and what to do."""
    from flows.progress import LookBar
    from flows.repair import repair_lake
    from flows.show import show_verified
    from flows.verify import verify_lake, verify_snapshot
    from flows.wiring import open_lake

    if repair and snapshot:
        raise ConfigError("--repair goes over the whole lake: leave the snapshot out")
    chosen = make_config(config, 0, wait)
    with LookBar() as bar:
        if repair:
            found = repair_lake(lake, chosen, bar.look, bar.note)
        elif snapshot:
            found = verify_snapshot(lake, snapshot, bar.look)
        else:
            found = verify_lake(open_lake(lake), chosen, bar.look)
    give(as_json, found.as_dict(), lambda: show_verified(found))
    if not found.ok:
        raise typer.Exit(EXIT_FAILED)


def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """What is installed, which models, GPU and ffmpeg; what is missing and how to get it."""
    from flows.doctor import examine
    from flows.show import show_doctor
    from schemas.config import Config

    found = examine(Config.load(config) if config else None)
    give(as_json, {"checks": found}, lambda: show_doctor(found))
    if any(check["needed"] and not check["ok"] for check in found):
        raise typer.Exit(EXIT_FAILED)


def register(app: typer.Typer) -> None:
    """Add them to the command line."""
    for command in (retry, forget, gc, verify, doctor):
        app.command()(command)
