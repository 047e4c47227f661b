"""A wheel built from the checkout works from any folder: code, page files and weights travel inside."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT


@pytest.mark.slow
def test_an_installed_wheel_upscales_from_another_folder(tmp_path, photo):
    built, home, elsewhere = tmp_path / "built", tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    wheel = next(built.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert "espcn_demo/_weights/espcn_x2.safetensors" in names and "espcn_demo/py.typed" in names
    assert not any(name.startswith(("train/", "tests/")) for name in names)

    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(home),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=240)
    Image.fromarray(photo).save(elsewhere / "in.png")
    run = (
        f"import sys; sys.path.insert(0, {str(home)!r}); import espcn_demo; "
        f"assert espcn_demo.__file__.startswith({str(home)!r}), espcn_demo.__file__; "
        "from espcn_demo.cli import main; sys.exit(main(['image', 'in.png', 'out.png', '--backend', 'openvino']))"
    )
    # -P and the other folder keep the checkout itself off the path.
    subprocess.run([sys.executable, "-P", "-c", run], check=True, cwd=elsewhere, timeout=240)
    with Image.open(elsewhere / "out.png") as result:
        assert result.size == (2 * photo.shape[1], 2 * photo.shape[0])
        assert np.asarray(result).std() > 10
