"""Does the engine invent profit? The default pipeline on a market that holds none, and with a planted leak.

On the `null` preset no rule can earn anything before costs: the HAC t of gross PnL must stay within
+/-4.5 for every seed, with at least 500 round trips behind it. The same pipeline with features one bar
early must show t > 10, or the check itself would be blind.

    python benchmarks/null.py [--seeds 8] [--leak-seeds 2] [--json]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from simengine import api

HERE = Path(__file__).parent
LIMIT, LEAK_LIMIT, MIN_TRADES = 4.5, 10.0, 500


def one(seed: int, out: str, *, leak: bool) -> dict[str, Any]:
    """Run one seed; the market and everything random in the run change with it."""
    overrides = [
        f"seed={seed}",
        "data.source.market=null",
        f"data.source.seed={seed}",
    ]
    if leak:
        overrides += [f"plugins=['{HERE / 'one_bar_early.py'}']", "features=one_bar_early"]
    metrics = api.run(HERE.parent / "config.yaml", overrides=overrides, out=out).metrics
    money, test = metrics["backtest"], metrics["classification"]["test"]
    return {
        "seed": seed,
        "leak": leak,
        "gross_t": money["gross_t"],
        "trades": money["trades"],
        "net_return": money["net_return"],
        "skill": test["skill"],
        "sign_auc": test["sign_auc"],
    }


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the figures, one sentence each."""
    found = []
    for row in rows:
        name = f"seed {row['seed']}{' with the leak' if row['leak'] else ''}"
        if row["leak"] and not row["gross_t"] > LEAK_LIMIT:
            found.append(f"{name}: gross_t {row['gross_t']:.2f} does not exceed {LEAK_LIMIT}")
        if not row["leak"] and not abs(row["gross_t"]) <= LIMIT:
            found.append(f"{name}: gross_t {row['gross_t']:.2f} is beyond +/-{LIMIT}")
        if row["trades"] < MIN_TRADES:
            found.append(f"{name}: {row['trades']:.0f} round trips are fewer than {MIN_TRADES}")
    return found


def main() -> int:
    """Run all seeds, print a table, and return 1 when a bound is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8, help="seeds without the leak")
    parser.add_argument("--leak-seeds", type=int, default=2, help="seeds with the leak")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    plan = [(s, False) for s in range(1, options.seeds + 1)] + [
        (s, True) for s in range(1, options.leak_seeds + 1)
    ]
    rows = []
    with tempfile.TemporaryDirectory() as out:
        for seed, leak in plan:
            rows.append(one(seed, out, leak=leak))
            if not options.json:
                row = rows[-1]
                print(
                    f"seed {seed:2d} {'one bar early' if leak else 'honest':13s}  "
                    f"gross_t {row['gross_t']:7.2f}  round trips {row['trades']:6.0f}  "
                    f"net {row['net_return']:+.3f}  skill {row['skill']:+.4f}  "
                    f"sign AUC {row['sign_auc']:.4f}",
                    flush=True,
                )
    wrong = failures(rows)
    if options.json:
        print(json.dumps({"rows": rows, "failures": wrong}))
    else:
        print("\n".join(wrong) or "every bound holds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
