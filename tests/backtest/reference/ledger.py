"""The slow engine: one account walked bar by bar, in the order of the documented rules."""

from __future__ import annotations

import math

import numpy as np
from reference.book import YEAR_NS, Account, Options, Order, funding_rates, round_tick
from reference.sizing import direction, send

from simengine.types import Bars


class Run:
    """One account on the union of its symbols' times."""

    def __init__(self, bars: list[Bars], targets: list[np.ndarray], options: Options, cash: float) -> None:
        self.bars, self.targets, self.options = bars, targets, options
        self.account = Account(options, cash, len(bars))
        self.times = np.unique(np.concatenate([b.timestamp for b in bars]))
        self.rates = [funding_rates(options.funding, b.timestamp) for b in bars]
        self.target: list[float] = [math.nan] * len(bars)
        self.wish: list[float | None] = [None] * len(bars)
        self.equity: list[float] = []
        self.value: list[float] = []

    def run(self) -> None:
        account = self.account
        for j, time in enumerate(self.times):
            account.time = int(time)
            account.log.append(f"time {j} ({time})")
            now = [k for k, b in enumerate(self.bars) if time in b.timestamp]
            for k in now:
                account.bar[k] += 1
            if not account.bankrupt:
                self.step(j, now)
            self.equity.append(account.equity())
            self.value.append(sum(p.units * account.mark[k] for k, p in enumerate(account.positions)))
            account.log.append(f"    equity {self.equity[-1]:.10g} cash {account.cash:.10g}")

    # One time

    def step(self, j: int, now: list[int]) -> None:
        account = self.account
        for k in now:
            i, bars = account.bar[k], self.bars[k]
            account.mark[k] = float(bars.open[i])
            account.volume[k] = float(bars.volume[i])
            account.room[k] = self.options.max_participation * account.volume[k] if i else math.inf
            if math.isinf(self.options.max_participation):
                account.room[k] = math.inf
            account.positions[k].start = float(bars.open[i])
            account.positions[k].mid_bar = False
            self.show(k)
        if j:
            self.financing(j, now)
        trading = [k for k in now if account.bar[k] > 0]
        self.target = [self.heard(k) if k in trading else math.nan for k in range(len(self.bars))]
        self.wish = [self.new_order(k) if k in trading else None for k in range(len(self.bars))]
        self.at_the_open(trading)
        self.inside(trading)
        self.account_liquidation()
        self.at_the_close(now)

    def show(self, k: int) -> None:
        i, b = self.account.bar[k], self.bars[k]
        target = self.targets[k][i - 1] if i else math.nan
        self.account.note(
            k,
            f"bar {i}: o {b.open[i]:.8g} h {b.high[i]:.8g} l {b.low[i]:.8g} c {b.close[i]:.8g} "
            f"v {b.volume[i]:.8g} target {target:.6g} units {self.account.positions[k].units:.10g}",
        )

    def financing(self, j: int, now: list[int]) -> None:
        """Rule 0: funding and the loan of shares per symbol, the loan of cash per account."""
        account, rate = self.account, self.options.borrow_rate
        owed = max(-account.cash, 0.0)
        longs = {k: account.positions[k].units * account.mark[k] for k in account.held()}
        longs = {k: value for k, value in longs.items() if value > 0}
        for k in now:
            i, units = account.bar[k], account.positions[k].units
            if not units:
                continue
            years = float(self.bars[k].timestamp[i] - self.bars[k].timestamp[i - 1]) / YEAR_NS
            value = units * account.mark[k]
            account.finance(k, float(self.rates[k][i]) * value, rate * years * max(-value, 0.0))
        years = float(self.times[j] - self.times[j - 1]) / YEAR_NS
        for k, value in longs.items():
            account.finance(k, 0.0, rate * years * owed * (value / sum(longs.values())))

    def leaving(self, k: int) -> bool:
        """Whether an exit that no order asked for is still being worked off."""
        order = self.account.orders[k]
        return order is not None and order.closing and order.reason != "signal"

    def heard(self, k: int) -> float:
        """The target of the last close; one of the same side does not stop a running exit."""
        target = float(self.targets[k][self.account.bar[k] - 1])
        if self.leaving(k) and target * self.account.positions[k].units > 0:
            return math.nan
        return target

    def new_order(self, k: int) -> float | None:
        """Rule 1: the signed size wanted when the target of the last close is an order."""
        account, options = self.account, self.options
        target = self.target[k]
        stated = account.stated[k]
        if options.rebalance == "on_change":
            return target * options.size if not math.isnan(target) and target != stated else None
        last = stated if math.isnan(target) else target
        if math.isnan(last):
            return None
        wanted, units = last * options.size, account.positions[k].units
        if wanted == 0 or options.rebalance == "every_bar":
            return wanted
        exposure = units * account.mark[k] / account.equity()
        return wanted if abs(exposure - wanted) > options.rebalance else None

    # Rule 2: the order of things

    def at_the_open(self, trading: list[int]) -> None:
        account = self.account
        exits_first = self.options.fill_convention == "stop_first_drop"
        for k in trading:
            if not (exits_first and account.positions[k].units and self.range_exit(k)):
                if self.time_stop_due(k):
                    self.start_exit(k, "time_stop")
                else:
                    self.take_order(k)
            if account.bankrupt:
                return
        for k in trading:
            self.close_or_reduce(k)
        for k in trading:
            self.open_or_increase(k)

    def take_order(self, k: int) -> None:
        """Note the target; a new order replaces the working one."""
        account, wanted, target = self.account, self.wish[k], self.target[k]
        if not math.isnan(target):
            account.stated[k] = target
        if wanted is None:
            working = account.orders[k]
            needless = self.options.rebalance != "on_change" and not math.isnan(target)
            working_signal = needless and working is not None and working.reason == "signal"
            if working_signal and working.wanted != target * self.options.size:
                account.orders[k] = None  # for a target that is no longer the stated one
            return
        units = account.positions[k].units
        account.orders[k] = None
        if wanted == 0 and not units:
            return
        order = Order(wanted, closing=bool(units) and units * wanted <= 0)
        if self.options.limit_offset is not None and wanted:
            order.limit = self.limit_price(k, order.side)
            order.last_bar = account.bar[k] + self.options.limit_bars - 1
        account.orders[k] = order
        account.note(k, f"order {wanted:g} limit {order.limit}")

    def limit_price(self, k: int, side: int) -> float:
        close = float(self.bars[k].close[self.account.bar[k] - 1])
        return round_tick(close * (1 - side * self.options.limit_offset), self.options.tick_size, up=side < 0)

    # Rule 3: closing and reducing parts, then opening and increasing ones

    def close_or_reduce(self, k: int) -> None:
        account, order = self.account, self.account.orders[k]
        if order is None:
            return
        if order.closing:
            self.go_on_leaving(k, account.mark[k])
            return
        if order.way == 0 and account.positions[k].units:
            order.way = direction(account, k, order, account.mark[k])
            if order.way == 0:
                account.orders[k] = None
                return
        if order.way < 0:
            order.limit = None
            order.reduced_at = account.time
            self.settle(k, order, send(account, k, order, account.mark[k]))

    def open_or_increase(self, k: int) -> None:
        account, order = self.account, self.account.orders[k]
        if order is None or order.closing or order.way < 0 or order.reduced_at == account.time:
            return
        quote = account.mark[k]
        unsized = account.positions[k].units and order.units is None and order.limit is None
        if unsized and direction(account, k, order, quote) < 1:
            account.orders[k] = None  # what the others have traded has made it a reduction: it lapses
            return
        order.way = 1
        if order.limit is None:
            self.settle(k, order, send(account, k, order, quote))
        elif order.side * quote <= order.side * order.limit:
            self.settle(k, order, send(account, k, order, quote, slip=False))

    def settle(self, k: int, order: Order, state: str) -> None:
        """Forget a finished order, and under "cancel" what the bar had no room for."""
        account = self.account
        if state == "none" and order.units is None and order.limit is None:
            order.way = 0  # still to be sized, so it may turn out either way
        if state == "done":
            account.orders[k] = None
        elif self.options.remainder == "cancel" and (state == "part" or order.limit is None):
            account.counts["cancelled"] += 1
            account.note(k, "remainder cancelled")
            account.orders[k] = None

    def go_on_leaving(self, k: int, quote: float, *, slip: bool = True) -> None:
        """Close as much as the bar lets through; an exit is always carried on, an opening leg may not be."""
        account, order = self.account, self.account.orders[k]
        if account.leave(k, quote, order.reason, slip=slip):
            order.closing = False
            if order.wanted == 0:
                account.orders[k] = None
        elif self.options.remainder == "cancel" and order.wanted != 0:
            account.counts["cancelled"] += 1
            account.note(k, "opening leg cancelled")
            account.orders[k] = Order(0.0, order.reason, closing=True)

    # Rules 5 to 7: exits

    def start_exit(self, k: int, reason: str) -> None:
        self.account.orders[k] = Order(0.0, reason, closing=True)
        self.account.note(k, f"exit: {reason}")
        if self.options.rebalance != "on_change":
            self.account.stated[k] = math.nan

    def time_stop_due(self, k: int) -> bool:
        """Rule 5; a closing order, new or working, does the same and keeps its reason."""
        account, wanted = self.account, self.wish[k]
        position, working = account.positions[k], account.orders[k]
        if self.options.max_bars is None or not position.units:
            return False
        if working is not None and working.closing and wanted is None:
            return False
        if wanted is not None and position.units * wanted <= 0:
            return False
        return account.bar[k] >= position.entry_bar + self.options.max_bars

    def inside(self, trading: list[int]) -> None:
        """Range exits of what is held, then limits that the bar reaches."""
        account, convention = self.account, self.options.fill_convention
        for k in trading:
            if account.bankrupt:
                return
            position = account.positions[k]
            skip = convention == "stop_first_drop" or (
                convention == "open_first_skip_entry" and position.entry_bar == account.bar[k]
            )
            if position.units and not skip and self.range_exit(k):
                continue
            self.limit_inside(k)

    def limit_inside(self, k: int) -> None:
        """Rule 4: a limit between the open and the extreme of the bar fills at its own price."""
        account, order = self.account, self.account.orders[k]
        if order is None or order.limit is None or order.closing or order.way != 1:
            return
        i, bars = account.bar[k], self.bars[k]
        extreme = float(bars.low[i] if order.side > 0 else bars.high[i])
        beyond = order.side * account.mark[k] <= order.side * order.limit
        if beyond or order.side * extreme > order.side * order.limit:
            return
        before = account.positions[k].units
        self.settle(k, order, send(account, k, order, order.limit, slip=False))
        position = account.positions[k]
        if position.units == before:
            return
        position.start = order.limit
        position.mid_bar = before == 0
        if self.options.fill_convention == "open_first":
            self.range_exit(k, adverse_only=True)

    def stop_level(self, k: int) -> tuple[float | None, str]:
        """The tighter of stop-loss and trailing stop."""
        options, position = self.options, self.account.positions[k]
        s, average = position.side, position.average
        level, reason = None, ""
        if options.stop_loss is not None:
            level, reason = average * (1 - s * options.stop_loss), "stop_loss"
        if options.trailing_stop is not None:
            best = average if math.isnan(position.best) else s * max(s * average, s * position.best)
            trailing = best * (1 - s * options.trailing_stop)
            if level is None or s * trailing > s * level:
                level, reason = trailing, "trailing_stop"
        return level, reason

    def liquidation_level(self, k: int) -> float | None:
        """Price of the only position held at which equity is the maintenance margin."""
        account, m = self.account, self.options.maintenance_margin
        if account.held() != [k]:
            return None
        units = account.positions[k].units
        level = -account.cash / (units * (1 - m)) if units > 0 else -account.cash / (units * (1 + m))
        return level if units < 0 or level > 0 else None

    def range_exit(self, k: int, *, adverse_only: bool = False) -> bool:
        """Rules 6 and 7 on the range of the bar; return whether one of them fired."""
        account = self.account
        position = account.positions[k]
        i, bars, s = account.bar[k], self.bars[k], position.side
        low, high = float(bars.low[i]), float(bars.high[i])
        adverse, favourable = (low, high) if s > 0 else (high, low)
        leaving = self.leaving(k)
        stop, reason = (None, "") if leaving else self.stop_level(k)
        margin = self.liquidation_level(k)
        stopped = stop is not None and s * adverse <= s * stop
        called = margin is not None and s * adverse < s * margin
        if called and not (stopped and s * stop >= s * margin):
            self.liquidate(k, s * min(s * position.start, s * margin))
            self.end_if_broke()
            return True
        if stopped:
            self.exit_in_range(k, s * min(s * position.start, s * stop), reason)
            return True
        if leaving or adverse_only or self.options.take_profit is None:
            return False
        goal = position.average * (1 + s * self.options.take_profit)
        if s * favourable >= s * goal:
            self.exit_in_range(k, s * max(s * account.mark[k], s * goal), "take_profit")
            return True
        return False

    def exit_in_range(self, k: int, quote: float, reason: str) -> None:
        self.start_exit(k, reason)
        self.go_on_leaving(k, quote, slip=self.options.on_stops)

    def liquidate(self, k: int, quote: float) -> None:
        self.start_exit(k, "liquidation")
        self.account.leave(k, quote, "liquidation", forced=True)
        self.account.orders[k] = None

    def end_if_broke(self) -> None:
        if self.account.equity() <= 1e-12 * self.account.traded:
            self.end()

    def end(self) -> None:
        account = self.account
        account.bankrupt = True
        account.orders = [None] * len(self.bars)
        account.log.append("    bankrupt")

    def account_liquidation(self) -> None:
        """Rule 7 for whatever is left at the adverse extremes."""
        account, m = self.account, self.options.maintenance_margin
        held = account.held()
        if not held or account.bankrupt:
            return
        start, extreme = self.path(held)
        if len(held) == 1:
            (k,) = held
            s, level = account.positions[k].side, self.liquidation_level(k)
            if level is not None and s * extreme[k] < s * level:
                self.liquidate(k, s * min(s * start[k], s * level))
                self.end_if_broke()
            return
        first, last = self.spare(start, m), self.spare(extreme, m)
        if last >= 0:
            return
        x = max(0.0, first / (first - last)) if first > 0 else 0.0
        for k in held:
            self.liquidate(k, start[k] + x * (extreme[k] - start[k]))
        self.end_if_broke()

    def path(self, held: list[int]) -> tuple[dict[int, float], dict[int, float]]:
        """Where each position begins the bar and its adverse extreme; the mark without a bar."""
        account = self.account
        start = {k: account.mark[k] for k in held}
        extreme = dict(start)
        for k in held:
            i, bars = account.bar[k], self.bars[k]
            if bars.timestamp[i] == account.time:
                start[k] = account.positions[k].start
                extreme[k] = float(bars.low[i] if account.positions[k].side > 0 else bars.high[i])
        return start, extreme

    def spare(self, prices: dict[int, float], m: float) -> float:
        """Equity less maintenance margin at given prices."""
        units = {k: self.account.positions[k].units for k in prices}
        value = sum(units[k] * price for k, price in prices.items())
        return self.account.cash + value - m * sum(abs(units[k]) * price for k, price in prices.items())

    # Rule 8

    def at_the_close(self, now: list[int]) -> None:
        account = self.account
        for k in now:
            i, bars = account.bar[k], self.bars[k]
            close = float(bars.close[i])
            account.mark[k] = close
            if account.positions[k].units:
                self.see_bar(k, float(bars.low[i]), float(bars.high[i]), close)
        if not account.bankrupt and account.equity() <= 1e-12 * account.traded:
            for k in account.held():
                account.leave(k, account.mark[k], "bankrupt", forced=True)
            self.end()
        for k in now:
            order = account.orders[k]
            if order is not None and order.limit is not None and account.bar[k] >= order.last_bar:
                account.counts["expired"] += 1
                account.note(k, "limit expired")
                account.orders[k] = Order(0.0, order.reason, closing=True) if order.closing else None

    def see_bar(self, k: int, low: float, high: float, close: float) -> None:
        """Of the bar in which a limit opened the position its price, the adverse end and the close count."""
        position = self.account.positions[k]
        s = position.side
        adverse, favourable = (low, high) if s > 0 else (high, low)
        if position.mid_bar:
            favourable = s * max(s * close, s * position.start)
        position.see(adverse)
        position.see(favourable)
        known = not math.isnan(position.best)
        position.best = s * max(s * position.best, s * favourable) if known else favourable
