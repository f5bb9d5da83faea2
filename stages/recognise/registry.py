"""Content with pictures of text and sound in, content with their text out."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from schemas.content import PartialReject
from schemas.errors import GristmillError, MissingExtraError
from stages.content_arrays import compact
from stages.placing import with_pages
from stages.recognise._judge import in_points, judge
from stages.recognise._scans import Scan, cut_out, read_scan
from stages.recognise.speech_models import speech_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from schemas.content import (
        Block,
        Content,
        ImageContent,
        PageContent,
        ScreenContent,
        SoundContent,
        VideoContent,
    )
    from stages.recognise._ocr_lines import OcrLine
    from stages.recognise.layout import Seen
    from stages.recognise.options import RecogniseOptions

# name -> "module:class"; the class takes `threads` (speech also `model`) and loads its model.
RECOGNISERS: Final[dict[str, str]] = {
    "ocr": "stages.recognise.ocr:OcrReader",
    "layout": "stages.recognise.layout:LayoutReader",
    "speech": "stages.recognise.speech:SpeechReader",
    "sound": "stages.recognise.sound:SoundTagger",
}
_STAGE: Final = "recognise"
_MIN_UNREAD_S: Final = 1.0


class Recogniser:
    """Runs the recognisers that a content needs; each is loaded when the first content needs it.

    Args:
        options: Which may run, and their threads.

    Raises:
        ConfigError: There is no speech model of that name.
    """

    def __init__(self, options: RecogniseOptions) -> None:
        if options.speech is None:
            speech_model(options.recognition.speech_model)
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
            The content with page text and blocks, the text of its image, words, language and tags of its sound, and
            the writing in its video; and the arrays that are left when what was read is dropped.
        """
        work = _Work(self._reader, arrays)
        if content.doubts:
            content = judge(content, lambda page: self._look(page, work))
        if any(page.ocr_array is not None for page in content.pages):
            content = self._pages(content, work)
        if content.image is not None and content.image.ocr_array is not None:
            content = replace(content, image=self._image(content.image, work))
        if content.sound is not None and content.sound.samples_array is not None:
            content = replace(content, sound=self._sound(content.sound, work))
        if content.video is not None:
            content = self._video(content, content.video, work)
        notes = dict.fromkeys((*content.notes, *work.notes))
        content = replace(content, notes=tuple(notes), rejects=(*content.rejects, *work.rejects))
        return compact(content, tuple(work.arrays))

    def _reader(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Any:
        threads, speech = self._options.threads, self._options.speech
        if name == "speech" and speech is not None:
            from stages.recognise.speech_configured import make_reader

            return make_reader(speech, threads)
        module, _, cls = RECOGNISERS[name].partition(":")
        settings = {"model": self._options.recognition.speech_model} if name == "speech" else {}
        return getattr(import_module(module), cls)(threads, **settings)

    def _pages(self, content: Content, work: _Work) -> Content:
        pages: list[PageContent] = []
        read: dict[int, tuple[Block, ...]] = {}
        tables, regions = [*content.tables], [*content.regions]
        for page in content.pages:
            if page.ocr_array is None:
                pages.append(page)
                continue
            scan = self._page(page, work) if self._options.recognition.ocr else Scan("")
            # A few words in the text layer (a stamp, a page number) stay if OCR saw no more than those.
            if len(scan.text) > len(page.text):
                page = replace(page, text=scan.text)
                read[page.number] = scan.blocks
                tables += scan.tables
            regions += scan.regions
            pages.append(replace(page, ocr_array=None))
        return replace(
            content,
            pages=tuple(pages),
            blocks=tuple(with_pages(content.blocks, (page.number for page in pages), read)),
            tables=tuple(sorted(tables, key=lambda table: table.page or 0)),
            regions=tuple(sorted(regions, key=lambda region: region.page)),
        )

    def _page(self, page: PageContent, work: _Work) -> Scan:
        image = work.array(page.ocr_array)
        lines = work.run("ocr", lambda reader: reader.read(image), (), page=page.number)
        seen = ()
        if lines and self._options.recognition.layout:
            seen = work.run("layout", lambda reader: reader.find(image), (), page=page.number)
        if page.pixels_array is None:
            return read_scan(page, image, lines, seen)
        side = work.array(page.pixels_array).shape[1]
        return read_scan(page, image, lines, seen, lambda box: work.keep(cut_out(image, box, side)))

    def _look(self, page: PageContent, work: _Work) -> list[Seen] | None:
        """What is seen on a page, in points; None if it cannot be looked at."""
        if not self._options.recognition.layout or page.layout_array is None:
            return None
        image = work.array(page.layout_array)
        seen = work.run("layout", lambda reader: reader.find(image), None, page=page.number)
        return None if seen is None else in_points(seen, page.width_pt / image.shape[1])

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
            speech = work.run("speech", lambda reader: reader.transcribe(samples), None)
            if speech is not None:
                words, language = speech.words, speech.language
                work.notes += self._unread(speech.unread_s)
        if self._options.recognition.sound_tags:
            tags = work.run("sound", lambda reader: reader.tag(samples), tags)
        return replace(sound, words=words, language=language, tags=tags, samples_array=None)

    def _unread(self, seconds: float) -> list[str]:
        if seconds < _MIN_UNREAD_S:
            return []
        model = self._options.recognition.speech_model
        return [
            f"{seconds:.0f} s that sound like speech were not transcribed: nothing believable was heard"
            f" in them by the speech model {model}, which reads {self._reader('speech').reads}"
        ]

    def _video(self, content: Content, video: VideoContent, work: _Work) -> Content:
        from stages.recognise.screen import read_screens
        from stages.recognise.subtitles import with_subtitles

        def read(screen: ScreenContent) -> Sequence[OcrLine]:
            picture = work.array(screen.ocr_array)
            lines: Sequence[OcrLine] = work.run(
                "ocr", lambda reader: reader.read(picture, glance=True), (), second=screen.start_s
            )
            return lines

        screens = video.screens if self._options.recognition.ocr else ()
        video = replace(video, screens=(), screen_lines=read_screens(screens, read))
        return with_subtitles(replace(content, video=video))


class _Work:
    """What happens to one content."""

    def __init__(self, reader: Callable[[str], Any], arrays: Sequence[np.ndarray]) -> None:
        self._reader = reader
        self.arrays = list(arrays)
        self.notes: list[str] = []
        self.rejects: list[PartialReject] = []

    def array(self, index: int | None) -> np.ndarray:
        """The array of a field that is known to be set."""
        if index is None:
            raise ValueError("there is no array to read")
        return self.arrays[index]

    def keep(self, array: np.ndarray) -> int:
        """Add an array, and give its index."""
        self.arrays.append(array)
        return len(self.arrays) - 1

    def run(
        self,
        name: str,
        work: Callable[[Any], Any],
        otherwise: Any,
        *,
        page: int | None = None,
        second: float | None = None,
    ) -> Any:
        """What a recogniser gives, or `otherwise` with a note or reject that says why."""
        try:
            return work(self._reader(name))
        except MissingExtraError as error:
            self.notes.append(f"not read: {error.message}")
        except GristmillError as error:
            place = error.page if page is None else page
            moment = error.second if second is None else second
            reason = f"{name}: {error.message}"
            self.rejects.append(PartialReject(_STAGE, error.code, reason, place, moment))
        return otherwise
