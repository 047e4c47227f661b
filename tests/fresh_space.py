"""A dry-run Space on a machine that has never seen the repository: installed, started and used.

    python -m tests.fresh_space [--hardware zero|cpu|t4|l4|a10g] [--keep-environment PYTHON]

Writes the Space's files, installs its requirements.txt into a new environment, starts its app.py as Spaces does (port
7860 or the one of --port, GRADIO_SERVER_NAME=0.0.0.0, a home directory that cannot be written except for its cache),
and sends one picture and one clip through it with gradio_client. Prints what took how long; exit code 0 when all of it
works, 1 with the reason when anything fails or takes too long; nothing is left behind. `--keep-environment` takes an
existing interpreter instead of installing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from espcn_demo.space import CPU_WHEELS, TORCH, publish

INSTALLED_WITHIN = 600.0  # seconds
UP_WITHIN = 120.0  # seconds
NOBODY = 65_534  # the user that the page runs as when root starts this, so that permissions hold
DONE_WITHIN = 60.0  # seconds for the picture, and for the clip


def main(argv: list[str] | None = None) -> int:
    """Run the check; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hardware", default="zero", help="whose requirements.txt is installed")
    parser.add_argument("--port", type=int, default=7860, help="port to serve on")
    parser.add_argument("--keep-environment", metavar="PYTHON", help="an interpreter that has the requirements already")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a supervisor's kill cleans up as well
    with tempfile.TemporaryDirectory(prefix="space-") as name:
        root = Path(name)
        report = publish("owner/name", hardware=options.hardware, dry_run=root / "space")
        print(report.text(), flush=True)
        python = options.keep_environment or _install(root)
        check(root, python, port=options.port)
    return 0


def check(root: Path, python: str, *, port: int) -> None:
    """Start `root/space/app.py` with an interpreter and use it; raises when anything fails."""
    with socket.create_server(("127.0.0.1", port)):
        pass  # taken by another page, that one would answer
    began = time.monotonic()
    server = _start(root, python, port)
    try:
        _wait_until_up(server, port)
        print(f"page after {time.monotonic() - began:.1f} s")
        _use(root, port)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    left = [path for path in (root / "home").rglob("*") if path.is_file() and ".cache" not in path.parts]
    left += (root / "tmp").glob("espcn-*/*")
    assert not left, f"left in the home directory or among the page's files: {left}"


def _install(root: Path) -> str:
    """The requirements in a new environment, with the CPU torch; the machine's own package index serves it."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", str(root / "environment")], check=True)
    python = str(root / "environment" / "bin" / "python")
    wanted = (root / "space" / "requirements.txt").read_text().replace(CPU_WHEELS + "\n", "")
    wanted = wanted.replace(TORCH, "torch>=2.11,<2.14")  # ZeroGPU's limit; here the CPU build at hand serves
    (root / "wanted.txt").write_text(wanted)
    install = ["install", "-q", "--no-compile", "--disable-pip-version-check", "-r", str(root / "wanted.txt")]
    subprocess.run([python, "-m", "pip", *install], check=True, timeout=INSTALLED_WITHIN)
    print(f"installed in {time.monotonic() - began:.0f} s", flush=True)
    return python


def _start(root: Path, python: str, port: int) -> subprocess.Popen[bytes]:
    home, temporary = root / "home", root / "tmp"
    (home / ".cache").mkdir(parents=True)
    temporary.mkdir()
    home.chmod(0o555)
    root.chmod(0o711)
    nobody = _nobody(python)
    if nobody:
        for folder in (home / ".cache", temporary):
            os.chown(folder, NOBODY, NOBODY)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(temporary),
        "PYTHONPYCACHEPREFIX": str(temporary / "compiled"),  # of the few modules that are used
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "HF_HUB_OFFLINE": "1",
        "SPACE_ID": "owner/name",
    }
    return subprocess.Popen([python, "app.py"], cwd=root / "space", env=environment, **nobody)


def _nobody(python: str) -> dict[str, Any]:
    """Options that start a process without privileges, where root runs this and others may use the interpreter."""
    options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        if os.geteuid() == 0 and subprocess.run([python, "-c", ""], cwd="/", timeout=60, **options).returncode == 0:
            return options
    except PermissionError:
        pass
    print("the page runs as this user: permissions of the home directory are not tried", flush=True)
    return {}


def _wait_until_up(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + UP_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"app.py ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                assert json.load(answer)["alive"]
                return
        except OSError:
            time.sleep(0.25)
    raise SystemExit(f"the page is not up after {UP_WITHIN:.0f} s")


def _use(root: Path, port: int) -> None:
    from gradio_client import Client, handle_file
    from PIL import Image
    from skimage.data import astronaut

    from .conftest import write_clip

    picture, clip = root / "in.png", write_clip(root / "in.mp4")
    Image.fromarray(astronaut()[:96, :128]).save(picture)
    client = Client(f"http://127.0.0.1:{port}/", verbose=False, download_files=str(root / "downloads"))
    began = time.monotonic()
    large, _ = client.submit(handle_file(str(picture)), "fast", api_name="/image").result(DONE_WITHIN)
    with Image.open(large) as opened:
        assert opened.size == (256, 192), opened.size
    print(f"picture after {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    large, _ = client.submit(handle_file(str(clip)), "h264", 18, 0, 0, api_name="/video").result(DONE_WITHIN)
    import av

    with av.open(large) as container:
        video = container.streams.video[0]
        frames = sum(1 for _ in container.decode(video))
        assert (video.width, video.height, frames) == (128, 96, 12)
    print(f"clip after {time.monotonic() - began:.1f} s")
    client.close()


if __name__ == "__main__":
    sys.exit(main())
