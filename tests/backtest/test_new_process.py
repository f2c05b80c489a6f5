"""What a new process does before its first result: no pandas, nothing compiled again."""

import json
import subprocess
import sys

FIRST_RESULT = """
import json, sys
import numpy as np
from simengine.backtest import backtest
from simengine.types import Bars

price = 100.0 + np.sin(np.arange(50.0))
bars = Bars("X", np.arange(50) * 3_600 * 10**9, price, price + 1, price - 1, price, np.full(50, 1e3))
signals = np.tile([2, 1, 0, 1, 1], 10)
result = backtest(bars, signals=signals, stop_loss=0.01, take_profit=0.02, fee_bps=5)
assert len(result.trades) and result.stats

from numba.core.dispatcher import Dispatcher

compiled = {
    id(value): value
    for name, module in list(sys.modules.items())
    if name.startswith("simengine.")
    for value in vars(module).values()
    if isinstance(value, Dispatcher)
}
print(json.dumps({
    "pandas": "pandas" in sys.modules,
    "hits": sum(sum(f.stats.cache_hits.values()) for f in compiled.values()),
    "misses": sum(sum(f.stats.cache_misses.values()) for f in compiled.values()),
}))
"""


def first_result():
    done = subprocess.run([sys.executable, "-c", FIRST_RESULT], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_second_process_imports_no_pandas_and_compiles_nothing():
    first_result()  # compiles what is not in the cache
    second = first_result()
    assert second["pandas"] is False
    assert second["misses"] == 0
    assert second["hits"] > 0
