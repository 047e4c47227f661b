"""The page, as Hugging Face Spaces starts it: `python app.py` (the same as `espcn serve`)."""

from __future__ import annotations

import argparse
import sys

from espcn_demo.errors import InputError
from espcn_demo.ui.server import serve


def main() -> int:
    """Serve until interrupted; exit code 2 with one sentence when it cannot start."""
    parser = argparse.ArgumentParser(description="The ESPCN demo page.")
    parser.add_argument("--host", help="address to listen on (default: GRADIO_SERVER_NAME, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: GRADIO_SERVER_PORT, else 7860)")
    parser.add_argument("--mcp", action="store_true", help="offer the endpoints as MCP tools too")
    options = parser.parse_args()
    try:
        serve(host=options.host, port=options.port, mcp=options.mcp)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
