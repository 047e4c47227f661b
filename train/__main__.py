"""Training commands.

python -m train fit | evaluate | experiments | publish | export | quantise | crossover   (each has --help)
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable

from espcn_demo.errors import InputError

VERBS = {
    "fit": "train the network",
    "evaluate": "score weights on the benchmarks and on compressed clips",
    "experiments": "redo the original's experiments",
    "publish": "put weights on the Hugging Face Hub",
    "export": "turn a checkpoint into a weights file with its card",
    "quantise": "make the int8 form of trained weights",
    "crossover": "find where weights for compressed sources overtake those for clean ones",
}


def guarded(command: Callable[[list[str] | None], int], argv: list[str] | None = None) -> int:
    """Run a command: 2 and one line on stderr for what the user can put right, 130 when interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return command(argv)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def main(argv: list[str] | None = None) -> int:
    """Dispatch to a verb's module."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] not in VERBS:
        lines = [f"  {verb:12} {meaning}" for verb, meaning in VERBS.items()]
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        print("usage: python -m train VERB ...\n" + "\n".join(lines), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    module = importlib.import_module(f"train.{arguments[0]}")
    return guarded(module.main, arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
