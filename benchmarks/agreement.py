"""Does the engine agree with vectorbt and backtesting.py? python benchmarks/agreement.py [--bars N] [--json].

Both compute the same case as `simengine.backtest.backtest` in the fill convention of their own, without
stops, with stops and with tight stops. Printed are the largest relative difference of equity at any bar
and the number of trades of which anything differs (bars, side, units, prices, profit). Exit code 1 when
equity differs by more than 1e-9 or a trade differs. The bare loop of these benchmarks takes part too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import peers
from random_market import make_bars, make_signals

TOLERANCE = 1e-9
STOPS = {
    "no stops": {},
    "stops 0.5 % and 1 %": {"stop_loss": 0.005, "take_profit": 0.01},
    "stops 0.1 % and 0.2 %": {"stop_loss": 0.001, "take_profit": 0.002},
}


def others(names: list[str]) -> dict[str, tuple[str, float, object]]:
    """Return fill convention, slippage in bps and call of each contestant that is installed."""
    found = {
        "bare loop": ("stop_first_drop", 5.0, lambda *case: peers.bare(*case, "stop_first_drop")),
        "vectorbt": ("stop_first_drop", 5.0, peers.vectorbt),
        # Its spread moves entries only.
        "backtesting.py": ("open_first_skip_entry", 0.0, peers.backtesting_py),
    }
    modules = {"vectorbt": "vectorbt", "backtesting.py": "backtesting"}
    for name in names:
        if name in modules and not peers.import_peer(modules[name]):
            raise SystemExit(f"{name} is not installed; pip install '.[bench]', or leave it out with --only")
    return {name: found[name] for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--only", default="bare loop,vectorbt,backtesting.py", help="contestants, by comma")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    bars, signals = make_bars(options.bars), make_signals(options.bars)
    rows = []
    for name, (convention, slippage, call) in others(options.only.split(",")).items():
        for label, stops in STOPS.items():
            terms = peers.Terms(slippage_bps=slippage, **stops)
            start = time.process_time()
            theirs = call(bars, signals, terms)
            seconds = time.process_time() - start
            difference = peers.compare(peers.ours(bars, signals, terms, convention), theirs)
            rows.append(
                {
                    "peer": name,
                    "stops": label,
                    "fill_convention": convention,
                    "trades": len(theirs.trades),
                    "equity_difference": difference.equity,
                    "trades_that_differ": difference.trades,
                    "agrees": difference.equity <= TOLERANCE and not difference.trades,
                    "peer_seconds": seconds,
                }
            )
            if not options.json:
                print(as_line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps({"bars": options.bars, "rows": rows}))
    return 0 if all(row["agrees"] for row in rows) else 1


def as_line(row: dict[str, object]) -> str:
    return (
        f"{row['peer']:<15} {row['fill_convention']:<22} {row['stops']:<22} {row['trades']:>9,} trades  "
        f"equity {row['equity_difference']:.1e}  trades that differ {row['trades_that_differ']}  "
        f"{'agrees' if row['agrees'] else 'DIFFERS'}  ({row['peer_seconds']:.1f} s)"
    )


if __name__ == "__main__":
    sys.exit(main())
