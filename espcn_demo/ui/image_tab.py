"""The Image tab: one picture, before and after; or several, as a gallery and a zip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import InputError
from ..sandbox import StoppedError
from . import examples as samples
from . import fields, results, wording, work
from .jobs import Jobs

Update = dict[Any, Any]


def build(jobs: Jobs) -> dict[str, Any]:
    """Lay the tab out and wire it; the components that show a result."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            source = fields.as_uploaded(
                gr.Image(
                    label="Picture",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard", "webcam"],
                    height=250,
                    elem_classes="source",
                )
            )
            examples = fields.example_pictures()
            quality = fields.quality()
            measure = fields.measure()
            with gr.Accordion("More settings", open=False):
                weights = fields.weights()
                strip = gr.Checkbox(False, label=wording.LOCATION, info=wording.LOCATION_INFO)
            with gr.Row():
                run = gr.Button("Upscale", variant="primary", min_width=110)
                stop = fields.stop_button(jobs.stop)
            with gr.Accordion("Several pictures at once", open=False):
                many = gr.File(file_count="multiple", label="Pictures", height=140, elem_id="image-several")
                run_many = gr.Button("Upscale all")
        with gr.Column(scale=9, min_width=320):
            outputs = fields.outputs(wording.HINT_IMAGE, "image")
            gallery = gr.Gallery(
                label="Results",
                elem_id="image-gallery",
                visible=False,
                columns=3,
                height=360,
                object_fit="contain",
                interactive=False,
                buttons=["fullscreen"],
            )
            bundle = gr.DownloadButton("Download the zip", visible=False)

    values = [quality, measure, weights, strip]
    everything = [*outputs.values(), stop, gallery, bundle]

    def one(
        path: str | None, settings: work.PictureSettings, request: gr.Request, number: float = 0
    ) -> Iterator[Update]:
        if not path:
            yield {outputs["status"]: wording.problem(wording.NO_PICTURE)}
            return
        yield from _one(jobs, Path(path), settings, outputs, stop, request, number)

    def run_one(path: str | None, q: str, m: bool, w: str, s: bool, request: gr.Request) -> Iterator[Update]:
        """Upscale the picture in the field."""
        yield from one(path, work.PictureSettings(q, m, w, s), request)

    def run_new(path: str | None, q: str, m: bool, w: str, s: bool, n: float, request: gr.Request) -> Iterator[Update]:
        """Upscale what has just come into the field; an emptied field empties the result."""
        if path:
            yield from one(path, work.PictureSettings(q, m, w, s), request, n)
        elif jobs.clear(request, "image", n):
            yield fields.emptied(outputs) | {stop: gr.Button(interactive=False)}

    def run_example(event: gr.EventData, q: str, m: bool, w: str, s: bool, request: gr.Request) -> Iterator[Update]:
        """Put an example into the field and upscale it."""
        path = samples.picture(list(samples.PICTURES)[event.index], jobs.runner.storage.cache)
        yield {source: str(path)}
        yield from one(str(path), work.PictureSettings(q, m, w, s), request)

    def run_all(paths: list[str] | None, q: str, m: bool, w: str, s: bool, request: gr.Request) -> Iterator[Update]:
        """Upscale several pictures."""
        yield from _many(jobs, paths or [], work.PictureSettings(q, m, w, s), outputs, (stop, gallery, bundle), request)

    fields.wire(source.input, run_new, [source, *values], everything, numbered=True)
    fields.wire(run.click, run_one, [source, *values], everything)
    fields.wire(measure.input, run_one, [source, *values], everything)
    fields.wire(examples.click, run_example, values, [source, *everything])
    fields.wire(run_many.click, run_all, [many, *values], everything, once=True)
    return outputs


def _one(
    jobs: Jobs,
    path: Path,
    settings: work.PictureSettings,
    outputs: dict[str, Any],
    stop: gr.Button,
    request: gr.Request,
    number: float,
) -> Iterator[Update]:
    yield {outputs["status"]: wording.status("Working on it.", busy=True), stop: gr.Button(interactive=True)}
    folder = jobs.folder()
    messages = jobs.run(
        "image", request, work.picture, path, folder, settings, jobs.limits, place="image", number=number
    )
    yield from fields.follow(messages, outputs, stop, lambda result: _show(result, folder, outputs, jobs))


def _show(result: work.PictureResult, folder: Path, outputs: dict[str, Any], jobs: Jobs) -> Update:
    shown = result.shown(folder.name)
    address = results.save(folder, "image", shown)
    return results.updates(outputs, shown, address, jobs.limits.retention_seconds)


def _many(
    jobs: Jobs,
    paths: list[str],
    settings: work.PictureSettings,
    outputs: dict[str, Any],
    more: tuple[Any, Any, Any],
    request: gr.Request,
) -> Iterator[Update]:
    stop, gallery, bundle = more
    status = outputs["status"]
    if not paths:
        yield {status: wording.problem("Choose some pictures first: drop them into the field for several pictures.")}
        return
    if len(paths) > jobs.limits.files:
        yield {
            status: wording.problem(f"These are {len(paths)} pictures; choose {jobs.limits.files} at most at a time.")
        }
        return
    yield {stop: gr.Button(interactive=True), gallery: gr.Gallery(value=[], visible=True), bundle: gr.skip()}
    folder, done, refused = jobs.folder(), [], []
    try:
        for index, path in enumerate(paths):
            yield {status: wording.status(f"Picture {index + 1} of {len(paths)}.", done=index / len(paths))}
            try:
                result = jobs.result("image", request, work.plain_picture, Path(path), folder, settings, jobs.limits)
            except StoppedError:
                raise
            except InputError as error:
                refused.append(f"{Path(path).name}: {error}")
            else:
                done.append(result)
                yield {gallery: [(str(one.preview), one.download.name) for one in done]}
        packed = work.pack([one.download for one in done], folder) if done else None
        text = f"{len(done)} of {len(paths)} pictures are done. " + " ".join(refused)
        yield {
            status: wording.problem(text) if refused else wording.status(text),
            bundle: gr.DownloadButton(value=str(packed), visible=True) if packed else gr.skip(),
            stop: gr.Button(interactive=False),
        }
    except StoppedError:
        yield fields.emptied(outputs) | {status: wording.status(wording.STOPPED), stop: gr.Button(interactive=False)}
    except InputError as error:
        yield {status: wording.problem(str(error)), stop: gr.Button(interactive=False)}
