"""The controls that several tabs share, each with its label and description."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.components import Component
from gradio.data_classes import FileData

from ..errors import InputError
from ..sandbox import Done, StoppedError
from . import compare, examples, wording
from .jobs import words

Field = TypeVar("Field", bound=Component)

# Browsers know some clips by their name only.
CLIPS = ["video", ".mkv", ".ts", ".mts", ".flv", ".3gp", ".wmv", ".avi", ".ogv", ".gif"]
COUNT = "window.espcnEvents = (window.espcnEvents || 0) + 1"
COPY = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button'), link = element.querySelector('a');
  if (!button || !link) return;
  navigator.clipboard.writeText(link.href).then(() => { button.textContent = 'Copied'; }, () => { link.focus(); });
});
"""

CHOOSE = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('click', { index: Number(button.dataset.index) });
});
"""


def as_uploaded(component: Field) -> Field:
    """Let a component hand over the uploaded file as it is, unopened: the worker opens it, and says what is wrong."""

    def path(payload: FileData | None) -> str | None:
        return None if payload is None or not payload.path else str(payload.path)

    component.preprocess = path  # type: ignore[method-assign]  # for this one component
    return component


def wire(
    event: Callable[..., Any],
    function: Callable[..., Any],
    inputs: Sequence[Component],
    outputs: Sequence[Component],
    *,
    once: bool = False,
    numbered: bool = False,
) -> None:
    """Let a component's event call a function of the page; it is no named endpoint, and shows its own progress.

    once      pass over events while an earlier one is worked on; else each counts, and `Jobs.run` lets the newest win
    numbered  the last input is the event's number in this tab of the browser: a field that gets another file is emptied
              first, and the server may work on those two events in the other order
    """
    mode, script = "once" if once else "multiple", None
    if numbered:
        script = f"(...values) => [...values.slice(0, {len(inputs)}), {COUNT}]"
        inputs = [*inputs, gr.Number(visible=False)]
    event(function, inputs, outputs, js=script, show_progress="hidden", api_visibility="private", trigger_mode=mode)


def quality() -> gr.Radio:
    """Fast or best."""
    choices = [("Fast", "fast"), ("Best", "best")]
    return gr.Radio(choices, value="fast", label="Quality", info=wording.QUALITY_INFO)


def weights() -> gr.Dropdown:
    """Which trained network: what suits the source, or what the server's ESPCN_WEIGHTS names, or a bundled one."""
    from ..weights import VARIABLE, bundled
    from .work import AUTOMATIC

    names = [name for name in bundled() if not name.endswith("_second")]
    choices, default = [("automatic", AUTOMATIC), *((name, name) for name in names)], AUTOMATIC
    if os.environ.get(VARIABLE):
        choices, default = [("this server's choice", ""), *choices], ""
    return gr.Dropdown(choices, value=default, label="Weights", info=wording.WEIGHTS_INFO)


def measure() -> gr.Checkbox:
    """The Measure switch."""
    return gr.Checkbox(False, label=wording.MEASURE, info=wording.MEASURE_INFO)


def message(identity: str) -> gr.HTML:
    """The line for progress and problems."""
    return gr.HTML(wording.status(""), elem_id=identity, apply_default_css=False)


def markup() -> gr.HTML:
    """Room for a readout, a table or a link."""
    return gr.HTML("", apply_default_css=False, js_on_load=COPY)


def outputs(hint: str, tab: str) -> dict[str, Any]:
    """The right-hand side of a tab: compare, status, download and link, facts, scores."""
    shown: dict[str, Any] = {"compare": compare.component(hint=hint, elem_id=f"{tab}-compare")}
    shown |= {"status": message(f"{tab}-status"), "facts": markup(), "scores": markup()}
    with gr.Row(elem_classes="result-row"):
        shown |= {"download": download(), "link": markup()}
    return shown


def started(shown: dict[str, Any], stop: gr.Button, text: str) -> dict[Any, Any]:
    """A tab's components when work begins: nothing of an earlier result can be taken for the new one's."""
    blank = {shown[name]: "" for name in ("scores", "link")}
    button = gr.DownloadButton("Download", value=None, interactive=False)
    told = {shown["status"]: wording.status(text, busy=True), stop: gr.Button(interactive=True)}
    return blank | told | {shown["download"]: button}


def emptied(shown: dict[str, Any]) -> dict[Any, Any]:
    """A tab's components as they are before the first result."""
    blank = {shown[name]: "" for name in ("facts", "scores", "link")}
    button = gr.DownloadButton("Download", value=None, interactive=False)
    return blank | {shown["compare"]: None, shown["status"]: wording.status(""), shown["download"]: button}


def follow(
    messages: Iterator[Any], shown: dict[str, Any], stop: gr.Button, show: Callable[[Any], dict[Any, Any]]
) -> Iterator[dict[Any, Any]]:
    """What a tab's components get while a job goes on: `show` turns its progress and its result into updates.

    Each update says again that Stop can be pressed: the last message of an earlier job of this tab, which says that it
    cannot, may reach the browser after the first message of this one.
    """
    busy, idle = {stop: gr.Button(interactive=True)}, {stop: gr.Button(interactive=False)}
    try:
        for message in messages:
            if text := words(message):
                yield {shown["status"]: wording.status(text, busy=True)} | busy
            elif isinstance(message, Done):
                yield show(message.result) | idle
            elif message is not None:
                yield show(message) | busy
    except StoppedError:
        yield emptied(shown) | {shown["status"]: wording.status(wording.STOPPED)} | idle
    except InputError as error:
        yield {shown["status"]: wording.problem(str(error))} | idle


def download() -> gr.DownloadButton:
    """The button for the full-quality file."""
    return gr.DownloadButton("Download", value=None, interactive=False, variant="primary", scale=0, min_width=270)


def ready(path: Path) -> gr.DownloadButton:
    """The download button once there is a file."""
    label = f"Download {path.suffix[1:].upper()}, {wording.size(path.stat().st_size)}"
    return gr.DownloadButton(label, value=str(path), interactive=True)


def link(address: str, keep_seconds: float) -> str:
    """The link to a result, as HTML; `address` is hexadecimal."""
    kept = wording.duration(keep_seconds)
    return (
        f"<p class='note share'><a href='?result={address}'>Link to this result</a> (kept for {kept}) "
        "<button type='button'>Copy link</button></p>"
    )


def stop_button(stop: Callable[[str | None], None]) -> gr.Button:
    """A Stop button that needs no place in the queue; `stop` is `Jobs.stop`."""

    def pressed(request: gr.Request) -> None:
        """Stop what this tab of the browser has started."""
        stop(request.session_hash)

    button = gr.Button("Stop", variant="stop", interactive=False, min_width=110)
    button.click(pressed, None, None, queue=False, show_progress="hidden", api_visibility="private")
    return button


def example_pictures() -> gr.HTML:
    """The bundled photographs as small pictures to click; the event's data has the `index` of the one."""
    buttons = "".join(
        f"<button type='button' class='example' data-index='{index}'><img src='{address}' alt=''>{name}</button>"
        for index, (name, address) in enumerate(examples.thumbnails().items())
    )
    return gr.HTML(
        f"<div class='examples' role='group' aria-label='Examples'>{buttons}</div>",
        js_on_load=CHOOSE,
        apply_default_css=False,
    )
