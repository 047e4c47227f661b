"""Put bundled weights on the Hugging Face Hub, with their cards and a model card.

    python -m train publish --repo owner/name
    python -m train publish --repo owner/name --endpoint http://127.0.0.1:8000 --token hf_...

The token comes from --token, HF_TOKEN or `hf auth login`.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espcn_demo import weights as bundle
from espcn_demo.errors import InputError

log = logging.getLogger("train.publish")

LICENCE = "apache-2.0"
TEXT = """
# ESPCN, 2x super-resolution in 58,212 parameters

Four convolutions on luma at low resolution and a sub-pixel shuffle ([Shi et al. 2016](https://arxiv.org/abs/1609.05158)),
with the nearest-neighbour enlarged input added to the output: (N, 1, H, W) luma in [0, 1] to (N, 1, 2H, 2W).

## Use

```python
from espcn_demo import open_upscaler

upscaler = open_upscaler(weights="hf://{repo}/{first}")
enlarged = upscaler.upscale(frames)  # (N, H, W) uint8 luma -> (N, 2H, 2W)
```

## Files

{files}

## Training data

{data}

## Limits

- Luma only: colour is enlarged by interpolation.
- Trained for twice the size; 4x is two passes.
- `espcn_x2` expects clean sources shrunk by bicubic; on strongly compressed ones it sharpens the artefacts, and the
  `_compressed` weights are better.
- It restores what a small network can infer from 11x11 pixels; it invents no detail, and text or faces that are not
  legible stay so.

Scores are means over the pictures of each benchmark: PSNR in dB and SSIM of studio-range luma without a border as wide
as the scale, measured by `python -m train evaluate`.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m train publish", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repo", required=True, help="owner/name on the Hub")
    parser.add_argument("--weights", nargs="+", type=Path, help="weights files (default: all bundled ones)")
    parser.add_argument("--endpoint", help="address of the Hub (default: HF_ENDPOINT or huggingface.co)")
    parser.add_argument("--token", help="access token that may write")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", args.repo):
        raise InputError(f"--repo {args.repo!r} must be owner/name.")
    files = args.weights or [bundle.folder() / f"{name}.safetensors" for name in bundle.bundled()]
    found = [bundle.read(path) for path in files]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage(found, folder, args.repo)
        address = _upload(folder, args)
    log.info("published %d weights files to %s", len(found), address)
    return 0


def stage(found: Sequence[bundle.Weights], folder: Path, repo: str) -> None:
    """Lay out the repository in `folder`: weights, their cards, config.json and README.md."""
    for weights in found:
        (folder / weights.path.name).write_bytes(weights.path.read_bytes())
        (folder / f"{weights.name}.json").write_text(json.dumps(dict(weights.card), indent=2) + "\n", encoding="utf-8")
    config = {
        "architectures": ["ESPCN"], "model_type": "espcn", "scale": 2, **found[0].dimensions.as_dict(),
        "weights": {weights.path.name: weights.sha256 for weights in found},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(model_card(found, repo), encoding="utf-8")


def model_card(found: Sequence[bundle.Weights], repo: str) -> str:
    """The model card: metadata with a model-index of every score in the weights' cards, then the text."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="image-to-image",
            task_name="Image super-resolution",
            dataset_type=benchmark.lower().replace(" ", "-"),
            dataset_name=benchmark,
            metric_type=metric,
            metric_name=f"{metric.upper()} ({weights.name})",
            metric_value=float(scores[metric]),
        )
        for weights in found
        for benchmark, scores in weights.card.get("scores", {}).items()
        for metric in ("psnr", "ssim")
        if metric in scores
    ]  # fmt: skip
    data = ModelCardData(
        model_name=repo.split("/")[-1], license=LICENCE, library_name="espcn_demo", pipeline_tag="image-to-image",
        tags=["super-resolution", "espcn", "video"], eval_results=results or None,
    )  # fmt: skip
    files = "\n".join(f"- `{weights.path.name}`: {_describe(weights.card)}" for weights in found)
    sets = sorted({str(name) for weights in found for name in weights.card.get("data", [])}) or ["not stated"]
    text = TEXT.format(repo=repo, first=found[0].path.name, files=files, data=", ".join(sets))
    return f"---\n{data.to_yaml()}\n---\n{text}"


def _describe(card: Mapping[str, Any]) -> str:
    degradation = card.get("recipe", {}).get("degradation", "unstated")
    scores = [f"{name} {values['psnr']:.2f} dB" for name, values in card.get("scores", {}).items() if "psnr" in values]
    return "; ".join([f"low resolution by {degradation}", f"{card.get('steps', '?')} steps", *scores])


def _upload(folder: Path, args: argparse.Namespace) -> str:
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi(endpoint=args.endpoint, token=args.token)
    try:
        address = api.create_repo(args.repo, exist_ok=True, private=args.private or None)
        api.upload_folder(repo_id=args.repo, folder_path=folder, commit_message="Weights, cards and model card")
    except LocalTokenNotFoundError as error:
        raise InputError("no token: give --token, set HF_TOKEN or run `hf auth login`.") from error
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else "no answer"
        raise InputError(f"the Hub refused ({code}): check --repo and that the token may write.") from error
    except (httpx.HTTPError, OSError) as error:
        raise InputError(f"the Hub cannot be reached at {api.endpoint}: check the network or --endpoint.") from error
    return str(address)
