"""Run the commands that README.md and docs/cluster.md name above their tables and write their output below them.

python tests/readme_numbers.py             # every table
python tests/readme_numbers.py bench       # only those whose command holds this word
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- numbers: (?P<command>.+?) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def output(command: str) -> str:
    """What `command` prints, also when it says that a target is missed; `python`, `espcn` are of this environment."""
    words = shlex.split(command)
    programs = {"python": [sys.executable], "espcn": [sys.executable, "-m", "espcn_demo"]}
    done = subprocess.run(programs[words[0]] + words[1:], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=3600)
    if done.returncode:
        print(f"{command}: exit code {done.returncode}", file=sys.stderr)
    return re.sub(r"^#+ ", "#### ", done.stdout.strip(), flags=re.MULTILINE)  # below README's own headings


def main(wanted: list[str]) -> int:
    def fill(match: re.Match[str]) -> str:
        command = match["command"]
        if wanted and not any(word in command for word in wanted):
            return match[0]
        print(command, file=sys.stderr)
        return f"{match[1]}\n`{command}`\n\n{output(command)}\n\n{match[4]}"

    for page in (ROOT / "README.md", ROOT / "docs" / "cluster.md"):
        page.write_text(BLOCK.sub(fill, page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
