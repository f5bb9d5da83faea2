"""Which files there are. Every name found is accounted for: as a file, or as a reject that says why not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from infra.sources import store_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.source import Found, SourceFile

_HASH_THREADS: Final = (
    8  # hashing releases the GIL: a few keep a disk busy, and a line to an object store
)


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found under the given SRCs.

    Attributes:
        roots: URI of each SRC.
        files: Regular files and objects in order of uri, not hashed yet.
        unreadable: Names that are not readable regular files, with the reason.
        blocked: URIs of those of them that are folders: nobody knows what is below.
        bare: URIs of SRCs that are there or not, which nobody can tell: prefixes with no object.
    """

    roots: tuple[str, ...]
    files: tuple[SourceFile, ...]
    unreadable: tuple[tuple[SourceFile, str], ...]
    blocked: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()


def check_sources(sources: Sequence[str]) -> None:
    """See that each SRC can be listed, before anything is started for it.

    Raises:
        ConfigError: A SRC does not exist or cannot be read.
        UnreadableError: The store of a SRC cannot be reached, or refuses.
    """
    for source in sources:
        store = store_of(source)
        store.check(store.uri(source))


def list_sources(sources: Sequence[str], *, exclude: str = "") -> Listing:
    """List files, folders, objects and prefixes.

    Args:
        sources: Paths or URIs (``file://``, ``s3://``, ``gs://``, ``az://``).
        exclude: A place to leave out: the lake itself, should it lie in one of them.

    Raises:
        ConfigError: A SRC does not exist or cannot be listed.
        UnreadableError: A listing broke off: what it did not show may be there.
    """
    names: dict[str, Found] = {}
    bare = []
    left_out = store_of(exclude).uri(exclude) if exclude else ""
    roots = sorted({store_of(source).uri(source) for source in sources})
    for root in roots:
        store = store_of(root)
        store.check(root)
        found = {f.file.uri: f for f in store.walk(root, left_out)}
        names |= found
        if not found and not store.keeps_folders:
            bare.append(root)
    ordered = [names[uri] for uri in sorted(names)]
    return Listing(
        tuple(roots),
        tuple(found.file for found in ordered if not found.reason),
        tuple((found.file, found.reason) for found in ordered if found.reason),
        tuple(found.file.uri for found in ordered if found.blocked),
        tuple(bare),
    )


def look_again(uri: str, root: str) -> tuple[SourceFile | None, str]:
    """One file that was listed before, with the reason why it cannot be read; None if it is no longer there.

    Raises:
        UnreadableError: Its store cannot be reached.
    """
    found = store_of(uri).look(uri, root)
    return (found.file, found.reason) if found else (None, "")


def hash_files(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, str]]:
    """Each file with its content hash, or unhashed with the reason why it cannot be read; in order.

    Raises:
        UnreadableError: A store cannot be reached any more: that is no word on its files.
    """
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        for found in pool.map(_hash, files):
            yield found.file, found.reason


def _hash(file: SourceFile) -> Found:
    return store_of(file.uri).hash(file)
