"""Strategies that need the state of their account: a rule that runs at the close of every bar.

A rule is a plain function marked with `on_bar`; `backtest` takes it as the option of that name, a strategy
has it as an attribute. It is compiled with numba and called inside the trading loop as

    rule(i, target, open, high, low, close, volume, account, memory) -> float

i : int
    The bar that has just closed.
target : float
    What the targets say for this bar; NaN where they say nothing.
open, high, low, close, volume : float64 arrays, read-only
    From the first bar to bar i: ``close[-1]`` is the close of bar i. There is nothing after it, and an
    index outside is an error.
account : float64 array
    The account at that close, at the places named below. `STOP` and `GOAL` may be overwritten, the rest is
    for reading.
memory : float64 array
    The rule's own numbers, which stay from bar to bar: what `OnBar.starting` gives, then zeros.

It returns the target for the next bar, which is traded like one of ``targets``: an order at the next open
when it is one, NaN keeps the last target.

Places in ``account`` (prices and money in quote currency):

CASH, EQUITY
    At the close; equity is cash + units x close.
UNITS, EXPOSURE
    Held, negative for a short; their value as a fraction of equity.
ENTRY_PRICE
    Average price of the units held; NaN without a position.
ENTRY_BAR, BARS_HELD
    Bar in which the position was opened (-1 without one); bars since then.
BEST, WORST
    Best and worst price seen in the trade, the range of bar i included; NaN without a position.
STOP, GOAL
    Prices at which the position is closed, as the exit reasons stop_loss and take_profit; NaN is off. They
    begin where the options ``stop_loss`` and ``take_profit`` put them. A number written there counts from
    the next bar on, and an increase of the position, which moves the levels of the options, leaves it where
    it is. A level belongs to a position: without one they are NaN and have to stay so.
PNL
    Of the trade so far, marked at the close, after the costs paid.
TARGET
    The last target that was stated.
TRADES
    Number of closed trades.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, overload

import numpy as np

from simengine.backtest.costs import is_number, said
from simengine.backtest.kernel.view import (
    BARS_HELD,
    BEST,
    CASH,
    ENTRY_BAR,
    ENTRY_PRICE,
    EQUITY,
    EXPOSURE,
    GOAL,
    PNL,
    STOP,
    TARGET,
    TRADES,
    UNITS,
    WORST,
)
from simengine.errors import ConfigError, PluginError
from simengine.types import FloatArray

if TYPE_CHECKING:
    from simengine.backtest.kernel.layout import Market, Rules
    from simengine.backtest.kernel.single import Outcome

__all__ = [
    "BARS_HELD",
    "BEST",
    "CASH",
    "ENTRY_BAR",
    "ENTRY_PRICE",
    "EQUITY",
    "EXPOSURE",
    "GOAL",
    "MEMORY_SIZE",
    "PNL",
    "STOP",
    "TARGET",
    "TRADES",
    "UNITS",
    "WORST",
    "OnBar",
    "on_bar",
]

MEMORY_SIZE = 16
"""Numbers in the memory of a rule, unless it asks for more."""

_ARGUMENTS = ("i", "target", "open", "high", "low", "close", "volume", "account", "memory")
_Rule = Callable[..., float]


class _Code:
    """A rule's function, compiled when it is first needed."""

    def __init__(self, function: _Rule, cache: bool) -> None:
        self.function = function
        self.cache = cache

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", self.function))

    @cached_property
    def compiled(self) -> Any:  # noqa: ANN401 - a numba dispatcher
        """The function for exactly the types of a rule.

        Raises
        ------
        PluginError
            When numba cannot compile it.
        """
        from numba import njit
        from numba.core.errors import NumbaError

        from simengine.backtest.kernel.compiling import VERSION

        # Without the check of indices close[i + 1] would be the next bar: the view ends, the memory goes on.
        rule: Any = njit(cache=self.cache, error_model="numpy", nogil=True, boundscheck=True)(self.function)
        if self.cache:
            rule._cache._cache_file._version = VERSION
        try:
            rule.compile(_signature())
        except NumbaError as error:
            raise PluginError(f"on_bar {self.name}: numba cannot compile it: {_essence(error)}") from None
        return rule


class OnBar:
    """A rule that runs at the close of every bar; made by `on_bar`, called by the engine.

    Parameters
    ----------
    code
        The function.
    memory : float64 array
        What the rule's memory holds at the start of every simulation.
    """

    def __init__(self, code: _Code, memory: FloatArray) -> None:
        self._code = code
        self.memory = memory

    @property
    def name(self) -> str:
        """Name of the function."""
        return self._code.name

    @property
    def compiled(self) -> Any:  # noqa: ANN401 - a numba dispatcher
        """The compiled function."""
        return self._code.compiled

    def starting(self, *numbers: float) -> OnBar:
        """Return the same rule with these numbers at the beginning of its memory: its options.

        Raises
        ------
        ConfigError
            More numbers than the memory holds, or something that is no number.
        """
        if len(numbers) > len(self.memory):
            raise ConfigError(
                f"on_bar {self.name}: its memory holds {len(self.memory)} numbers, received {len(numbers)}; "
                "declare a larger one: @on_bar(memory=32)"
            )
        for number in numbers:
            if not is_number(number):
                raise ConfigError(f"on_bar {self.name}: its memory holds numbers, received {said(number)}")
        memory = np.zeros(len(self.memory))
        memory[: len(numbers)] = numbers
        return OnBar(self._code, memory)

    def __call__(self, *arguments: Any) -> float:  # noqa: ANN401
        """Call the function as it was written, not compiled."""
        return self._code.function(*arguments)

    def __repr__(self) -> str:
        return f"OnBar({self.name})"


@overload
def on_bar(function: _Rule) -> OnBar: ...


@overload
def on_bar(*, memory: int = ..., cache: bool = ...) -> Callable[[_Rule], OnBar]: ...


def on_bar(
    function: _Rule | None = None, *, memory: int = MEMORY_SIZE, cache: bool = False
) -> OnBar | Callable[[_Rule], OnBar]:
    """Mark a function as a rule on the state of the account; see this module for what it is given.

    Parameters
    ----------
    function : function
        Of nine arguments; compiled with numba when a backtest first needs it.
    memory : int
        Numbers that its memory holds.
    cache : bool
        Keep the compiled function on disk, beside the file in which it stands. numba sees a change of that
        file only, not of other files that the function uses.

    Raises
    ------
    PluginError
        A function with other arguments, or no function.
    ConfigError
        A memory that is not a whole number, 1 or more.

    Examples
    --------
    >>> @on_bar
    ... def halve_losers(i, target, open, high, low, close, volume, account, memory):
    ...     if account[PNL] < 0.0:
    ...         return 0.5 * account[TARGET]
    ...     return target
    """
    if isinstance(memory, bool) or not isinstance(memory, int) or memory < 1:
        raise ConfigError(f"on_bar: memory is a whole number, 1 or more, received {said(memory)}")

    def mark(function: _Rule) -> OnBar:
        _check_arguments(function)
        return OnBar(_Code(function, cache), np.zeros(memory))

    return mark if function is None else mark(function)


def check(rule: object, capital: str) -> None:
    """Refuse what cannot be called on every bar.

    Raises
    ------
    ConfigError
        A function that is not marked, or a shared account.
    """
    if rule is None:
        return
    if not isinstance(rule, OnBar):
        raise ConfigError(
            f"on_bar is a function marked with @on_bar of simengine.backtest.onbar, received {said(rule)}"
        )
    if capital == "shared":
        raise ConfigError(
            f"on_bar {rule.name}: a rule sees one symbol and its account, which is not possible with the "
            "capital shared; use sleeves"
        )


def run(
    rule: OnBar,
    symbol: str,
    targets: FloatArray,
    most: float,
    market: Market,
    rules: Rules,
    cash: float,
    start: float,
    books: tuple[Any, ...],
) -> Outcome:
    """Simulate one symbol with a rule.

    Parameters
    ----------
    rule, symbol
        What is called, and what it trades.
    targets, most, market, rules, cash, start
        As for the kernel's single run.
    books : tuple
        Trades, orders, ledger, equity and value, to be filled.

    Raises
    ------
    PluginError
        A rule that cannot be compiled, fails, or returns or writes what it may not.
    """
    from numba import typeof, types

    from simengine.backtest.kernel import hooked

    own = (
        rules._replace(stop_loss=-rules.stop_loss),
        rules._replace(take_profit=-rules.take_profit),
        rules._replace(stop_loss=-rules.stop_loss, take_profit=-rules.take_profit),
    )
    decided = np.empty(len(targets))
    given = (targets, float(most), market, rules, own, float(cash), float(start), *books)
    given = (*given, decided, rule.memory.copy())
    # For the type of all rules rather than that of this one: the driver is compiled once and for all.
    signature = (*map(typeof, given), types.FunctionType(_signature()))
    driver: Any = hooked.run
    driver.compile(signature)
    try:
        outcome: Outcome = driver.overloads[signature].entry_point(*given, rule.compiled)
    except IndexError as error:
        raise PluginError(
            f"on_bar {rule.name}: {str(error).splitlines()[0]}; the bars end at the one that has closed, "
            f"[-1], and the memory holds {len(rule.memory)} numbers"
        ) from None
    if outcome.fault in (hooked.ANSWER_FAULT, hooked.LEVEL_FAULT, hooked.FLAT_FAULT):
        row = outcome.bar
        place = f"at row {row} ({market.timestamp[row].astype('M8[ns]').astype('M8[s]')}Z)"
        _refuse(rule, symbol, outcome.fault, float(decided[row]), float(most), place)
    return outcome


def _refuse(rule: OnBar, symbol: str, fault: int, value: float, most: float, place: str) -> NoReturn:
    from simengine.backtest.kernel import hooked

    if fault == hooked.ANSWER_FAULT:
        limits = f"[-{most:g}, {most:g}]"
        wrong = f"returned {value} {place}; targets are exposures in {limits}, NaN keeps the last one"
    elif fault == hooked.LEVEL_FAULT:
        wrong = f"set STOP or GOAL to {value} {place}; a level is a price above 0, or NaN for none"
    else:
        wrong = (
            f"set STOP or GOAL to {value} {place}, where nothing is held; "
            "set a level only while account[UNITS] is not 0"
        )
    raise PluginError(f"{symbol}: on_bar {rule.name} {wrong}")


def _signature() -> Any:  # noqa: ANN401 - of numba
    from numba import types

    read_only = types.Array(types.float64, 1, "C", readonly=True)
    array = types.Array(types.float64, 1, "C")
    return types.float64(types.int64, types.float64, *[read_only] * 5, array, array)


def _check_arguments(function: object) -> None:
    if not inspect.isfunction(function):
        raise PluginError(f"on_bar marks a function, received {said(function)}")
    parameters = tuple(inspect.signature(function).parameters)
    if len(parameters) != len(_ARGUMENTS):
        raise PluginError(
            f"on_bar {function.__name__}: a rule takes {len(_ARGUMENTS)} arguments "
            f"({', '.join(_ARGUMENTS)}), received {', '.join(parameters) or 'none'}"
        )


def _essence(error: Exception) -> str:
    """Return the line of a numba message that says what is wrong, and where."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines()]
    saying = [line for line in lines if line and not line.startswith(("Failed in", "During:"))]
    reasons = re.findall(r"raised a specific error:\s*\w+: (.+)", text)
    calls = [line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")]
    what = reasons[-1] if reasons else saying[0].rstrip(":") if saying else type(error).__name__
    if calls and not reasons:
        what = f"{what}: {calls[0]}"
    place = re.search(r"line (\d+)", text)
    return f"{what} (line {place[1]})" if place and "line" not in what else what
