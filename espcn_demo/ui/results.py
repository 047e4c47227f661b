"""Results that can be opened again by a link, for as long as their files are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "result.json"
ADDRESS = re.compile(r"[0-9a-f]{32}")  # the name of a job's folder, see storage.Storage.job


def save(folder: Path, tab: str, shown: Mapping[str, Any]) -> str:
    """Write what a tab shows (plain values) into the job's folder; the address under which `load` finds it."""
    (folder / NAME).write_text(json.dumps({"tab": tab, "shown": dict(shown)}), "utf-8")
    return folder.name


def load(cache: Path, address: str) -> tuple[str, dict[str, Any]] | None:
    """The tab and what it showed; None when the address is not one, or its files are gone."""
    if not ADDRESS.fullmatch(address):
        return None
    try:
        kept = json.loads((cache / address / NAME).read_text("utf-8"))
    except OSError:
        return None
    if not all(Path(path).is_file() for path in _files(kept["shown"])):
        return None
    return str(kept["tab"]), dict(kept["shown"])


def _files(value: object) -> list[str]:
    """Every path of a file in a tree of plain values (Gradio's FileData, and downloads)."""
    if isinstance(value, dict):
        own = [value["path"]] if isinstance(value.get("path"), str) else []
        return own + [path for part in value.values() for path in _files(part)]
    if isinstance(value, list):
        return [path for part in value for path in _files(part)]
    return []


def updates(outputs: Mapping[str, Any], shown: Mapping[str, Any], address: str, keep_seconds: float) -> dict[Any, Any]:
    """What a tab's components get to show a result: `outputs` has compare, status, facts, scores, download and link."""
    from . import fields, wording

    made = {outputs[name]: shown[name] for name in ("compare", "facts", "scores")}
    made[outputs["status"]] = wording.status(shown.get("status", ""))
    made[outputs["download"]] = fields.ready(Path(shown["download"]["path"]))
    made[outputs["link"]] = fields.link(address, keep_seconds)
    return made
