"""RESULTS.md: tables that commands write, each between its own marks, so that no number is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
ORDER = ("scores", "fourfold", "decimate", "clips", "jpeg", "crossover", "levers", "experiments")
HEAD = "# Results\n\nEvery table here is written by the command above it.\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def put(section: str, text: str, path: Path = RESULTS) -> None:
    """Replace a section of the results file, or add it in its place; the others stay."""
    sections = _read(path)
    sections[section] = text.strip()
    known = [name for name in ORDER if name in sections] + [name for name in sections if name not in ORDER]
    parts = [f"<!-- {name} -->\n{sections[name]}\n<!-- end {name} -->\n" for name in known]
    path.write_text(HEAD + "\n" + "\n".join(parts), encoding="utf-8")


def _read(path: Path) -> dict[str, str]:
    sections: dict[str, str] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line.startswith("<!-- end "):
            name = ""
        elif line.startswith("<!-- "):
            name = line[5:-4].strip()
            sections[name] = ""
        elif name:
            sections[name] += line + "\n"
    return {key: value.strip() for key, value in sections.items()}
