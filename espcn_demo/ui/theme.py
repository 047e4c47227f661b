"""The look: system fonts, one accent colour, light and dark, nothing fetched from anywhere else."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
ACCENT = "#0f6b66"  # 6.3:1 against white
ACCENT_LIGHT = "#5cc8c0"  # for text on dark grounds


def theme() -> gr.themes.Base:
    """Gradio's plain theme with this page's colours."""
    import gradio as gr

    made = gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        font=FONT,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_lg,
    )
    return made.set(
        body_background_fill="#fbfbfa",
        body_background_fill_dark="#111418",
        body_text_color="#1c2127",
        body_text_color_dark="#e6e9ed",
        body_text_color_subdued="#56606b",
        body_text_color_subdued_dark="#a3acb8",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#181c21",
        background_fill_secondary="#f4f4f2",
        background_fill_secondary_dark="#1e232a",
        block_background_fill="#ffffff",
        block_background_fill_dark="#181c21",
        border_color_primary="#dcdedb",
        border_color_primary_dark="#333a43",
        block_border_color="#dcdedb",
        block_border_color_dark="#333a43",
        block_label_text_color="#3d454e",
        block_label_text_color_dark="#c8ced6",
        block_title_text_color="#1c2127",
        block_title_text_color_dark="#e6e9ed",
        block_info_text_color="#56606b",
        block_info_text_color_dark="#a3acb8",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1e232a",
        input_border_width="1px",
        input_border_color="#c4c8c3",
        input_border_color_dark="#3d4550",
        input_placeholder_color="#6a747e",
        input_placeholder_color_dark="#98a2ad",
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_dark=ACCENT,
        button_primary_background_fill_hover="#0b5450",
        button_primary_background_fill_hover_dark="#0b5450",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#eeeeeb",
        button_secondary_background_fill_dark="#262c34",
        button_secondary_background_fill_hover="#e2e3df",
        button_secondary_background_fill_hover_dark="#303843",
        button_secondary_text_color="#1c2127",
        button_secondary_text_color_dark="#e6e9ed",
        color_accent=ACCENT,
        checkbox_background_color_selected=ACCENT,
        checkbox_background_color_selected_dark=ACCENT,
        checkbox_border_color_selected=ACCENT,
        checkbox_border_color_selected_dark=ACCENT,
        slider_color=ACCENT,
        slider_color_dark=ACCENT_LIGHT,
        link_text_color=ACCENT,
        link_text_color_dark=ACCENT_LIGHT,
        link_text_color_visited=ACCENT,
        link_text_color_visited_dark=ACCENT_LIGHT,
        link_text_color_hover="#0b5450",
        link_text_color_hover_dark="#8fdcd6",
        link_text_color_active="#0b5450",
        link_text_color_active_dark="#8fdcd6",
        table_even_background_fill="#ffffff",
        table_even_background_fill_dark="#181c21",
        table_odd_background_fill="#f4f4f2",
        table_odd_background_fill_dark="#1e232a",
        checkbox_background_color_dark="#111418",
        block_shadow="none",
        block_shadow_dark="none",
    )


@cache
def css() -> str:
    """The page's own rules."""
    return resources.files(__package__).joinpath("page.css").read_text("utf-8")
