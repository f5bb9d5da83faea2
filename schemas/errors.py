"""The one error tree.

GristmillError                 code, retryable
+-- ConfigError                config            the user asked for something that cannot be
|   +-- MissingExtraError      missing_extra     an optional package or model is not installed
+-- SourceError                                  one input is at fault; becomes a row in `rejects`
|   +-- UnreadableError        unreadable        vanished, no permission, not a regular file
|   +-- EmptyError             empty             nothing in it
|   +-- UnsupportedError       unsupported       no decoder for what the content is
|   +-- CorruptError           corrupt           the decoder could not make sense of it
|   +-- EncryptedError         encrypted         needs a password
|   +-- LimitError             limit             more pixels, pages, bytes or seconds than allowed
|   +-- NoContentError         no_content        decoded, but there is nothing to index
|   +-- StaleError             stale             decodes to something else than its units were cut from
|   +-- TimeoutExceededError   timeout           ran past its deadline (executor)
|   +-- OutOfMemoryError       oom               ran past its memory limit (executor)
|   +-- CrashError             crash             its process died (executor)
+-- VectorError                bad_vector        wrong dim, not finite, or norm off
+-- ContractError              contract          an encoder differs from the one recorded
+-- LakeError                  lake              the tables or blobs are not as they must be
|   +-- ConflictError          conflict          another writer got there first (retryable)
|   +-- IntegrityError         integrity         a checksum or a count does not hold
|   +-- FormatError            format            written in a format that this version does not read
+-- GoneError                  gone              most of a source folder vanished; nothing was changed
+-- GateError                  gate              an index failed its gate; nothing was published
+-- BalanceError               balance           found != indexed + unchanged + duplicate + rejected
"""

from __future__ import annotations

from typing import ClassVar


class GristmillError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What was wrong, with which input, and what to do about it.
        page: 1-based page the trouble is on, if it is on one.
        second: Offset in seconds the trouble is at, if it is at one.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, page: int | None = None, second: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.page = page
        self.second = second

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the keyword arguments, which Exception alone would lose."""
        return (_rebuild, (type(self), self.message, self.page, self.second))


def _rebuild(
    cls: type[GristmillError], message: str, page: int | None, second: float | None
) -> GristmillError:
    return cls(message, page=page, second=second)


class ConfigError(GristmillError):
    """The configuration or the command asks for something that cannot be."""

    code = "config"


class MissingExtraError(ConfigError):
    """An optional package or model is not installed; the message names the pip command."""

    code = "missing_extra"


class SourceError(GristmillError):
    """One input is at fault. It becomes a row in the table of rejects, never an outage."""

    code = "source"


class UnreadableError(SourceError):
    """The file vanished, may not be read, or is not a regular file."""

    code = "unreadable"
    retryable = True


class EmptyError(SourceError):
    """The file has no bytes, or only white space."""

    code = "empty"


class UnsupportedError(SourceError):
    """No decoder takes what the content turned out to be."""

    code = "unsupported"


class CorruptError(SourceError):
    """The decoder could not make sense of the content."""

    code = "corrupt"


class EncryptedError(SourceError):
    """The content needs a password that is not configured."""

    code = "encrypted"


class LimitError(SourceError):
    """The content has more bytes, pixels, pages or seconds than the configured limit."""

    code = "limit"


class NoContentError(SourceError):
    """It decoded, but there is nothing in it to index."""

    code = "no_content"


class StaleError(SourceError):
    """What it decodes to now is not what the lake's units were cut from."""

    code = "stale"
    retryable = True


class TimeoutExceededError(SourceError):
    """The item ran past its deadline and its process was ended."""

    code = "timeout"
    retryable = True


class OutOfMemoryError(SourceError):
    """The item ran past the memory limit of its process."""

    code = "oom"
    retryable = True


class CrashError(SourceError):
    """The process died while it worked on this item alone."""

    code = "crash"
    retryable = True


class VectorError(GristmillError):
    """A vector has the wrong dim, is not finite, or its norm is off."""

    code = "bad_vector"


class ContractError(GristmillError):
    """An encoder differs from the one recorded; the message names the difference."""

    code = "contract"


class LakeError(GristmillError):
    """The tables or blobs are not as they must be."""

    code = "lake"


class ConflictError(LakeError):
    """Another writer got there first."""

    code = "conflict"
    retryable = True


class IntegrityError(LakeError):
    """A checksum or a count does not hold."""

    code = "integrity"


class FormatError(LakeError):
    """It is written in a format that this version does not read; the message says which, and what to do."""

    code = "format"


class GoneError(GristmillError):
    """Most of what was known of a source folder is not there; nothing was changed."""

    code = "gone"


class GateError(GristmillError):
    """An index failed its gate; nothing was published."""

    code = "gate"


class BalanceError(GristmillError):
    """The inputs do not add up: found is not indexed + unchanged + duplicate + rejected."""

    code = "balance"
