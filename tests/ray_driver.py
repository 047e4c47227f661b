"""Runs one call of `espcn_demo.cluster` in a process of its own: Ray stays out of pytest's.

`python tests/ray_driver.py FUNCTION SOURCE OUT OPTIONS` prints the report as JSON on stdout, what happens on stderr,
and exits as `espcn` does: 2 with a sentence for an InputError, 130 when interrupted.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from espcn_demo import cluster
from espcn_demo.errors import InputError


def main(function: str, source: str, out: str, options: str) -> int:
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        report = getattr(cluster, function)(source, out, **json.loads(options))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(json.dumps(report.as_dict(), default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
