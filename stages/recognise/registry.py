"""Content with pictures of text and sound in, content with their text out."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from schemas.content import PartialReject
from schemas.errors import GristmillError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from schemas.content import Block, Content, ImageContent, PageContent, SoundContent
    from stages.recognise.options import RecogniseOptions

# name -> "module:class"; the class takes `threads` and loads its model at the first use.
RECOGNISERS: Final[dict[str, str]] = {
    "ocr": "stages.recognise.ocr:OcrReader",
    "speech": "stages.recognise.speech:SpeechReader",
    "sound": "stages.recognise.sound:SoundTagger",
}
_STAGE: Final = "recognise"


class Recogniser:
    """Runs the recognisers that a content needs; each is loaded when the first content needs it.

    Args:
        options: Which may run, and their threads.
    """

    def __init__(self, options: RecogniseOptions) -> None:
        self._options = options
        self._loaded: dict[str, Any] = {}

    def recognise(
        self, content: Content, arrays: tuple[np.ndarray, ...]
    ) -> tuple[Content, tuple[np.ndarray, ...]]:
        """Read what there is to read.

        A part that a recogniser fails on becomes a `PartialReject`, one whose model is not installed a note; the
        rest goes on.

        Args:
            content: As decoded.
            arrays: What its ``*_array`` fields point into.

        Returns:
            The content with page text and blocks, the text of its image, and words, language and tags of its
            sound; and the arrays that are left when what was read is dropped.
        """
        work = _Work(self._reader, arrays)
        if any(page.ocr_array is not None for page in content.pages):
            content = self._pages(content, work)
        if content.image is not None and content.image.ocr_array is not None:
            content = replace(content, image=self._image(content.image, work))
        if content.sound is not None and content.sound.samples_array is not None:
            content = replace(content, sound=self._sound(content.sound, work))
        notes = dict.fromkeys((*content.notes, *work.notes))
        content = replace(content, notes=tuple(notes), rejects=(*content.rejects, *work.rejects))
        return _compact(content, arrays)

    def _reader(self, name: str) -> Any:
        if name not in self._loaded:
            module, _, cls = RECOGNISERS[name].partition(":")
            self._loaded[name] = getattr(import_module(module), cls)(self._options.threads)
        return self._loaded[name]

    def _pages(self, content: Content, work: _Work) -> Content:
        pages: list[PageContent] = []
        read: dict[int, tuple[Block, ...]] = {}
        for page in content.pages:
            if page.ocr_array is None:
                pages.append(page)
                continue
            text, blocks = self._page(page, work) if self._options.recognition.ocr else ("", ())
            # A few words in the text layer (a stamp, a page number) stay if OCR saw no more than those.
            if len(text) > len(page.text):
                page = replace(page, text=text)
                read[page.number] = blocks
            pages.append(replace(page, ocr_array=None))
        return replace(content, pages=tuple(pages), blocks=_with_blocks(content, pages, read))

    def _page(self, page: PageContent, work: _Work) -> tuple[str, tuple[Block, ...]]:
        from stages.recognise.ocr import blocks_of, text_of

        image = work.array(page.ocr_array)
        lines = work.run("ocr", lambda reader: reader.read(image), (), page=page.number)
        blocks = blocks_of(lines, page.number, page.width_pt / image.shape[1])
        return text_of(lines), blocks

    def _image(self, image: ImageContent, work: _Work) -> ImageContent:
        if not self._options.recognition.ocr:
            return replace(image, ocr_array=None)
        from stages.recognise.ocr import text_of

        picture = work.array(image.ocr_array)
        lines = work.run("ocr", lambda reader: reader.read(picture, glance=True), ())
        return replace(image, text=text_of(lines), ocr_array=None)

    def _sound(self, sound: SoundContent, work: _Work) -> SoundContent:
        samples = work.array(sound.samples_array)
        words, language, tags = sound.words, sound.language, sound.tags
        if self._options.recognition.speech:
            words, language = work.run(
                "speech", lambda reader: reader.transcribe(samples), (words, language)
            )
        if self._options.recognition.sound_tags:
            tags = work.run("sound", lambda reader: reader.tag(samples), tags)
        return replace(sound, words=words, language=language, tags=tags, samples_array=None)


class _Work:
    """What happens to one content."""

    def __init__(self, reader: Callable[[str], Any], arrays: Sequence[np.ndarray]) -> None:
        self._reader = reader
        self._arrays = arrays
        self.notes: list[str] = []
        self.rejects: list[PartialReject] = []

    def array(self, index: int | None) -> np.ndarray:
        """The array of a field that is known to be set."""
        if index is None:
            raise ValueError("there is no array to read")
        return self._arrays[index]

    def run(
        self, name: str, work: Callable[[Any], Any], otherwise: Any, *, page: int | None = None
    ) -> Any:
        """What a recogniser gives, or `otherwise` with a note or reject that says why."""
        try:
            return work(self._reader(name))
        except MissingExtraError as error:
            self.notes.append(f"not read: {error.message}")
        except GristmillError as error:
            place = error.page if page is None else page
            reason = f"{name}: {error.message}"
            self.rejects.append(PartialReject(_STAGE, error.code, reason, place, error.second))
        return otherwise


def _with_blocks(
    content: Content, pages: Sequence[PageContent], read: dict[int, tuple[Block, ...]]
) -> tuple[Block, ...]:
    """Blocks in page order, those of the pages that were read replaced."""
    if not read:
        return content.blocks
    by_page: dict[int | None, list[Block]] = {}
    for block in content.blocks:
        by_page.setdefault(block.page, []).append(block)
    by_page.update({number: list(blocks) for number, blocks in read.items()})
    order = [None, *(page.number for page in pages)]
    return tuple(block for number in order for block in by_page.get(number, ()))


def _compact(
    content: Content, arrays: tuple[np.ndarray, ...]
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Drop the arrays that nothing points to any more, and count anew."""
    used = sorted(_indices(content))
    place = {old: new for new, old in enumerate(used)}
    return _moved(content, place), tuple(arrays[i] for i in used)


def _indices(content: Content) -> set[int]:
    found: list[int | None] = []
    for page in content.pages:
        found += [page.pixels_array, page.ocr_array]
    found += [region.pixels_array for region in content.regions]
    if content.image:
        found += [content.image.pixels_array, content.image.ocr_array]
    if content.sound:
        found.append(content.sound.samples_array)
    if content.video:
        found += [clip.frames_array for clip in (*content.video.clips, content.video.whole)]
    return {index for index in found if index is not None}


def _moved(content: Content, place: dict[int, int]) -> Content:
    # Everything that was to be read has been: only pictures for the encoders are left.
    pages = tuple(replace(p, pixels_array=place[p.pixels_array]) for p in content.pages)
    regions = tuple(replace(r, pixels_array=place[r.pixels_array]) for r in content.regions)
    image, video = content.image, content.video
    if image:
        image = replace(image, pixels_array=place[image.pixels_array])
    if video:
        clips = tuple(replace(c, frames_array=place[c.frames_array]) for c in video.clips)
        whole = replace(video.whole, frames_array=place[video.whole.frames_array])
        video = replace(video, clips=clips, whole=whole)
    return replace(content, pages=pages, regions=regions, image=image, video=video)
