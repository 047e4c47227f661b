"""Clips that try to reach other files or addresses, lie about themselves, or are no clips at all."""

import struct
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from espcn_demo.errors import InputError
from espcn_demo.limits import Limits
from espcn_demo.video import source
from espcn_demo.video.source import frame_count, frame_rate, open_source, seconds, video_stream
from tests.canary import Canary

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    "hls-after-blank": "\n#EXTM3U\n#EXTINF:1,\n{target}\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet contentType="video"><Representation id="0" bandwidth="1">'
    "<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">{target}'
    "</CompositionPlaylist>",
    "rtsp": "[Reference]\nRef1={target}\n",
}


@pytest.fixture
def canary(tmp_path):
    watcher = Canary(tmp_path)
    yield watcher
    watcher.close()


def is_refused(path, match=None, **options):
    with pytest.raises(InputError, match=match) as caught, open_source(path, **options):
        pass
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("kind", sorted(PLAYLISTS))
@pytest.mark.parametrize("target", ["file", "absolute", "address"])
def test_a_playlist_named_mp4_opens_nothing_else(tmp_path, canary, kind, target):
    aim = {"file": "canary.ts", "absolute": str(canary.pipe), "address": f"http://127.0.0.1:{canary.port}/canary.ts"}
    path = tmp_path / "innocent.mp4"
    path.write_text(PLAYLISTS[kind].format(target=aim[target], port=canary.port))
    is_refused(path, "innocent.mp4")
    canary.close()
    assert canary.touched == []


@pytest.mark.parametrize(("kind", "target", "seen"), [("concat", "canary.ts", "file"), ("hls", None, "address")])
def test_the_canary_sees_an_unguarded_reader(tmp_path, canary, kind, target, seen):
    path = tmp_path / "playlist.m3u8"
    path.write_text(PLAYLISTS[kind].format(target=target or f"http://127.0.0.1:{canary.port}/canary.ts"))
    options = {"protocol_whitelist": "file,http,tcp"}
    with pytest.raises((av.error.FFmpegError, OSError)), av.open(str(path), options=options) as container:
        next(container.decode(video=0))
    canary.close()
    assert seen in canary.touched


def alias_record(path):
    """A QuickTime 'alis' data reference to another file, as FFmpeg's mov demuxer reads it."""
    name = path.name.encode()
    fixed = bytes(10) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    fixed += bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
    full = str(path).encode()
    full += b"\0" * (len(full) % 2)
    record = fixed + struct.pack(">hH", 2, len(full)) + full + struct.pack(">hH", -1, 0)
    body = b"alis" + bytes(4) + record
    return struct.pack(">I", 4 + len(body)) + body


def with_reference(clip, path):
    """The clip with its data reference replaced by one to `path`; its boxes grow, the media data lies before them."""
    data = clip.read_bytes()
    at = data.index(b"dref") - 4
    size = struct.unpack(">I", data[at : at + 4])[0]
    new = struct.pack(">I4sII", 0, b"dref", 0, 1) + alias_record(path)
    new = struct.pack(">I", len(new)) + new[4:]
    growth = len(new) - size
    out = bytearray(data[:at] + new + data[at + size :])
    for name in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        box = data.rindex(name, 0, at) - 4
        old = struct.unpack(">I", data[box : box + 4])[0]
        out[box : box + 4] = struct.pack(">I", old + growth)
    return bytes(out)


def test_references_to_other_files_stay_closed(tmp_path, canary, make_clip):
    clip = make_clip(tmp_path / "plain.mov", frames=3, audio=False)
    path = tmp_path / "reference.mov"
    path.write_bytes(with_reference(clip, canary.pipe))
    with open_source(path) as container:
        list(container.demux())
    assert canary.touched == []
    # The reference is real: a reader without the guard follows it.
    unguarded = {"enable_drefs": "1", "use_absolute_path": "1"}
    with (
        pytest.raises((av.error.FFmpegError, StopIteration)),
        av.open(str(path), options=unguarded) as container,
    ):
        next(container.decode(video=0))
    canary.close()
    assert "file" in canary.touched


NAMES = [
    "-dash.mp4",
    "-i",
    "concat:a.mp4",
    "http:x.mp4",
    "pipe:0",
    "file:a.mp4",
    "a%03d.mp4",
    "data:,x",
    "ü 🎬.mp4",
    "a?b#c",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name(tmp_path, monkeypatch, make_clip, name):
    make_clip(tmp_path / "clip.mp4", frames=3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with open_source(source.Path(name)) as container:
        assert len(list(container.decode(video=0))) == 3


def test_a_numbered_gif_is_read_from_its_own_file(tmp_path):
    first, second = tmp_path / "a%d.gif", tmp_path / "a1.gif"
    for path, size in ((first, (32, 24)), (second, (64, 48))):
        Image.fromarray(np.zeros((size[1], size[0]), np.uint8)).save(path, save_all=True, append_images=[])
    with open_source(first) as container:
        assert video_stream(container).width == 32


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"hello " * 50, "not a video"),
        ("list.m3u8", b"#EXTM3U\n", "HLS playlist"),
        ("zeros.mkv", bytes(4096), "not a video"),
        ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(100), "picture"),
    ],
)
def test_what_is_no_clip_is_refused_in_a_sentence(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content)
    is_refused(path, match)


def test_missing_folder_pipe_and_zero_byte_are_refused(tmp_path, canary):
    is_refused(tmp_path / "missing.mp4", "does not exist")
    is_refused(tmp_path, "not a file")
    is_refused(canary.pipe, "not a file")
    is_refused(tmp_path / "a\0b.mp4", "cannot be opened")


def test_only_audio_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    is_refused(path, "no video to enlarge, only audio")


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (Limits(pixels=64 * 48 - 1), "pixels"),
        (Limits(seconds=0.4), "s long"),
        (Limits(frames=11), "12 frames"),
        (Limits(streams=1), "2 streams"),
        (Limits(bytes=100), "MiB"),
    ],
)
def test_each_limit_is_named(tmp_path, make_clip, limits, match):
    path = make_clip(tmp_path / "clip.mp4", frames=12, size=(64, 48), rate=25)
    is_refused(path, match, limits=limits)
    with open_source(path, limits=Limits(pixels=64 * 48, seconds=0.6, frames=12, streams=2)) as container:
        assert frame_count(container, video_stream(container)) == 12


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "libx264"), ("clip.webm", "libvpx-vp9"), ("clip.ts", "mpeg2video")]
)
def test_frames_far_beyond_the_limit_are_not_even_looked_at(tmp_path, make_clip, name, codec):
    path = make_clip(tmp_path / name, frames=3, size=(320, 240), codec=codec, audio=False)
    is_refused(path, "76,800 pixels|too large", limits=Limits(pixels=1000))


def test_frames_that_grow_later_do_not_decode(tmp_path):
    path = tmp_path / "growing.ts"
    with av.open(str(path), "w") as container:
        first = container.add_stream("mpeg2video", rate=25)
        first.width, first.height, first.pix_fmt = 64, 48, "yuv420p"
        second = av.CodecContext.create("mpeg2video", "w")
        second.width, second.height, second.pix_fmt = 640, 480, "yuv420p"
        second.time_base, second.framerate = Fraction(1, 25), Fraction(25)
        for index in range(30):
            small = index < 20
            frame = av.VideoFrame(64 if small else 640, 48 if small else 480, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            for packet in (first if small else second).encode(frame):
                packet.stream = first
                container.mux(packet)

    def widths(limits):
        found = set()
        with open_source(path, limits=limits) as container:
            for packet in container.demux(video_stream(container)):
                try:
                    found |= {frame.width for frame in packet.decode()}
                except (av.error.FFmpegError, EOFError):
                    continue
        return found

    assert widths(Limits(pixels=64 * 48)) == {64} and widths(Limits()) == {64, 640}


def test_a_part_of_a_long_clip_is_within_the_limits(tmp_path, make_clip):
    path = make_clip(tmp_path / "clip.mp4", frames=50, rate=25)
    limits = Limits(seconds=1, frames=25)
    is_refused(path, limits=limits)
    with open_source(path, limits=limits, part=1.0):
        pass
    is_refused(path, limits=limits, part=1.5)


def stream_with(**values):
    return SimpleNamespace(
        **{"average_rate": None, "guessed_rate": None, "base_rate": None, "time_base": Fraction(1, 90000)} | values
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"average_rate": Fraction(24000, 1001)}, Fraction(24000, 1001)),
        ({"average_rate": Fraction(1000), "guessed_rate": Fraction(60), "time_base": Fraction(1, 1000)}, 60),
        ({"average_rate": Fraction(960), "guessed_rate": Fraction(60)}, 960),
        ({"average_rate": None, "guessed_rate": Fraction(90000), "base_rate": Fraction(90000)}, 25),
        ({"average_rate": Fraction(0), "guessed_rate": Fraction(-5)}, 25),
        ({"time_base": None}, 25),
    ],
)
def test_frame_rates_are_sane(values, expected):
    assert frame_rate(stream_with(**values)) == expected


@pytest.mark.parametrize(
    ("stream", "container", "expected"),
    [
        ((90_000, Fraction(1, 90_000)), 5_000_000, 1.0),
        ((-1, Fraction(1, 90_000)), 5_000_000, 5.0),
        ((2**62, Fraction(1, 1000)), 5_000_000, 5.0),
        ((None, None), -(2**63), None),
        ((None, None), None, None),
    ],
)
def test_durations_are_sane(stream, container, expected):
    own = SimpleNamespace(duration=stream[0], time_base=stream[1])
    assert seconds(SimpleNamespace(duration=container), own) == expected


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("mutated") / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(stream.encode(None))
    return path.read_bytes()


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=30), cut=st.booleans()
)
def test_a_damaged_file_opens_or_is_refused(tmp_path, clip_bytes, changes, cut):
    data = bytearray(clip_bytes)
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path / "damaged.mkv"
    path.write_bytes(data[: changes[0][0] % len(data) + 1] if cut else data)
    try:
        with open_source(path) as container:
            stream = video_stream(container)
            assert stream is not None and 0 < frame_rate(stream) <= source.MAX_RATE
    except InputError as error:
        assert str(error).startswith("damaged.mkv")


def test_every_odd_clip_opens_or_is_refused_in_a_sentence(data):
    refused = set()
    for path in sorted((data / "video" / "odd").iterdir()):
        if path.suffix == ".md":
            continue
        try:
            with open_source(path) as container:
                stream = video_stream(container)
                assert 1 <= frame_rate(stream) <= 120, path.name
        except InputError as error:
            refused.add(path.name)
            assert path.name in str(error)
    assert {"audio-only.mp4", "made-empty.mp4", "made-text-named.mp4"} <= refused
