"""How well decoding and encoding hide behind the network: the time of a whole clip over that of its network alone.

    python tests/overlap.py CLIP [--backend openvino] [--repeat 3] [--loops 3] [--markdown]

Prints one line of JSON: milliseconds a frame for both, their ratio, seconds of every stage, and cores kept busy.
Run it on an otherwise idle machine, on a clip of 300 frames or more; `--loops` plays a short one so many times.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from espcn_demo.upscaler import open_upscaler
from espcn_demo.video import upscale_video
from espcn_demo.video.clip import open_clip
from espcn_demo.video.settings import check_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--repeat", type=int, default=3, help="the fastest of so many runs counts")
    parser.add_argument("--loops", type=int, default=1, help="how often the clip is played, by stream copy")
    parser.add_argument("--markdown", action="store_true", help="a table instead of JSON")
    args = parser.parse_args()
    engine = open_upscaler(backend=args.backend)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        clip_path = looped(args.clip, args.loops, Path(folder)) if args.loops > 1 else args.clip
        settings = check_settings(out, codec="h264", crf=18, preset=None, start=None, duration=None)
        with open_clip(clip_path, settings, scale=engine.scale) as clip:
            batches = [batch.planes for batch in clip.batches()]
        engine.upscale(batches[0], white=255)  # compiles
        frames = sum(len(batch) for batch in batches)
        alone = min(network(engine, batches) for _ in range(args.repeat))
        runs = [whole(clip_path, out, engine) for _ in range(args.repeat)]
    seconds, busy, report = min(runs, key=lambda run: run[0])
    found = {
        "engine": engine.name, "frames": frames, "network_ms": round(1000 * alone / frames, 2),
        "whole_ms": round(1000 * seconds / frames, 2), "ratio": round(seconds / alone, 3),
        "cores_busy": round(busy / seconds, 2), "bottleneck": report["bottleneck"],
    }  # fmt: skip
    if args.markdown:
        print("\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in found.items())]))
    else:
        print(json.dumps({**found, "stages": report["stages"]}))


def looped(clip: Path, loops: int, folder: Path) -> Path:
    import imageio_ffmpeg

    made = folder / f"looped{clip.suffix}"
    copy = ["-stream_loop", str(loops - 1), "-i", str(clip), "-c", "copy", str(made)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *copy], check=True)
    return made


def network(engine, batches: list[np.ndarray]) -> float:
    begin = time.perf_counter()
    for batch in batches:
        engine.upscale(batch, white=255)
    return time.perf_counter() - begin


def whole(clip: Path, out: Path, engine) -> tuple[float, float, dict]:
    used, begin = processor(), time.perf_counter()
    report = upscale_video(clip, out, upscaler=engine)
    return time.perf_counter() - begin, processor() - used, report.as_dict()


def processor() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
