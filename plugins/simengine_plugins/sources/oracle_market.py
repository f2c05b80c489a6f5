"""Source `oracle_market`: simulated five-minute bars whose exact class probabilities are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError, unknown_name
from simengine.market import PRESETS, Oracle, build_market, simulate
from simengine.seed import stream

if TYPE_CHECKING:
    from simengine.types import Bars, FloatArray, IntArray


class OracleMarket:
    """A simulated market with a known best classifier; no download.

    A hidden Markov chain (drift regime, volatility regime, order flow) emits five-minute OHLCV bars
    from 2020-01-01 UTC, symbols ORACLE1, ORACLE2 and so on. Use it to see what share of the achievable
    skill a model reaches, and with ``market: "null"`` to check that no profit comes out of nothing.

    Parameters
    ----------
    market : {"easy", "medium", "realistic", "null"}
        How strong the planted signal is. YAML reads a bare ``null`` as None, which means ``"null"``.
    symbols : int
        Number of independent symbols.
    bars : int
        Bars per symbol, 288 a day. More bars extend the same market.
    seed : int
        Seed of the market. It is apart from the seed of the run, so that runs with other seeds train on
        the same bars.
    """

    def __init__(
        self,
        *,
        market: Annotated[
            Literal["easy", "medium", "realistic", "null"] | None,
            Field(description="strength of the planted signal; a bare null means 'null', no signal"),
        ] = "realistic",
        symbols: Annotated[int, Field(ge=1, description="number of independent symbols")] = 2,
        bars: Annotated[int, Field(ge=1, description="five-minute bars per symbol, 288 a day")] = 30_000,
        seed: Annotated[
            int, Field(ge=0, description="seed of the market; the run's own seed does not change the bars")
        ] = 1,
    ) -> None:
        self.market = "null" if market is None else market
        self.symbols = symbols
        self.bars = bars
        self.seed = seed
        self._oracle = Oracle(build_market(PRESETS[self.market]))
        self._bars: dict[str, Bars] = {}

    def load(self) -> dict[str, Bars]:
        """Simulate the bars, or return those simulated before."""
        if not self._bars:
            self._bars = {
                f"ORACLE{index + 1}": simulate(
                    self._oracle.market,
                    self.bars,
                    stream(self.seed, "oracle_market", index),
                    symbol=f"ORACLE{index + 1}",
                ).bars
                for index in range(self.symbols)
            }
        return dict(self._bars)

    def class_probabilities(
        self,
        symbol: str,
        ends: IntArray,
        lower: FloatArray,
        upper: FloatArray,
        horizon_bars: int,
        history: int | None = None,
    ) -> FloatArray:
        """Return the exact P(SELL, HOLD, BUY) of an observer of the bars, shape (n, 3).

        Parameters
        ----------
        symbol : str
            One of the symbols loaded.
        ends : int array, shape (n,)
            Bar rows t of the symbol.
        lower, upper : float64 arrays, shape (n,)
            Log-return thresholds at those rows: SELL at or below, BUY above.
        horizon_bars : int
            H of the forward return log(close[t+H] / close[t]).
        history : int, optional
            Bars that the observer sees up to t; None for all from the first.

        Raises
        ------
        DataError
            If the symbol is unknown or an argument is out of range.
        """
        loaded = self.load()
        if symbol not in loaded:
            raise DataError(f"oracle_market: {unknown_name('symbol', symbol, loaded)}")
        return self._oracle.class_probabilities(loaded[symbol], ends, lower, upper, horizon_bars, history)


@hookimpl
def simengine_register_sources() -> list[Component]:
    """Register the component."""
    return [Component("oracle_market", OracleMarket)]
