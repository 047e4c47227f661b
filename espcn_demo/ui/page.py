"""The whole page: heading, tabs, the named endpoints, and results that are opened by their link."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import gradio as gr

from ..runner import Runner
from . import about, api, fields, four_tab, image_tab, results, video_tab, wording
from .jobs import Jobs

# One description for search engines and screen readers; the icon is drawn here, so that nothing is fetched for it.
HEAD = (
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<meta name="description" content="{wording.HEAD}">'
    '<meta name="color-scheme" content="light dark">'
)
SESSIONS = 64  # Gradio keeps a copy of every component for each; the page itself keeps nothing in them


def script() -> str:
    """What runs in the browser when the page has come."""
    text = resources.files(__package__).joinpath("page.js").read_text("utf-8")
    for name, value in {"SENTENCES": wording.INSTEAD, "CLIPS": fields.CLIPS}.items():
        text = text.replace(f"= {name}", f"= {json.dumps(value)}")
    return text


def build(runner: Runner) -> gr.Blocks:
    """The page for one server."""
    jobs = Jobs(runner)
    keep = runner.limits.retention_seconds
    blocks = gr.Blocks(title=wording.TITLE, analytics_enabled=False)
    with blocks:
        gr.HTML(wording.header(), apply_default_css=False)
        with gr.Tabs() as tabs:
            with gr.Tab("Image", id="image", elem_id="image-tab"):
                image = image_tab.build(jobs)
            with gr.Tab("Video", id="video", elem_id="video-tab"):
                video = video_tab.build(jobs)
            with gr.Tab("4×", id="four", elem_id="four-tab"):
                four = four_tab.build(jobs)
            with gr.Tab("About", id="about", elem_id="about-tab"):
                about.build(jobs)
        api.build(jobs)
        outputs: dict[str, dict[str, Any]] = {"image": image, "video": video, "four": four}

        def restore(request: gr.Request) -> dict[Any, Any]:
            """Show the result that the address asks for."""
            address = str(request.query_params.get("result", ""))
            if not address:
                return {tabs: gr.skip()}
            found = results.load(runner.storage.cache, address)
            if found is None:
                return {image["status"]: wording.problem(wording.GONE)}
            tab, shown = found
            return {tabs: gr.Tabs(selected=tab), **results.updates(outputs[tab], shown, address, keep)}

        everything = [tabs, *(one for tab in outputs.values() for one in tab.values())]
        blocks.load(restore, None, everything, show_progress="hidden", api_visibility="private", queue=False)

        def closed(request: gr.Request) -> None:
            """The tab was closed: stop what it started."""
            jobs.stop(request.session_hash)

        blocks.unload(closed)
    # The desk in front of the worker decides who is next; Gradio only has to let everybody stand there.
    blocks.queue(default_concurrency_limit=runner.limits.queue + 4, max_size=2 * runner.limits.queue)
    blocks.max_threads = 2 * runner.limits.queue + 20  # threads of its own: uploads and downloads have the others
    blocks.state_session_capacity = SESSIONS
    return blocks
