"""The contract of searches of label options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simengine.data.label_search import SHARES, LabelSearch, LabelSearchResult
from simengine.plugin.testing.case import Case
from simengine.plugin.testing.samples import make_bars
from simengine.types import N_CLASSES, Bars

N_BARS = 900
LABELER = "adaptive_threshold"


def check_threshold_optimizer(case: Case) -> None:
    """A best that the labeler accepts, shares that its labels have, one table; the same every time.

    The search is over the built-in labeler ``adaptive_threshold``, on two symbols of 900 bars.
    """
    bars = {symbol: make_bars(N_BARS, case.seed, symbol) for symbol in ("A", "B")}
    task = _task(case, bars)
    with case.untouched("search()", bars, task.options):
        found = case.fresh().search(task)
    case.expect(
        isinstance(found, LabelSearchResult),
        f"search() must return LabelSearchResult, received {type(found).__name__}",
    )
    _check_table(case, found)
    unknown = sorted(set(found.best) - set(task.options))
    case.expect(not unknown, f"best holds {', '.join(unknown)}, which the labeler has not")
    labeler = task.create(found.best).fit(bars, task.train_end)
    labels = np.concatenate([labeler.label(item) for item in bars.values()])
    shares = case.array(found.shares, "shares", (N_CLASSES,), np.float64)
    counts = np.bincount(labels[labels >= 0], minlength=N_CLASSES)
    real = counts / counts.sum()
    case.expect(
        np.allclose(shares, real, atol=1e-9),
        f"shares are {shares.round(4).tolist()}, but the best options label {real.round(4).tolist()}",
    )
    case.same(found, case.fresh().search(_task(case, bars)), "two searches with the same seed differ")


def _check_table(case: Case, found: LabelSearchResult) -> None:
    lengths = {len(column) for column in found.table.values()}
    case.expect(
        len(lengths) == 1 and min(lengths) > 0, "the columns of the table must have one length above 0"
    )
    missing = [name for name in (*found.best, *SHARES, "objective") if name not in found.table]
    case.expect(not missing, f"the table lacks the columns {', '.join(missing)}")
    case.expect(np.isfinite(found.objective), f"the objective must be finite, received {found.objective}")
    rows = zip(*(found.table[name] for name in found.best), found.table["objective"], strict=True)
    own = (*found.best.values(), found.objective)
    case.expect(own in list(rows), "the table has no row with the best options and their objective")


def _task(case: Case, bars: Mapping[str, Bars]) -> LabelSearch:
    from simengine.plugin.manager import build_registry

    registry = build_registry(discover=False)
    options: dict[str, Any] = registry.resolve("labeler", LABELER).options
    return LabelSearch(
        labeler=LABELER,
        options=options,
        create=lambda changed: registry.create("labeler", {"type": LABELER, **options, **changed}),
        bars=bars,
        train_end=int(next(iter(bars.values())).timestamp[-1]) + 1,
        window=20,
        seed=case.seed,
    )
