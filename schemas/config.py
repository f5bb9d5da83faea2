"""Configuration: validated once, where it enters. A TOML file holds any subset of it."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas.errors import ConfigError
from schemas.presets import Preset, with_preset
from schemas.space_config import SpaceConfig, SpaceName  # noqa: TC001 - pydantic reads the types
from schemas.speech_config import SpeechConfig  # noqa: TC001 - pydantic reads the type

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1 << 20
_ENV = "env:"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Section):
    """What one hostile file may cost. Sizes in bytes, times in seconds."""

    file_bytes: int = Field(default=8 << 30, gt=0)
    decode_timeout_s: float = Field(default=600, gt=0)
    recognise_timeout_s: float = Field(default=3600, gt=0)
    decode_memory_bytes: int = Field(default=2048 * _MIB, gt=0)
    pixels: int = Field(default=200_000_000, gt=0)
    file_pixels: int = Field(default=100_000_000_000, gt=0)  # 11,000 scans of A4 at 300 DPI
    pages: int = Field(default=10_000, gt=0)
    frames: int = Field(default=5_000_000, gt=0)  # `media_s` at 100 a second and more
    nesting: int = Field(default=2000, gt=0, le=2000)  # the parser of HTML goes to 2048
    expanded_bytes: int = Field(default=256 * _MIB, gt=0)  # maps drawn as vectors have tens of MB
    text_chars: int = Field(default=200_000_000, gt=0)
    rows: int = Field(default=1_000_000, gt=0)
    media_s: float = Field(default=12 * 3600, gt=0)
    regions_per_page: int = Field(default=20, gt=0)


class Segmentation(_Section):
    """How content is cut into units (the defaults are the table in docs/partitions.md)."""

    paragraph_words: int = Field(default=100, ge=10)
    document_tokens: int = Field(default=512, ge=32)
    segment_s: float = Field(default=30.0, gt=0)
    clip_s: float = Field(default=30.0, gt=0)
    tail_s: float = Field(default=5.0, ge=0)
    clip_frames: int = Field(default=16, ge=1)
    video_frames: int = Field(default=32, ge=1)
    page_dpi: int = Field(default=144, ge=36, le=600)
    page_pictures: bool = True
    image_regions: bool = False


class Recognition(_Section):
    """Which recognisers run.

    `speech_model` is a registry name (stages/recognise/speech_models.py) or that of a ``[speech.NAME]``.
    """

    ocr: bool = True
    layout: bool = True
    speech: bool = True
    speech_model: str = "tiny.en"
    sound_tags: bool = True


def _resolved(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not value.startswith(_ENV):
        return secret
    name = value.removeprefix(_ENV)
    if name not in os.environ:
        raise ValueError(f"the environment variable {name} is not set")
    return SecretStr(os.environ[name])


class Decoding(_Section):
    """What opens locked files.

    `passwords` are tried in order. ``env:NAME`` stands for the value of an environment variable, read where the
    configuration is loaded. They are kept out of logs, tables, manifests and fingerprints.
    """

    passwords: tuple[SecretStr, ...] = Field(default=(), max_length=100)

    @field_validator("passwords")
    @classmethod
    def _from_environment(cls, passwords: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(map(_resolved, passwords))


class Engine(_Section):
    """Where it runs.

    `workers` is the number of actors per pool, 0 for one per CPU core. `embed_gpus` is the share of a GPU that one
    embedding actor declares (several may share one), 0 to embed on the CPU; unset, it is 1 where this machine has a
    GPU, with as many embedding actors as fit, else 0. `derive_gpus` is the same for models that derive text,
    `recognise_gpus` for a speech model by configuration; unset shares are equal, and together one.
    `keep_payloads` keeps in the lake the pixels that encoders were given, so that embedding them in another space
    needs no decoding; `keep_content` what was decoded and recognised, so that cutting it into other units needs none.
    """

    workers: int = Field(default=0, ge=0)
    embed_gpus: float | None = Field(default=None, ge=0)
    derive_gpus: float | None = Field(default=None, ge=0)
    recognise_gpus: float | None = Field(default=None, ge=0)
    decode_recycle_items: int = Field(default=500, ge=0)
    bytes_in_flight: int = Field(default=1024 * _MIB, gt=0)
    commit_rows: int = Field(default=20_000, gt=0)
    commit_interval_s: float = Field(default=15.0, gt=0)
    keep_payloads: bool = False
    keep_content: bool = False


class Indexing(_Section):
    """How indices are built and what they must reach before they are published.

    `family` is a registry name, or ``auto`` to have it planned. `serve_memory_bytes` is for all indices of a snapshot
    together, shared by their sizes; 0 is no limit. `latency_ms` is the 99th percentile of one query over one index on
    one thread; 0 is no limit. `queries` is a file of your own questions to measure recall with. `lexical` indexes the
    words of texts too. `late_codec`, `late_pool` and `late_prefix` say what is kept of units with many vectors,
    `late_bits` and `late_repetitions` how their candidates are found. docs/config.md has all.
    """

    family: str = "auto"
    flat_rows: int = Field(default=20_000, gt=0)
    segment_rows: int = Field(default=200_000, gt=0)
    build_memory_bytes: int = Field(default=4096 * _MIB, ge=64 * _MIB)
    serve_memory_bytes: int = Field(default=0, ge=0)
    recall_at_10: float = Field(default=0.95, ge=0, le=1)
    recall_queries: int = Field(default=200, gt=0)
    queries: str = ""
    latency_ms: float = Field(default=0, ge=0)
    merge_floor_rows: int = Field(default=10_000, ge=0)
    merge_segments: int = Field(default=8, ge=2)
    deleted_share: float = Field(default=0.25, gt=0, le=1)
    retrain_growth: float = Field(default=1.5, gt=1)
    retrain_imbalance: float = Field(default=1.5, gt=1)
    duplicate_share: float = Field(default=1.0, ge=0, le=1)
    norm_error: float = Field(default=1e-3, ge=0)
    stored_cosine: float = Field(default=0.98, ge=-1, le=1)
    empty_list_share: float = Field(default=0.9, ge=0, le=1)
    biggest_list_share: float = Field(default=0.9, ge=0, le=1)
    hubness: float = Field(default=20.0, gt=0)
    late_codec: Literal["int8", "pq"] = "int8"
    late_pool: int = Field(default=1, ge=1, le=16)
    late_prefix: int = Field(default=0, ge=0)
    late_bits: int = Field(default=0, ge=0, le=8)
    late_repetitions: int = Field(default=1, ge=1, le=40)
    lexical: bool = True


class Upgrade(_Section):
    """Going over to another encoder by a map (docs/upgrade.md).

    `sample` is the number of units that are embedded to fit it, `recall_at_10` what queries made of other units must
    find among the old vectors, in every partition, of what is nearest in the new space.
    """

    sample: int = Field(default=5000, gt=0)
    recall_at_10: float = Field(default=0.5, ge=0, le=1)


class Runs(_Section):
    """When a run waits, refuses or fails.

    `wait_s` is how long it waits for another run to let go of the lake. `max_reject_share` is the share of the files
    found that may be rejected before the run ends with an exit code, after committing what was good; unreadable and
    broken files count alike. `max_gone_share` is the share of the known files of a source folder that may vanish at
    once; above it the run changes nothing. `keep_snapshots` is how many published snapshots maintenance leaves.
    """

    wait_s: float = Field(default=3600.0, ge=0)
    max_reject_share: float = Field(default=1.0, ge=0, le=1)
    max_gone_share: float = Field(default=0.5, ge=0, le=1)
    keep_snapshots: int = Field(default=10, ge=1)


class Derivation(_Section):
    """A generator of derived text, ``[derive.NAME]``; see docs/derived-text.md.

    `adapter` is a registry name (stages/derive/registry.py); what is left out has the adapter's default. `model` is a
    name on the Hugging Face hub with a commit as `revision`, or a folder with the SHA-256 of its weights.
    """

    adapter: str
    kind: Literal["", "description", "question"] = ""
    partitions: tuple[str, ...] = ()
    model: str = ""
    revision: str = ""
    licence: str = ""
    prompt: str = ""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_new_tokens: int = Field(default=64, ge=1, le=1024)
    texts: int = Field(default=1, ge=1, le=20)


class Profile(_Section):
    """Which spaces are embedded, by name. Each takes every unit that has its kind of input.

    The first text space is the one that questions are routed by. `preset` is a set of choices that comes with gristmill
    (schemas/profiles); what the configuration says itself goes before it.
    """

    preset: Preset = "starter"
    spaces: tuple[str, ...] = Field(default=("minilm", "conse"), min_length=1)

    @field_validator("spaces")
    @classmethod
    def _each_once(cls, spaces: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(spaces)) < len(spaces):
            raise ValueError("a space is named twice")
        return spaces


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class Config(_Section):
    """Everything that can be configured."""

    limits: Limits = Limits()
    segmentation: Segmentation = Segmentation()
    recognition: Recognition = Recognition()
    decoding: Decoding = Decoding()
    engine: Engine = Engine()
    runs: Runs = Runs()
    indexing: Indexing = Indexing()
    upgrade: Upgrade = Upgrade()
    profile: Profile = Profile()
    derive: dict[Name, Derivation] = Field(default_factory=dict)
    spaces: dict[SpaceName, SpaceConfig] = Field(default_factory=dict)
    speech: dict[SpaceName, SpeechConfig] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: dict[str, Any]) -> dict[str, Any]:
        return with_preset(values)

    def __hash__(self) -> int:
        """Of its values: a dict among them has no hash of its own."""
        return hash(self.model_dump_json())

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Read a TOML file, or the defaults for None.

        Raises:
            ConfigError: The file cannot be read or says something that is not allowed; names the key.
        """
        if path is None:
            return cls()
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the configuration {path}: {error}") from error
        except ValidationError as error:
            lines = [
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}"
                for e in error.errors(include_url=False)
            ]
            raise ConfigError(f"{path}: " + "; ".join(lines)) from error
