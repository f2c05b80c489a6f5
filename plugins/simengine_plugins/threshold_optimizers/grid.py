"""Every combination of a grid of label options."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.data.label_search import LabelSearch, LabelSearchResult
from simengine.types import IntArray
from simengine_plugins.threshold_optimizers import objective as goals
from simengine_plugins.threshold_optimizers.counting import combinations, count_labels
from simengine_plugins.threshold_optimizers.proxy import Classifier, FeeBps, Proxy, SlippageBps
from simengine_plugins.threshold_optimizers.spaces import Values, accepted, at_the_edge, grid_axes


class GridSearch:
    """Try every combination of the labeler's options on train, and take the best.

    The objective is entropy_weight x E - distance_weight x D + skill_weight x S + pnl_weight x R, with the
    shares p of the labels of all train bars:

    E = -sum_k p_k ln p_k, the entropy in nats (at most ln 3 = 1.0986; Shannon, 1948), and
    D = sum_k (p_k - target_k)^2. The target is a third each, where both parts have their maximum: labels that
    lean to a class are one of the causes of predictions that do.

    S and R come in when their weights are above 0. Then a quick classifier (nine features of the last bar
    of a window) is trained on the first 70 % of train and judged on the rest, window + horizon - 1 bars
    apart: S is its skill, 1 - NLL / NLL of the class shares, and R the net return, after costs, of trading
    the class whose probability rises most above its share. Only ``finalists`` combinations are judged so:
    the most balanced ones of every horizon in turn, of those with equal counts one.

    Of the sets of options within ``tolerance`` of the highest objective the one that changes the fewest
    options of the config is taken: a share has an error of about sqrt(p (1 - p) H / n), far more than such a
    difference is worth, and a horizon should not move for it.

    Balance alone is no reason to choose labels: shares of a third can be had at any horizon, and say
    nothing of whether the classes can be told apart or pay for their costs. Without the classifier the
    search makes labels trainable, no more.

    Default grids, joined by the configured values:
    ``adaptive_threshold``: multiplier .2, .3 ... 2.0; adaptive_min .0005 .001 .002 .003 .005 .0075 .01 .015;
    adaptive_max .0075 .01 .015 .02 .025 .03 .035 .04 .05 .06 .08 .1; horizon_bars 4 8 12 24 48 (9,120
    combinations); with ``adaptive: false`` price_change from .0005 to .03 instead of the first three.
    ``volatility_quantile``: sell and buy .2 .25 .28 .3 .333 .35 .38 .4; horizon_bars as above. Its shares are
    its options by construction, so that it needs the classifier more than the others.
    Any other labeler: those options that ``space`` gives.
    """

    def __init__(
        self,
        *,
        target: goals.Target = goals.BALANCED,
        entropy_weight: goals.EntropyWeight = 1.0,
        distance_weight: goals.DistanceWeight = 5.0,
        skill_weight: goals.SkillWeight = 0.0,
        pnl_weight: goals.PnlWeight = 0.0,
        tolerance: goals.Tolerance = 0.001,
        classifier: Classifier = "logistic",
        finalists: Annotated[
            int, Field(ge=1, description="combinations that the classifier is trained for")
        ] = 24,
        fee_bps: FeeBps = None,
        slippage_bps: SlippageBps = None,
        space: Annotated[
            dict[str, Values] | None,
            Field(description="values by option, instead of the default ones of that option"),
        ] = None,
    ) -> None:
        self.objective = goals.Objective(
            PerClass(*target), entropy_weight, distance_weight, skill_weight, pnl_weight, tolerance
        )
        self.classifier = classifier
        self.finalists = finalists
        self.fee_bps = fee_bps
        self.slippage_bps = slippage_bps
        self.space = space

    def search(self, task: LabelSearch) -> LabelSearchResult:
        """Return the best options and the table of every combination that the labeler accepts."""
        axes = grid_axes(task, self.space)
        wanted, refused = accepted(task, axes)
        every = list(combinations(axes))
        tried = [every[row] for row in wanted]
        notes = []
        if len(tried) < len(every):
            notes.append(f"{len(every) - len(tried):,} of {len(every):,} combinations left out: {refused}")
        task.progress.start("labels", len(tried))
        try:
            counts = count_labels(task, axes, wanted.tolist(), lambda n: task.progress.advance(n))
        finally:
            task.progress.stop()
        scores = goals.Scores(tried, self.objective, counts)
        if self.objective.needs_proxy:
            chosen = self._finalists(task, tried, scores, counts)
            notes.append(f"the classifier was trained for {len(chosen):,} of {len(tried):,} combinations")
            self._judge(task, scores, chosen)
        found = scores.result(task, notes)
        return replace(found, notes=(*found.notes, *at_the_edge(axes, found.best)))

    def _judge(self, task: LabelSearch, scores: goals.Scores, chosen: list[int]) -> None:
        proxy = Proxy(task, self.classifier, self.fee_bps, self.slippage_bps)
        task.progress.start("labels, classifier", len(chosen))
        try:
            for row in chosen:
                scores.judge(row, proxy)
                task.progress.advance(1, objective=float(scores.objective[row]))
        finally:
            task.progress.stop()

    def _finalists(
        self, task: LabelSearch, tried: list[dict[str, Any]], scores: goals.Scores, counts: IntArray
    ) -> list[int]:
        """Return the rows to judge: the most balanced of every horizon in turn, each labeling once.

        Of equal labelings it is the one that changes the fewest options.
        """
        by_horizon: dict[int, list[int]] = {}
        seen = set()
        known = np.flatnonzero(np.isfinite(scores.balance)).tolist()
        for row in sorted(known, key=lambda row: (-scores.balance[row], scores.changes(row, task))):
            horizon = tried[row].get("horizon_bars", task.options.get("horizon_bars", 0))
            same = (horizon, *counts[row].tolist())
            if same not in seen:
                seen.add(same)
                by_horizon.setdefault(horizon, []).append(row)
        queues = [by_horizon[horizon] for horizon in sorted(by_horizon)]
        turns = max(map(len, queues), default=0)
        order = [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]
        return order[: self.finalists]


@hookimpl
def simengine_register_threshold_optimizers() -> list[Component]:
    """Register the component."""
    return [Component("grid", GridSearch)]
