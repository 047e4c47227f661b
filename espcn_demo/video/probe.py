"""`espcn probe`: what a file is, what will be kept of it, and what enlarging it takes and brings."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..limits import Limits
from .estimate import Estimate, estimate, size
from .facts import Facts, read_facts
from .plan import Plan
from .plan import plan as make_plan

if TYPE_CHECKING:
    from ..upscaler import Upscaler
    from .picture import Still


@dataclass(frozen=True)
class Probe:
    """What is known before the work.

    kind      "video" or "picture"; of a picture `still` is set, of a clip `facts`
    plan      what the result will be; None when nothing decodes, `problem` then says why
    estimate  time, size and gain, None when it was not asked for or nothing can be enlarged
    """

    path: str
    kind: str
    facts: Facts | None = None
    still: Still | None = None
    plan: Plan | None = None
    estimate: Estimate | None = None
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the source's and the result's properties side by side."""
        about: Facts | Still | None = self.facts or self.still
        source = about.as_dict() if about is not None else {}
        return {
            "input": self.path,
            "kind": self.kind,
            **source,
            "fps": round(self.facts.fps, 6) if self.facts else None,
            "result": asdict(self.plan) if self.plan else None,
            "kept": list(self.plan.kept if self.plan else self.still.kept if self.still else ()),
            "converted": list(self.plan.converted if self.plan else self.still.converted if self.still else ()),
            "impossible": list(self.plan.impossible if self.plan else [self.problem] if self.problem else ()),
            "estimate": self.estimate.as_dict() if self.estimate else None,
        }

    def text(self) -> str:
        """The same for a person, a few lines."""
        lines = [f"{Path(self.path).name}: {self._headline()}"]
        found = self.as_dict()
        for title in ("kept", "converted", "impossible"):
            lines += [f"  {title}: {sentence}" for sentence in found[title]]
        if self.plan:
            lines.append(
                f"  result: {self.plan.width}x{self.plan.height}, {self.plan.encoder}, {self.plan.pixel_format}"
            )
        if self.estimate:
            lines.append(f"  estimate: {self.estimate.text()}")
        return "\n".join(lines)

    def _headline(self) -> str:
        if self.still is not None:
            return self.still.headline()
        assert self.facts is not None
        facts = self.facts
        length = "length unknown" if facts.duration is None else f"{facts.duration:.2f} s"
        frames = "" if facts.frames is None else f", {'' if facts.counted else 'about '}{facts.frames} frames"
        extra = [f"{facts.bits} bits" if facts.bits != 8 else "", facts.hdr, "interlaced" if facts.interlaced else ""]
        extra += ["variable rate" if facts.variable_rate else "", "transparent" if facts.alpha else ""]
        extra += [f"turned {facts.rotation} degrees" if facts.rotation else "", "mirrored" if facts.mirrored else ""]
        others = [f"{len(facts.of_kind(kind))} {kind}" for kind in ("audio", "subtitle", "data", "attachment")]
        others = [one for one in others if not one.startswith("0")]
        parts = [
            f"{facts.width}x{facts.height} {facts.codec} {facts.pixel_format}",
            length + frames,
            f"{facts.fps:.5g} fps",
        ]
        return ", ".join([*parts, *(one for one in extra if one), *others, size(facts.bytes)])


def probe(
    path: Path,
    *,
    out_suffix: str = ".mp4",
    codec: str = "h264",
    crf: int = 18,
    preset: str | None = None,
    scale: int = 2,
    measure: bool = True,
    upscaler: Upscaler | None = None,
    weights: str | None = None,
    backend: str = "auto",
    precision: str | None = None,
    quality: str = "fast",
    limits: Limits | None = None,
) -> Probe:
    """What the clip or picture is and, for a result with this container and codec, what will be kept of it.

    measure   enlarge a short excerpt for an `estimate`, with `upscaler` or one opened with the options

    Raises:
        InputError: the file cannot be read, or an option is not offered.
    """
    from .picture import is_still, read_still

    path = Path(path)
    if is_still(path):
        return Probe(str(path), "picture", still=read_still(path, scale=scale, limits=limits))
    facts = read_facts(path, limits=limits)
    out_suffix = out_suffix if out_suffix.startswith(".") else f".{out_suffix}"
    if not facts.decodes:
        return Probe(str(path), "video", facts, problem="No frame can be decoded: the file is damaged or incomplete.")
    scale = scale if upscaler is None else upscaler.scale
    plan = make_plan(
        path, facts, out_suffix=out_suffix, codec=codec, crf=crf, preset=preset, scale=scale, limits=limits
    )
    if not measure:
        return Probe(str(path), "video", facts, plan=plan)
    begin = time.perf_counter()
    if upscaler is None:
        from ..upscaler import open_upscaler

        upscaler = open_upscaler(scale=scale, weights=weights, backend=backend, precision=precision, quality=quality)
    opening = time.perf_counter() - begin
    options: dict[str, Any] = {"out_suffix": out_suffix, "codec": codec, "crf": crf, "preset": preset}
    found = estimate(path, upscaler, facts=facts, plan=plan, opening=opening, limits=limits, **options)
    return Probe(str(path), "video", facts, plan=plan, estimate=found)
