"""What each lever of the training recipe gives: short runs that change one thing."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from train.methods import neural
from train.studies import Study
from train.trials import Branched, NoSkip
from train.workbench import BASE, SEEDS, Row, Workbench, score_samples


def levers(bench: Workbench) -> Study:
    """The recipe, and the recipe with one thing changed, after equal steps; scores in float32 on Set5."""
    changes = {
        "AdamW at its own rate instead of SOAP": replace(BASE, optimizer="adamw", rate=1e-3),
        "float32 instead of bfloat16": replace(BASE, precision="float32"),
        "L1 to the end": replace(BASE, l1_until=1.0),
        "squared error from the start": replace(BASE, l1_until=0.0),
        "no average of the weights": replace(BASE, ema=0.0),
        "no weight decay": replace(BASE, decay=0.0),
        "half the rate": replace(BASE, rate=BASE.rate / 2),
        "twice the rate": replace(BASE, rate=BASE.rate * 2),
        "patches of 48 instead of 32": replace(BASE, patch=48),
    }
    rows = [Row("the recipe", _scores(bench, list(bench.baseline)))]
    for name, recipe in changes.items():
        rows.append(Row(name, _scores(bench, [bench.fit(bench.pairs, seed, recipe=recipe) for seed in SEEDS])))
    folded = [_fold(bench.fit(bench.pairs, seed, network=Branched)) for seed in SEEDS]
    rows.append(Row("branches that fold into the convolutions", _scores(bench, folded)))
    plain = [bench.fit(bench.pairs, seed, network=NoSkip) for seed in SEEDS]
    rows.append(Row("no skip", _scores(bench, plain)))
    return Study("levers", "What each lever gives", ("Set5",), rows)


def _fold(network: nn.Module) -> nn.Module:
    assert isinstance(network, Branched)
    return network.fold()


def _scores(bench: Workbench, networks: list[nn.Module]) -> dict[str, list[float]]:
    return {"Set5": [score_samples(neural(network), bench.set5) for network in networks]}
