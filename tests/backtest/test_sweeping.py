"""`sweep`: every row is one backtest, whatever the chunks and threads, and the best one is judged."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from simengine.backtest import backtest
from simengine.backtest.chunk import COLUMNS, block_edges, block_sums, threshold_targets
from simengine.backtest.sweeping import sweep
from simengine.backtest.variants import FIELDS
from simengine.errors import ConfigError, DataError

COSTS = {"fee_bps": 5.0, "slippage_bps": 2.0}
GRID = {
    "thresholds": [0.0, 0.35, 0.4, 0.5, 0.6, 0.95],
    "stop_losses": [None, 0.02],
    "take_profits": [None, 0.05],
    "trailing_stops": [None, 0.03],
    "max_bars": [None, 5],
}  # 96 variants


def probabilities(seed, n, warmup=20):
    proba = np.random.default_rng(seed).dirichlet([3, 3, 3], n)
    proba[:warmup] = np.nan
    return proba


@pytest.fixture(scope="module")
def market(random_bars):
    return random_bars(3, 400), probabilities(3, 400)


@pytest.fixture(scope="module")
def result(market):
    return sweep(*market, **GRID, **COSTS)


def one_by_one(bars, proba, variant, **options):
    """The same variant through `backtest`."""
    stops = {name: value for name, value in variant.items() if name != "threshold"}
    return backtest(bars, targets=threshold_targets(proba, variant["threshold"]), **stops, **options)


def test_every_row_is_exactly_one_backtest(market, result):
    assert len(result) == 96
    for row, variant in enumerate(result.variants):
        single = one_by_one(*market, variant, **COSTS)
        found = [result.table[name][row] for name in COLUMNS]
        np.testing.assert_allclose(found, [single.stats[name] for name in COLUMNS], rtol=1e-9, atol=1e-12)
        blocks = np.array_split(single.returns[1:], 16)
        np.testing.assert_allclose(result.sums[row], [b.sum() for b in blocks], rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(result.squares[row], [b @ b for b in blocks], rtol=1e-9, atol=1e-14)
    assert result.counts.tolist() == [len(b) for b in blocks]


@pytest.mark.parametrize("options", [{"jobs": 2}, {"chunk": 64}, {"jobs": 3, "chunk": 128}])
def test_chunks_and_threads_change_no_byte(market, result, options):
    assert sweep(*market, **GRID, **COSTS, **options).to_csv() == result.to_csv()


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_counts_every_variant(market, jobs):
    class Counted:
        total = done = 0
        stopped = False

        def start(self, label, total):
            self.total = total

        def advance(self, steps=1, **info):
            self.done += steps

        def stop(self):
            self.stopped = True

    progress = Counted()
    sweep(*market, **GRID, progress=progress, jobs=jobs)
    assert (progress.done, progress.total, progress.stopped) == (96, 96, True)


def test_a_list_of_the_same_variants_is_the_same_sweep(market, result):
    assert sweep(*market, variants=list(result.variants), **COSTS).to_csv() == result.to_csv()
    assert sweep(*market, variants=result.variants, **COSTS).to_csv() == result.to_csv()


def test_a_part_of_the_variants_gives_the_same_rows(market, result):
    part = sweep(*market, variants=list(result.variants)[40:45], **COSTS)
    assert part.to_csv().splitlines()[1:] == result.to_csv().splitlines()[41:46]


@pytest.mark.parametrize(
    ("proba", "target"),
    [
        ((0.2, 0.2, 0.6), 1.0),
        ((0.6, 0.2, 0.2), -1.0),
        ((0.5, 0.0, 0.5), 1.0),  # a tie is long
        ((0.45, 0.1, 0.45), 1.0),
        ((0.46, 0.1, 0.44), -1.0),  # both above: the larger one
        ((0.3, 0.4, 0.3), math.nan),
        ((0.4, 0.2, 0.4), math.nan),  # above, not at
        ((math.nan,) * 3, math.nan),
    ],
)
def test_the_rule(proba, target):
    np.testing.assert_array_equal(threshold_targets(np.array([proba]), 0.4), [target])
    flat = 0.0 if math.isnan(target) and not math.isnan(proba[0]) else target
    np.testing.assert_array_equal(threshold_targets(np.array([proba]), 0.4, "flat"), [flat])


def test_flat_on_hold_leaves_the_market(market):
    kept, flat = (sweep(*market, thresholds=[0.5], on_hold=how) for how in ("keep", "flat"))
    assert flat.table["exposure"][0] < kept.table["exposure"][0]


@pytest.mark.parametrize("n", [32, 33, 47, 48, 399])
def test_blocks_are_those_of_array_split(n):
    returns = np.random.default_rng(n).normal(size=n)
    parts = np.array_split(returns, 16)
    edges = block_edges(n)
    assert np.diff(edges).tolist() == [len(part) for part in parts]
    sums, squares = block_sums(returns, edges)
    np.testing.assert_allclose(sums, [part.sum() for part in parts])
    np.testing.assert_allclose(squares, [part @ part for part in parts])


def test_several_symbols_are_one_account(random_bars):
    bars = {name: random_bars(seed, 200, symbol=name) for seed, name in enumerate("AB")}
    bars["B"] = bars["B"].slice(50, 200)
    proba = {name: probabilities(seed, len(bars[name])) for seed, name in enumerate("AB")}
    found = sweep(bars, proba, thresholds=[0.4, 0.5], stop_losses=[None, 0.03], **COSTS)
    assert found.symbols == ("A", "B")
    for row, variant in enumerate(found.variants):
        targets = {name: threshold_targets(proba[name], variant["threshold"]) for name in bars}
        single = backtest(bars, targets=targets, stop_loss=variant["stop_loss"], **COSTS)
        expected = [single.stats[name] for name in COLUMNS]
        np.testing.assert_allclose([found.table[name][row] for name in COLUMNS], expected, rtol=1e-9)


def test_a_frame_of_bars_is_bars(market):
    bars, proba = market
    frame = bars.to_frame().reset_index()
    assert sweep(frame, proba, thresholds=[0.4, 0.5]).table["sharpe"].tolist() == (
        sweep(bars, proba, thresholds=[0.4, 0.5]).table["sharpe"].tolist()
    )


def test_inputs_are_left_as_they_are(market):
    bars, proba = market
    before = proba.copy()
    sweep(bars, proba, thresholds=[0.4], **COSTS)
    np.testing.assert_array_equal(proba, before)


def test_the_best_row_by_any_column(result):
    sharpe = result.table["sharpe"]
    assert result.best()["row"] == int(np.nanargmax(sharpe))
    assert result.best()["sharpe"] == np.nanmax(sharpe)
    lowest = result.best("max_drawdown")
    assert lowest["max_drawdown"] == result.table["max_drawdown"].min()
    top = [row["sharpe"] for row in result.top(10)]
    assert top == sorted(top, reverse=True)
    with pytest.raises(ConfigError, match=re.escape("unknown column 'sharp' (did you mean 'sharpe'?)")):
        result.best("sharp")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda found: found.top(by="sharp"),
            "unknown column 'sharp' (did you mean 'sharpe'?); known: exposure, fees, final_equity, "
            "max_drawdown, net_return, sharpe, sortino, trades, turnover, win_rate",
        ),
        (lambda found: found.top(-1), "top takes a number of variants, 1 or more, received -1"),
        (lambda found: found.top(2.0), "top takes a number of variants, 1 or more, received 2.0"),
        (lambda found: found.row(96), "the rows of the table are 0 to 95, received 96"),
        (lambda found: found.row(-1), "the rows of the table are 0 to 95, received -1"),
        (lambda found: found.row("best"), "the rows of the table are 0 to 95, received 'best'"),
    ],
)
def test_rows_and_columns_that_are_not_there(result, call, message):
    with pytest.raises(ConfigError) as caught:
        call(result)
    assert str(caught.value) == message


def test_probabilities_with_labels_of_other_bars_are_refused(market):
    bars, proba = market
    shifted = pd.DataFrame(proba, index=pd.to_datetime(bars.timestamp) + pd.Timedelta("1h"))
    with pytest.raises(
        DataError, match=r"^X: the index of the probabilities is neither 0 to 399 nor the times"
    ):
        sweep(bars, shifted, thresholds=[0.4])


def test_the_frame_has_a_row_per_variant(result):
    frame = result.to_frame()
    assert list(frame) == [*FIELDS, *COLUMNS]
    assert frame["max_bars"].dtype == int
    assert frame["stop_loss"].isna().sum() == 48


def test_the_csv_reads_back_equal(result, tmp_path):
    (tmp_path / "table.csv").write_text(result.to_csv())
    read = pd.read_csv(tmp_path / "table.csv").fillna({"max_bars": 0})
    pd.testing.assert_frame_equal(read, result.to_frame(), check_exact=True, check_dtype=False)


def test_the_result_prints_its_best_rows_and_what_they_are_worth(result):
    text = repr(result)
    lines = text.splitlines()
    assert lines[0] == "SweepResult"
    assert "Top 5 of 96 by Sharpe ratio" in lines
    for name in ("fill_convention  open_first", "96 trials", "effective", "PBO", "minimum track record"):
        assert name in text
    assert lines[-1].strip() == result.verdict


def test_the_best_of_noise_is_not_significant(random_bars):
    """Random probabilities on a random walk, many seeds: luck alone must rarely pass."""
    passed = 0
    for seed in range(12):
        found = sweep(
            random_bars(seed, 400), probabilities(100 + seed, 400), thresholds=np.linspace(0.3, 0.7, 30)
        )
        assert found.best()["sharpe"] == max(row["sharpe"] for row in found.top(3))
        passed += found.significant
        assert found.verdict.startswith("significant" if found.significant else "not significant")
    assert passed <= 1


def test_a_planted_signal_is_significant(random_bars):
    bars = random_bars(5, 2000)
    up = np.append(bars.close[1:] > bars.open[1:], False)
    proba = np.where(up[:, None], [0.2, 0.2, 0.6], [0.6, 0.2, 0.2])
    found = sweep(bars, proba, thresholds=np.linspace(0.3, 0.7, 10))
    assert found.significant
    assert found.verdict.startswith("significant: after 10 trials")


def test_a_sweep_that_never_trades_says_so(market):
    found = sweep(*market, thresholds=[0.998, 0.999])
    assert found.best() is None
    assert math.isnan(found.skewness)
    assert found.verdict == "no variant trades: there is nothing to choose from"
    assert found.verdict in repr(found)


def test_one_trading_variant_among_idle_ones_cannot_be_judged(random_bars):
    bars = random_bars(5, 2000)
    up = np.append(bars.close[1:] > bars.open[1:], False)
    proba = np.where(up[:, None], [0.2, 0.2, 0.6], [0.6, 0.2, 0.2])
    found = sweep(bars, proba, thresholds=[0.5, 0.7])
    assert found.best()["sharpe"] > 0
    assert not found.significant
    assert found.verdict == (
        "not significant: fewer than two variants trade, so the luck of the search cannot be told"
    )


def test_losing_variants_are_not_a_choice(market):
    found = sweep(*market, thresholds=[0.34, 0.35], fee_bps=200.0)
    assert found.best()["sharpe"] < 0
    assert found.verdict.endswith("not trading is better")
    assert not found.significant


def test_a_single_variant_was_not_chosen(market):
    found = sweep(*market, thresholds=[0.4])
    assert found.overfitting is None
    assert found.verdict in repr(found)


def test_the_verdict_follows_the_figures(result):
    assert result.significant == (result.overfitting.deflated_sharpe >= 0.95 and result.overfitting.pbo < 0.5)
    assert result.overfitting_dict()["trials"] == 96


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a sweep needs thresholds, or a list of variants"),
        (
            {"thresholds": [0.4], "variants": [{"threshold": 0.4}]},
            "a sweep takes either a grid or variants, received variants and thresholds",
        ),
        (
            {"stop_losses": np.array([0.1, 0.2]), "variants": [{"threshold": 0.4}]},
            "a sweep takes either a grid or variants, received variants and stop_losses",
        ),
        ({"thresholds": [0.4], "jobs": 0}, "jobs is a number of threads, 1 or more, received 0"),
        (
            {"thresholds": [0.4], "chunk": 100},
            "chunk is a number of variants, a multiple of 64, received 100",
        ),
        ({"thresholds": [0.4], "directory": ""}, "directory is the path of a new folder, received ''"),
        ({"thresholds": [0.4], "directory": 3}, "directory is the path of a new folder, received 3"),
        ({"thresholds": [0.4], "resume": True}, "resume: give the directory of the sweep that is to go on"),
        (
            {"thresholds": [0.4], "stop_loss": 0.02},
            "a sweep takes a list of them: give stop_losses=[...] instead of stop_loss",
        ),
        (
            {"thresholds": [0.4], "signals": [1]},
            "signals: a sweep trades a threshold rule on probabilities; use backtest for it",
        ),
        (
            {"thresholds": [0.4], "on_hold": "keeep"},
            "unknown on_hold 'keeep' (did you mean 'keep'?); known: flat, keep",
        ),
    ],
)
def test_options_that_are_not_valid_are_one_line(market, options, message):
    with pytest.raises(ConfigError) as caught:
        sweep(*market, **options)
    assert str(caught.value) == message


def test_an_unknown_option_names_the_nearest(market):
    with pytest.raises(ConfigError, match=r"^unknown option 'cahs' \(did you mean 'cash'\?\); known: "):
        sweep(*market, thresholds=[0.4], cahs=1.0)


def test_what_the_engine_refuses_is_refused(market):
    with pytest.raises(ConfigError, match="cash"):
        sweep(*market, thresholds=[0.4], cash=-1.0)


def with_row(proba, row, values):
    changed = proba.copy()
    changed[row] = values
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: p[:-1],
            "X: probabilities must have the shape (400, 3): SELL, HOLD, BUY at each bar; received (399, 3)",
        ),
        (
            lambda p: p[:, 0],
            "X: probabilities must have the shape (400, 3): SELL, HOLD, BUY at each bar; received (400,)",
        ),
        (lambda p: [["a"] * 3] * 400, "X: probabilities must be numbers or NaN"),
        (
            lambda p: with_row(p, 30, [0.5, math.nan, 0.5]),
            "X: the probabilities at row 30 are [0.5, nan, 0.5]; three numbers in [0, 1] that sum to 1, or "
            "three NaN, are expected",
        ),
        (
            lambda p: with_row(p, 31, [0.5, 0.5, 0.5]),
            "X: the probabilities at row 31 are [0.5, 0.5, 0.5]; three numbers in [0, 1] that sum to 1, or "
            "three NaN, are expected",
        ),
        (
            lambda p: with_row(p, 32, [math.inf, 0, 0]),
            "X: the probabilities at row 32 are [inf, 0.0, 0.0]; three numbers in [0, 1] that sum to 1, or "
            "three NaN, are expected",
        ),
        (
            lambda p: with_row(p, 33, [math.inf, -math.inf, 0]),
            "X: the probabilities at row 33 are [inf, -inf, 0.0]; three numbers in [0, 1] that sum to 1, or "
            "three NaN, are expected",
        ),
        (lambda p: p * math.nan, "the probabilities are NaN in every row; there is nothing to trade"),
    ],
)
def test_probabilities_that_cannot_be_used_are_one_line(market, change, message):
    bars, proba = market
    with pytest.raises(DataError) as caught:
        sweep(bars, change(proba), thresholds=[0.4])
    assert str(caught.value) == message


def test_too_few_bars_for_the_blocks(random_bars):
    with pytest.raises(DataError) as caught:
        sweep(random_bars(1, 32), probabilities(1, 32, 0), thresholds=[0.4])
    assert str(caught.value) == (
        "a sweep needs at least 33 bars (16 blocks of two returns judge its best variant), received 32"
    )
    assert len(sweep(random_bars(1, 33), probabilities(1, 33, 0), thresholds=[0.4, 0.5])) == 2
