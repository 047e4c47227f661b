"""A Hugging Face Space with the page: exactly the files it needs, written to a folder or uploaded.

espcn space publish owner/name --hardware zero
espcn space publish owner/name --hardware l4 --dry-run folder
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from . import weights
from .errors import InputError
from .hub import Address

SDK = "6.31.0"  # of Gradio
PYTHON = "3.12"  # what ZeroGPU offers
TORCH = "torch>=2.11,<2.12"  # ZeroGPU goes no further; one range everywhere means that a Space runs what was tested
ZERO = "spaces>=0.40,<1"  # ZeroGPU's decorator; Spaces installs it too, here it is said
TENSORRT = "torch-tensorrt>=2.11,<2.12"
CPU_WHEELS = "--extra-index-url https://download.pytorch.org/whl/cpu"  # 200 MB instead of 3 GB
PACKAGES = ("libgomp1",)  # OpenMP, which torch and OpenVINO share


@dataclass(frozen=True)
class Hardware:
    """A kind of machine on Spaces: its name there, and what requirements.txt needs for it."""

    flavor: str
    cpu: bool = False
    tensorrt: bool = False
    zero: bool = False


HARDWARE = {
    "zero": Hardware("zero-a10g", zero=True),  # the name has stayed, the GPUs are newer
    "cpu": Hardware("cpu-basic", cpu=True),
    "t4": Hardware("t4-small", tensorrt=True),
    "l4": Hardware("l4x1", tensorrt=True),
    "a10g": Hardware("a10g-small", tensorrt=True),
}


@dataclass(frozen=True)
class SpaceReport:
    """What was written, and where it is: `url` is None for a dry run, `folder` for an upload.

    weights  what ESPCN_WEIGHTS has to hold on the Space, None for the bundled default; an upload has set it
    """

    repository: str
    hardware: str
    files: tuple[str, ...]
    bytes: int
    folder: str | None
    url: str | None
    weights: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)

    def text(self) -> str:
        """The report in a line or two."""
        where = self.url or f"{self.folder} (nothing was uploaded)"
        done = f"{len(self.files)} files, {self.bytes / 2**20:.1f} MiB, for {self.hardware}: {where}"
        if self.weights and not self.url:
            return f"{done}\nset the Space's variable {weights.VARIABLE} to {self.weights}"
        return done


def publish(repository: str, *, hardware: str = "cpu", dry_run: Path | None = None) -> SpaceReport:
    """Write the Space's files to `dry_run`, or upload them with the credentials of `hf auth login`.

    ESPCN_WEIGHTS holds on the Space too: an hf:// address with a commit is loaded when the Space is built.

    Raises:
        InputError: an option is wrong, the folder is not empty, or the Hub refuses.
    """
    if hardware not in HARDWARE:
        raise InputError(f"hardware {hardware!r} is not offered: use one of {', '.join(HARDWARE)}.")
    if not all(part and part.strip(".-") == part for part in repository.split("/")) or repository.count("/") != 1:
        raise InputError(f"{repository!r} is no Space: write owner/name.")
    chosen = _weights()  # what is wrong with it is said before anything is written
    with _folder(dry_run) as folder:
        write(folder, hardware=hardware)
        files = tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))
        size = sum((folder / name).stat().st_size for name in files)
        url = None if dry_run else _upload(folder, repository, HARDWARE[hardware])
    return SpaceReport(repository, hardware, files, size, str(dry_run) if dry_run else None, url, chosen)


def write(folder: Path, *, hardware: str) -> None:
    """Write everything that the Space needs into an empty folder."""
    package = Path(__file__).parent
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "_weights", ".*")
    shutil.copytree(package, folder / package.name, ignore=ignore)
    shutil.copytree(weights.folder(), folder / "weights", ignore=shutil.ignore_patterns(".*"))
    (folder / "README.md").write_text(card(hardware), encoding="utf-8")
    (folder / "requirements.txt").write_text(requirements(hardware), encoding="utf-8")
    (folder / "packages.txt").write_text("\n".join(PACKAGES) + "\n", encoding="utf-8")
    (folder / "app.py").write_text(APP, encoding="utf-8")


def requirements(hardware: str) -> str:
    """The text of requirements.txt."""
    kind = HARDWARE[hardware]
    lines = [CPU_WHEELS] if kind.cpu else []
    lines += [TORCH if _name(line) == "torch" else line for line in _dependencies()]
    lines += [TENSORRT] if kind.tensorrt else []
    lines += [ZERO] if kind.zero else []
    return "\n".join(lines) + "\n"


def _dependencies() -> list[str]:
    """What this package depends on, without its extras."""
    project = Path(__file__).parent.parent / "pyproject.toml"
    if project.is_file():
        return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])
    try:
        return [line for line in metadata.requires("espcn_demo") or [] if ";" not in line]
    except metadata.PackageNotFoundError as error:
        raise InputError("the package is not installed: run `pip install espcn_demo` first.") from error


def _name(requirement: str) -> str:
    """'torch' for 'torch>=2.11,<2.14', which metadata writes as 'torch<2.14,>=2.11'."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def card(hardware: str) -> str:
    """The text of README.md: the front matter that Spaces reads, and a few words for people."""
    preload = _preload()
    lines = [
        "title: ESPCN, twice the size",
        "emoji: 🔎",
        "colorFrom: blue",
        "colorTo: gray",
        "sdk: gradio",
        f"sdk_version: {SDK}",
        f'python_version: "{PYTHON}"',
        "app_file: app.py",
        f"suggested_hardware: {HARDWARE[hardware].flavor}",
        "license: apache-2.0",
        "short_description: Pictures and clips at twice the size, measured",
        "startup_duration_timeout: 30m",
    ]
    if preload:
        lines += ["models:", f"  - {preload.repository}", "preload_from_hub:"]
        lines += [f"  - {preload.repository} {preload.file},{preload.card} {preload.revision}"]
    front = "\n".join(["---", *lines, "---"])
    words = "Drop a clip or a picture and see it twice as large beside the original, with the gain measured."
    return f"{front}\n\n# ESPCN, twice the size\n\n{words}\n"


def _weights() -> str | None:
    """What ESPCN_WEIGHTS holds, as it can hold on a Space: a bundled name, or a Hub address with a commit."""
    variable = os.environ.get(weights.VARIABLE, "")
    if not variable.startswith(weights.HUB_PREFIX):
        if variable and variable not in weights.bundled():
            raise InputError(f"{weights.VARIABLE} names a file of this machine: publish the weights on the Hub first.")
        return variable or None
    revision = Address.parse(variable).revision
    if revision is None or len(revision) != 40:
        raise InputError(f"{weights.VARIABLE} must name a commit for a Space: hf://owner/name@<40 digits>/file.")
    return variable


def _preload() -> Address | None:
    """The Hub address among these; Spaces loads it into the cache when it builds."""
    chosen = _weights()
    return Address.parse(chosen) if chosen and chosen.startswith(weights.HUB_PREFIX) else None


@contextmanager
def _folder(dry_run: Path | None) -> Iterator[Path]:
    if dry_run is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    if dry_run.exists() and (not dry_run.is_dir() or any(dry_run.iterdir())):
        raise InputError(f"{dry_run} is not an empty folder: choose another for --dry-run.")
    dry_run.mkdir(parents=True, exist_ok=True)
    yield dry_run


def _upload(folder: Path, repository: str, kind: Hardware) -> str:
    from huggingface_hub import HfApi, SpaceHardware, errors
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the httpx that its version uses

    api, chosen = HfApi(library_name="espcn_demo"), _weights()
    try:
        url = api.create_repo(
            repository, repo_type="space", space_sdk="gradio", space_hardware=SpaceHardware(kind.flavor), exist_ok=True
        )
        if chosen:
            api.add_space_variable(repository, weights.VARIABLE, chosen)
        api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type="space",
            commit_message="The page, its package and weights",
        )
    except errors.LocalTokenNotFoundError as error:
        raise InputError("the Hub does not know you: run `hf auth login` first.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        why = "run `hf auth login` with a token that may write" if status in (401, 403) else "try again later"
        raise InputError(f"the Hub refused {repository} (HTTP {status}): {why}.") from error
    except (HTTPError, OSError, RuntimeError) as error:
        raise InputError("the Hub cannot be reached: check the network and try again.") from error
    return str(url)


APP = '''"""The page, as Hugging Face Spaces starts it: `python app.py`."""

import sys

from espcn_demo.errors import InputError
from espcn_demo.ui.server import serve

if __name__ == "__main__":
    try:
        serve()
    except InputError as error:
        sys.exit(str(error))
'''
