"""The head of the report: the figures, the baselines, and what they do and do not say."""

from __future__ import annotations

from typing import Any, NamedTuple

from simengine.report.files import RunFiles, dig
from simengine.report.format import DASH, count, number, percent, signed, signed_percent, words

CHANCE_T = 2.0
"""|t| up to which the gross profit cannot be told from chance, at about 95 %."""


class Card(NamedTuple):
    """One headline figure."""

    label: str
    value: str
    note: str


class Row(NamedTuple):
    """One row of a table of metrics."""

    label: str
    cells: list[str]
    note: str = ""


class Statement(NamedTuple):
    """One sentence that must be read beside the figures."""

    title: str
    text: str


PNL_COLUMNS = (
    ("net_return", "Net return", signed_percent),
    ("gross_return", "Gross return", signed_percent),
    ("sharpe", "Sharpe", lambda value: signed(value, 2)),
    ("max_drawdown", "Max drawdown", percent),
    ("trades", "Trades", count),
    ("turnover", "Turnover / year", lambda value: number(value, 1)),
    ("exposure", "Exposure", percent),
)

CLASSIFICATION_ROWS = (
    ("n", "Windows", count, ""),
    ("nll", "NLL", lambda value: number(value, 4), "after test-time views and calibration, nats"),
    ("raw_nll", "NLL, raw", lambda value: number(value, 4), "before calibration"),
    ("skill", "Skill", lambda value: signed_percent(value, 2), "1 - NLL / NLL of the train class prior"),
    ("ece", "ECE", lambda value: number(value, 4), "top label, 15 equal-width bins"),
    ("raw_ece", "ECE, raw", lambda value: number(value, 4), "before calibration"),
    ("ace", "ACE", lambda value: number(value, 4), "per class, 15 equal-mass bins"),
    ("brier", "Brier score", lambda value: number(value, 4), ""),
    ("macro_f1", "Macro-F1", number, "of the decided signals"),
    ("argmax_macro_f1", "Macro-F1 of the argmax", number, ""),
    ("balanced_accuracy", "Balanced accuracy", number, "of the decided signals; chance is 0.333"),
    ("sign_auc", "Sign AUC", number, "P(BUY) - P(SELL) against the sign of the return; chance is 0.5"),
    ("hold_auc", "HOLD AUC", number, "P(HOLD) against HOLD; chance is 0.5"),
)

SHARE_ROWS = (
    ("label_share", "Labels"),
    ("raw_argmax_share", "Argmax, raw"),
    ("argmax_share", "Argmax, calibrated"),
    ("decided_share", "Decided"),
)


def cards(run: RunFiles) -> list[Card]:
    """Return the headline figures."""
    test, pnl = run.metric("classification", "test"), run.metric("backtest")
    interval = dig(pnl, "net_return_interval") or [None, None]
    between = f"95 %: {signed_percent(interval[0])} to {signed_percent(interval[1])}"
    ratio = run.metric("oracle", "test", "skill_ratio")
    skill = (
        f"{percent(ratio, 0)} of the exact classifier's" if ratio is not None else "against the class prior"
    )
    return [
        Card("Net return", signed_percent(dig(pnl, "net_return")), between),
        Card(
            "Gross return",
            signed_percent(dig(pnl, "gross_return")),
            f"t = {signed(dig(pnl, 'gross_t'))}, no costs",
        ),
        Card("Buy & hold", signed_percent(dig(pnl, "buy_and_hold_return")), "same span, same cash"),
        Card("Random shifts", percent(dig(pnl, "random_percentile"), 0), "of them earned less"),
        Card("Skill", signed_percent(dig(test, "skill")), skill),
        Card("Sign AUC", number(dig(test, "sign_auc")), "direction; chance is 0.5"),
        Card("Macro-F1", number(dig(test, "macro_f1")), "decided signals"),
        Card("ECE", number(dig(test, "ece"), 4), f"raw {number(dig(test, 'raw_ece'), 4)}"),
    ]


def shares(run: RunFiles) -> list[tuple[str, list[float], str]]:
    """Return ``(row label, three shares, note)`` from the test labels to the decided signals."""
    rows = []
    for key, label in SHARE_ROWS:
        value = run.metric("classification", "test", key)
        if value is None or any(share is None for share in value):
            continue
        errors = run.metric("classification", "test", key + "_error")
        rows.append((label, [float(share) for share in value], f"± {percent(max(errors))}" if errors else ""))
    return rows


def classification_table(run: RunFiles) -> tuple[list[str], list[Row]]:
    """Return the headings and rows of the classification metrics: test, val and, if known, exact."""
    columns = [
        ("Test", run.metric("classification", "test")),
        ("Val (in-sample)", run.metric("classification", "val")),
    ]
    prior = run.metric("class_prior", "test")
    if prior is not None:
        columns.append(("Class prior", prior))
    exact = run.metric("oracle", "test")
    if exact is not None:
        columns.append(("Exact classifier", exact))
    rows = [
        Row(label, [write(dig(values, key)) for _, values in columns], note)
        for key, label, write, note in CLASSIFICATION_ROWS
    ]
    return [heading for heading, _ in columns], [row for row in rows if any(c != DASH for c in row.cells)]


def pnl_table(run: RunFiles) -> tuple[list[str], list[Row]]:
    """Return the headings and rows of PnL: this run first, then each baseline, then the random shifts."""
    own = run.metric("backtest") or {}
    entries: list[tuple[str, dict[str, Any]]] = [("this run", own)]
    entries += [(words(name), values) for name, values in (run.metric("baselines") or {}).items()]
    if "random_shifts" in own:
        entries.append(("random shifts, median", {"net_return": dig(own, "random_shifts", "q50")}))
    rows = [Row(name, [write(dig(values, key)) for key, _, write in PNL_COLUMNS]) for name, values in entries]
    return [heading for _, heading, _ in PNL_COLUMNS], rows


def sensitivity_table(run: RunFiles) -> tuple[list[str], list[Row]]:
    """Return the headings and rows of the net return by fill convention; no rows in a run without it."""
    found, used = run.metric("backtest", "sensitivity"), run.metric("backtest", "fill_convention")
    if not isinstance(found, dict):
        return [], []
    own = found.get(used)
    rows = []
    for name, value in found.items():
        apart = None if own is None or value is None else value - own
        cells = [signed_percent(value), DASH if name == used else signed_percent(apart)]
        rows.append(Row(name, cells, "used in this run" if name == used else ""))
    return ["Net return", "Difference"], rows


def statements(run: RunFiles) -> list[Statement]:
    """Return what has to be said beside the figures, in order of importance."""
    said = [_profit(run), _direction(run)]
    test = run.metric("classification", "test")
    if dig(test, "label_share_error"):
        said.append(
            Statement(
                "Shares have an error of their own",
                f"Labels of neighbouring bars overlap, so {count(test['n'])} test windows hold about "
                f"{count(test['effective_n'])} independent outcomes (n / H): the share of BUY labels is "
                f"{percent(test['label_share'][2])} ± {percent(test['label_share_error'][2])}, "
                "one standard error. Shares of classes are no end in themselves.",
            )
        )
    said.append(
        Statement(
            "Validation figures are in-sample",
            "Calibrator and decision rule were fitted on the validation segment, and early stopping "
            "looked at it; only the test column was never used for a choice inside this run.",
        )
    )
    fills = run.metric("backtest", "fill_convention") or run.setting("backtest", "fill_convention")
    said.append(
        Statement(
            f"Fills: {fills or 'unknown convention'}",
            "Decisions are made at the close of a bar and filled from the next open on. Conventions "
            "for stops inside a bar alone can move the PnL of the same signals by a third "
            "(the table under Baselines): compare runs of one convention only.",
        )
    )
    if run.metric("oracle", "test") is not None:
        said.append(
            Statement(
                "The market is simulated",
                "The exact classifier is known because these bars come from a model; a figure reached here "
                "says nothing about a real market.",
            )
        )
    return said


def _profit(run: RunFiles) -> Statement:
    t = run.metric("backtest", "gross_t")
    basis = "mean gross return per bar over its Newey-West error"
    if t is None:
        return Statement("No profit claim", f"The gross t statistic ({basis}) is undefined for this run.")
    if abs(t) <= CHANCE_T:
        return Statement(
            "No profit claim",
            f"The gross t statistic is {signed(t)} ({basis}), within ± {CHANCE_T:.0f}: before any cost, "
            "the profit or loss of this strategy cannot be told from chance. Its net return is "
            "no evidence of an edge.",
        )
    if t < 0:
        return Statement(
            "It loses before costs",
            f"The gross t statistic is {signed(t)} ({basis}): the strategy loses even without costs.",
        )
    return Statement(
        "A gross profit beyond chance: suspect a bug first",
        f"The gross t statistic is {signed(t)} ({basis}). Look for lookahead before believing it, "
        "count how many variants were tried, and remember that costs come on top: "
        "only the net return can be earned.",
    )


def _direction(run: RunFiles) -> Statement:
    skill = run.metric("classification", "test", "skill")
    auc = run.metric("classification", "test", "sign_auc")
    return Statement(
        "Skill is not direction",
        f"Skill ({signed_percent(skill)}) includes the forecast of volatility, which tells HOLD from "
        f"the rest and is about +2 % on a market without any signal. Direction is the sign AUC "
        f"({number(auc)}; chance is 0.5).",
    )
