"""Weights from the Hugging Face Hub: `hf://owner/name[@revision]/file.safetensors`.

Order: what is in the cache already; the Hub, at the revision of the address or at the commit that its main branch
has now; and where nothing but the bundled weights is left, `or_bundled` takes those and says why. A Hub that
hangs costs four seconds: the download goes on in its thread and serves the next start.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .errors import WeightsError

if TYPE_CHECKING:
    from .weights import Weights

log = logging.getLogger(__name__)

PATIENCE = 4.0  # seconds for everything that the Hub is asked for one address
PULL_PATIENCE = 120.0  # seconds, when somebody has asked for the download and watches it
LARGEST = 64 * 2**20  # bytes of a weights file; ours have 235 kB
_ADDRESS = re.compile(
    r"hf://(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(?:@(?P<revision>[\w./-]+?))?/(?P<file>(?:[\w-][\w.-]*/)*[\w-][\w.-]*)"
)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Address:
    """The parts of an hf:// address; `revision` is a commit, a tag or a branch."""

    repository: str
    revision: str | None
    file: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address; raises WeightsError with the form that is expected."""
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise WeightsError(f"{text[:100]!r} is no Hub address: write hf://owner/name[@revision]/file.safetensors.")
        if not found["file"].endswith(".safetensors"):
            raise WeightsError(f"{found['file']} is no .safetensors file: other kinds of weights are never opened.")
        return cls(f"{found['owner']}/{found['name']}", found["revision"], found["file"])

    @property
    def card(self) -> str:
        """The card's file name, beside the weights."""
        return self.file.removesuffix(".safetensors") + ".json"

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf://{self.repository}{revision}/{self.file}"


def fetch(address: str, *, refresh: bool = False, patience: float = PATIENCE) -> tuple[Path, str]:
    """The local file of an hf:// address, its card beside it, and a sentence on where it came from.

    SHA-256 and dimensions are checked; a damaged copy in the cache is downloaded again. `refresh` asks the Hub even
    when the cache has the file. Takes no longer than `patience` seconds.

    Raises:
        WeightsError: the address is wrong, or the Hub does not give such weights.
    """
    wanted = Address.parse(address)
    if not refresh and (path := _cached(wanted)) is not None:
        try:
            _check(path)
        except WeightsError as error:
            log.warning("%s in the cache: %s", wanted, error)
            refresh = True  # even when nothing but the copy in the cache is new
        else:
            return path, f"{_at_commit(wanted, path)}, from the cache"
    path = _within(patience, lambda: _download(wanted, force=refresh), wanted)
    _check(path)
    return path, f"{_at_commit(wanted, path)}, downloaded"


def pull(address: str) -> Weights:
    """Ask the Hub for an hf:// address, whatever the cache holds, with the patience of somebody who watches."""
    from .weights import read

    path, reason = fetch(address, refresh=True, patience=PULL_PATIENCE)
    return replace(read(path), reason=reason)


def or_bundled(find: Callable[[], Weights]) -> Weights:
    """What `find` returns when its tensors are this network's; else the bundled weights, whose `reason` says why."""
    from . import weights

    try:
        found = find()
        weights.load_network(found)
    except WeightsError as error:
        log.warning("bundled weights serve, because %s", error)
        return replace(weights.resolve(weights.DEFAULT), reason=f"bundled, because {error}")
    return found


def cached() -> list[str]:
    """Addresses of this network's weights in the Hub's cache, each with its commit."""
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE)
    found = []
    for path in sorted(root.glob("models--*--*/snapshots/*/**/*.safetensors")):
        if path.with_suffix(".json").is_file():
            repository, _, commit, *parts = path.relative_to(root).parts
            _, owner, name = repository.split("--", 2)
            found.append(str(Address(f"{owner}/{name}", commit, "/".join(parts))))
    return found


def _check(path: Path) -> None:
    from .weights import load_network, read

    load_network(read(path))


def _cached(wanted: Address) -> Path | None:
    """The file in the cache, when its card is there too; makes no request."""
    from huggingface_hub import try_to_load_from_cache

    found = [
        try_to_load_from_cache(wanted.repository, name, revision=wanted.revision) for name in (wanted.card, wanted.file)
    ]
    card, path = (Path(one) if isinstance(one, str) else None for one in found)
    return path if card is not None else None


def _download(wanted: Address, *, force: bool) -> Path:
    """Both files at one commit, into the cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # 235 kB need none, and a server's log least of all

    get = partial(hf_hub_download, wanted.repository, etag_timeout=PATIENCE)
    what = hf_hub_download(
        wanted.repository, wanted.file, revision=wanted.revision, etag_timeout=PATIENCE, dry_run=True
    )
    if what.file_size is not None and what.file_size > LARGEST:
        raise WeightsError(f"{wanted.file} has {what.file_size / 2**20:.0f} MiB: these are not this network's weights.")
    # The commit that answered, so that the two files belong together when the branch moves in between.
    get(wanted.card, revision=what.commit_hash, force_download=force)
    return Path(get(wanted.file, revision=what.commit_hash, force_download=force))


def _within(seconds: float, work: Callable[[], Found], wanted: Address) -> Found:
    """What `work` returns; a WeightsError when it fails or takes longer than `seconds`."""
    results: list[Found] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="hub", daemon=True)  # a hanging one must not keep the process alive
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if not errors:
        raise WeightsError(f"the Hub did not deliver {wanted.file} of {wanted.repository} within {seconds:.0f} s.")
    if isinstance(errors[0], WeightsError):
        raise errors[0]
    raise WeightsError(_sentence(errors[0], wanted)) from errors[0]


def _sentence(error: BaseException, wanted: Address) -> str:
    """What the client's error means, in words that hold no address of a server, path or token."""
    from huggingface_hub import errors

    revision = wanted.revision or "main"
    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (errors.GatedRepoError, f"{wanted.repository} asks for permission first: use public weights."),
        (errors.RepositoryNotFoundError, f"the Hub has no public repository {wanted.repository}: check the address."),
        (errors.RevisionNotFoundError, f"{wanted.repository} has no revision {revision}: check the address."),
        (errors.RemoteEntryNotFoundError, f"{wanted.repository} has no {wanted.file} or {wanted.card} at {revision}."),
        (errors.OfflineModeIsEnabled, f"HF_HUB_OFFLINE is set and {wanted.file} is not in the cache."),
        (errors.LocalEntryNotFoundError, f"the Hub cannot be reached and {wanted.file} is not in the cache."),
        (errors.HfHubHTTPError, f"the Hub refused {wanted.file} of {wanted.repository}: try again later."),
        (OSError, f"the download of {wanted.file} was cut short or could not be stored: try again later."),
    )
    for kind, sentence in kinds:
        if isinstance(error, kind):
            return sentence
    return f"the Hub's answer for {wanted.file} cannot be used ({type(error).__name__}): try again later."


def _at_commit(wanted: Address, path: Path) -> str:
    """'owner/name at commit 0123456789ab'; the cache keeps each commit in a folder of that name."""
    commit = path.parents[wanted.file.count("/")].name
    pinned = "" if wanted.revision == commit else " (pin it by @commit in the address)"
    return f"{wanted.repository} at commit {commit[:12]}{pinned}"
