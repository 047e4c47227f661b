"""The 4x tab: pictures and short clips through two passes, and whether the second one is worth it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import InputError
from ..sandbox import Done, StoppedError
from . import examples as samples
from . import fields, results, video_tab, wording, work_four
from .jobs import Jobs, words
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

    def run_four(path: str | None, q: str, m: bool, w: str, request: gr.Request) -> Iterator[Update]:
        """Enlarge what is in the field."""
        if path:
            yield from _work(jobs, Path(path), PictureSettings(q, m, w), outputs, stop, request)
        else:
            yield {outputs["status"]: wording.problem(wording.NO_UPLOAD)}

    def run_example(event: gr.EventData, q: str, m: bool, w: str, request: gr.Request) -> Iterator[Update]:
        """Put an example into the field and enlarge it."""
        path = samples.picture(list(samples.PICTURES)[event.index], jobs.runner.storage.cache)
        yield {source: str(path)}
        yield from _work(jobs, path, PictureSettings(q, m, w), outputs, stop, request)

    def cleared(request: gr.Request) -> Update:
        """An emptied field empties the result."""
        jobs.clear(request, "four")
        return fields.emptied(outputs) | {stop: gr.Button(interactive=False)}

    fields.wire(source.clear, cleared, None, everything)
    fields.wire(source.upload, run_four, [source, *values], everything)
    fields.wire(run.click, run_four, [source, *values], everything)
    fields.wire(examples.click, run_example, values, [source, *everything])
    return outputs


def _work(
    jobs: Jobs, path: Path, settings: PictureSettings, outputs: dict[str, Any], stop: gr.Button, request: gr.Request
) -> Iterator[Update]:
    status, folder = outputs["status"], jobs.folder()
    yield fields.started(outputs, stop, "Working on it.")
    try:
        for message in jobs.run("image_4x", request, work_four.four, path, folder, settings, jobs.limits, place="four"):
            if text := words(message):
                yield {status: wording.status(text, busy=True)}
            elif isinstance(message, Glimpse):
                yield video_tab.glimpse(message, outputs, folder.name)
            elif isinstance(message, ClipResult):
                yield video_tab.show(message, folder, outputs, jobs, "four")
            elif isinstance(message, Done):
                yield _show(message.result, folder, outputs, jobs) | {stop: gr.Button(interactive=False)}
    except StoppedError:
        yield fields.emptied(outputs) | {status: wording.status(wording.STOPPED), stop: gr.Button(interactive=False)}
    except InputError as error:
        yield {status: wording.problem(str(error)), stop: gr.Button(interactive=False)}


def _show(result: PictureResult | ClipResult, folder: Path, outputs: dict[str, Any], jobs: Jobs) -> Update:
    if isinstance(result, ClipResult):
        return video_tab.show(result, folder, outputs, jobs, "four")
    shown = result.shown(folder.name)
    return results.updates(outputs, shown, results.save(folder, "four", shown), jobs.limits.retention_seconds)
