"""`cost_aware`: thresholds that earn most after costs on validation rows, or no trade at all."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import ConfigError, DataError
from simengine.evaluate.logproba import check_scores
from simengine.evaluate.prior_matching import cut
from simengine.log import event, get_logger
from simengine.types import DecisionContext, DecisionMarket, FloatArray, LabelArray, Signal

if TYPE_CHECKING:
    from simengine.backtest.overfit import Overfitting
    from simengine.backtest.sweep_result import SweepResult

NEVER = math.inf
"""The threshold of a side that is not traded."""

Share = Annotated[float, Field(ge=0, lt=1)]

logger = get_logger("simengine.decisions.cost_aware")


class CostAware:
    """BUY above one threshold, SELL above another: those that earn most after costs on validation bars.

    A row is BUY where P(BUY) exceeds its threshold, SELL where P(SELL) exceeds its own; where both do, the
    one that is the larger multiple of its threshold (BUY when equal); HOLD otherwise. Candidates for
    the thresholds are quantiles: BUY in the given share of validation rows with the largest P(BUY), SELL
    likewise, every share of one side with every share of the other. Where HOLD keeps a position and no exit
    is configured, a side that is never traded would leave the other open to the end, which is a bet on the
    drift of val and no signal: such pairs are not tried. Each pair is simulated on the validation bars by
    `simengine.backtest.sweep` with the configured fees, slippage, stops and conventions; the largest
    net return wins, of equal ones the first.

    Not to trade is an answer: when no pair earns anything, or the best one is not believed
    (``min_deflated_sharpe``), every signal is HOLD, so that a strategy that follows signals never opens
    a position. Strategies that read probabilities instead of signals do not notice.

    The best of many pairs flatters itself: its val return is in-sample and stands beside the statistics of
    the search (`simengine.backtest.overfit`): deflated Sharpe ratio and probability of backtest
    overfitting. On the oracle markets `null` and `realistic` the best pair seemed to earn money on val in
    five of five runs, and lost it on test in all of them; its deflated Sharpe ratio was 0 every time.
    ``min_deflated_sharpe: 0.95`` kept out of all five, and traded on `easy`, where the signal is worth its
    costs. It is strict: pairs that lose by trading much spread the Sharpe ratios that the best one has to
    beat.

    Parameters
    ----------
    shares : tuple of float
        Shares of validation rows, 0: that side is not traded. The default gives 36 pairs, and 48 where one
        side may be left out.
    on_hold : {"keep", "flat"}, optional
        What HOLD does to a position in the simulation. null: what it does in the strategy, and "keep" with
        one that does not say. Another value than the strategy's is warned of.
    min_deflated_sharpe : float, optional
        Least deflated Sharpe ratio of the best pair, a probability; null: any.

    Attributes
    ----------
    buy_threshold_, sell_threshold_ : float
        Above which a probability decides; infinite: that side is not traded.
    chosen_ : dict
        ``trades`` (whether anything is traded from now on), and of the best pair on the validation bars,
        in-sample, ``buy_share, sell_share, net_return, sharpe`` (annualised) and ``trades_closed``.
    overfitting_ : dict
        Fields of `simengine.backtest.overfit.Overfitting` for the best pair.
    verdict_ : str
        One sentence.
    """

    fitted_on_val = True

    buy_threshold_: float
    sell_threshold_: float
    chosen_: dict[str, Any]
    overfitting_: dict[str, Any]
    verdict_: str

    def __init__(
        self,
        *,
        shares: Annotated[
            tuple[Share, ...],
            Field(min_length=2, description="shares of validation rows tried for BUY and for SELL; 0: never"),
        ] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
        on_hold: Annotated[
            Literal["keep", "flat"] | None,
            Field(description="what HOLD does to a position; null: what the strategy does"),
        ] = None,
        min_deflated_sharpe: Annotated[
            float | None,
            Field(ge=0, lt=1, description="trade only if the best pair has this deflated Sharpe ratio"),
        ] = None,
    ) -> None:
        if len(set(shares)) < len(shares):
            raise ValueError(f"shares: each counts as a trial, give it once; received {list(shares)}")
        self.shares = shares
        self.on_hold = on_hold
        self.min_deflated_sharpe = min_deflated_sharpe

    def fit(self, log_proba: FloatArray, labels: LabelArray, context: DecisionContext) -> CostAware:
        """Simulate every pair of thresholds on the market of the validation rows.

        Raises
        ------
        ConfigError
            If ``context`` has no market.
        DataError
            If there are too few bars for a sweep, or no two pairs of thresholds differ.
        """
        check_scores(log_proba, labels)
        if context.market is None:
            raise ConfigError(
                "decision cost_aware: needs the bars and costs of the validation rows (context.market), "
                "received none; use it in a run, or another decision"
            )
        proba = np.exp(log_proba)
        on_hold = self._on_hold(context.market)
        closed = on_hold == "flat" or any(level is not None for level in context.market.stops.values())
        pairs = self._pairs(proba, one_sided=closed)
        swept = [_simulated(proba, context.market, *pair, on_hold=on_hold) for pair in pairs]
        best = int(np.argmax([result.table["net_return"][0] for result in swept]))
        self._keep(proba, *pairs[best], swept[best], _overfitting(swept, best))
        return self

    def _keep(
        self, proba: FloatArray, buy: float, sell: float, result: SweepResult, found: Overfitting
    ) -> None:
        """Keep the best pair, or not to trade, and say so."""
        figures = {name: float(result.table[name][0]) for name in ("net_return", "sharpe", "trades")}
        net = figures["net_return"]
        believed = self.min_deflated_sharpe is None or found.deflated_sharpe >= self.min_deflated_sharpe
        trades = net > 0 and believed
        self.buy_threshold_, self.sell_threshold_ = (buy, sell) if trades else (NEVER, NEVER)
        self.overfitting_ = asdict(found)
        self.chosen_ = {
            "trades": trades,
            "buy_share": float((proba[:, Signal.BUY] > buy).mean()),
            "sell_share": float((proba[:, Signal.SELL] > sell).mean()),
            "net_return": net,
            "sharpe": figures["sharpe"],
            "trades_closed": int(figures["trades"]),
        }
        self.verdict_ = self._verdict(net, found)
        event(
            logger,
            "cost_aware",
            f"decision cost_aware: {self.verdict_}",
            chosen_on_val=_finite({"buy_threshold": buy, "sell_threshold": sell, **self.chosen_}),
            overfitting=_finite(self.overfitting_),
        )

    def decide(self, log_proba: FloatArray) -> LabelArray:
        """Return signals (n,) of scores (n, 3), each from its own row."""
        if not hasattr(self, "buy_threshold_"):
            raise DataError("decision cost_aware: decide was called before fit")
        signals = np.full(len(log_proba), Signal.HOLD, np.int8)
        if math.isinf(self.buy_threshold_) and math.isinf(self.sell_threshold_):
            return signals
        scaled, threshold = _one_threshold(np.exp(log_proba), self.buy_threshold_, self.sell_threshold_)
        sell, buy = scaled[:, Signal.SELL], scaled[:, Signal.BUY]
        signals[sell > threshold] = Signal.SELL
        signals[(buy > threshold) & (buy >= sell)] = Signal.BUY
        return signals

    def _pairs(self, proba: FloatArray, *, one_sided: bool) -> list[tuple[float, float]]:
        """Return distinct pairs of thresholds (BUY, SELL), in the order of the shares."""
        buy, sell = (
            [_threshold(proba[:, side], share) for share in self.shares] for side in (Signal.BUY, Signal.SELL)
        )
        traded = 1 if one_sided else 2
        pairs = dict.fromkeys((b, s) for b in buy for s in sell if (b < NEVER) + (s < NEVER) >= traded)
        if len(pairs) < 2:
            raise DataError(
                f"decision cost_aware: {len(proba)} validation rows with "
                f"{len(np.unique(proba, axis=0))} distinct scores leave under two thresholds to choose from; "
                "use other shares, a model with finer scores or a longer validation segment"
            )
        return list(pairs)

    def _on_hold(self, market: DecisionMarket) -> str:
        """Return what HOLD does; warn when the thresholds are fitted on another rule than is traded."""
        own, traded = self.on_hold, market.on_hold
        if own is not None and traded is not None and own != traded:
            logger.warning(
                "decision cost_aware: on_hold is %s, but the strategy trades with on_hold %s: the thresholds "
                "are fitted on another rule than is traded; leave inference.decision.on_hold out",
                own,
                traded,
            )
        return own or traded or "keep"

    def _verdict(self, net: float, found: Overfitting) -> str:
        tried = f"the best of {found.trials} pairs of thresholds nets {net:+.2%} on val (in-sample)"
        if not net > 0:
            return f"do not trade: {tried}, so that every signal is HOLD"
        doubt = (
            f"deflated Sharpe ratio {found.deflated_sharpe:.1%}, probability of overfitting {found.pbo:.1%}"
        )
        if not self.chosen_["trades"]:
            return (
                f"do not trade: {tried}, but {doubt}, short of min_deflated_sharpe "
                f"{self.min_deflated_sharpe:.1%}; every signal is HOLD"
            )
        thresholds = f"BUY above {self.buy_threshold_:.4f}, SELL above {self.sell_threshold_:.4f}"
        return f"{thresholds}: {tried}; {doubt}"


def _simulated(
    proba: FloatArray, market: DecisionMarket, buy: float, sell: float, *, on_hold: str
) -> SweepResult:
    """Simulate one pair as a sweep of one variant."""
    from simengine.backtest.sweeping import sweep

    scaled, threshold = _one_threshold(proba, buy, sell)
    variant = {"threshold": threshold, **market.stops}
    return sweep(market.bars, market.by_bar(scaled), variants=[variant], on_hold=on_hold, **market.options)


def _threshold(values: FloatArray, share: float) -> float:
    """Return the number that this share of ``values`` exceeds, or `NEVER` where ties leave none."""
    count = round(share * len(values))
    if not 0 < count < len(values):
        return NEVER
    found = cut(values, count)
    return found if 0 < found < values.max() else NEVER


def _one_threshold(proba: FloatArray, buy: float, sell: float) -> tuple[FloatArray, float]:
    """Return probabilities (n, 3) and one threshold under which a sweep's rule is that of two thresholds.

    A sweep buys where P(BUY) > t and P(BUY) >= P(SELL), and otherwise sells where P(SELL) > t. Dividing
    P(SELL) by sell / buy first makes t = buy stand for both; the factor keeps the sum at 1 or less.
    """
    if math.isinf(sell):
        factors, threshold = (0.0, 1.0), buy
    elif math.isinf(buy):
        factors, threshold = (1.0, 0.0), sell
    else:
        factor = min(1.0, sell / buy)
        factors, threshold = (factor * buy / sell, factor), factor * buy
    scaled = np.empty_like(proba)
    scaled[:, Signal.SELL] = factors[0] * proba[:, Signal.SELL]
    scaled[:, Signal.BUY] = factors[1] * proba[:, Signal.BUY]
    rest = 1.0 - scaled[:, Signal.SELL] - scaled[:, Signal.BUY]
    scaled[:, Signal.HOLD] = np.maximum(rest, 0.0)  # a rounding error below 0 is no probability
    return scaled, threshold


def _overfitting(swept: list[SweepResult], best: int) -> Overfitting:
    """Return the statistics of all pairs together as one search."""
    from simengine.backtest.overfit import overfitting

    return overfitting(
        np.concatenate([result.sums for result in swept]),
        np.concatenate([result.squares for result in swept]),
        swept[best].counts,
        skewness=swept[best].skewness,
        kurtosis=swept[best].kurtosis,
        best=best,
    )


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures for JSON, which knows neither NaN nor infinity."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


@hookimpl
def simengine_register_decisions() -> list[Component]:
    """Register the component."""
    return [Component("cost_aware", CostAware)]
