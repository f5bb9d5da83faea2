"""Derived text: what a generator says of a unit, embedded beside it, and answered with the unit itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from schemas.ids import canonical_json, digest
from schemas.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np

DerivedKind = Literal["description", "question"]
Reads = Literal["text", "pixels", "either"]
FINGERPRINT_CHARS: Final = 12
# Attributes of derived units; nothing that is read from a file may set them.
DERIVED: Final = "derived"  # description | question
GENERATOR: Final = "generator"  # GeneratorContract.key
RESERVED: Final = frozenset({DERIVED, GENERATOR})
# Who counts looks counts units, not what is said of them.
_NOT_INHERITED: Final = frozenset({"phash"})


@dataclass(frozen=True, slots=True)
class GeneratorContract:
    """Everything that derived text depends on besides its unit.

    Attributes:
        name: As it is configured, e.g. ``captions``.
        adapter: Registry key of what generates (stages/derive/registry.py).
        kind: What the text is: a description of the unit, or a question that it answers.
        partitions: The only ones whose units it is asked about, ascending.
        reads: What of a unit it must have: text, pixels, or either.
        revision: Of the rules, or of the model: a commit, or the SHA-256 of weights in a folder.
        model: Model name or folder; empty for rules.
        prompt: What the model is told.
        dtype: Compute type of the model; empty for rules.
        max_new_tokens: Longest answer of the model in tokens; 0 for rules.
        texts: Most texts for one unit.
        frame_size: Side in pixels of the pictures it takes; 0 where it takes none.
        licence: Of the model, for people; not part of the fingerprint.
    """

    name: str
    adapter: str
    kind: DerivedKind
    partitions: tuple[str, ...]
    reads: Reads
    revision: str
    model: str = ""
    prompt: str = ""
    dtype: str = ""
    max_new_tokens: int = 0
    texts: int = 1
    frame_size: int = 0
    licence: str = ""

    @property
    def fingerprint(self) -> str:
        """12 hex characters over all fields but the licence."""
        values = {k: v for k, v in asdict(self).items() if k != "licence"}
        values["partitions"] = list(self.partitions)
        return digest("generator", canonical_json(values))[:FINGERPRINT_CHARS]

    @property
    def key(self) -> str:
        """Name in tables: ``captions-0123456789ab``."""
        return f"{self.name}-{self.fingerprint}"

    def takes(self, unit: Unit) -> bool:
        """Whether it is asked about a unit: of its partitions, with what it reads, not derived itself."""
        if str(unit.partition) not in self.partitions or is_derived(unit.attributes):
            return False
        has_text, has_pixels = bool(unit.text), bool(unit.pixels_hash)
        return {"text": has_text, "pixels": has_pixels, "either": has_text or has_pixels}[
            self.reads
        ]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a generator is asked about. `pixels`: uint8 [n_frames, S, S, 3], None where it takes none."""

    unit: Unit
    pixels: np.ndarray | None = None


class Generator(Protocol):
    """Says something of units. Loads nothing at construction."""

    contract: GeneratorContract

    def load(self) -> None:
        """Load what is needed.

        Raises:
            ConfigError: The model cannot be had.
            ContractError: It is not the pinned one.
        """

    def derive(self, subjects: Sequence[Subject]) -> list[tuple[str, ...]]:
        """At most `contract.texts` texts for each subject, none where there is nothing to add.

        What comes of one does not depend on the others.
        """


def is_derived(attributes: Mapping[str, str]) -> bool:
    """Whether a unit with these attributes was derived from another."""
    return DERIVED in attributes and GENERATOR in attributes


def derived_unit(parent: Unit, text: str, contract: GeneratorContract, language: str = "") -> Unit:
    """The unit that a derived text becomes: of its parent's partition and place, seen by those who see the parent.

    A description is embedded with the context of its parent; a question stands for itself, as it is asked.
    """
    inherited = {k: v for k, v in parent.attributes.items() if k not in _NOT_INHERITED}
    return Unit(
        source_id=parent.source_id,
        partition=parent.partition,
        locator=parent.locator,
        text=text,
        context=parent.context if contract.kind == "description" else "",
        parent_id=parent.unit_id,
        language=language or parent.language,
        attributes=inherited | {DERIVED: contract.kind, GENERATOR: contract.key},
        acl=parent.acl,
    )


def same_input(unit: Unit) -> str:
    """Equal for units that a generator cannot tell apart."""
    facts: dict[str, Any] = {k: v for k, v in unit.attributes.items() if k not in _NOT_INHERITED}
    said = (unit.context, unit.text, unit.language, unit.pixels_hash)
    return digest("derive", str(unit.partition), *said, canonical_json(facts))


def without_derived(units: Collection[Unit], *, but_of: Collection[str] = ()) -> list[Unit]:
    """Those that were cut, and those derived by generators with these keys."""
    return [
        unit
        for unit in units
        if not is_derived(unit.attributes) or unit.attributes[GENERATOR] in but_of
    ]
