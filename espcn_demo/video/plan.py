"""What becomes of each property of a clip: kept, converted or impossible, decided by the code that does the work."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..limits import Limits
from . import source
from .clip import open_clip
from .encode import Encoding
from .facts import Facts
from .gif import FASTEST, gif_notes
from .routes import Copy, Window
from .settings import Settings, check_settings
from .side import SideStreams


@dataclass(frozen=True)
class Plan:
    """The result as it would be, sizes in pixels; sentences on every property of the source.

    kept        goes into the result as it is
    converted   goes in, in another form
    impossible  does not go in, with the reason
    segment     frames between two key frames at most
    copied      indexes of the streams that are copied; `sound` is "copied", "re-encoded" or "none"
    """

    container: str
    encoder: str
    width: int
    height: int
    pixel_format: str
    segment: int
    copied: tuple[int, ...]
    sound: str
    kept: tuple[str, ...]
    converted: tuple[str, ...]
    impossible: tuple[str, ...]


def plan(
    path: Path,
    facts: Facts,
    *,
    out_suffix: str = ".mp4",
    codec: str = "h264",
    crf: int = 18,
    preset: str | None = None,
    scale: int = 2,
    limits: Limits | None = None,
) -> Plan:
    """Decide as `upscale_video` would, without enlarging anything.

    Raises:
        InputError: the settings are not offered, or no frame decodes.
    """
    out = Path(f"result{out_suffix}")
    settings = check_settings(out, codec=codec, crf=crf, preset=preset, start=None, duration=None)
    with open_clip(path, settings, scale=scale, limits=limits) as clip:
        encoding, notes, segment = clip.encoding, list(clip.notes), clip.segment
    side = _side_streams(path, settings, limits)
    notes += side.notes
    if settings.container == "gif":
        notes += gif_notes(encoding, fast=facts.fps > FASTEST, late=facts.start >= 0.01)
    left_out = [note for note in notes if "left out" in note or "holds no transparency" in note]
    copied = tuple(index for index, route in side.routes.items() if isinstance(route, Copy))
    return Plan(
        container=settings.container,
        encoder="gif" if settings.container == "gif" else encoding.encoder,
        width=encoding.width,
        height=encoding.height,
        pixel_format="pal8" if settings.container == "gif" else encoding.layout.result,
        segment=segment,
        copied=copied,
        sound=side.audio,
        kept=tuple(_kept(facts, encoding, settings, copied, side.attached)),
        converted=tuple(
            [*_converted(facts, encoding, notes), *(_sentence(one) for one in notes if one not in left_out)]
        ),
        impossible=tuple([*(_sentence(one) for one in left_out), *_impossible(facts, encoding)]),
    )


def _side_streams(path: Path, settings: Settings, limits: Limits | None) -> SideStreams:
    """Route the other streams into a container in memory that is thrown away."""
    import av

    side = SideStreams()
    with source.open_source(path, limits=limits) as container:
        chosen = source.video_stream(container)
        assert chosen is not None  # open_source has checked
        trial: Any = av.open(io.BytesIO(), "w", format=settings.container)
        side.add(container, chosen, trial, Window())
    return side


def _kept(
    facts: Facts, encoding: Encoding, settings: Settings, copied: tuple[int, ...], attached: list[int]
) -> list[str]:
    gif = settings.container == "gif"
    pace = "variable frame rate" if facts.variable_rate else f"{facts.fps:.5g} frames a second"
    kept = [] if gif else [f"All {facts.frames or ''} frames with their own times ({pace}).".replace("  ", " ")]
    for stream in facts.streams:
        if stream.index in copied:
            about = [part for part in (stream.codec, stream.language, stream.detail) if part and part != "und"]
            kept.append(_sentence(f"{stream.kind} stream {stream.index} ({', '.join(about)}), copied"))
        elif stream.index in attached:
            name = "Attachment" if stream.kind == "attachment" else "Cover picture"
            kept.append(f"{name} {stream.detail or stream.index}.")
    if facts.chapters and not gif:
        kept.append(f"{facts.chapters} chapters.")
    if facts.metadata and not gif:
        kept.append("Metadata (title, dates and the like).")
    if facts.aspect != "1:1" and not gif:
        kept.append(
            f"The sample aspect ratio {facts.aspect}" + (", turned with the picture." if _sideways(facts) else ".")
        )
    tags = [tag for tag in (facts.matrix, facts.primaries, facts.transfer, facts.range) if tag]
    if tags and not encoding.layout.rgb and not gif:
        kept.append(f"Colour tags ({', '.join(tags)}).")
    if encoding.layout.bits >= facts.bits and not gif:
        kept.append(f"{facts.bits} bits a sample.")
    if facts.hdr and encoding.layout.bits >= 10:
        light = f" with {' and '.join(facts.light)}, in the stream and in the container's header" if facts.light else ""
        kept.append(f"HDR ({facts.hdr}){light}.")
    if facts.alpha and encoding.layout.alpha:
        kept.append("Transparency.")
    return kept


def _converted(facts: Facts, encoding: Encoding, notes: list[str]) -> list[str]:
    turned = [f"turned {facts.rotation} degrees clockwise"] if facts.rotation else []
    turned += ["mirrored"] if facts.mirrored else []
    converted = [f"The pixels are {' and '.join(turned)}, so that it is upright in every player."] if turned else []
    if facts.interlaced and not any("deinterlaced" in one for one in notes):
        converted.append("Interlaced frames are deinterlaced (bwdif).")
    if encoding.layout.rgb and encoding.settings.container != "gif":
        converted.append("RGB becomes full-range BT.709 luma and chroma.")
    return converted


def _impossible(facts: Facts, encoding: Encoding) -> list[str]:
    lost = [f"The dynamic metadata of {kind} cannot be kept for frames of another size." for kind in facts.dynamic]
    if facts.lost:
        lost.append(f"{facts.lost} frames that the headers announce are not in the file: it is cut off.")
    if facts.hdr and encoding.layout.bits < 10:
        lost.append(f"HDR ({facts.hdr}) needs 10 bits, which {encoding.encoder} does not take here: use hevc or av1.")
    return lost


def _sideways(facts: Facts) -> bool:
    return facts.rotation in (90, 270)


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:].removesuffix('.')}."
