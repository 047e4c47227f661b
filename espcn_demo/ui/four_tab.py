"""The 4x tab: pictures and short clips through two passes, and whether the second one is worth it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from . import examples as samples
from . import fields, results, video_tab, wording, work_four
from .jobs import Jobs
from .work import PictureResult, PictureSettings
from .work_clip import ClipResult
from .work_watch import Glimpse

Update = dict[Any, Any]


def build(jobs: Jobs) -> dict[str, Any]:
    """Lay the tab out and wire it; the components that show a result."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            source = fields.as_uploaded(
                gr.File(label="Picture or short clip", file_count="single", height=160, elem_classes="source")
            )
            examples = fields.example_pictures()
            quality = fields.quality()
            measure = fields.measure()
            with gr.Accordion("More settings", open=False):
                weights = fields.weights()
            with gr.Row():
                run = gr.Button("Enlarge 4×", variant="primary", min_width=110)
                stop = fields.stop_button(jobs.stop)
        with gr.Column(scale=9, min_width=320):
            outputs = fields.outputs(wording.HINT_FOUR, "four")

    values = [quality, measure, weights]
    everything = [*outputs.values(), stop]

    def run_four(path: str | None, q: str, m: bool, w: str, n: float, request: gr.Request) -> Iterator[Update]:
        """Enlarge what is in the field."""
        if path:
            yield from _work(jobs, Path(path), PictureSettings(q, m, w), outputs, stop, request, n)
        else:
            yield {outputs["status"]: wording.problem(wording.NO_UPLOAD)}

    def run_example(event: gr.EventData, q: str, m: bool, w: str, request: gr.Request) -> Iterator[Update]:
        """Put an example into the field and enlarge it."""
        path = samples.picture(list(samples.PICTURES)[event.index], jobs.runner.storage.cache)
        yield {source: str(path)}
        yield from _work(jobs, path, PictureSettings(q, m, w), outputs, stop, request)

    def cleared(n: float, request: gr.Request) -> Iterator[Update]:
        """An emptied field empties the result."""
        if jobs.clear(request, "four", n):
            yield fields.emptied(outputs) | {stop: gr.Button(interactive=False)}

    fields.wire(source.clear, cleared, [], everything, numbered=True)
    fields.wire(source.upload, run_four, [source, *values], everything, numbered=True)
    fields.wire(run.click, run_four, [source, *values], everything, numbered=True)
    fields.wire(examples.click, run_example, values, [source, *everything])
    return outputs


def _work(
    jobs: Jobs,
    path: Path,
    settings: PictureSettings,
    outputs: dict[str, Any],
    stop: gr.Button,
    request: gr.Request,
    number: float = 0,
) -> Iterator[Update]:
    folder = jobs.folder()

    def update(found: Glimpse | ClipResult | PictureResult) -> Update:
        if isinstance(found, Glimpse):
            return video_tab.glimpse(found, outputs, folder.name)
        if isinstance(found, ClipResult):
            return video_tab.show(found, folder, outputs, jobs, "four")
        shown = found.shown(folder.name)
        return results.updates(outputs, shown, results.save(folder, "four", shown), jobs.limits.retention_seconds)

    yield fields.started(outputs, stop, "Working on it.")
    messages = jobs.run(
        "image_4x", request, work_four.four, path, folder, settings, jobs.limits, place="four", number=number
    )
    yield from fields.follow(messages, outputs, stop, update)
