"""Finished segments of a clip in whatever order they come."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from typing import Any

from espcn_demo.video.segments import MANIFEST, VERSION, Segment, Workshop


class Shelf(Workshop):
    """A workshop that also keeps segments whose predecessors are still missing.

    Its manifest lists them under "ahead" by their index. `segments` is what is complete from the beginning on, so that
    a run on one machine can go on with what a cluster has made, and the other way round.
    """

    ahead: dict[int, Segment]

    def open(self, *, resume: bool) -> None:
        """As a workshop's, and take over the segments ahead."""
        self.segments = self._finished() if resume else []
        self.ahead = self._further() if resume else {}
        kept = {segment.file for segment in (*self.segments, *self.ahead.values())}
        if not kept:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.name not in kept | {MANIFEST}:
                path.unlink()
        self._save()

    def holds(self, index: int) -> bool:
        """Whether a segment is there."""
        return index < len(self.segments) or index in self.ahead

    @property
    def made(self) -> int:
        """Frames in all segments that are there."""
        return self.frames + sum(segment.frames for segment in self.ahead.values())

    def put(self, index: int, segment: Segment, data: bytes) -> None:
        """Write a segment to disk and record it."""
        path = self.folder / f"{index:06d}.segment"
        partial = path.with_suffix(".part")
        partial.write_bytes(data)
        os.replace(partial, path)
        self.ahead[index] = Segment(**{**asdict(segment), "file": path.name, "bytes": len(data)})
        while (following := self.ahead.pop(len(self.segments), None)) is not None:
            self.segments.append(following)
        self._save()

    def _further(self) -> dict[int, Segment]:
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text())
            if manifest["key"] != json.loads(json.dumps(self._key)):
                return {}
            found = {int(index): Segment(**entry) for index, entry in manifest.get("ahead", {}).items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # no manifest, or one that was damaged: start again
        paths = {index: self.folder / segment.file for index, segment in found.items() if index >= len(self.segments)}
        return {
            index: found[index]
            for index, path in paths.items()
            if path.is_file() and path.stat().st_size == found[index].bytes
        }

    def _save(self) -> None:
        content: dict[str, Any] = {
            "version": VERSION,
            "key": self._key,
            "segments": [asdict(segment) for segment in self.segments],
            "ahead": {index: asdict(segment) for index, segment in self.ahead.items()},
        }
        partial = self.folder / f"{MANIFEST}.part"
        partial.write_text(json.dumps(content))
        os.replace(partial, self.folder / MANIFEST)
