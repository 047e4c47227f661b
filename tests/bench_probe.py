"""How well `espcn probe` predicts: estimate and real run of each clip, as a Markdown table.

    python tests/bench_probe.py CLIP_OR_FOLDER... [--seconds 2] [--codec h264]

Time is compared with the real run right after it on the same machine, gain with the mean over every frame.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from espcn_demo.upscaler import open_upscaler
from espcn_demo.video import excerpt
from espcn_demo.video.estimate import estimate
from espcn_demo.video.luma import read_luma
from espcn_demo.video.shrinking import gain_of
from espcn_demo.video.upscale import upscale_video


def main() -> int:
    """Measure and print; 1 when a figure is off by more than 25 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+", help="clips, and folders whose .mp4 files are taken")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the excerpts together, seconds")
    parser.add_argument("--budget", type=float, default=excerpt.BUDGET, help="seconds of work for the excerpts")
    parser.add_argument("--codec", default="h264")
    args = parser.parse_args()
    excerpt.BUDGET = args.budget
    engine = open_upscaler()
    print(f"{engine.name}: predicted / real (difference)\n")
    print("| clip | seconds | MB | gain, dB | excerpts took |\n|---|---|---|---|---|")
    worst = 0.0
    for path in (clip for one in args.clips for clip in (sorted(one.glob("*.mp4")) if one.is_dir() else [one])):
        predicted = estimate(path, engine, args.seconds, codec=args.codec)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.mp4"
            begin = time.perf_counter()
            upscale_video(path, out, upscaler=engine, codec=args.codec)
            seconds, size = time.perf_counter() - begin, out.stat().st_size
        pairs = [gain_of(luma, engine) for luma in read_luma(path)]
        gain = sum(network - bicubic for network, bicubic in pairs) / len(pairs)
        cells = []
        for guess, real in ((predicted.seconds, seconds), (predicted.bytes / 1e6, size / 1e6), (predicted.gain, gain)):
            worst = max(worst, abs(guess / real - 1))
            cells.append(f"{guess:.2f} / {real:.2f} ({guess / real - 1:+.0%})")
        print(f"| {path.name} | {' | '.join(cells)} | {predicted.spent:.1f} s |", flush=True)
    print(f"\nlargest difference {worst:.0%}")
    return int(worst > 0.25)


if __name__ == "__main__":
    raise SystemExit(main())
