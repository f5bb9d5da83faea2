"""Make the generated part of the sample corpus again: ``python samples/make_samples.py``.

Needs `ffmpeg` and `flite` (Debian packages of these names) on PATH besides the project's own environment. The articles,
the diary and the web page are written by hand. The results are committed, so nobody has to run this.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from making_report import write_broken, write_report, write_scan
from making_sound import INTERVIEW, TOUR, bell, siren, speak, stream, write_sound
from making_tables import write_birds, write_harvest
from making_video import write_video


def main() -> None:
    """Write every generated file under samples/corpus."""
    missing = [tool for tool in ("ffmpeg", "flite") if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"not found: {', '.join(missing)}; apt install ffmpeg flite")
    corpus = Path(__file__).resolve().parent / "corpus"
    for folder in ("tables", "report", "scans", "sound", "video", "archive"):
        (corpus / folder).mkdir(parents=True, exist_ok=True)
    write_harvest(corpus / "tables" / "harvest_1890_1925.csv")
    write_birds(corpus / "tables" / "bird_count.tsv")
    write_report(corpus / "report" / "report_2024.pdf")
    write_scan(corpus / "scans" / "fire_letter_1911.pdf")
    speak(TOUR, "slt", corpus / "sound" / "guided_tour.ogg")
    speak(INTERVIEW, "rms", corpus / "sound" / "interview_pell.mp3")
    write_sound(bell(), corpus / "sound" / "bell.wav")
    write_sound(siren(), corpus / "sound" / "fire_engine.ogg")
    write_sound(stream(), corpus / "sound" / "mill_stream.mp3")
    write_video(corpus / "video" / "grain_to_bread.mp4")
    shutil.copyfile(corpus / "articles" / "history.md", corpus / "archive" / "history_copy.md")
    write_broken(corpus / "report" / "report_2024.pdf", corpus / "archive" / "broken_download.pdf")
    (corpus / "archive" / "empty.txt").write_bytes(b"")


if __name__ == "__main__":
    main()
