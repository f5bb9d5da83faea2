"""One file through decoding, recognition and segmentation in this process, as the workers of a run do it. No lake."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.config import Recognition
from schemas.engine import Failure
from schemas.errors import ConfigError, NoContentError, SourceError, UnreadableError
from schemas.partition import ALL_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

    from schemas.config import Config
    from schemas.content import Block, Content
    from schemas.source import SourceFile
    from schemas.unit import Unit

    Watch = Callable[[str], None]

_KNOWN_CHARS: Final = 40  # of a passage, to find its block
# What to do about a reject, by its code.
ADVICE: Final = {
    "unreadable": "see that the file is there and may be read, and that nothing writes to it",
    "empty": "nothing is in it: look at where it came from",
    "unsupported": "convert it to one of the supported formats",
    "corrupt": "open it in the program it was made with; if that works, save it anew",
    "encrypted": "of a PDF add the password to decoding.passwords, then run"
    " `gristmill retry --lake URL --code encrypted`; of anything else save a copy without a password",
    "limit": "raise the named key in the section limits of the configuration, or split the file",
    "no_content": "nothing in it can be indexed; if you see something in it, see what was noted",
    "stale": "it decodes to something else than before: gristmill run over its folder",
    "timeout": "raise the named key in the section limits of the configuration, or split the file",
    "oom": "raise limits.decode_memory_bytes, or split the file",
    "crash": "the file breaks its decoder: convert it with another program",
}


@dataclass(slots=True)
class Inspected:
    """What became of one file.

    Attributes:
        file: The file, hashed where it could be read.
        content: After recognition; None if it was not decoded.
        arrays: What `pixels_array` of the units points into.
        units: By partition, and by place within one.
        tokens: Length of each unit's embedded text, by unit_id.
        seconds: Time of each step.
        notes: For people; those of the content and of the inspection.
        reject: Why a run would reject the file, else None.
    """

    file: SourceFile
    content: Content | None = None
    arrays: tuple[np.ndarray, ...] = ()
    units: list[Unit] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reject: Failure | None = None

    @property
    def path(self) -> str:
        """Name of the file, fit to be printed."""
        return _printable(self.file.path)

    @property
    def advice(self) -> str:
        """What to do about the reject; empty without one."""
        return ADVICE.get(self.reject.code, "") if self.reject else ""

    @property
    def counts(self) -> dict[str, int]:
        """Units by partition."""
        counts: dict[str, int] = {}
        for unit in self.units:
            counts[str(unit.partition)] = counts.get(str(unit.partition), 0) + 1
        return counts

    def as_dict(self) -> dict[str, Any]:
        """What `gristmill inspect --json` prints."""
        content = self.content
        return {
            "path": self.path,
            "uri": self.file.uri,
            "size_bytes": self.file.size_bytes,
            "source_id": self.file.source_id if self.file.content_hash else "",
            "media_type": content.media_type if content else "",
            "title": content.title if content else "",
            "notes": self.notes,
            "rejects": [asdict(reject) for reject in content.rejects] if content else [],
            "reject": asdict(self.reject) | {"advice": self.advice} if self.reject else None,
            "seconds": {step: round(taken, 3) for step, taken in self.seconds.items()},
            "counts": self.counts,
            "units": [self._unit(unit) for unit in self.units],
        }

    def _unit(self, unit: Unit) -> dict[str, Any]:
        return {
            "unit_id": unit.unit_id,
            "partition": str(unit.partition),
            "place": unit.locator.as_text(),
            "locator": unit.locator.as_dict(),
            "language": unit.language,
            "words": len(unit.text.split()),
            "tokens": self.tokens[unit.unit_id],
            "context": unit.context,
            "text": unit.text,
            "parent_id": unit.parent_id,
            "pixels_hash": unit.pixels_hash,
            "attributes": unit.attributes,
        }


def inspect_file(name: str, config: Config, *, recognise: bool, watch: Watch) -> Inspected:
    """Decode, recognise and cut one file with the code of the workers.

    Args:
        name: A path, or a URI such as ``s3://bucket/key``.
        config: As of a run.
        recognise: Whether the recognisers of the configuration run; else none does.
        watch: Hears which step begins.

    Raises:
        ConfigError: There is no such file, or it is a folder.
    """
    found = Inspected(_found(name))
    recognition = (
        config.recognition if recognise else Recognition(ocr=False, speech=False, sound_tags=False)
    )
    work = _Inspection(found, config, recognition, watch)
    try:
        found.file = _hashed(found.file)
        work.run()
    except SourceError as error:
        if recognise or found.content is None or not isinstance(error, NoContentError):
            failure = Failure.of(error)
            found.reject = replace(failure, reason=_printable(failure.reason))
        else:
            found.notes.append("without recognition there is nothing in it to index")
    if found.content:
        found.notes = [*found.content.notes, *found.notes]
    return found


class _Inspection:
    """The three steps; what each gives is in `found`, also when a later one fails."""

    def __init__(
        self, found: Inspected, config: Config, recognition: Recognition, watch: Watch
    ) -> None:
        self._found = found
        self._config = config
        self._recognition = recognition
        self._watch = watch

    def run(self) -> None:
        from flows.wiring import contracts
        from stages.cutter import Cutter

        with self._step("set-up"):
            cutter = Cutter(self._config.segmentation, contracts(self._config)[0])
            cutter.load()
        content, arrays = self._decoded()
        self._found.content = content
        if content.needs_recognition:
            content, arrays = self._recognised(content, arrays)
            self._found.content = content
        with self._step("segment"):
            answer = cutter.cut(self._found.file.source_id, content, arrays)
        order = _order(content)
        units = answer.value.units
        self._found.arrays = answer.arrays
        self._found.tokens = {
            unit.unit_id: tokens for unit, tokens in zip(units, answer.value.tokens, strict=True)
        }
        if self._config.derive:
            units = (*units, *self._derived(units))
        self._found.units = sorted(units, key=order)

    def _derived(self, units: Sequence[Unit]) -> list[Unit]:
        from flows.inspect_derived import derive_here

        with self._step("derive"):
            derived, notes = derive_here(units, self._found.arrays, self._config)
        self._found.notes += notes
        fresh = {k: said for k, said in derived.items() if k not in self._found.tokens}
        self._found.tokens |= {unit_id: tokens for unit_id, (_, tokens) in fresh.items()}
        return [unit for unit, _ in fresh.values()]

    def _decoded(self) -> tuple[Content, tuple[np.ndarray, ...]]:
        from infra.sources import open_file
        from stages.decode._fence import fenced
        from stages.decode._ffmpeg import program
        from stages.decode.options import DecodeOptions
        from stages.decode.registry import decode

        file, limits = self._found.file, self._config.limits
        options = DecodeOptions(limits, self._config.segmentation, self._recognition)
        with (
            self._step("decode"),
            open_file(file, limit_bytes=limits.file_bytes) as path,
        ):
            return fenced(path, partial(decode, path, file.hint, options), program=program())

    def _recognised(
        self, content: Content, arrays: tuple[np.ndarray, ...]
    ) -> tuple[Content, tuple[np.ndarray, ...]]:
        from flows.wiring import speech_model
        from stages.recognise.options import RecogniseOptions
        from stages.recognise.registry import Recogniser

        config = self._config.model_copy(update={"recognition": self._recognition})
        with self._step("recognise"):
            options = RecogniseOptions(self._recognition, speech=speech_model(config))
            return Recogniser(options).recognise(content, arrays)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._watch(name)
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self._found.seconds[name] = time.perf_counter() - started_s


def _printable(text: str) -> str:
    """With marks for bytes of a name that are no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _found(name: str) -> SourceFile:
    from infra.sources import store_of

    if "://" not in name and Path(name).is_dir():
        raise ConfigError(f"{name} is a folder: give one file; gristmill run reads folders")
    store = store_of(name)
    uri = store.uri(name)
    found = store.look(uri, uri)
    if found is None:
        raise ConfigError(f"{name} does not exist: give a file")
    return found.file


def _hashed(file: SourceFile) -> SourceFile:
    from infra.sources import store_of

    hashed = store_of(file.uri).hash(file)
    if hashed.reason:
        raise UnreadableError(f"{file.uri} {hashed.reason}")
    return hashed.file


def _order(content: Content) -> Callable[[Unit], tuple[float, ...]]:
    """A key that sorts units by partition and then as a person meets them; passages as their blocks are read."""
    rank = {partition: i for i, partition in enumerate(ALL_PARTITIONS)}
    by_page: dict[int | None, list[tuple[int, Block]]] = {}
    for i, block in enumerate(content.blocks):
        by_page.setdefault(block.page, []).append((i, block))

    def key(unit: Unit) -> tuple[float, ...]:
        place = unit.locator
        read = place.char_start
        if read is None and unit.partition.modality == "text" and place.part is None:
            read = _read_at(unit, by_page.get(place.page, []))
        return (
            rank.get(unit.partition, len(rank)),
            place.page or 0,
            place.table or 0,
            place.part or 0,
            place.row or 0,
            place.start_s or 0.0,
            read or 0,
            place.bbox[1] if place.bbox else 0.0,
        )

    return key


def _read_at(unit: Unit, blocks: list[tuple[int, Block]]) -> int:
    """How much of the page is read before a passage, roughly: its blocks are counted in thousands of characters."""
    start = unit.text.partition("\n")[0][:_KNOWN_CHARS]
    for i, block in blocks:
        if (at := block.text.find(start)) >= 0 and _touches(unit, block):
            return i * 1_000_000 + at
    return len(blocks) * 1_000_000


def _touches(unit: Unit, block: Block) -> bool:
    """Whether a block may be a part of a passage by its place; a passage over two pages has no box."""
    box, inner = unit.locator.bbox, block.bbox
    if box is None or inner is None:
        return True
    return inner[1] >= box[1] - 1 and inner[3] <= box[3] + 1 and inner[0] >= box[0] - 1
