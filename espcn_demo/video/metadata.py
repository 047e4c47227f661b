"""Words that go along: metadata of the container and of its streams, and chapters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from .routes import Window

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

_OWN_KEYS = re.compile(
    r"(?i)^(encoder|duration|major_brand|minor_version|compatible_brands|alpha_mode|rotate|bps|number_of_.*|_statistics.*"
    r"|vendor_id|source_id)(-\w+)?$"
)
_QUICKTIME = {"fre": "fra", "deu": "ger", "nld": "dut", "ell": "gre", "zho": "chi"}  # the names that FFmpeg's MOV knows
# Names that MP4's own metadata boxes know; others need the key-value boxes, which fewer players read.
_MP4_KEYS = {
    *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping"),
    *("lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "track", "disc", "compilation"),
    *("creation_time", "language", "handler_name", "encoder", "location", "location-eng", "make", "model", "timecode"),
    *("performer", "rating", "media_type", "hd_video", "gapless_playback", "season_number", "episode_sort"),
}
# Dispositions that a container keeps; those that are not listed keep them all.
_MARKS = {"webm": ("default", "forced", "attached_pic"), "mov": ("default", "attached_pic")}
_BRANDS = ("major_brand", "minor_version", "compatible_brands")


def copy_metadata(source: InputContainer, out: OutputContainer, window: Window, *, times_end: Fraction) -> None:
    """Copy the container's metadata and its chapters, those of a cut clip shifted and trimmed."""
    out.metadata.update({key: value for key, value in source.metadata.items() if not _OWN_KEYS.match(key)})
    begin = window.begin if window.begin is not None else Fraction(0)
    end = window.end if window.end is not None else None
    chapters = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        first = max(chapter["start"] * base, begin)
        last = chapter["end"] * base if end is None else min(chapter["end"] * base, end)
        if last > first:
            shifted = chapter.copy()
            shifted["time_base"] = base
            shifted["start"], shifted["end"] = (round((time - window.shift) / base) for time in (first, last))
            chapters.append(shifted)
    if chapters and out.format.name != "gif":
        out.set_chapters(chapters)


def describe(source: Stream, target: Stream) -> None:
    """Give a stream the names, language and dispositions of the original."""
    words = {key: value for key, value in source.metadata.items() if not _OWN_KEYS.match(key)}
    if "name" in words:  # as FFmpeg calls a title that it reads from MP4
        words.setdefault("title", words.pop("name"))
    if "title" in words and target.container.format.name in ("mp4", "mov"):
        words.setdefault("handler_name", words["title"])  # where most players look for it
    target.metadata.update(words)
    target.disposition = source.disposition
    if target.container.format.name == "mov" and target.metadata.get("language") in _QUICKTIME:
        target.metadata["language"] = _QUICKTIME[target.metadata["language"]]


def unusual_keys(source: InputContainer) -> list[str]:
    """Metadata that only MP4's key-value boxes hold."""
    return [key for key in source.metadata if key.lower() not in _MP4_KEYS and key not in _BRANDS]


def lost_marks(source: Stream, container: str) -> list[str]:
    """Dispositions that the container cannot tell, such as "forced"."""
    from av.stream import Disposition

    if container not in _MARKS:
        return []
    return [str(mark.name) for mark in Disposition if mark & source.disposition and mark.name not in _MARKS[container]]


def words_lost_in_gif(source: InputContainer) -> Iterator[str]:
    """Notes on metadata and chapters, which GIF does not hold."""
    keys = [key for key in source.metadata if not _OWN_KEYS.match(key)]
    if keys:
        yield f"metadata ({', '.join(keys)}) left out: GIF holds pictures only"
    if source.chapters():
        yield f"{len(source.chapters())} chapters left out: GIF holds pictures only"
