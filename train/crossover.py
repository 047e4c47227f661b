"""Find where weights for compressed sources overtake those for clean ones.

    python -m train crossover --data ../shared/data/train

Filmed stills of the validation folders are shrunk, encoded at many strengths and enlarged by each set of bundled
weights. The strength at which another set becomes the best is written to weights/suited.json, which the product reads.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from espcn_demo import weights as bundle
from espcn_demo.degrade import shrink, to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr
from espcn_demo.quantiser import FIELD, jpeg_qp, quantiser_of_fields
from espcn_demo.suited import LIMITS
from train import results
from train.clips import Enlarge, bicubic, on_codes
from train.codecs import Codes8, decode_packets, encode_packets, jpeg_round_trip
from train.data import WHITE, as_plane, load_pair
from train.footage import draw_look, film, move
from train.material import split
from train.methods import load_methods

log = logging.getLogger("train.crossover")

CRFS = (8, 12, 15, 18, 21, 24, 27, 30, 34)
QUALITIES = (98, 95, 90, 85, 80, 70, 60, 50, 35)
FRAMES, KEPT = 12, (2, 5, 8)
SIZE = (256, 320)  # height and width before shrinking
CLEAN = "espcn_x2"


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m train crossover", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders with a validation folder in them")
    parser.add_argument("--scenes", type=int, default=8, help="stills to film")
    parser.add_argument("--clean", type=Path, help="weights for clean sources (default: the bundled ones)")
    args = parser.parse_args(argv)
    stills = split(args.data)[1][: args.scenes]
    if not stills:
        raise InputError("no validation pictures: a folder named kodak or validation must be in --data.")
    names = [CLEAN, *(name for name in bundle.bundled() if "_compressed" in name)]
    files = [args.clean or bundle.folder() / f"{CLEAN}.safetensors"]
    files += [bundle.folder() / f"{name}.safetensors" for name in names[1:]]
    methods = zip(names, load_methods(files).values(), strict=True)
    enlarge = {"bicubic": bicubic} | {name: on_codes(method) for name, method in methods}
    scenes = [_scene(path, number) for number, path in enumerate(stills)]
    video = [_video_row(scenes, crf, enlarge) for crf in CRFS]
    stored = [_jpeg_row(scenes, quality, enlarge) for quality in QUALITIES]
    limits = {"video": crossings(video, names), "jpeg": crossings(stored, names)}
    path = bundle.folder() / LIMITS
    measured = {"command": "python -m train crossover", "measured": {"video": video, "jpeg": stored}}
    path.write_text(json.dumps(limits | measured, indent=1) + "\n", encoding="utf-8")
    text = _markdown(video, "x264 crf", names) + "\n" + _markdown(stored, "JPEG quality", names)
    text = f"## Clean or compressed weights\n\n`python -m train crossover`: PSNR in dB on filmed stills.\n\n{text}"
    text += "\nLeast QP for each: " + json.dumps({kind: limits[kind] for kind in ("video", "jpeg")}) + "\n"
    results.put("crossover", text)
    print(text)
    return 0


def crossings(rows: list[dict[str, Any]], names: list[str]) -> dict[str, float]:
    """The least QP from which each of `names`, ordered from clean to strong, is better than those before it.

    `rows` are ordered by QP; between two rows the difference is taken to be linear. Weights that never win get none.
    """
    found: dict[str, float] = {}
    ordered = sorted(names, key=_rank)
    for before, name in zip(ordered, ordered[1:], strict=False):
        gains = [row["psnr"][name] - row["psnr"][before] for row in rows]
        if gains[-1] <= 0:
            continue
        last = max((n for n, gain in enumerate(gains) if gain <= 0), default=None)
        if last is None:
            found[name] = rows[0]["qp"]
            continue
        share = -gains[last] / (gains[last + 1] - gains[last])
        found[name] = round(rows[last]["qp"] + share * (rows[last + 1]["qp"] - rows[last]["qp"]), 2)
    return found


def _rank(name: str) -> int:
    """From clean to strong."""
    endings = ("espcn_x2", "_light", "_compressed", "_strong")
    return next(n for n, ending in enumerate(endings) if name.endswith(ending))


def _scene(path: Path, number: int) -> list[Codes8]:
    rng = np.random.default_rng(number)
    still = as_plane(load_pair(path).high, WHITE)
    views = film(move(still, SIZE, FRAMES, rng), draw_look(rng), rng)
    return [np.asarray(to_codes(view), np.uint8) for view in views]


def _video_row(scenes: list[list[Codes8]], crf: float, enlarge: dict[str, Enlarge]) -> dict[str, Any]:
    pairs, qps = [], []
    for high in scenes:
        packets = encode_packets(_shrunk(high), codec="libx264", crf=crf)
        qps.append(stream_qp(packets))
        low = decode_packets(packets, "libx264")
        pairs += [(high[n], low[n]) for n in KEPT]
    return {"strength": crf, "qp": round(float(np.mean(qps)), 2), "psnr": _scores(pairs, enlarge)}


def _jpeg_row(scenes: list[list[Codes8]], quality: int, enlarge: dict[str, Enlarge]) -> dict[str, Any]:
    frames = [(high[n], _shrunk([high[n]])[0]) for high in scenes for n in KEPT]
    pairs = [(high, jpeg_round_trip(low, quality)) for high, low in frames]
    return {"strength": quality, "qp": round(jpeg_qp(quality), 2), "psnr": _scores(pairs, enlarge)}


def stream_qp(packets: list[bytes]) -> float:
    """The mean QP of H.264 packets, as the product reads it from a file."""
    import av
    import av.logging
    from av.bitstream import BitStreamFilterContext

    level = av.logging.get_level()
    av.logging.set_level(av.logging.TRACE)
    try:
        with av.logging.Capture() as lines:
            reader = BitStreamFilterContext("trace_headers", "h264")
            for data in packets:
                reader.filter(av.Packet(data))
    finally:
        av.logging.set_level(level)
    text = "\n".join(line[2] for line in lines)
    found = quantiser_of_fields("h264", [(name, int(value)) for name, value in FIELD.findall(text)])
    if found is None or found.qp is None:
        raise InputError("x264's stream states no quantiser: this PyAV has no trace_headers filter.")
    return found.qp


def _scores(pairs: list[tuple[Codes8, Codes8]], enlarge: dict[str, Enlarge]) -> dict[str, float]:
    return {
        name: round(float(np.mean([psnr(high, method(low), peak=255, border=2) for high, low in pairs])), 3)
        for name, method in enlarge.items()
    }


def _shrunk(frames: list[Codes8]) -> list[Codes8]:
    return [np.asarray(to_codes(shrink(as_plane(frame))), np.uint8) for frame in frames]


def _markdown(rows: list[dict[str, Any]], unit: str, names: list[str]) -> str:
    columns = ["bicubic", *names]
    lines = [
        [str(row["strength"]), f"{row['qp']:.1f}", *(f"{row['psnr'][name]:.2f}" for name in columns)] for row in rows
    ]
    return results.table([unit, "QP", *columns], lines)
