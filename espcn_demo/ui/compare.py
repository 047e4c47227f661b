"""The compare component: before and after of a still or a clip, on gr.HTML.

Python sends one plain value; compare_stage.js and compare_clip.js draw it with DOM calls and text nodes only, and the
template itself holds no value: nothing a user gave is ever read as HTML or as a template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio as gr

Value = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """One side of the comparison.

    label      what it is, for the tag on the picture and the choice of the left side
    path       a picture or an H.264 clip that browsers play, already in the results folder
    pixelated  shown without smoothing: a small source drawn so is nearest-neighbour enlarging
    """

    label: str
    path: Path
    pixelated: bool = False

    def value(self) -> Value:
        """The side as the component wants it."""
        from gradio.data_classes import FileData

        return {"label": self.label, "file": FileData(path=str(self.path)).model_dump(), "pixelated": self.pixelated}


@dataclass(frozen=True)
class Curve:
    """PSNR over time: `times` in seconds, `series` as (label, values in dB), the first drawn in colour."""

    times: Sequence[float]
    series: Sequence[tuple[str, Sequence[float]]]

    def value(self) -> Value:
        """The curve as the component wants it; infinite values (equal frames) are drawn at 100 dB."""
        return {
            "times": [round(time, 4) for time in self.times],
            "series": [
                {"label": name, "values": [round(min(db, 100.0), 3) for db in all]} for name, all in self.series
            ],
        }


def component(*, hint: str, elem_id: str) -> gr.HTML:
    """A new compare component; `hint` is its empty state.

    A function and not a subclass: Gradio writes a .pyi beside the module of every subclass.
    """
    import gradio as gr

    return gr.HTML(
        None,
        html_template=_file("compare.html"),
        css_template=_file("compare.css"),
        js_on_load=_file("compare_stage.js") + _file("compare_clip.js"),
        apply_default_css=False,
        hint=hint,
        elem_id=elem_id,
    )


def still(identity: str, left: Sequence[Side], right: Side, *, width: int, height: int) -> Value:
    """Two pictures; `width` and `height` are the result's pixels, every left side is drawn at that size.

    A later value with the same `identity` only adds left sides, and the viewer's wipe and zoom stay.
    """
    return _value("still", identity, left, right, width, height)


def clip(
    identity: str,
    left: Sequence[Side],
    right: Side,
    *,
    width: int,
    height: int,
    times: Sequence[float],
    sound: bool = False,
    curve: Curve | None = None,
) -> Value:
    """Two clips with the same frame times (seconds, the first 0); `sound` says that the right one has some."""
    value = _value("clip", identity, left, right, width, height)
    return value | {
        "times": [round(time, 6) for time in times],
        "frames": len(times),
        "sound": sound,
        "curve": curve.value() if curve else None,
    }


def live(identity: str, side: Side, *, width: int, height: int) -> Value:
    """One picture without controls: the newest frame of work in progress."""
    return _value("live", identity, [], side, width, height)


def _value(kind: str, identity: str, left: Sequence[Side], right: Side, width: int, height: int) -> Value:
    return {
        "kind": kind,
        "id": identity,
        "left": [side.value() for side in left],
        "right": right.value(),
        "width": width,
        "height": height,
    }


@cache
def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
