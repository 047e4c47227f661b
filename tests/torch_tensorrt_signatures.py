"""Write the signatures of what is used of Torch-TensorRT, read from its wheels without importing them.

pip download --no-deps torch-tensorrt==2.11.0 torch-tensorrt==2.13.0 one after the other, then
python tests/torch_tensorrt_signatures.py torch_tensorrt-*.whl
"""

from __future__ import annotations

import ast
import json
import sys
import zipfile
from pathlib import Path

TARGET = Path(__file__).with_suffix(".json")
USED = {  # called as: where it is defined
    "dynamo.compile": ("dynamo/_compiler.py", "compile"),
    "save": ("_compile.py", "save"),
    "load": ("_compile.py", "load"),
    "runtime.enable_cudagraphs": ("runtime/_cudagraphs.py", "enable_cudagraphs"),
    "Input": ("_Input.py", "__init__"),
}


def signature(source: str, name: str) -> dict[str, list[str]]:
    """Names of a function's arguments; of those taken by `**kwargs`, the strings that it looks up there."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef) and node.name == name]
    function = nodes[0]
    positional = [one.arg for one in [*function.args.posonlyargs, *function.args.args] if one.arg != "self"]
    required = positional[: len(positional) - len(function.args.defaults)]
    found = {"positional": positional, "required": required, "keywords": [one.arg for one in function.args.kwonlyargs]}
    if function.args.kwarg:
        found["looked up"] = sorted(
            {
                node.slice.value
                for node in ast.walk(function)
                if isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Name)
                and node.value.id == function.args.kwarg.arg
                and isinstance(node.slice, ast.Constant)
            }
            | {
                node.left.value
                for node in ast.walk(function)
                if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant)
            }
        )
    return found


def read(wheel: Path) -> dict[str, dict[str, list[str]]]:
    """Signatures of everything in USED."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            used: signature(archive.read(f"torch_tensorrt/{file}").decode(), name)
            for used, (file, name) in USED.items()
        }


def main() -> int:
    found = {Path(wheel).name.split("-")[1]: read(Path(wheel)) for wheel in sys.argv[1:]}
    TARGET.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
