"""The summaries that the verbs print for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simengine.cli.output import emit, number, percent, rows, shares, signed_percent, table, words

Metrics = Mapping[str, Any]
_BASELINE = {"buy_and_hold": "buy & hold", "reversal": "4-bar reversal"}


def print_run(metrics: Metrics, run_dir: Path) -> None:
    """Print a finished run; one that was only trained has neither PnL nor a report."""
    print_classification(metrics)
    if "backtest" not in metrics:
        emit(f"\nrun: {run_dir}")
        return
    emit()
    print_backtest(metrics)
    emit(f"\nreport: {run_dir / 'report.html'}")


def print_classification(metrics: Metrics, where: str = "test") -> None:
    """Print the shares, the quality of the probabilities and of the decided signals."""
    test = metrics["classification"][where]
    oracle = metrics.get("oracle", {}).get("test")
    emit(f"Signals on {where} ({test['n']} labelled bars)")
    rows(
        [
            ("labels", shares(test["label_share"])),
            ("argmax, raw", shares(test["raw_argmax_share"])),
            ("argmax, calibrated", shares(test["argmax_share"])),
            ("decided", shares(test["decided_share"])),
            *([("exact, argmax", shares(oracle["argmax_share"]))] if oracle else []),
        ]
    )
    emit()
    header = [
        f"Probabilities on {where}",
        "model",
        *(["exact, window", "exact, all history"] if oracle else []),
    ]
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


def print_backtest(metrics: Metrics, where: str = "test") -> None:
    """Print PnL after and before costs beside the baselines."""
    backtest, baselines = metrics["backtest"], metrics["baselines"]
    emit(f"Backtest on {where} ({backtest['fill_convention']} fills)")
    rows(
        [
            ("net return", signed_percent(backtest["net_return"])),
            ("gross return", f"{signed_percent(backtest['gross_return'])}   (same targets, no costs)"),
            ("gross t (HAC)", _gross_t(backtest)),
            ("sharpe", number(backtest["sharpe"], 2)),
            ("max drawdown", percent(backtest["max_drawdown"])),
            ("trades, win rate", f"{backtest['trades']:.0f}, {percent(backtest['win_rate'])}"),
            ("fees + slippage", f"{backtest['fees'] + backtest['slippage_cost']:,.2f}"),
            ("random shifts", _against_shifts(backtest)),
            *([("other fills", _other_fills(backtest))] if "sensitivity" in backtest else []),
            *[(_BASELINE[name], signed_percent(row["net_return"])) for name, row in baselines.items()],
        ]
    )


def _gross_t(backtest: Metrics) -> str:
    if backtest["gross_t"] is None:
        return "–   (nothing was traded, or too few bars)"
    return f"{number(backtest['gross_t'], 2)}   (beyond 2 in size would be news)"


def _against_shifts(backtest: Metrics) -> str:
    n = backtest["random_shifts"]["n"]
    return f"better than {percent(backtest['random_percentile'], 0)} of {n}"


def _other_fills(backtest: Metrics) -> str:
    """Return the net return of the same targets under each of the other fill conventions."""
    others = [(k, v) for k, v in backtest["sensitivity"].items() if k != backtest["fill_convention"]]
    return ", ".join(f"{name} {signed_percent(value)}" for name, value in others)


def print_check(report: Metrics) -> None:
    """Print what `simengine check` found."""
    emit(f"{report['config']}: ok")
    rows([(name.replace("_", " "), words(value)) for name, value in report["summary"].items()])
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


def print_comparison(comparison: Metrics) -> None:
    """Print one row per entry: signals and probabilities first, money below."""
    span, entries = comparison["span"], comparison["rows"]
    common = f"{span['windows']} labelled windows and {span['bars']} bars in common"
    emit(f"{span['first']} to {span['last']}: {common}\n")
    table(
        ["signals and probabilities", "decided SELL / HOLD / BUY", "macro-F1", "ECE", "NLL", "skill", "AUC"],
        [_classification_row(row["label"], row["classification"]) for row in entries],
    )
    emit()
    table(
        ["money", "net", "gross", "sharpe", "max drawdown", "trades", "turnover/yr", "fees"],
        [_money_row(row["label"], row["backtest"]) for row in entries],
    )
    for note in comparison["notes"]:
        emit(f"note: {note}")


def _classification_row(label: str, figures: Metrics) -> list[str]:
    decided = figures.get("decided_share")
    share = " / ".join(f"{100 * value:.1f}" for value in decided) if decided else "–"
    plain = [number(figures.get(name), 4) for name in ("macro_f1", "ece", "nll")]
    return [label, share, *plain, signed_percent(figures.get("skill")), number(figures.get("sign_auc"))]


def _money_row(label: str, figures: Metrics) -> list[str]:
    returns = [signed_percent(figures.get(name)) for name in ("net_return", "gross_return")]
    counts = [
        number(figures.get(name), digits) for name, digits in (("trades", 0), ("turnover", 0), ("fees", 2))
    ]
    return [label, *returns, number(figures.get("sharpe"), 2), percent(figures.get("max_drawdown")), *counts]


def print_explanation(explanation: Metrics, top: int = 10) -> None:
    """Print the most important features and where in the window the model looks."""
    emit(
        f"Mean |SHAP| of the class probabilities over {explanation['windows']} test windows, "
        f"{explanation['background']} background windows (completeness error "
        f"{explanation['completeness_error']:.1e})\n"
    )
    header = ["SELL", "HOLD", "BUY"]
    features = list(explanation["features"].items())
    table(
        [f"feature, top {min(top, len(features))} of {len(features)}", *header],
        [[f"  {name}", *(f"{value:.4f}" for value in values)] for name, values in features[:top]],
    )
    emit()
    lags = sorted(explanation["lags"].items(), key=lambda item: -sum(item[1]))
    table(
        [f"bars before the decision, top {min(top, len(lags))} of {len(lags)}", *header],
        [[f"  {lag}", *(f"{value:.4f}" for value in values)] for lag, values in lags[:top]],
    )
