"""Every text of the page in one place, and the small pieces of HTML around it; all values are escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import isinf

TITLE = "ESPCN: twice the size"
HEAD = "Twice the size, and you see the difference"
INTRO = (
    "Drop a picture or a clip. Seconds later it stands beside the original at twice the size, "
    "with the gain measured instead of claimed. No account, no GPU."
)
HINT_IMAGE = "Drop, paste or take a picture, or try one of the examples: before and after appear here."
HINT_VIDEO = "Drop a clip: two seconds of it, before and after, appear here by themselves."
HINT_FOUR = "Drop a picture or a short clip: four times the size, and what each pass adds, appear here."
MEASURE = "Measure"
MEASURE_INFO = "Shrinks your upload first, restores it, and compares with the original: the only honest PSNR."
LOCATION = "Remove location"
LOCATION_INFO = "Leaves the GPS position out of the downloaded file; everything else is kept."
QUALITY_INFO = "Best averages eight flips and rotations: a little sharper, eight times the work."
WEIGHTS_INFO = "The trained network. Automatic looks at how strongly the file was compressed."
CODEC_INFO = "Of the file you download. H.264 plays everywhere."
CRF_INFO = "Lower is better and larger: 18 looks lossless, 28 is small."
LINK_INFO = "Opens this result again for as long as it is kept."
GONE = "This result is no longer kept: results are removed after a while, so upload the file again."
NO_PICTURE = "Choose a picture first: drop it into the field on the left, paste it, or take an example."
NO_CLIP = "Choose a clip first: drop it into the field above."
NO_UPLOAD = "Choose a picture or a short clip first."
STOPPED = "Stopped; nothing was kept. Press the button to start again."
RESTARTED = "The server was restarted and has no files from before: upload yours again."
# What Gradio's own messages begin with -> what the page says in their place.
INSTEAD = {
    "Connection to the server was lost": "The server does not answer at the moment. Leave this page open: it loads by "
    "itself when the server is back, and you can upload your file again.",
    "Connection errored out": "The server cannot be reached: wait a moment, then try again.",
    "Only files that were uploaded": RESTARTED,
    "File(s) exceed the maximum": "This file is larger than what is accepted here (see the About tab): choose a "
    "smaller one, or cut out a part first.",
    "Invalid file type": "Such files do not belong here: pictures go into the Image tab, clips into the Video tab.",
    "This application is currently busy": "Too many people are waiting already: try again in a minute.",
}
METHOD_NAMES = {
    "network": "ESPCN",
    "bicubic": "Bicubic",
    "lanczos": "Lanczos",
    "bilinear": "Bilinear",
    "nearest": "Nearest",
}


def header() -> str:
    """The page's heading."""
    notice = f"<div class='status problem' role='alert' id='restarted' hidden>{escape(RESTARTED)}</div>"
    return f"<header class='page-head'><h1>{escape(HEAD)}</h1><p>{escape(INTRO)}</p>{notice}</header>"


def status(text: str, *, done: float | None = None, busy: bool = False) -> str:
    """A line that screen readers announce, with a bar when `done` (0 to 1) is known."""
    if not text:
        return "<div class='status' role='status'></div>"
    bar = ""
    if done is not None:
        percent = round(100 * min(max(done, 0.0), 1.0))
        bar = f"<progress max='100' value='{percent}' aria-label='Progress'>{percent} %</progress>"
    elif busy:
        bar = "<progress aria-label='Working'></progress>"
    return f"<div class='status' role='status'>{bar}<span>{escape(text)}</span></div>"


def problem(sentence: str) -> str:
    """A sentence that says what went wrong and what to do next."""
    return f"<div class='status problem' role='alert'>{escape(sentence)}</div>"


def facts(pairs: Sequence[tuple[str, str]], notes: Sequence[str] = ()) -> str:
    """The readout: short facts in a row, then notes as sentences."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in pairs)
    lines = "".join(f"<p class='note'>{escape(note)}</p>" for note in notes)
    return f"<dl class='facts'>{items}</dl>{lines}"


def scores(rows: Sequence[tuple[str, float, float]], *, caption: str, own: int = 1) -> str:
    """PSNR and SSIM as a table; the first `own` rows are the network's, and their gain over bicubic is in bold."""
    reference = next((db for name, db, _ in rows if name.lower().startswith("bicubic")), None)
    lines = []
    for index, (name, db, similarity) in enumerate(rows):
        gain = ""
        if reference is not None and name.lower() != "bicubic" and not (isinf(db) or isinf(reference)):
            gain = f"{db - reference:+.2f} dB"
        gain = f"<strong>{gain}</strong>" if index < own and gain else gain
        lines.append(
            f"<tr><th scope='row'>{escape(name)}</th><td>{decibel(db)}</td><td>{similarity:.4f}</td>"
            f"<td>{gain}</td></tr>"
        )
    head = "<tr><th scope='col'>Method</th><th scope='col'>PSNR</th><th scope='col'>SSIM</th>"
    return (
        f"<table class='scores'><caption>{escape(caption)}</caption><thead>{head}"
        f"<th scope='col'>over bicubic</th></tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def decibel(value: float) -> str:
    """A PSNR for people."""
    return "equal" if isinf(value) else f"{value:.2f} dB"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def duration(seconds: float) -> str:
    """Seconds for people: 0.42 s, 12 s, 3 min 05 s."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole % 3600 == 0:
        return "1 hour" if whole == 3600 else f"{whole // 3600} hours"
    if whole < 3600 and whole % 60 == 0:
        return f"{whole // 60} min"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def queued(ahead: int) -> str:
    """A place in the queue."""
    return "You are next." if ahead <= 1 else f"{ahead} jobs are before yours; it starts by itself."


def stages(seconds: Mapping[str, float]) -> str:
    """Seconds in each stage, as one fact."""
    return ", ".join(f"{name} {duration(spent)}" for name, spent in seconds.items())
