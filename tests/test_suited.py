"""The choice between weights for clean and for compressed sources."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from espcn_demo import suited
from espcn_demo.errors import InputError
from espcn_demo.quantiser import Quantiser, jpeg_quality, picture_quantiser, quantiser_of_fields, video_quantiser


@pytest.fixture
def limits(tmp_path, monkeypatch):
    stored = {"video": {"espcn_x2_compressed": 16.0, "espcn_x2_compressed_strong": 28.0, "gone": 1.0}}
    stored["jpeg"] = {"espcn_x2_compressed": 15.0}
    (tmp_path / suited.LIMITS).write_text(json.dumps(stored))
    monkeypatch.setattr(suited, "folder", lambda: tmp_path)
    names = ["espcn_x2", "espcn_x2_compressed", "espcn_x2_compressed_strong"]
    monkeypatch.setattr(suited, "bundled", lambda: names)


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 98])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(tmp_path, photo, quality):
    Image.fromarray(photo).save(tmp_path / "p.jpg", quality=quality)
    found = picture_quantiser(tmp_path / "p.jpg")
    assert found.quality == pytest.approx(quality, abs=2)


def test_quality_fifty_is_the_standard_table():
    from espcn_demo.quantiser import STANDARD

    assert len(STANDARD) == 64 and jpeg_quality(STANDARD) == pytest.approx(50)


def test_a_lossless_picture_is_clean(tmp_path, photo, limits):
    Image.fromarray(photo).save(tmp_path / "p.png")
    name, reason = suited.suited(tmp_path / "p.png")
    assert name == "espcn_x2" and reason == "PNG loses nothing: weights for clean sources"


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (Quantiser(10, "h264"), "espcn_x2"),
        (Quantiser(20, "h264"), "espcn_x2_compressed"),
        (Quantiser(28, "h264"), "espcn_x2_compressed_strong"),
        (Quantiser(None, "unknown"), "espcn_x2"),
        (Quantiser(40, "JPEG", 30), "espcn_x2_compressed"),
    ],
)
def test_the_limits_decide(limits, found, name):
    assert suited.choose(found)[0] == name


def test_without_limits_it_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(suited, "folder", lambda: tmp_path)
    assert suited.choose(Quantiser(40, "h264"))[0] == "espcn_x2"


def test_slice_quantisers_count_from_the_picture_parameters():
    fields = [("pic_init_qp_minus26", -3), ("slice_qp_delta", 2), ("slice_qp_delta", 4)]
    assert quantiser_of_fields("h264", fields).qp == 26
    assert quantiser_of_fields("vp8", []) is None


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_a_coarser_stream_has_a_higher_quantiser(tmp_path, codec):
    found = [video_quantiser(coded(tmp_path / f"{crf}.mkv", codec, crf)).qp for crf in (15, 35)]
    assert found[0] + 8 < found[1]


def test_no_video_is_one_sentence(tmp_path):
    (tmp_path / "x.mp4").write_text("no video")
    with pytest.raises(InputError) as caught:
        suited.suited(tmp_path / "x.mp4")
    assert "\n" not in str(caught.value)


def coded(path, codec, crf):
    import av
    from skimage.data import camera

    options = {"crf": str(crf), "b": "0", "x265-params": "log-level=none"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options if codec != "libx264" else {"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for n in range(6):
            picture = np.repeat(camera()[100:164, 200 + n : 296 + n, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode(None))
    return path
