"""Two clips in step: bars in the frames tell which frame each side really shows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

FRAMES, SIZE, BITS = 60, (320, 180), 8
CLIP = "#video-compare .cmp"
# Reads the frame's number off a canvas: eight bars, the lowest bit first, in the middle of the picture.
READ = f"""() => {{
  const stage = document.querySelector('{CLIP} .cmp-stage'), ratio = window.devicePixelRatio;
  const size = [{2 * SIZE[0]}, {2 * SIZE[1]}], room = [stage.clientWidth * ratio, stage.clientHeight * ratio];
  const scale = Math.min(room[0] / size[0], room[1] / size[1], 2 * ratio);
  window.shown = (side) => {{
    const context = document.querySelector('{CLIP} .cmp-' + side).getContext('2d');
    let number = 0;
    for (let bit = 0; bit < {BITS}; bit += 1) {{
      const x = (room[0] - size[0] * scale) / 2 + size[0] * scale * (bit + 0.5) / {BITS};
      if (context.getImageData(Math.round(x), Math.round(room[1] / 2), 1, 1).data[1] > 128) number |= 1 << bit;
    }}
    return number;
  }};
  window.both = () => [shown('left'), shown('right'), Number(document.querySelector('{CLIP}').dataset.frame)];
}}"""


def write_bars(path: Path, *, variable: bool) -> Path:
    """Every frame carries its number; with `variable` the frames last 20, 40 and 70 ms in turn."""
    import av

    width, height = SIZE
    clock = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "14", "preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = width, height, "yuv420p", clock
        stream.codec_context.time_base = clock
        time = 0
        for index in range(FRAMES):
            picture = np.full((height, width, 3), 90, np.uint8)
            for bit in range(BITS):
                picture[height // 4 : 3 * height // 4, width * bit // BITS : width * (bit + 1) // BITS] = (
                    255 if index >> bit & 1 else 0
                )
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = time, clock
            time += (20, 40, 70)[index % 3] if variable else 40
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("variable", [False, True], ids=["constant rate", "variable rate"])
def test_same_frame_on_both_sides(open_page, tmp_path, variable):
    page = open_page()
    page.get_by_role("tab", name="Video").click()
    panel = page.get_by_role("tabpanel").locator("visible=true").first
    panel.locator("input[type=file]").first.set_input_files(str(write_bars(tmp_path / "bars.mp4", variable=variable)))
    page.locator("#video-status", has_text="Preview of").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("#video-status", has_text="Done").wait_for()
    page.locator(f"{CLIP}[data-kind=clip][data-ready]").wait_for()
    page.evaluate(READ)
    assert page.evaluate("both()") == [0, 0, 0]

    def at(number: int) -> None:
        page.locator(f"{CLIP}[data-frame='{number}']").wait_for()
        assert page.evaluate("both()") == [number] * 3

    page.locator(f"{CLIP} .cmp-wipe").focus()
    for number in (1, 2, 3):
        page.keyboard.press(".")
        at(number)
    page.keyboard.press(",")
    at(2)
    seek = page.locator(f"{CLIP} .cmp-seek")
    for number in (41, 7, 59):
        seek.fill(str(number))
        at(number)
    seek.fill("0")
    at(0)

    # While it plays, every picture that is drawn is looked at.
    page.evaluate(
        "() => { window.seen = []; const look = () => { seen.push(both()); requestAnimationFrame(look); }; look(); }"
    )
    page.locator(f"{CLIP} .cmp-play").click()
    page.wait_for_function("new Set(seen.map((one) => one[1])).size > 8")
    page.locator(f"{CLIP} .cmp-play").click()
    seen = page.evaluate("seen")
    assert max(abs(left - right) for left, right, _ in seen) <= 1
    assert sum(left == right for left, right, _ in seen) >= 0.9 * len(seen)
    page.wait_for_function(f"!document.querySelector('{CLIP}').hasAttribute('data-playing')")
    left, right, frame = page.evaluate("both()")
    assert left == right == frame
