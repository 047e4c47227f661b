"""The Video tab: two seconds at once, then the whole clip, or a measurement on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import InputError
from . import compare, examples, fields, results, wording, work_clip, work_measure
from .compare import Side
from .jobs import Jobs
from .work_clip import ClipResult, ClipSettings
from .work_watch import Glimpse

Update = dict[Any, Any]
CODECS = [("H.264", "h264"), ("HEVC (H.265)", "hevc"), ("AV1", "av1")]


def build(jobs: Jobs) -> dict[str, Any]:
    """Lay the tab out and wire it; the components that show a result."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            source = fields.as_uploaded(
                gr.File(label="Clip", file_types=fields.CLIPS, height=160, elem_classes="source")
            )
            example = gr.Button("Try the example clip", size="sm")
            measure = fields.measure()
            with gr.Row():
                start = gr.Number(0, label="Start (s)", minimum=0, info="Where to begin.", min_width=120)
                end = gr.Number(0, label="End (s)", minimum=0, info="0: to the end.", min_width=120)
            with gr.Accordion("More settings", open=False):
                quality = fields.quality()
                weights = fields.weights()
                codec = gr.Dropdown(CODECS, value="h264", label="Codec", info=wording.CODEC_INFO)
                crf = gr.Slider(0, 40, value=18, step=1, label="Quality of the encoder (CRF)", info=wording.CRF_INFO)
            with gr.Row():
                run = gr.Button("Run", variant="primary", min_width=110)
                stop = fields.stop_button(jobs.stop)
        with gr.Column(scale=9, min_width=320):
            outputs = fields.outputs(wording.HINT_VIDEO, "video")

    values = [quality, measure, weights, codec, crf, start, end]
    everything = [*outputs.values(), stop]

    def preview(path: str | None, settings: ClipSettings, request: gr.Request, number: float = 0) -> Iterator[Update]:
        """Show the first two seconds."""
        if path:
            yield from _work(jobs, "preview", work_clip.preview, Path(path), settings, outputs, stop, request, number)
        elif jobs.clear(request, "video", number):
            yield fields.emptied(outputs) | {stop: gr.Button(interactive=False)}

    def whole(path: str | None, settings: ClipSettings, request: gr.Request) -> Iterator[Update]:
        """Enlarge the clip, or measure on it."""
        if not path:
            yield {outputs["status"]: wording.problem(wording.NO_CLIP)}
            return
        kind, job = ("measure", work_measure.measure_clip) if settings.measure else ("video", work_clip.video)
        yield from _work(jobs, kind, job, Path(path), settings, outputs, stop, request)

    def run_preview(
        path: str | None, q: str, m: bool, w: str, c: str, f: int, s: float, e: float, n: float, request: gr.Request
    ) -> Iterator[Update]:
        """Two seconds, as soon as the clip is there."""
        yield from preview(path, _settings(q, m, w, c, f, s, e), request, n)

    def run_whole(
        path: str | None, q: str, m: bool, w: str, c: str, f: int, s: float, e: float, request: gr.Request
    ) -> Iterator[Update]:
        """The whole clip."""
        yield from whole(path, _settings(q, m, w, c, f, s, e), request)

    def run_example(
        q: str, m: bool, w: str, c: str, f: int, s: float, e: float, request: gr.Request
    ) -> Iterator[Update]:
        """Make the example clip and preview it."""
        yield {outputs["status"]: wording.status("Making the example clip.", busy=True)}
        try:
            path = jobs.result("other", request, examples.clip, jobs.runner.storage.cache)
        except InputError as error:
            yield {outputs["status"]: wording.problem(str(error))}
            return
        yield {source: str(path)}
        yield from preview(str(path), _settings(q, m, w, c, f, s, e), request)

    fields.wire(source.upload, run_preview, [source, *values], everything, numbered=True)
    fields.wire(source.clear, run_preview, [source, *values], everything, numbered=True)
    fields.wire(run.click, run_whole, [source, *values], everything)
    fields.wire(example.click, run_example, values, [source, *everything])
    return outputs


def _settings(
    quality: str, measure: bool, weights: str, codec: str, crf: float, start: float | None, end: float | None
) -> ClipSettings:
    """What the fields hold; an emptied number is 0."""
    return ClipSettings(quality, measure, weights, codec, int(crf), start or 0.0, end or 0.0)


def _work(
    jobs: Jobs,
    kind: str,
    job: Callable[..., object],
    path: Path,
    settings: ClipSettings,
    outputs: dict[str, Any],
    stop: gr.Button,
    request: gr.Request,
    number: float = 0,
) -> Iterator[Update]:
    folder = jobs.folder()

    def update(found: Glimpse | ClipResult) -> Update:
        if isinstance(found, Glimpse):
            return glimpse(found, outputs, folder.name)
        return show(found, folder, outputs, jobs, "video")

    yield fields.started(outputs, stop, "Reading the clip.")
    messages = jobs.run(kind, request, job, path, folder, settings, jobs.limits, place="video", number=number)
    yield from fields.follow(messages, outputs, stop, update)


def glimpse(seen: Glimpse, outputs: dict[str, Any], identity: str) -> Update:
    """Progress in words, as a bar and as the newest frame."""
    parts = [f"{seen.frames} frames" if seen.total is None else f"Frame {seen.frames} of {seen.total}"]
    if seen.fps:
        parts.append(f"{seen.fps:.1f} frames a second")
    if seen.eta is not None:
        parts.append(f"{wording.duration(seen.eta)} to go")
    done = seen.frames / seen.total if seen.total else None
    shown: Update = {outputs["status"]: wording.status(" · ".join(parts), done=done, busy=True)}
    if seen.picture is not None:
        side = Side("Newest frame (luma)", seen.picture)
        shown[outputs["compare"]] = compare.live(
            f"{identity}-{seen.frames}", side, width=seen.width, height=seen.height
        )
    return shown


def show(result: ClipResult, folder: Path, outputs: dict[str, Any], jobs: Jobs, tab: str) -> Update:
    """A finished clip; one that can be downloaded gets a link too."""
    shown = result.shown(folder.name)
    if result.download is not None:
        address = results.save(folder, tab, shown)
        return results.updates(outputs, shown, address, jobs.limits.retention_seconds)
    made: Update = {outputs[name]: shown[name] for name in ("compare", "facts", "scores")}
    made[outputs["status"]] = wording.status(result.status)
    return made
