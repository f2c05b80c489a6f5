"""What `backtest.py` measures in a process of its own: new_process.py numba|cold|sweep [BARS].

Prints one JSON object. Memory is read from /proc, so it needs Linux.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def import_numba() -> dict[str, float]:
    import numba  # noqa: F401

    return {}


def first_result(n: int) -> dict[str, float]:
    """One backtest of arrays with all statistics read, and what numba had to compile for it."""
    import peers
    from random_market import make_bars, make_signals

    bars, signals = make_bars(n), make_signals(n)
    terms = peers.Terms(stop_loss=0.005, take_profit=0.01)
    result = peers.call_ours(bars, signals, terms, "stop_first_drop")
    statistics = len(result.stats)
    return {"statistics": statistics, "pandas": "pandas" in sys.modules} | compilations()


def compilations() -> dict[str, int]:
    """Count how often the package's compiled functions were found in the cache, and how often not."""
    from numba.core.dispatcher import Dispatcher

    found = {
        id(value): value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "simengine"
        for value in vars(module).values()
        if isinstance(value, Dispatcher)
    }
    hits = sum(sum(f.stats.cache_hits.values()) for f in found.values())
    misses = sum(sum(f.stats.cache_misses.values()) for f in found.values())
    return {"cache_hits": hits, "cache_misses": misses}


def sweep_memory(n: int) -> dict[str, float]:
    """The highest resident memory during a sweep above that before it, with everything loaded."""
    import backtest

    backtest.run_sweep(1_000)()
    call = backtest.run_sweep(n)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident("VmRSS")
    result = call()
    table = sum(column.nbytes for column in result.table.values())
    return {"megabytes": (resident("VmHWM") - before) / 1024, "table_megabytes": table / 2**20}


def resident(what: str) -> int:
    """Return a line of /proc/self/status in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def main() -> None:
    what, *bars = sys.argv[1:]
    n = [int(text) for text in bars]
    found = {"numba": import_numba, "cold": first_result, "sweep": sweep_memory}[what](*n)
    # Since the start of the process, which the interpreter itself is part of.
    found["cpu"] = time.process_time()
    found["wall"] = time.time() - started()
    print(json.dumps(found))


def started() -> float:
    """Return when this process began, in seconds since the epoch."""
    import os

    ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    boot = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    return boot + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
