"""A search of label options that learns from its own trials."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.data.label_search import LabelSearch, LabelSearchResult
from simengine.errors import ConfigError, MissingExtraError
from simengine.seed import integer
from simengine_plugins.threshold_optimizers import objective as goals
from simengine_plugins.threshold_optimizers.counting import count_labels
from simengine_plugins.threshold_optimizers.proxy import Classifier, FeeBps, Proxy, SlippageBps
from simengine_plugins.threshold_optimizers.spaces import PLACE, Range, Values, is_whole, ranges

if TYPE_CHECKING:
    from optuna.trial import Trial

Ranges = Mapping[str, Any]


class BayesianSearch:
    """Search the labeler's options on train with a tree-structured Parzen estimator (optuna).

    After 10 random trials each next one is drawn where the density of good trials exceeds that of the others
    the most (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011). The first trial
    is the configured options, when they lie in the ranges. The objective, its parts and what they are worth
    are those of ``grid``; here every trial trains the classifier when ``skill_weight`` or ``pnl_weight`` is
    above 0.

    Prefer it to ``grid`` when a labeling is dear to judge, with the classifier or with a labeler of your
    own, or when a range is to be searched and not a list. Without the classifier and with a built-in
    labeler a grid of 9,120 combinations takes less time than 200 trials.

    Default ranges, each drawn in the logarithm except sell and buy:
    ``adaptive_threshold``: multiplier .2 to 4, adaptive_min .0002 to .01, adaptive_max .01 to .2,
    horizon_bars 4 to 48; with ``adaptive: false`` price_change .0002 to .1 instead of the first three.
    ``volatility_quantile``: sell and buy .15 to .45, horizon_bars as above. The horizon is drawn only where
    skill or profit weigh (or ``space`` names it): balance can be had at any horizon.
    Any other labeler: those options that ``space`` gives, each as ``{low: , high: , log: }`` or as a list of
    choices.

    Needs the extra ``search``. The study lives in memory; the same seed gives the same trials.
    """

    def __init__(
        self,
        *,
        n_trials: Annotated[int, Field(ge=1, description="sets of options that are tried")] = 200,
        target: goals.Target = goals.BALANCED,
        entropy_weight: goals.EntropyWeight = 1.0,
        distance_weight: goals.DistanceWeight = 5.0,
        skill_weight: goals.SkillWeight = 0.0,
        pnl_weight: goals.PnlWeight = 0.0,
        tolerance: goals.Tolerance = 0.001,
        classifier: Classifier = "logistic",
        fee_bps: FeeBps = None,
        slippage_bps: SlippageBps = None,
        space: Annotated[
            dict[str, Range | Values] | None,
            Field(description="range or list of values by option, instead of the default one of that option"),
        ] = None,
    ) -> None:
        if find_spec("optuna") is None:
            raise MissingExtraError("optuna", "search", "labels.optimizer bayesian")
        self.n_trials = n_trials
        self.objective = goals.Objective(
            PerClass(*target), entropy_weight, distance_weight, skill_weight, pnl_weight, tolerance
        )
        self.classifier = classifier
        self.fee_bps = fee_bps
        self.slippage_bps = slippage_bps
        self.space = space

    def search(self, task: LabelSearch) -> LabelSearchResult:
        """Return the best options and the table of all trials; a refused one has no figures."""
        spans = ranges(task, self.space, horizon=self.objective.needs_proxy)
        trials = _Trials(self, task)
        task.progress.start("labels", self.n_trials)
        try:
            self._optimise(task, spans, trials)
        finally:
            task.progress.stop()
        if len(trials.refused) == self.n_trials:
            raise ConfigError(f"{PLACE}: the labeler refused every trial: {trials.refused[0]}")
        counts = np.array(trials.counts, dtype=np.int64)
        scores = goals.Scores(trials.options, self.objective, counts)
        for name, values in trials.proxied.items():
            scores.columns[name][:] = values
        scores.objective[:] = trials.values
        notes = []
        if trials.refused:
            notes.append(
                f"{len(trials.refused):,} of {self.n_trials:,} trials were refused by the labeler: "
                f"{trials.refused[0]}"
            )
        return scores.result(task, notes)

    def _optimise(self, task: LabelSearch, spans: Ranges, trials: _Trials) -> None:
        import optuna

        with _silent():
            sampler = optuna.samplers.TPESampler(seed=integer(task.seed, "labels.bayesian"))
            study = optuna.create_study(direction="maximize", sampler=sampler)
            first = {name: task.options[name] for name in spans}
            if all(_holds(span, first[name]) for name, span in spans.items()):
                study.enqueue_trial(first)
            for _ in range(self.n_trials):
                trial = study.ask()
                options = {name: _drawn(trial, task, name, span) for name, span in spans.items()}
                value = trials.judge(options)
                if np.isfinite(value):
                    study.tell(trial, value)
                else:
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                task.progress.advance(1, best=float(np.nanmax([-np.inf, *trials.values])))


class _Trials:
    """What the trials were, in their order."""

    def __init__(self, search: BayesianSearch, task: LabelSearch) -> None:
        self.task = task
        self.objective = search.objective
        self.proxy = (
            Proxy(task, search.classifier, search.fee_bps, search.slippage_bps)
            if search.objective.needs_proxy
            else None
        )
        self.options: list[dict[str, Any]] = []
        self.counts: list[list[int]] = []
        self.values: list[float] = []
        self.refused: list[str] = []
        self.proxied: dict[str, list[float]] = (
            {name: [] for name in goals.PROXY_NAMES} if self.proxy is not None else {}
        )

    def judge(self, options: dict[str, Any]) -> float:
        """Return the objective of some options, NaN when they cannot be judged."""
        try:
            self.task.create(options)
        except ConfigError as error:
            self.refused.append(str(error))
            counts = np.zeros((1, 3), dtype=np.int64)
        else:
            axes = {name: (value,) for name, value in options.items()}
            counts = count_labels(self.task, axes, (0,), lambda n: None)
        value = float(self.objective.balance(counts)["objective"][0])
        if self.proxy is not None:
            found = self.proxy.judge(options) if np.isfinite(value) else (np.nan, np.nan)
            for name, figure in zip(goals.PROXY_NAMES, found, strict=True):
                self.proxied[name].append(figure)
            value += self.objective.proxied(*found)
        self.options.append(options)
        self.counts.append(counts[0].tolist())
        self.values.append(value)
        return value


def _drawn(trial: Trial, task: LabelSearch, name: str, span: Any) -> Any:  # noqa: ANN401 - range or choices
    if not isinstance(span, Range):
        return trial.suggest_categorical(name, list(span))
    if is_whole(task, name, span):
        return trial.suggest_int(name, int(span.low), int(span.high), log=span.log)
    return trial.suggest_float(name, float(span.low), float(span.high), log=span.log)


def _holds(span: Any, value: Any) -> bool:  # noqa: ANN401 - range or choices, any option
    if isinstance(span, Range):
        return value is not None and bool(span.low <= value <= span.high)
    return value in span


@contextmanager
def _silent() -> Iterator[None]:
    """Keep optuna's notes on every study off stderr; its own level is restored afterwards."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@hookimpl
def simengine_register_threshold_optimizers() -> list[Component]:
    """Register the component."""
    return [Component("bayesian", BayesianSearch)]
