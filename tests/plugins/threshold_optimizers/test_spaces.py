import pytest

from simengine.errors import ConfigError
from simengine_plugins.threshold_optimizers.counting import combinations
from simengine_plugins.threshold_optimizers.spaces import Range, accepted, at_the_edge, grid_axes, ranges


def message(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


def test_the_default_grid_is_of_the_users_size(make_task, bars):
    axes = grid_axes(make_task(bars), None)
    assert {name: len(values) for name, values in axes.items()} == {
        "multiplier": 19,
        "adaptive_min": 8,
        "adaptive_max": 12,
        "horizon_bars": 5,
    }
    assert len(list(combinations(axes))) == 9120
    assert tuple(
        next(v for v in axes[name] if v == now)
        for name, now in (("multiplier", 1.2), ("adaptive_min", 0.003), ("adaptive_max", 0.03))
    ) == (1.2, 0.003, 0.03)


def test_the_configured_values_join_a_default_grid(make_task, bars):
    axes = grid_axes(make_task(bars, "volatility_quantile", horizon_bars=7), None)
    assert set(axes) == {"sell", "buy", "horizon_bars"}
    assert axes["horizon_bars"] == (4, 7, 8, 12, 24, 48)
    assert 0.283 in axes["sell"]
    assert 0.378 in axes["buy"]


def test_what_is_given_takes_the_place_of_one_default(make_task, bars):
    axes = grid_axes(make_task(bars, adaptive=False), {"horizon_bars": (6, 6)})
    assert set(axes) == {"horizon_bars", "price_change"}
    assert axes["horizon_bars"] == (6,)


def test_limits_out_of_order_are_left_out_with_the_labelers_reason(make_task, bars):
    axes = {"adaptive_min": (0.001, 0.02), "adaptive_max": (0.01, 0.03)}
    kept, reason = accepted(make_task(bars), axes)
    assert kept.tolist() == [0, 1, 3]
    assert reason.endswith("adaptive_min must not exceed adaptive_max; received 0.02 and 0.01")


def test_a_value_that_never_fits_is_an_error(make_task, bars):
    found = message(accepted, make_task(bars), {"multiplier": (0.5, -1.0)})
    assert found == (
        "labels.optimizer.space.multiplier: -1.0 is refused in every combination: "
        "labels.labeler.multiplier: must be > 0, received -1.0"
    )
    found = message(accepted, make_task(bars, "volatility_quantile"), {"sell": (0.9,), "buy": (0.5, 0.05)})
    assert "labels.optimizer.space.buy: 0.5 is refused in every combination: " in found
    assert message(accepted, make_task(bars), {"entry": ("close", "opne")}).startswith(
        "labels.optimizer.space.entry: 'opne' is refused in every combination: "
    )


def test_a_best_at_the_edge_of_its_values_is_remarked():
    axes = {"multiplier": (0.2, 0.4, 1.0), "horizon_bars": (4, 8), "entry": ("close", "next_open", "x")}
    best = {"multiplier": 0.2, "horizon_bars": 8, "entry": "x"}
    remark = "multiplier 0.2 is the smallest value tried: the best may lie beyond it"
    assert at_the_edge(axes, best) == [remark]
    assert at_the_edge(axes, {**best, "multiplier": 0.4}) == []


def test_an_unknown_option(make_task, bars):
    known = "adaptive, adaptive_max, adaptive_min, entry, horizon_bars, multiplier, price_change"
    expected = (
        "labels.optimizer.space: unknown option of labeler 'adaptive_threshold': 'multiplyer' "
        f"(did you mean 'multiplier'?); known: {known}"
    )
    assert message(grid_axes, make_task(bars), {"multiplyer": (1.0,)}) == expected
    assert message(ranges, make_task(bars), {"multiplyer": (1.0,)}) == expected


def test_another_labeler_needs_a_space(make_task, bars):
    task = make_task(bars, "triple_barrier")
    assert message(grid_axes, task, None) == (
        "labels.optimizer: there is no default grid for labeler 'triple_barrier'; say which of its options "
        "(horizon_bars, upper, lower, entry) to search, for example space: {upper: [0.8, 1.0, 1.2]}"
    )
    assert "space: {upper: {low: 0.5, high: 2.0}}" in message(ranges, task, None)
    assert grid_axes(task, {"upper": (0.8,)}) == {"upper": (0.8,)}


def test_too_many_combinations(make_task, bars):
    values = tuple(round(0.001 * k, 3) for k in range(1, 1002))
    found = message(grid_axes, make_task(bars, "triple_barrier"), {"upper": values, "lower": values})
    assert found == (
        "labels.optimizer.space: 1,002,001 combinations are more than 1,000,000; give fewer values, or use "
        "the optimizer bayesian"
    )


def test_ranges(make_task, bars):
    found = ranges(make_task(bars), {"multiplier": Range(low=1, high=2)})
    assert found["multiplier"] == Range(low=1, high=2)
    assert found["horizon_bars"] == Range(low=4, high=48, log=True)
    assert "horizon_bars" not in ranges(make_task(bars), None, horizon=False)
    given = {"horizon_bars": Range(low=5, high=9)}
    assert ranges(make_task(bars), given, horizon=False)["horizon_bars"] == given["horizon_bars"]
    assert message(ranges, make_task(bars), {"horizon_bars": Range(low=1.5, high=2)}) == (
        "labels.optimizer.space.horizon_bars: horizon_bars is a whole number; received 1.5 to 2"
    )
    assert message(ranges, make_task(bars), {"entry": Range(low=1, high=2)}) == (
        "labels.optimizer.space.entry: a range needs an option that is a number, entry is 'close'; give a "
        "list of values"
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"low": 2, "high": 1}, "low must not exceed high; received 2 and 1"),
        ({"low": 0, "high": 1, "log": True}, "a logarithmic range must begin above 0; received 0"),
    ],
)
def test_a_range_that_is_none(values, text):
    with pytest.raises(ValueError, match=text):
        Range(**values)
