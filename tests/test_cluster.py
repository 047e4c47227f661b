"""Work on several machines, everything that needs no Ray: the rules of handing out, sources, shelves, sentences."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from subprocess import PIPE

import pytest

from espcn_demo.cluster import connect, cores, sources, versions
from espcn_demo.cluster.dispatch import Dispatcher, NoWorkers
from espcn_demo.cluster.events import Failed, Finished, Lost, Started
from espcn_demo.cluster.job import next_index
from espcn_demo.cluster.report import Tally
from espcn_demo.cluster.run import Place, upscale_pictures, upscale_video
from espcn_demo.cluster.shelf import Shelf
from espcn_demo.cluster.tasks import Facts, Made, PictureTask, Source, Unseen
from espcn_demo.errors import InputError
from espcn_demo.limits import GENEROUS
from espcn_demo.video.decode import Health
from espcn_demo.video.pipeline import Cancelled
from espcn_demo.video.segments import Segment

ENGINE = "numpy"


def task(number):
    return PictureTask(number, Source(f"/clips/{number}", {"bytes": 1}), f"/out/{number}", False, GENEROUS)


def made(engine=ENGINE):
    segment = Segment("x", 1, 8, 0, 7, 1, 0)
    return Made(segment, False, 0.5, 0.5, Health(), {}, {}, 1.0, engine)


@dataclass
class FakeWork:
    """Tasks that are numbers; `finished` in the order in which they came back."""

    count: int
    given: int = 0

    def __post_init__(self):
        self.finished, self.lost = [], []

    @property
    def done(self):
        return len(self.finished) + len(self.lost) == self.count

    def next(self, worker):
        if self.given == self.count:
            return None
        self.given += 1
        return task(self.given - 1)

    def finish(self, one, result, data):
        self.finished.append(one.key[0])
        return True

    def give_up(self, one, reason):
        self.lost.append(one.key[0])
        raise InputError(reason)


class FakeCrew:
    """Workers on named nodes whose answer to a task is decided by `answer(worker, node, task)`.

    An answer is a number of seconds that the task takes, or an event to fail with (at once).
    """

    def __init__(self, nodes, answer, *, facts=None, replacements=()):
        self.nodes, self.answer, self.facts = deque(nodes), answer, facts or {}
        self.replacements = deque(replacements)
        self.now, self.count = 0.0, 0
        self.alive, self.due, self.busy, self.sent, self.log = {}, [], {}, [], []

    def clock(self):
        return self.now

    def hire(self):
        self.count += 1
        pool = self.nodes or self.replacements
        if pool:
            node = pool.popleft()
            self.alive[self.count] = node
            engine = self.facts.get(node, ENGINE)
            if isinstance(engine, Failed):
                self.due.append((self.now, replace(engine, worker=self.count)))
            else:
                self.due.append((self.now, Started(self.count, Facts(node, node, self.count, engine, "chosen"))))
        return self.count  # without room it never starts

    def assign(self, worker, one):
        assert worker in self.alive and worker not in self.busy, "one task at a time"
        self.busy[worker] = one
        self.log.append((self.alive[worker], one.key[0]))
        answer = self.answer(worker, self.alive[worker], one)
        if isinstance(answer, (int, float)):
            self.due.append((self.now + answer, Finished(worker, made(), lambda: b"bytes")))
        elif isinstance(answer, Failed):
            self.due.append((self.now + 0.5, replace(answer, worker=worker)))
        else:
            self.due.append((self.now + 0.5, Finished(worker, *answer)))

    def wait(self, seconds):
        self.now += seconds
        ready = [event for when, event in sorted(self.due, key=lambda one: one[0]) if when <= self.now]
        self.due = [(when, event) for when, event in self.due if when > self.now]
        for event in ready:
            self.busy.pop(event.worker, None)
        return [event for event in ready if event.worker in self.alive or isinstance(event, Started)]

    def dismiss(self, worker):
        self.alive.pop(worker, None)
        self.busy.pop(worker, None)
        self.due = [(when, event) for when, event in self.due if event.worker != worker]

    def send(self, one):
        self.sent.append(one.key[0])
        return replace(one, source=replace(one.source, parts=("part",)))

    def forget(self, one):
        pass


def run(crew, work, *, workers=2, cancelled=None):
    tally = Tally()
    Dispatcher(crew, work, tally, workers=workers, cancelled=cancelled, clock=crew.clock).run()
    return tally


def died(reason="its process died"):
    return Failed(0, reason, gone=True)


def test_every_task_is_done_once_and_each_node_is_counted():
    crew, work = FakeCrew(["a", "b"], lambda *_: 1.0), FakeWork(10)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(10))
    assert len(crew.log) == 10 and tally.retries == []
    share = tally.share()
    assert {node.node for node in share.nodes} == {"a", "b"}
    assert sum(node.tasks for node in share.nodes) == 10 and sum(node.frames for node in share.nodes) == 80
    assert share.workers == 2 and share.engine == ENGINE and share.sources == "shared path"


def test_a_fast_worker_gets_more():
    crew, work = FakeCrew(["fast", "slow"], lambda worker, node, one: 1.0 if node == "fast" else 2.5), FakeWork(14)
    run(crew, work)
    nodes = [node for node, _ in crew.log]
    assert nodes.count("fast") >= 2 * nodes.count("slow")


def test_a_dead_workers_task_goes_to_another_and_is_reported():
    answers = {("a", 0): died()}
    crew = FakeCrew(["a", "b"], lambda worker, node, one: answers.pop((node, one.key[0]), 1.0))
    work = FakeWork(4)
    tally = run(crew, work)
    assert sorted(work.finished) == [0, 1, 2, 3]
    assert [(retry.node, retry.reason) for retry in tally.retries] == [("a", "its process died")]
    assert ("b", 0) in crew.log


def test_a_dead_worker_is_replaced():
    first = [died()]
    crew = FakeCrew(["a"], lambda *_: first.pop() if first else 1.0, replacements=["c"])
    work = FakeWork(3)
    tally = run(crew, work, workers=1)
    assert sorted(work.finished) == [0, 1, 2] and tally.workers == 2
    assert {node for node, _ in crew.log[1:]} == {"c"}


def test_a_node_that_leaves_takes_nothing_with_it():
    crew = FakeCrew(
        ["a", "a", "b"], lambda worker, node, one: died("its machine left the cluster") if node == "a" else 1.0
    )
    work = FakeWork(6)
    tally = run(crew, work, workers=3)
    assert sorted(work.finished) == list(range(6))
    assert {retry.reason for retry in tally.retries} == {"its machine left the cluster"}


def test_a_worker_without_memory_is_let_go_after_two_failures():
    short = Failed(0, "it has too little memory", gone=False)
    crew = FakeCrew(["small", "large"], lambda worker, node, one: short if node == "small" else 1.0)
    work = FakeWork(8)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(8))
    assert [node for node, _ in crew.log].count("small") == 2
    assert {retry.reason for retry in tally.retries} == {"it has too little memory"}


def test_three_failures_of_one_task_end_the_run_with_the_reason():
    bad = Failed(0, "ValueError: no", gone=False)
    crew = FakeCrew(["a", "b", "c"], lambda worker, node, one: bad if one.key[0] == 1 else 1.0)
    work = FakeWork(30)
    with pytest.raises(InputError, match=r"^1 failed 3 times, at last on .: ValueError: no$"):
        run(crew, work, workers=3)
    assert len([one for one in crew.log if one[1] == 1]) == 3
    assert len({node for node, number in crew.log if number == 1}) == 3  # each time elsewhere
    assert work.finished


def test_what_a_slow_node_keeps_waiting_is_taken_over():
    crew = FakeCrew(["stuck", "good"], lambda worker, node, one: 1e6 if node == "stuck" else 1.0)
    work = FakeWork(5)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(5)) and crew.now < 60
    assert [retry.node for retry in tally.retries] == ["stuck"] and tally.retries[0].reason.startswith("slow")


def test_the_slower_of_two_results_is_ignored():
    seconds = {"stuck": 12.0, "good": 1.0}
    crew = FakeCrew(["stuck", "good"], lambda worker, node, one: seconds[node] if one.key[0] < 8 else 4.0)
    work = FakeWork(14)
    run(crew, work)
    assert sorted(work.finished) == list(range(14))


def test_a_result_that_is_lost_on_its_way_is_made_again():
    lost = [True]

    def fetch():
        raise Lost("its result did not arrive")

    def answer(worker, node, one):
        return (made(), fetch) if one.key[0] == 2 and lost and lost.pop() else 1.0

    crew, work = FakeCrew(["a", "b"], answer, replacements=["c"]), FakeWork(5)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(5))
    assert [retry.reason for retry in tally.retries] == ["its result did not arrive"]


def test_a_worker_that_cannot_read_the_path_gets_the_source_sent():
    def answer(worker, node, one):
        return 1.0 if one.source.parts or node == "near" else (Unseen("far cannot read /clips/1 (no such file)"), bytes)

    crew, work = FakeCrew(["near", "far"], answer), FakeWork(6)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(6)) and tally.retries == []
    assert tally.share().sources == "object store"
    assert tally.notes == ["far cannot read /clips/1 (no such file): its sources go through Ray's object store"]


def test_a_worker_with_another_engine_is_left_out():
    crew = FakeCrew(["a", "b"], lambda *_: 1.0, facts={"b": "cuda"})
    work = FakeWork(4)
    tally = run(crew, work)
    assert {node for node, _ in crew.log} == {"a"}
    assert tally.notes == ["b runs cuda instead of numpy and was left out: choose a backend"]


def test_a_worker_whose_engine_changes_in_the_middle_is_replaced():
    changed = [True]

    def answer(worker, node, one):
        return (made("torch"), bytes) if node == "a" and changed and changed.pop() else 1.0

    crew, work = FakeCrew(["a", "b"], answer, replacements=["c"]), FakeWork(4)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(4))
    assert tally.retries[0].reason == "its engine went over to torch"


def test_workers_that_never_start_end_the_run_with_the_reason():
    refusal = Failed(0, "node a has av 17 instead of 18: install the same versions on every machine", False, True)
    crew = FakeCrew(["a", "a"], lambda *_: 1.0, facts={"a": refusal})
    with pytest.raises(NoWorkers, match="no worker is left on the cluster: node a has av 17 instead of 18"):
        run(crew, FakeWork(2))
    assert crew.count == 2  # not tried again: it would end alike


def test_without_room_the_run_ends_in_bounded_time():
    crew = FakeCrew([], lambda *_: 1.0)
    with pytest.raises(NoWorkers, match="none started in time"):
        run(crew, FakeWork(1))
    assert crew.now < 300


def test_cancelling_ends_the_run():
    cancelled = threading.Event()

    def answer(worker, node, one):
        cancelled.set()
        return 1e6

    with pytest.raises(Cancelled):
        run(FakeCrew(["a"], answer), FakeWork(3), workers=1, cancelled=cancelled)


def test_the_head_never_asks_for_more_than_one_result_at_a_time():
    """Back-pressure: as many tasks are out as there are workers, and bytes come one after the other."""
    crew, work = FakeCrew(["a", "b", "c"], lambda *_: 1.0), FakeWork(30)
    highest = []
    assign = crew.assign

    def watched(worker, one):
        assign(worker, one)
        highest.append(len(crew.busy))

    crew.assign = watched
    run(crew, work, workers=3)
    assert max(highest) == 3


# shelves


def segment(index, size=4):
    return Segment("made.segment", size, 8, 8 * index, 8 * index + 7, 1, 0)


def test_a_shelf_takes_segments_in_any_order_and_resumes_with_gaps(tmp_path):
    shelf = Shelf(tmp_path / "out.mp4", {"a": 1})
    shelf.open(resume=False)
    for index in (2, 0, 5):
        shelf.put(index, segment(index), bytes([index] * 4))
    assert [one.first for one in shelf.segments] == [0] and sorted(shelf.ahead) == [2, 5]
    assert shelf.made == 24 and shelf.holds(2) and not shelf.holds(1)

    again = Shelf(tmp_path / "out.mp4", {"a": 1})
    again.open(resume=True)
    assert len(again.segments) == 1 and sorted(again.ahead) == [2, 5]
    again.put(1, segment(1), b"\x01" * 4)
    assert [one.first for one in again.segments] == [0, 8, 16]
    assert [(again.folder / one.file).read_bytes()[0] for one in again.segments] == [0, 1, 2]

    other = Shelf(tmp_path / "out.mp4", {"a": 2})
    other.open(resume=True)
    assert other.made == 0 and [path.name for path in other.folder.iterdir()] == ["manifest.json"]


def test_a_run_on_one_machine_goes_on_from_a_shelf(tmp_path):
    from espcn_demo.video.segments import Workshop

    shelf = Shelf(tmp_path / "out.mp4", {"a": 1})
    shelf.open(resume=False)
    for index in (0, 2):
        shelf.put(index, segment(index), bytes([index] * 4))
    workshop = Workshop(tmp_path / "out.mp4", {"a": 1})
    workshop.open(resume=True)
    assert [one.first for one in workshop.segments] == [0]


def test_a_cut_segment_is_not_resumed(tmp_path):
    shelf = Shelf(tmp_path / "out.mp4", {})
    shelf.open(resume=False)
    shelf.put(3, segment(3), b"\x03" * 4)
    (shelf.folder / "000003.segment").write_bytes(b"\x03")
    again = Shelf(tmp_path / "out.mp4", {})
    again.open(resume=True)
    assert again.made == 0


def test_workers_stay_in_their_stretch_of_a_clip():
    """Four workers on a clip of 100 segments: each goes somewhere else a few times only."""
    free, cursors, jumps = list(range(100)), {}, 0
    for turn in range(100):
        worker = turn % 4
        index = next_index(free, cursors, worker)
        jumps += index != cursors.get(worker, -2) + 1
        cursors[worker] = index
        free.remove(index)
    assert not free and jumps <= 12


@pytest.mark.parametrize(
    ("free", "cursors", "expected"),
    [
        ([0, 1, 2, 3], {}, 0),
        ([1, 2, 3], {7: 0}, 1),
        ([1, 2, 3, 4], {8: 0}, 3),
        ([2, 3, 9], {8: 1}, 9),
        ([5], {8: 4}, 5),
    ],
)
def test_which_segment_a_worker_takes(free, cursors, expected):
    assert next_index(free, cursors, 7) == expected


# sources, versions and cores


def test_a_source_is_recognised_by_content_not_by_name(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(os.urandom(5000))
    source = sources.describe(path)
    assert sources.why_unseen(source, node="n") is None
    path.write_bytes(os.urandom(5000))
    assert sources.why_unseen(source, node="n") == f"n has another file at {path}"
    path.unlink()
    assert sources.why_unseen(source, node="n") == f"n cannot read {path} (No such file or directory)"


def test_a_source_is_cut_into_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PART", 1000)
    path = tmp_path / "clip.mp4"
    path.write_bytes(data := os.urandom(2500))
    parts = list(sources.parts_of(path))
    assert [len(part) for part in parts] == [1000, 1000, 500] and b"".join(parts) == data


def test_versions_that_differ_are_named():
    ours = versions.versions()
    assert versions.differences(ours) == ""
    assert versions.differences({**ours, "av": "1.0"}) == f"av {ours['av']} instead of 1.0"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_workers_share_no_core():
    code = (  # run by its path: importing the package would take seconds
        "import runpy, sys\nprint(*runpy.run_path(sys.argv[1])['keep_to_cores'](1), flush=True)\nsys.stdin.read()"
    )
    count = len(os.sched_getaffinity(0))
    workers = [
        subprocess.Popen([sys.executable, "-c", code, cores.__file__], stdin=PIPE, stdout=PIPE, text=True)
        for _ in range(count + 1)
    ]
    found = [worker.stdout.readline().split() for worker in workers]
    for worker in workers:
        worker.communicate("")
    given = [core for one in found for core in one]
    assert len(given) == len(set(given)) <= count  # other runs on this machine may hold some
    assert [] in found  # one more than there are cores


@pytest.mark.parametrize("count", [0.5, 0, 1.5, 10_000])
def test_no_cores_of_ones_own_where_that_cannot_be(count):
    before = os.sched_getaffinity(0)
    assert cores.keep_to_cores(count) == () and os.sched_getaffinity(0) == before


# addresses and sentences


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("ray", connect.Address(None)),
        ("ray://10.0.0.5", connect.Address("10.0.0.5", 6379)),
        ("ray://10.0.0.5:7000", connect.Address("10.0.0.5", 7000)),
        ("ray://head.local:7000", connect.Address("head.local", 7000)),
        ("ray://[::1]:7000", connect.Address("::1", 7000)),
    ],
)
def test_addresses(on, expected, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert connect.parse(on) == expected and connect.is_remote(on)


def test_ray_alone_follows_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:7000")
    assert connect.parse("ray") == connect.Address("10.0.0.5", 7000)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert connect.parse("ray") == connect.Address(None)


@pytest.mark.parametrize("on", ["", "spark", "ray:/x", "ray://", "ray://a b", "ray://a:0", "ray://a:99999", "rays"])
def test_other_addresses_are_refused_in_one_sentence(on):
    with pytest.raises(InputError, match="is not understood: give local, ray or ray://HOST:PORT"):
        connect.is_remote(on)
    assert not connect.is_remote("local")


def test_without_ray_the_sentence_says_how_to_install_it(tmp_path, make_clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    clip = make_clip(tmp_path / "in.mp4", frames=2, audio=False)
    with pytest.raises(InputError, match=r"pip install 'espcn_demo\[ray\]'"):
        upscale_video(clip, tmp_path / "out.mp4", on="ray")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_an_address_where_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        InputError, match=rf"no Ray cluster can be reached at 127\.0\.0\.1:{port} \(connection refused\)"
    ):
        connect._knock(connect.Address("127.0.0.1", port))


def test_joining_takes_bounded_time():
    release = threading.Event()
    with pytest.raises(InputError, match="does not answer as a Ray cluster"):
        connect._within(0.05, release.wait, connect.Address("127.0.0.1", 1))
    release.set()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.11.2\n"
            "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.2\n",
            "runs another version of Ray or Python than this machine (Ray 2.50.0, Python 3.11.2 there; Ray 2.60.0, ",
        ),
        ("RPC error: InvalidAuthToken: Authentication token is missing", "asks for its token: set RAY_AUTH_MODE=token"),
        ("Can't find a `node_ip_address.json` file", "run `ray start --address=h:1 --num-cpus=0` on it first"),
        ("boom\nmore", "cannot be joined: boom."),
    ],
)
def test_rays_own_errors_become_one_sentence(text, sentence):
    with pytest.raises(InputError) as caught:
        connect._within(5.0, lambda: (_ for _ in ()).throw(RuntimeError(text)), connect.Address("h", 1))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"workers": 0}, "at least 1"), ({"worker_cpus": 0.0}, "positive number"), ({"worker_gpus": -1.0}, "positive")],
)
def test_places_that_cannot_be(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Place(**options)


def test_what_is_wrong_with_the_input_is_said_before_ray_starts(tmp_path, make_clip):
    begin = time.monotonic()
    (tmp_path / "text.mp4").write_text("no clip")
    with pytest.raises(InputError, match="is not a video"):
        upscale_video(tmp_path / "text.mp4", tmp_path / "out.mp4", on="ray://127.0.0.1:1")
    with pytest.raises(InputError, match="is not a folder"):
        upscale_pictures(tmp_path / "text.mp4", tmp_path / "out", on="ray://127.0.0.1:1")
    assert "ray" not in sys.modules or time.monotonic() - begin < 60


# the command line


@pytest.fixture
def calls(monkeypatch):
    """Calls of the cluster's functions with their options."""
    from espcn_demo import cluster

    found = {}

    def remember(name):
        def call(source, out, **options):
            found[name] = options
            raise InputError("that was all")

        return call

    for name in ("upscale_video", "upscale_clips", "upscale_pictures"):
        monkeypatch.setattr(cluster, name, remember(name))
    return found


@pytest.mark.parametrize(
    ("verb", "folder", "function"),
    [("video", False, "upscale_video"), ("video", True, "upscale_clips"), ("image", True, "upscale_pictures")],
)
def test_the_command_line_hands_over_its_options(tmp_path, calls, capsys, verb, folder, function):
    from espcn_demo.cli import main

    source = tmp_path / "in.mp4"
    source.mkdir() if folder else source.touch()
    where = ["--on", "ray://10.0.0.5:7000", "--workers", "3", "--worker-cpus", "2", "--worker-gpus", "0.5"]
    assert main([verb, str(source), str(tmp_path / "out.mp4"), *where, "--backend", "torch"]) == 2
    assert capsys.readouterr().err == "espcn: that was all\n"
    options = calls[function]
    assert (options["on"], options["workers"]) == ("ray://10.0.0.5:7000", 3)
    assert (options["worker_cpus"], options["worker_gpus"], options["backend"]) == (2.0, 0.5, "torch")


def test_a_folder_of_clips_leaves_the_codec_to_each_container(tmp_path, calls):
    from espcn_demo.cli import main

    main(["video", str(tmp_path), str(tmp_path / "out"), "--on", "ray"])
    assert calls["upscale_clips"]["codec"] is None


def test_one_picture_needs_no_cluster(tmp_path, capsys):
    from espcn_demo.cli import main

    (tmp_path / "in.png").touch()
    assert main(["image", str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--on", "ray"]) == 2
    assert "is for folders of pictures" in capsys.readouterr().err
