"""The named endpoints for gradio_client and MCP: image, image_4x, video, probe, measure.

They stand on invisible components, so that uploaded files are checked by Gradio before a function sees their path.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import InputError
from . import fields, work, work_api
from .jobs import Jobs


def build(jobs: Jobs) -> None:
    """Add the endpoints to the page that is being built."""

    def image(picture: str, quality: str, request: gr.Request) -> tuple[str, dict[str, Any]]:
        """Enlarge a picture by two with a small neural network; format, bit depth, alpha and metadata are kept.

        Args:
            picture: a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file.
            quality: "fast", or "best" for eight times the work and slightly more sharpness.

        Returns:
            The enlarged picture, and a report with its size, the engine and the seconds it took.
        """
        return _file(jobs, "image", request, work_api.image, picture, 2, quality)

    def image_4x(picture: str, quality: str, request: gr.Request) -> tuple[str, dict[str, Any]]:
        """Enlarge a picture by four in two passes; mostly worth it for small, sharp pictures.

        Args:
            picture: a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file.
            quality: "fast" or "best".

        Returns:
            The enlarged picture, and a report with its size, the engine and the seconds it took.
        """
        return _file(jobs, "image_4x", request, work_api.image, picture, 4, quality)

    def video(
        clip: str, codec: str, crf: float, start: float, duration: float, request: gr.Request
    ) -> tuple[str, dict[str, Any]]:
        """Enlarge a video by two; sound, subtitles, frame times, chapters and colours are kept.

        Args:
            clip: a video file: mp4, mov, mkv, webm, avi, ts, gif and others.
            codec: "h264", "hevc" or "av1".
            crf: quality of the encoder, 0 to 51, lower is better and larger; 18 looks lossless.
            start: seconds from the beginning at which to start.
            duration: seconds to take; 0 takes everything that follows.

        Returns:
            The enlarged video as an mp4, and a report with frames, seconds and what was converted.
        """
        numbers = int(_number("crf", crf)), _number("start", start), _number("duration", duration)
        return _file(jobs, "video", request, work_api.video, clip, codec, *numbers)

    def probe(clip: str, request: gr.Request) -> dict[str, Any]:
        """Tell what a video or picture is, what enlarging it by two keeps, and what it will take and bring.

        Args:
            clip: a video or picture file.

        Returns:
            Size, codec, colours and streams; what is kept and converted; for a video also `estimate`: predicted
            seconds of work, bytes of the result, and gain in dB over bicubic, from a short excerpt that is enlarged.
        """
        return _checked(jobs, "probe", request, work_api.probe, clip, jobs.limits)

    def measure(picture: str, request: gr.Request) -> dict[str, Any]:
        """Measure on a picture: shrink it by two, restore it, and compare with the original.

        Args:
            picture: a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file.

        Returns:
            PSNR in dB and SSIM of the network, bicubic, Lanczos, bilinear and nearest.
        """
        return _checked(jobs, "measure", request, work.measure_file, picture, jobs.limits)

    with gr.Group(visible=False):
        picture = fields.as_uploaded(gr.File(label="Picture"))
        clip = fields.as_uploaded(gr.File(label="Clip"))
        quality = gr.Radio(["fast", "best"], value="fast", label="Quality")
        codec = gr.Radio(["h264", "hevc", "av1"], value="h264", label="Codec")
        crf = gr.Number(18, label="CRF")
        start, duration = gr.Number(0, label="Start"), gr.Number(0, label="Duration")
        result, report = gr.File(label="Result"), gr.JSON(label="Report")
        endpoints: list[tuple[Callable[..., Any], list[Any], list[Any]]] = [
            (image, [picture, quality], [result, report]),
            (image_4x, [picture, quality], [result, report]),
            (video, [clip, codec, crf, start, duration], [result, report]),
            (probe, [clip], [report]),
            (measure, [picture], [report]),
        ]
        for function, inputs, outputs in endpoints:
            name = function.__name__
            gr.Button(name).click(function, inputs, outputs, api_name=name)


def _number(name: str, value: object) -> float:
    """A number from a caller, whom Gradio lets send anything."""
    if isinstance(value, int | float) and isfinite(value):
        return float(value)
    raise gr.Error(f"{name} must be a number, for example 18.", print_exception=False)


def _file(
    jobs: Jobs,
    kind: str,
    request: gr.Request,
    function: Callable[..., Any],
    path: str,
    *options: object,
) -> tuple[str, dict[str, Any]]:
    report = _checked(jobs, kind, request, function, path, jobs.folder(), *options, jobs.limits)
    return str(report.pop("output")), report


def _checked(
    jobs: Jobs, kind: str, request: gr.Request, function: Callable[..., Any], path: str, *options: object
) -> dict[str, Any]:
    if not path:
        raise gr.Error("Give a file: nothing was uploaded.")
    try:
        found: dict[str, Any] = jobs.result(kind, request, function, Path(path), *options)
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from error
    found.pop("input", None)  # where files lie on the server is nobody's business
    return found
