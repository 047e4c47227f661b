"""The About tab: how it works, weights, engines and their speed, limits, privacy, licence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from ..dimensions import DIMENSIONS, PARAMETERS
from ..errors import InputError
from ..limits import Limits
from ..sandbox import Done
from ..weights import bundled, resolve
from . import fields, wording, work_about
from .jobs import Jobs, words

TRAINED = {"second": "trained on what the first pass makes", "decimate": "trained for decimated low resolution"}


def build(jobs: Jobs) -> None:
    """Lay the tab out and wire its one button."""
    gr.HTML(f"<div class='about'>{_network()}{_weights()}</div>", apply_default_css=False)
    gr.HTML("<div class='about'><h2>Engines on this machine</h2></div>", apply_default_css=False)
    status, table = fields.message("about-status"), fields.markup()
    with gr.Row():
        button = gr.Button("Measure the engines here", size="sm", scale=0, min_width=260)
    gr.HTML(f"<div class='about'>{_limits(jobs.limits)}{_licence()}</div>", apply_default_css=False)

    def speeds(request: gr.Request) -> Iterator[dict[Any, Any]]:
        """Run every engine that this machine has for a moment."""
        yield {status: wording.status("Measuring, a few seconds for each engine.", busy=True)}
        try:
            for message in jobs.run("other", request, work_about.speeds):
                if text := words(message):
                    yield {status: wording.status(text, busy=True)}
                elif isinstance(message, Done):
                    yield {status: wording.status(""), table: _engines(message.result)}
        except InputError as error:
            yield {status: wording.problem(str(error))}

    fields.wire(button.click, speeds, [], [status, table], once=True)


def _network() -> str:
    return (
        "<h2>How it works</h2><p>ESPCN (Shi et al. 2016, arXiv:1609.05158) does all its work on the small "
        "picture: four convolutions look at 11 by 11 pixels of brightness around each pixel and write four new ones, "
        "which are then "
        "laid out two by two. What they write is added to the plainly repeated pixels, so that the network says only "
        f"what is missing. It has {PARAMETERS:,} trained values, less than a small photograph's file. Colour, to which "
        "eyes are less sensitive, is enlarged bicubically.</p>" + _drawing() + "<p>It sharpens what is there: edges, "
        "textures, letters. It invents nothing, so a blurred or heavily compressed source stays what it is.</p>"
    )


def _drawing() -> str:
    """The network as boxes, from its dimensions."""
    boxes, x = [], 96
    steps = zip(DIMENSIONS.channels[1:], DIMENSIONS.kernels, strict=True)
    for number, (channels, kernel) in enumerate(steps):
        tall = 34 + channels
        boxes.append(
            f"<rect x='{x}' y='{80 - tall / 2:.0f}' width='74' height='{tall}' rx='6' class='net-box'/>"
            f"<text x='{x + 37}' y='76'>{kernel}×{kernel}</text><text x='{x + 37}' y='93'>{channels} maps</text>"
        )
        if number < 3:
            boxes.append(f"<text x='{x + 88}' y='142' class='net-small'>ReLU</text>")
        boxes.append(f"<path d='M{x - 22} 80h18' class='net-line' marker-end='url(#net-arrow)'/>")
        x += 98
    return (
        "<div class='scroll' tabindex='0' role='region' aria-label='Drawing of the network'>"
        "<svg viewBox='0 0 720 196' role='img' aria-label='Luma goes through four convolutions and a pixel shuffle; "
        "the source repeated two by two is added at the end' style='min-width:560px'>"
        "<style>.net-box{fill:var(--background-fill-secondary);stroke:currentColor}.net-line{stroke:currentColor;"
        "fill:none}svg text{font-size:13px;fill:currentColor;text-anchor:middle}svg .net-small{font-size:11px}</style>"
        "<defs><marker id='net-arrow' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' "
        "orient='auto'><path d='M0 0l8 4-8 4z' fill='currentColor'/></marker></defs>"
        "<rect x='14' y='60' width='56' height='40' rx='6' class='net-box'/><text x='42' y='84'>luma</text>"
        + "".join(boxes)
        + f"<path d='M{x - 22} 80h18' class='net-line' marker-end='url(#net-arrow)'/>"
        f"<rect x='{x}' y='56' width='82' height='48' rx='6' class='net-box'/><text x='{x + 41}' y='76'>shuffle</text>"
        f"<text x='{x + 41}' y='93'>2× size</text>"
        f"<path d='M{x + 82} 80h22' class='net-line' marker-end='url(#net-arrow)'/>"
        f"<circle cx='{x + 118}' cy='80' r='13' class='net-box'/><text x='{x + 118}' y='85'>+</text>"
        f"<path d='M42 100V180H{x + 118}V94' class='net-line' marker-end='url(#net-arrow)'/>"
        "<text x='330' y='172' class='net-small'>each pixel repeated 2×2</text></svg></div>"
    )


def _weights() -> str:
    parts = ["<h2>Weights</h2>"]
    for name in bundled():
        found = resolve(name)
        told = "; ".join(_told(found.card)) or "no scores in its card"
        parts.append(
            f"<p><strong>{escape(name)}</strong>: {escape(told)}.<br><code>SHA-256 {found.sha256[:16]}…</code></p>"
        )
    return "".join(parts)


def _told(card: Mapping[str, Any]) -> list[str]:
    """What a weights card says that people want to know; commands and versions stay in the card."""
    told = []
    scores = card.get("scores")
    for name, value in scores.items() if isinstance(scores, Mapping) else ():
        if isinstance(value, Mapping):
            value = value.get("psnr", value.get("network"))
        if isinstance(value, int | float):
            told.append(f"{name} {value:.2f} dB")
    recipe = card.get("recipe")
    if isinstance(recipe, Mapping) and isinstance(recipe.get("degradation"), str):
        told.append(TRAINED.get(recipe["degradation"], f"trained for {recipe['degradation']} low resolution"))
    if isinstance(card.get("pictures"), int):
        clips = f" and {card['videos']} clips" if card.get("videos") else ""
        told.append(f"on {card['pictures']} pictures{clips}")
    if isinstance(card.get("validation_psnr"), float):
        told.append(f"{card['validation_psnr']:.2f} dB on pictures it has not seen")
    return told


def _engines(found: work_about.Speeds) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(row.name)}</th><td>{row.frames:.1f}</td><td>{row.megapixels:.1f}</td></tr>"
        for row in found.rows
    )
    refusals = "".join(f"<p class='note'>{escape(text)}</p>" for text in found.refusals)
    return (
        f"<table class='scores'><caption>Luma of {found.width}×{found.height}, network alone, on "
        f"{escape(found.machine)}</caption><thead><tr><th scope='col'>Engine</th><th scope='col'>frames/s</th>"
        f"<th scope='col'>MP/s</th></tr></thead><tbody>{rows}</tbody></table>{refusals}"
    )


def _limits(limits: Limits) -> str:
    return (
        "<h2>Limits</h2><ul>"
        f"<li>Files up to {wording.size(limits.bytes)}, pictures and frames up to {limits.pixels / 1e6:.0f} megapixels "
        "before enlarging.</li>"
        f"<li>Clips up to {wording.duration(limits.seconds)}, or a part of that length of a longer one.</li>"
        f"<li>{limits.files} pictures at a time; {limits.jobs_per_visitor} jobs of one visitor at a time.</li></ul>"
        "<h2>Privacy</h2><p>Files are worked on by this server alone and go nowhere else. They and their results are "
        f"removed {wording.duration(limits.retention_seconds)} after they were last used, at the latest when the "
        "server stops. Nothing is kept about visitors, and the page asks no other server for anything.</p>"
    )


def _licence() -> str:
    return (
        "<h2>Licence</h2><p>Apache License 2.0, code and weights. The example photographs come with scikit-image.</p>"
        "<h2>For programs</h2><p>Named endpoints for <code>gradio_client</code>: <code>image</code>, "
        "<code>image_4x</code>, <code>video</code>, <code>probe</code>, <code>measure</code>. "
        "With <code>espcn serve --mcp</code> the same are tools for language models.</p>"
    )
