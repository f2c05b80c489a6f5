"""The summaries that the verbs print for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simengine.cli.output import emit, number, percent, rows, shares, signed_percent, table

Metrics = Mapping[str, Any]
_BASELINE = {"buy_and_hold": "buy & hold", "reversal": "4-bar reversal"}


def print_run(metrics: Metrics, run_dir: Path) -> None:
    """Print a finished run: shares, probabilities, PnL and the report's path."""
    print_classification(metrics)
    emit()
    print_backtest(metrics["backtest"], metrics["baselines"])
    emit()
    emit(f"report: {run_dir / 'report.html'}")


def print_classification(metrics: Metrics) -> None:
    """Print the shares, the quality of the probabilities and of the decided signals on test."""
    test = metrics["classification"]["test"]
    oracle = metrics.get("oracle", {}).get("test")
    emit(f"Signals on test ({test['n']} labelled bars)")
    rows(
        [
            ("labels", shares(test["label_share"])),
            ("argmax, raw", shares(test["raw_argmax_share"])),
            ("argmax, calibrated", shares(test["argmax_share"])),
            ("decided", shares(test["decided_share"])),
        ]
    )
    emit()
    header = ["Probabilities on test", "model", *(["exact 60 bars", "exact, all history"] if oracle else [])]
    body = []
    for label, name, show in (
        ("macro-F1, decided", "macro_f1", number),
        ("ECE", "ece", number),
        ("NLL", "nll", number),
        ("skill over class prior", "skill", signed_percent),
        ("direction AUC", "sign_auc", number),
    ):
        exact = [show(known.get(name)) for known in (oracle, oracle["full"])] if oracle else []
        body.append([f"  {label}", show(test[name]), *exact])
    if oracle:
        body.append(
            [
                "  share of exact skill",
                "",
                percent(oracle["skill_ratio"]),
                percent(oracle["skill_ratio_full"]),
            ]
        )
    table(header, body)
    emit("  skill includes volatility, which even a market without direction has; direction is the AUC")


def print_backtest(backtest: Metrics, baselines: Mapping[str, Metrics]) -> None:
    """Print PnL after and before costs beside the baselines."""
    emit(f"Backtest on test ({backtest['fill_convention']} fills)")
    rows(
        [
            ("net return", signed_percent(backtest["net_return"])),
            ("gross return", f"{signed_percent(backtest['gross_return'])}   (same targets, no costs)"),
            ("gross t (HAC)", f"{number(backtest['gross_t'], 2)}   (beyond 2 in size would be news)"),
            ("sharpe", number(backtest["sharpe"], 2)),
            ("max drawdown", percent(backtest["max_drawdown"])),
            ("trades, win rate", f"{backtest['trades']:.0f}, {percent(backtest['win_rate'])}"),
            ("fees + slippage", f"{backtest['fees'] + backtest['slippage_cost']:,.2f}"),
            ("random shifts", f"better than {percent(backtest['random_percentile'], 0)} of 200"),
            *[(_BASELINE[name], signed_percent(row["net_return"])) for name, row in baselines.items()],
        ]
    )


def print_check(report: Metrics) -> None:
    """Print what `simengine check` found."""
    emit(f"{report['config']}: ok")
    rows([(name, str(value)) for name, value in report["summary"].items()])
    emit()
    table(
        ["segment", "bars", "windows", "SELL", "HOLD", "BUY"],
        [
            [
                f"  {row['segment']}",
                str(row["bars"]),
                str(row["windows"]),
                *(percent(v) for v in row["label_share"]),
            ]
            for row in report["segments"]
        ],
    )
