"""What share of the achievable skill each model reaches on the oracle market, at equal tuning effort.

    python benchmarks/skill.py search xlstm lstm hist_gradient_boosting --trials 16 --out tuning.jsonl
    python benchmarks/skill.py final tuning.jsonl --seeds 3 [--json]

``search`` draws that many settings of each model at random, the same numbers of training for all networks,
trains each on one market (`easy`, 4 symbols x 60,000 bars) and writes its val NLL. ``final`` takes the
setting of each model with the lowest val NLL, trains it on further markets with further seeds and prints its
skill on their test segments as a share of the exact classifier's that sees the same 60 bars. Test rows of the
market of the search are never looked at.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simengine.config.load import load_config
from simengine.evaluate.logproba import as_log_proba, log_softmax
from simengine.evaluate.scores import nll, skill
from simengine.plugin.check import check_config
from simengine.plugin.manager import build_registry
from simengine.steps.parts import Parts, build_parts
from simengine.steps.prepare import Prepared, prepare
from simengine.train.context import TrainContext

SEARCH_SEED = 1
"""Of the market and the networks of the search; the final seeds follow it."""

NETWORK = {
    "learning_rate": [1e-3, 2e-3, 3e-3, 5e-3],
    "batch_size": [128, 256],
    "epochs": [3, 4, 6],
    "warmup": [0.05],
    "train_stride": [1, 2],
}
SHARED = {
    "dropout": [0.2, 0.4, 0.5],
    "recurrent_dropout": [0.0, 0.2, 0.3],
    "weight_decay": [0.0, 0.1, 0.5],
    "ema": [None, 0.99, 0.998],
}
SPACES: dict[str, dict[str, list[Any]]] = {
    "xlstm": {
        "embedding": [32, 48, 64],
        "embedding_bias": [0.5, 1.0],
        "heads": [2, 4],
        "blocks": [["slstm"], ["slstm", "slstm"], ["mlstm", "slstm"], ["slstm", "mlstm"]],
        "block_dropout": [0.0, 0.1, 0.2],
        "conv_kernel": [0, 2, 4],
        **SHARED,
    },
    "lstm": {
        "units": [32, 48, 64, 96],
        "layers": [1, 1, 2],
        "block_dropout": [0.0, 0.1, 0.2],
        **SHARED,
    },
    "hist_gradient_boosting": {
        "lags": [1, 2, 3, 4, 8],
        "learning_rate": [0.02, 0.03, 0.05],
        "max_iter": [1000],
        "max_leaf_nodes": [4, 7, 15],
        "min_samples_leaf": [200, 500, 1000],
        "l2": [0.0, 1.0, 10.0],
    },
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One setting: the model's options and the numbers of its training."""

    model: str
    options: dict[str, Any]
    training: dict[str, Any]


def draw(model: str, number: int) -> Trial:
    """Return the setting that a model is given as its ``number``-th trial, always the same."""
    rng = random.Random(f"{model} {number}")
    options = {name: rng.choice(values) for name, values in SPACES[model].items()}
    if model == "xlstm" and "slstm" not in options["blocks"]:
        options["recurrent_dropout"] = 0.0
    names = NETWORK if model != "hist_gradient_boosting" else {"train_stride": NETWORK["train_stride"]}
    return Trial(model, options, {name: rng.choice(values) for name, values in names.items()})


def market(trial: Trial, seed: int) -> tuple[Parts, Prepared]:
    """Return the components and the data of one market."""
    config = load_config(
        {
            "name": "skill",
            "seed": seed,
            "data": {
                "source": {
                    "type": "oracle_market", "market": "easy", "symbols": 4, "bars": 60_000, "seed": seed,
                }
            },
            "model": {"type": trial.model, **trial.options},
            "window": {"length": 60, "train_stride": trial.training["train_stride"]},
        }
    )  # fmt: skip
    registry = build_registry()
    config = check_config(config, registry)
    parts = build_parts(config, registry)
    return parts, prepare(config, parts)


def fit(trial: Trial, parts: Parts, data: Prepared, seed: int) -> None:
    """Train the model of ``parts``."""
    numbers = {"learning_rate": 1e-3, "batch_size": 256, "epochs": 1, **trial.training}
    del numbers["train_stride"]
    context = TrainContext(parts.balancer, None, parts.loss, seed, **numbers)
    parts.model.fit(data.train, data.val, context)


def search(models: list[str], trials: int, out: Path) -> None:
    done = {(row["model"], row["number"]) for row in _rows(out)} if out.exists() else set()
    for number in range(trials):
        for model in models:
            if (model, number) in done:
                continue
            trial = draw(model, number)
            parts, data = market(trial, SEARCH_SEED)
            began = time.perf_counter()
            fit(trial, parts, data, SEARCH_SEED)
            seconds = time.perf_counter() - began
            log_proba = log_softmax(parts.model.predict_logits(data.val))
            row = {
                "model": model,
                "number": number,
                "options": trial.options,
                "training": trial.training,
                "val_nll": float(nll(log_proba, data.val.labels)),
                "val_skill": skill(log_proba, data.val.labels, data.train_share),
                "seconds": round(seconds, 1),
            }
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def exact(parts: Parts, data: Prepared) -> np.ndarray:
    """Return the log-probabilities of the exact 60-bar classifier on the labelled test windows."""
    test = data.test.take(data.test.labels >= 0)
    result = np.empty((len(test), 3))
    for index, (symbol, bars) in enumerate(data.bars.items()):
        mine = test.groups == index
        ends = data.dataset.rows(test.take(mine))
        lower, upper = (side[ends] for side in parts.labeler.thresholds(bars))
        result[mine] = parts.source.class_probabilities(
            symbol, ends, lower, upper, data.horizon_bars, data.dataset.length
        )
    return as_log_proba(result)


def final(out: Path, seeds: int) -> list[dict[str, Any]]:
    rows, results = _rows(out), []
    for model in dict.fromkeys(row["model"] for row in rows):
        tried = [row for row in rows if row["model"] == model]
        best = min(tried, key=lambda row: row["val_nll"])
        trial = Trial(model, best["options"], best["training"])
        for seed in range(SEARCH_SEED + 1, SEARCH_SEED + 1 + seeds):
            parts, data = market(trial, seed)
            fit(trial, parts, data, seed)
            test = data.test.take(data.test.labels >= 0)
            raw = log_softmax(parts.model.predict_logits(test))
            val = log_softmax(parts.model.predict_logits(data.val))
            scaled = parts.calibrator.fit(val, data.val.labels).transform(raw)
            achievable = skill(exact(parts, data), test.labels, data.train_share)
            results.append(
                {
                    "model": model,
                    "trials": len(tried),
                    "setting": {**best["options"], **best["training"]},
                    "seed": seed,
                    "raw": skill(raw, test.labels, data.train_share) / achievable,
                    "calibrated": skill(scaled, test.labels, data.train_share) / achievable,
                    "exact_skill": achievable,
                }
            )
            print(json.dumps(results[-1]), flush=True)
    return results


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    searching = commands.add_parser("search")
    searching.add_argument("models", nargs="+", choices=list(SPACES))
    searching.add_argument("--trials", type=int, default=16)
    searching.add_argument("--out", type=Path, required=True)
    finishing = commands.add_parser("final")
    finishing.add_argument("trials", type=Path)
    finishing.add_argument("--seeds", type=int, default=3)
    finishing.add_argument("--json", action="store_true", help="one JSON object a line, no table")
    options = parser.parse_args()
    if options.command == "search":
        search(options.models, options.trials, options.out)
        return
    results = final(options.trials, options.seeds)
    if options.json:
        return
    for model in dict.fromkeys(row["model"] for row in results):
        shares = [row["calibrated"] for row in results if row["model"] == model]
        raw = [row["raw"] for row in results if row["model"] == model]
        print(f"{model:<24} calibrated {np.mean(shares):.3f} {np.round(shares, 3)}  raw {np.mean(raw):.3f}")


if __name__ == "__main__":
    main()
