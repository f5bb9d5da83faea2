"""The spaces that a lake has: what each one is, whether it was dropped, and which sources lack vectors in it.

`spaces/<key>.json` is the contract of a space, written before its first vector: a profile can stop naming it, and still
it is known what its vectors are. `spaces/<key>.dropped` hides it from all that comes, until maintenance has taken its
rows.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.lake.live import as_array
from schemas.ids import canonical_json
from schemas.space import SpaceContract

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.lake.read import LakeView
    from schemas.blobs import BlobStore

SPACES: Final = "spaces"
_CONTRACT: Final = re.compile(SPACES + r"/(.+)\.json")
_DROPPED: Final = re.compile(SPACES + r"/(.+)\.dropped")


class SpaceBook:
    """The spaces of a lake. What changes it is for the writer alone.

    Every method raises LakeError when the store cannot be reached.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def register(self, spaces: Iterable[SpaceContract]) -> None:
        """These are wanted: what they are is written down, and that one was dropped is taken back."""
        for space in spaces:
            self._blobs.put_if_absent(_key(space.key), canonical_json(space.as_dict()).encode())
            self._blobs.delete(_mark(space.key))

    def contracts(self) -> dict[str, SpaceContract]:
        """By key; one whose file is damaged is left out (see `faults`)."""
        found = {}
        for key in self._blobs.list(SPACES):
            if match := _CONTRACT.fullmatch(key):
                space, _ = self._read(match[1])
                if space is not None:
                    found[match[1]] = space
        return found

    def dropped(self) -> set[str]:
        """Keys of those that are to go."""
        return {m[1] for m in map(_DROPPED.fullmatch, self._blobs.list(SPACES)) if m}

    def drop(self, space_key: str) -> None:
        """Hide one from every snapshot to come; its rows go with the next maintenance."""
        self._blobs.put_if_absent(_mark(space_key), b"")

    def forget(self, space_key: str) -> None:
        """Nothing is left of it: it is known no more. The mark goes last."""
        self._blobs.delete(_key(space_key))
        self._blobs.delete(_mark(space_key))

    def faults(self) -> dict[str, str]:
        """What is wrong with those that are not what their names say, by blob key."""
        names = [m[1] for m in map(_CONTRACT.fullmatch, self._blobs.list(SPACES)) if m]
        return {_key(name): wrong for name in names if (wrong := self._read(name)[1])}

    def _read(self, space_key: str) -> tuple[SpaceContract | None, str]:
        """The contract, or what is wrong with it."""
        try:
            space = SpaceContract.from_dict(json.loads(self._blobs.get(_key(space_key))))
            found = space.key
        except (ValueError, TypeError, AttributeError) as error:
            return None, f"cannot be read: {error}"
        return (space, "") if found == space_key else (None, f"is the contract of {found}")


def lacking(view: LakeView, space_key: str) -> pa.Array:
    """source_id of live sources whose units, as they are now, do not all have what they need in a space."""
    spaces = view.live.spaces
    done = spaces.filter(pc.field("fingerprint") == space_key)["source_id"]
    wanted = view.live.live_units["source_id"]
    return as_array(wanted.filter(pc.invert(pc.is_in(wanted, value_set=as_array(done)))))


def _key(space_key: str) -> str:
    return f"{SPACES}/{space_key}.json"


def _mark(space_key: str) -> str:
    return f"{SPACES}/{space_key}.dropped"
