"""The report page: complete, self-contained, safe to open."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from simengine.errors import RunError
from simengine.report import write_report
from simengine.report.format import DASH

VOID = {"meta", "br", "input", "link", "img", "hr"}
SECTIONS = [
    "summary", "reading", "shares", "baselines", "equity", "classification", "calibration", "training",
    "trades", "config", "manifest",
]  # fmt: skip
HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>'


class Page(HTMLParser):
    """Collects tags and text, and fails on an element that is closed out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).replace("\N{NO-BREAK SPACE}", " ").split())


def read(path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_every_section_is_there_and_linked(make_run):
    page = read(write_report(make_run()))
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert ids == SECTIONS
    assert links == [f"#{name}" for name in SECTIONS]


def test_nothing_outside_the_file_is_asked_for(make_run):
    html = write_report(make_run()).read_text(encoding="utf-8")
    page = Page(html)
    for tag, attrs in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "base", "form"}
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith("#")
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    styles = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "@import" not in styles
    assert "url(" not in styles
    # uPlot's own licence comment is the one address in the page.
    assert set(re.findall(r"https?://[^\s\"')]+", html)) == {"https://github.com/leeoniya/uPlot"}


def test_summary_shows_the_run_beside_its_baselines(make_run):
    words = read(write_report(make_run())).words
    assert "Net return \N{MINUS SIGN}3.12 % 95 %: \N{MINUS SIGN}8.10 % to +2.20 %" in words
    assert "buy and hold +2.04 %" in words
    assert "reversal \N{MINUS SIGN}9.00 % +1.00 %" in words
    assert "random shifts, median \N{MINUS SIGN}4.10 %" in words
    assert "61 % of 200 circular shifts" in words
    assert "42 % of the exact classifier's" in words
    assert "Labels 28.3 % 33.9 % 37.8 % ± 3.8 %" in words
    assert (
        "Convention Net return Difference open_first used in this run \N{MINUS SIGN}3.12 % \N{EN DASH} "
        "stop_first_drop \N{MINUS SIGN}4.12 % \N{MINUS SIGN}1.00 % "
        "open_first_skip_entry \N{EN DASH} \N{EN DASH}"
    ) in words
    assert "Argmax, raw 2.0 % 6.0 % 92.0 %" in words


def test_what_must_be_said_is_said(make_run):
    words = read(write_report(make_run())).words
    assert "No profit claim The gross t statistic is +0.71" in words
    assert (
        "about +2 % on a market without any signal. Direction is the sign AUC (0.543; chance is 0.5)" in words
    )
    assert "1,976 test windows hold about 165 independent outcomes (n / H)" in words
    assert "Validation figures are in-sample" in words
    assert "Fills: open_first" in words
    assert "The market is simulated" in words


@pytest.mark.parametrize(
    ("t", "title"),
    [
        (None, "No profit claim"),
        (2.0, "No profit claim"),
        (-2.5, "It loses before costs"),
        (12.0, "A gross profit beyond chance: suspect a bug first"),
    ],
)
def test_the_claim_follows_the_gross_t(make_run, metrics, t, title):
    metrics["backtest"]["gross_t"] = t
    page = read(write_report(make_run(metrics=metrics)))
    assert f"How to read it {title}" in page.words


def test_real_bars_are_not_called_simulated(make_run, metrics):
    del metrics["oracle"]
    words = read(write_report(make_run(metrics=metrics))).words
    assert "The market is simulated" not in words
    assert "Exact classifier" not in words


def test_missing_figures_are_dashes(make_run, metrics):
    def hollow(tree):
        if isinstance(tree, dict):
            return {key: hollow(value) for key, value in tree.items()}
        return [None, None, None] if isinstance(tree, list) else None

    metrics = {key: hollow(value) for key, value in metrics.items()}
    words = read(write_report(make_run(metrics=metrics))).words
    assert "Net return \N{EN DASH} 95 %: \N{EN DASH} to \N{EN DASH}" in words
    assert "None" not in words.split("Config")[1].split("every default")[0]
    assert not re.search(r"\bnan\b", words.split("Baselines same bars")[1].split("Config every")[0])


def test_every_step_of_inference_has_its_figures(make_run):
    words = read(write_report(make_run())).words
    table = words.split("From the model to the decision")[1].split("NLL in nats")[0]
    assert "plain model 1.1400 0.1210 0.0800 0.6800 2.0 % 6.0 % 92.0 %" in table
    assert "view jitter alone; weight 0.5 in the mean 1.2000" in table
    assert "calibrated by vector what the decision is given 1.0710" in table


def test_prior_tilts_are_factors_around_their_mean(make_run):
    words = read(write_report(make_run())).words
    table = words.split("Prior tilt")[1].split("Weights, quotas")[0]
    assert "training.balancer × 1.11 (+0.10) × 0.82 (\N{MINUS SIGN}0.20) × 1.11 (+0.10)" in table
    # SELL is shut out by the decision.
    assert "inference.decision \N{EN DASH} × 1.28 (+0.25) × 0.78 (\N{MINUS SIGN}0.25)" in table
    assert "shares taught what the label prior becomes under all of them 0.0 % 52.5 % 47.5 %" in table


@pytest.mark.parametrize(("kind", "text"), [
    ("decision", "a decision fitted on validation (prior_matched) cures it"),
    ("model", "no decision rule cures that"),
    (None, None),
])  # fmt: skip
def test_a_collapse_of_the_kept_epoch_is_said(make_run, kind, text):
    kept = {
        "epoch": 1, "train_loss": 1.1, "learning_rate": 0.001, "val_nll": 1.09, "val_ece": 0.01,
        "val_macro_f1": 0.2, "val_argmax_share": [0.01, 0.04, 0.95], "best": True, "collapse": kind,
    }  # fmt: skip
    later = {**kept, "epoch": 2, "best": False, "collapse": "model", "val_argmax_share": [0.0, 0.0, 1.0]}
    words = read(write_report(make_run(history=[kept, later]))).words
    reading = words.split("How to read it")[-1].split("Class shares")[0]
    assert ("ollapse" in reading) == (kind is not None)
    if text is not None:
        assert f"{kind.capitalize()} collapse" in reading
        assert text in reading
        assert "SELL 1 %, HOLD 4 %, BUY 95 %" in reading
    assert f"Collapse 1 1.1000 0.001 1.0900 0.0100 0.200 1.0 % 4.0 % 95.0 % {kind or DASH} 2" in words


def test_class_weights_of_the_epochs_are_shown_when_there_are_some(make_run):
    record = {
        "epoch": 1, "train_loss": 1.1, "learning_rate": 0.001, "val_nll": 1.09, "val_ece": 0.01,
        "val_macro_f1": 0.2, "val_argmax_share": [0.3, 0.3, 0.4], "best": True,
    }  # fmt: skip
    words = read(write_report(make_run(history=[{**record, "class_weights": [1.1, 1.05, 0.8]}]))).words
    assert "BUY Class weights 1 1.1000" in words
    assert "40.0 % 1.10 / 1.05 / 0.80" in words


def test_class_weights_of_one_are_not_shown(make_run):
    assert "Class weights" not in read(write_report(make_run())).words


def test_a_run_without_metrics_trades_or_epochs(make_run):
    words = read(write_report(make_run(metrics={"backtest": {}}, history=[], n_trades=0))).words
    assert "This model is not trained in epochs." in words
    assert "No trade was closed." in words


def test_trades_beyond_the_first_two_hundred_are_counted(make_run):
    page = read(write_report(make_run()))
    assert "260 closed" in page.words
    assert "The first 200 trades; 60 more are in trades.csv." in page.words
    assert "All trades." in read(write_report(make_run("few", n_trades=5))).words


def test_trade_statistics_by_exit_reason(make_run):
    run = make_run()
    trades = pd.read_csv(run / "trades.csv")
    stopped = trades[trades["exit_reason"] == "stop_loss"]
    words = read(write_report(run)).words.replace("\N{MINUS SIGN}", "-")
    share = len(stopped) / len(trades)
    assert f"stop loss {len(stopped)} {share:.1%}".replace("%", " %") in words
    assert f"{stopped['pnl'].sum():,.2f}" in words


def test_long_runs_are_thinned_and_say_so(make_run):
    run = make_run(n=6000, symbols=("AAA",))
    path = write_report(run)
    data = json.loads(re.search(r'id="curves">(.*?)</script>', path.read_text(encoding="utf-8")).group(1))
    assert data["rows"] == 6000
    assert data["points"] == len(data["time"]) == len(data["equity"][0]) == len(data["drawdown"][2]) < 6000
    assert len(data["exposure"]) == len(data["exposure_time"]) == 400
    equity = pd.read_parquet(run / "equity.parquet")
    assert min(data["equity"][0]) == pytest.approx(equity["equity"].min(), rel=1e-6)
    assert data["time"][0] == equity["timestamp"].iloc[0].timestamp()
    assert f"{data['points']:,} of 6,000 bars are drawn" in read(path).words


def test_hostile_names_stay_text(make_run, config, manifest, metrics):
    config["name"] = HOSTILE
    config["strategy"] = {"type": HOSTILE}
    manifest[HOSTILE] = HOSTILE
    metrics["baselines"][HOSTILE] = {"net_return": 0.1}
    run = make_run(symbols=(HOSTILE, "NA"), config=config, manifest=manifest, metrics=metrics)
    page = read(write_report(run))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 3
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.words.count("<img src=x") > 5


def test_embedded_data_cannot_leave_its_element():
    from simengine.report.page import embed

    text = str(embed({"a": "</script><!--&\u2028", "b": float("nan")}))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2028", "b": None}


def test_a_symbol_called_na_is_a_symbol(make_run):
    run = make_run(symbols=("NA", "null"))
    assert "NA long" in read(write_report(run)).words.replace("short", "long")


def test_equal_runs_give_equal_bytes(make_run):
    run = make_run()
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == []


def test_config_is_shown_as_it_is(make_run):
    run = make_run()
    assert yaml.safe_load((run / "config.resolved.yaml").read_text())["seed"] == 7
    assert " ".join((run / "config.resolved.yaml").read_text().split()) in read(write_report(run)).words


def test_no_run_directory(tmp_path):
    with pytest.raises(RunError) as error:
        write_report(tmp_path)
    assert str(error.value) == f"{tmp_path}: no run directory (config.resolved.yaml is missing)"


def test_missing_and_broken_files(make_run):
    run = make_run()
    (run / "metrics.json").write_text("[]")
    with pytest.raises(RunError) as error:
        write_report(run)
    assert str(error.value) == f"{run / 'metrics.json'}: expected a JSON dict, received list"
    (run / "metrics.json").write_text("{")
    with pytest.raises(RunError, match=r"metrics\.json: no valid JSON \(Expecting property name"):
        write_report(run)
    (run / "metrics.json").unlink()
    with pytest.raises(RunError) as error:
        write_report(run)
    assert str(error.value) == f"{run}: metrics.json is missing"


def test_a_missing_column_and_an_unreadable_table(make_run):
    run = make_run()
    trades = pd.read_csv(run / "trades.csv").drop(columns="mae")
    trades.to_csv(run / "trades.csv", index=False)
    with pytest.raises(RunError) as error:
        write_report(run)
    assert str(error.value) == (
        f"{run / 'trades.csv'}: column 'mae' is missing; found: symbol, side, entry_time, exit_time, units, "
        "entry_price, exit_price, fees, slippage, financing, pnl, return, mfe, bars_held, exit_reason"
    )
    (run / "equity.parquet").write_bytes(b"no parquet")
    with pytest.raises(RunError, match=r"equity\.parquet: cannot be read \(.*magic bytes not found"):
        write_report(run)


def test_log_probabilities_are_refused(make_run):
    import numpy as np

    run = make_run()
    table = pd.read_parquet(run / "predictions.parquet")
    table[["p_sell", "p_hold", "p_buy"]] = np.log([0.2, 0.3, 0.5])
    table.to_parquet(run / "predictions.parquet")
    with pytest.raises(RunError) as error:
        write_report(run)
    assert str(error.value) == (
        f"{run / 'predictions.parquet'}: row 0: p_sell + p_hold + p_buy = -3.507, expected probabilities "
        "that sum to 1; the file was not written by this version of simengine"
    )


def test_an_unfinished_run_can_be_reported(make_run):
    run = make_run()
    (run / "DONE").unlink()
    assert write_report(run).name == "report.html"
    shutil.rmtree(run)
