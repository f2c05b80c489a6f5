"""What a table may look like, what is repaired and what every refusal says."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.data.bars import from_frame
from simengine.data.checks import validate
from simengine.errors import DataError
from simengine.types import Bars

HOUR = 3_600_000_000_000
START = pd.Timestamp("2024-01-31T13:00:00Z")


def frame(n=4, **columns):
    base = {
        "timestamp": [START + pd.Timedelta(hours=i) for i in range(n)],
        "open": [10.0 + i for i in range(n)],
        "high": [12.0 + i for i in range(n)],
        "low": [9.0 + i for i in range(n)],
        "close": [11.0 + i for i in range(n)],
        "volume": [100.0] * n,
    }
    return pd.DataFrame(base | columns)


def put(row, column, value):
    table = frame().astype({column: object})
    table.loc[row, column] = value
    return table


def message(table, **options):
    with pytest.raises(DataError) as caught:
        from_frame(table, origin="dir/btc.csv", **options)
    return str(caught.value)


def same(a, b):
    return (a.timestamp == b.timestamp).all() and all(
        x.tobytes() == y.tobytes() for (_, x), (_, y) in zip(a.columns(), b.columns(), strict=True)
    )


def test_canonical_table_gives_sorted_typed_arrays():
    bars = from_frame(frame(), origin="dir/btc.csv")["btc"]
    assert bars.timestamp.dtype == np.int64
    assert bars.timestamp.tolist() == [START.value + i * HOUR for i in range(4)]
    assert bars.close.tolist() == [11.0, 12.0, 13.0, 14.0]
    assert bars.turnover is None
    assert dict(bars.repairs) == {}
    validate({"btc": bars}, "test")


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(lambda t: t.dt.tz_convert("America/New_York"), id="other time zone"),
        pytest.param(lambda t: t.dt.tz_localize(None), id="naive is UTC"),
        pytest.param(lambda t: t.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), id="ISO with Z"),
        pytest.param(lambda t: t.dt.strftime("%Y-%m-%d %H:%M"), id="ISO without zone is UTC"),
        pytest.param(
            lambda t: t.dt.tz_convert("Asia/Tokyo").dt.strftime("%Y-%m-%dT%H:%M:%S%z"), id="ISO offset"
        ),
        pytest.param(lambda t: t.dt.as_unit("ns").astype("int64"), id="ns"),
        pytest.param(lambda t: t.dt.as_unit("ns").astype("int64") // 1000, id="us"),
        pytest.param(lambda t: t.dt.as_unit("ns").astype("int64") // 10**6, id="ms"),
        pytest.param(lambda t: t.dt.as_unit("ns").astype("int64") // 10**9, id="s"),
        pytest.param(lambda t: t.dt.as_unit("ns").astype("int64") / 10**9, id="s as float"),
        pytest.param(lambda t: (t.dt.as_unit("ns").astype("int64") // 10**6).astype(str), id="ms as text"),
        pytest.param(lambda t: t.map(lambda v: v.to_pydatetime()).astype(object), id="datetime objects"),
    ],
)
def test_every_form_of_time_is_the_same_instant(times):
    expected = from_frame(frame(), origin="x")["x"]
    table = frame()
    table["timestamp"] = times(table["timestamp"])
    assert same(from_frame(table, origin="x")["x"], expected)


def test_fractions_of_an_epoch_second_are_kept_to_the_microsecond():
    table = frame(timestamp=[1.7e9 + 0.25 + i for i in range(4)])
    assert from_frame(table, origin="x")["x"].timestamp[0] == 1_700_000_000_250_000_000


def test_time_may_be_the_index_and_names_any_case():
    expected = from_frame(frame(), origin="x")["x"]
    indexed = frame().set_index("timestamp")
    assert same(from_frame(indexed, origin="x")["x"], expected)
    indexed.index.name = None
    assert same(from_frame(indexed.rename(columns=str.upper), origin="x")["x"], expected)
    named = frame().rename(columns={"timestamp": " Open Time", "close": "Close "})
    assert same(from_frame(named, origin="x")["x"], expected)


def test_symbol_column_splits_the_table_and_one_can_be_picked():
    table = pd.concat([frame().assign(symbol="B"), frame().assign(symbol="A", volume=7.0)])
    both = from_frame(table, origin="x")
    assert list(both) == ["A", "B"]
    assert both["A"].volume.tolist() == [7.0] * 4
    assert both["B"].volume.tolist() == [100.0] * 4
    assert list(from_frame(table, origin="x", symbol="B")) == ["B"]
    assert same(from_frame(table.set_index(["symbol", "timestamp"]), origin="x")["A"], both["A"])


def test_symbol_option_names_a_table_without_the_column():
    assert list(from_frame(frame(), origin="x.parquet", symbol="ETH")) == ["ETH"]
    assert list(from_frame(frame(), origin="dir/x.CSV.gz")) == ["x"]


def test_turnover_is_kept():
    bars = from_frame(frame(Turnover=[1000.0] * 4), origin="x")["x"]
    assert bars.turnover.tolist() == [1000.0] * 4


def test_other_columns_are_ignored_and_named_in_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="simengine"):
        found = from_frame(frame(**{"Adj Close": 1.0, "trades": 3}), origin="x.csv")
    assert [record.getMessage() for record in caplog.records] == ["x.csv: columns ignored: Adj Close, trades"]
    assert [bars.ignored_columns for bars in found.values()] == [("Adj Close", "trades")]


def test_rows_out_of_order_and_copies_are_repaired_and_counted():
    expected = from_frame(frame(), origin="x")["x"]
    table = pd.concat([frame().iloc[[2, 0, 1, 1, 3]]], ignore_index=True)
    bars = from_frame(table, origin="x")["x"]
    assert same(bars, expected)
    assert dict(bars.repairs) == {"sorted": 3, "duplicate_rows": 1}


def test_rounding_of_open_or_close_beyond_the_range_widens_it_and_is_counted():
    bars = from_frame(put(1, "close", 13.0 * (1 + 5e-10)), origin="x")["x"]
    assert bars.high[1] == bars.close[1] > 13.0
    assert dict(bars.repairs) == {"rounding": 1}


@settings(deadline=None, max_examples=50)
@given(st.permutations(range(6)))
def test_any_order_of_rows_gives_the_same_bars(order):
    expected = from_frame(frame(6), origin="x")["x"]
    bars = from_frame(frame(6).iloc[list(order)], origin="x")["x"]
    assert same(bars, expected)
    assert ("sorted" in bars.repairs) == (list(order) != sorted(order))


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 3),
    st.sampled_from(["open", "high", "low", "close", "volume"]),
    st.sampled_from([np.nan, np.inf, -np.inf, -1.0, "abc", None]),
)
def test_no_value_that_a_bar_cannot_have_passes(row, column, value):
    text = message(put(row, column, value))
    assert text.startswith(f"dir/btc.csv: row {row + 1}: column '{column}': ")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            put(2, "close", np.nan),
            "row 3: column 'close': the value is missing (NaN); correct or remove the row",
        ),
        (
            put(2, "close", "1,5"),
            "row 3: column 'close': received '1,5': not a number; correct or remove the row",
        ),
        (
            put(1, "volume", np.inf),
            "row 2: column 'volume': received inf: must be a finite number; correct or remove the row",
        ),
        (
            put(0, "low", 0.0),
            "row 1: column 'low': received 0.0: a price must be above 0; correct or remove the row",
        ),
        (
            put(0, "volume", -2.0),
            "row 1: column 'volume': received -2.0: volume must not be negative; correct or remove the row",
        ),
        (
            put(3, "high", 11.0),
            "row 4: column 'high': received 11.0: high is below low 12.0; swap the two or correct the row",
        ),
        (
            put(3, "open", 16.0),
            "row 4: column 'open': received 16.0: open lies outside low 12.0 to high 15.0; correct the row",
        ),
        (
            frame(turnover=[1.1e6] * 4),
            "column 'turnover': turnover / volume is 881.4 times the price; volume must be in units of the "
            "instrument and turnover in quote currency: convert them, or drop turnover",
        ),
        (
            frame().drop(columns="close").assign(clsoe=1.0),
            "column 'close' is missing (did you mean 'clsoe'?); found: timestamp, open, high, low, volume, "
            "clsoe",
        ),
        (
            frame().drop(columns="volume"),
            "column 'volume' is missing; found: timestamp, open, high, low, close; "
            "add a column of zeros where the market has no volume",
        ),
        (
            frame().assign(Close=1.0),
            "more than one column 'close': 'close', 'Close'; keep one",
        ),
        (
            frame().rename(columns={"timestamp": "date"}).assign(time=1),
            "more than one time column: 'time', 'date'; rename the right one to 'timestamp'",
        ),
        (frame(0), "there are no bars; the file has a header but no rows"),
        (
            frame().assign(symbol=["A", "A", None, "A"]),
            "row 3: column 'symbol': the symbol is missing; fill it in",
        ),
        (
            put(1, "timestamp", None),
            "row 2: column 'timestamp': the time is missing; fill it in or remove the row",
        ),
        (
            frame(timestamp=["2024-01-31", "31.01.2024", "2024-02-01", "2024-02-02"]),
            "row 2: column 'timestamp': '31.01.2024' is not a time; write ISO 8601 (2024-01-31T13:00:00Z), "
            "an epoch number in s, ms, us or ns, or set time_format",
        ),
        (
            frame(timestamp=[1_700_000_000, 1_700_003_600_000, 1, 2]),
            "row 3: column 'timestamp': 1 is no epoch time in s, ms, us or ns between 1973 and 2286; write "
            "ISO 8601 (2024-01-31T13:00:00Z), an epoch number in s, ms, us or ns, or set time_format",
        ),
        (
            frame(timestamp=[1_700_000_000, 1_700_003_600, 1_700_007_200_000, 1_700_010_800]),
            "row 3: column 'timestamp': 1700007200000 is an epoch time in ms, but row 1 is in s; "
            "use one unit in the whole file",
        ),
        (
            frame(timestamp=["2024-01-31", "1700000000", "2024-02-01", "2024-02-02"]),
            "row 2: column 'timestamp': '1700000000' is another kind of time than '2024-01-31' at row 1; "
            "use one kind in the whole file",
        ),
        (
            frame(timestamp=["2024-01-31", "2999-01-01", "2024-02-01", "2024-02-02"]),
            "row 2: column 'timestamp': 2999-01-01 00:00:00+00:00 is outside the years 1678 to 2261",
        ),
        (
            frame(timestamp=[START, START, START, START]),
            "row 2: column 'open': received 11.0, but row 1 has 10.0 for the same time 2024-01-31T13:00:00Z "
            "of btc; keep one of the two rows",
        ),
    ],
)
def test_refusals_say_where_what_and_how_to_fix_it(table, expected):
    assert message(table) == f"dir/btc.csv: {expected}"


def test_unknown_symbol_is_answered_with_the_known_ones():
    text = message(frame().assign(symbol="BTC"), symbol="BCT")
    assert text == "dir/btc.csv: unknown symbol 'BCT' (did you mean 'BTC'?); known: BTC"


def test_conflict_of_duplicates_names_the_rows_of_the_file_when_the_file_is_unsorted():
    table = pd.concat([frame().iloc[[3, 1, 0]], put(1, "close", 12.5).iloc[[1]]], ignore_index=True)
    assert "row 4: column 'close': received 12.5, but row 2 has 12.0" in message(table)


def test_wrong_time_format_is_named():
    text = message(frame(timestamp=["31.01.2024"] * 4), time_format="%Y-%m-%d")
    assert (
        text == "dir/btc.csv: row 1: column 'timestamp': '31.01.2024' does not match time_format '%Y-%m-%d'"
    )


def bars_of(n=3, **changes):
    ones = np.ones(n)
    base = {
        "symbol": "X",
        "timestamp": np.arange(n, dtype=np.int64) * HOUR,
        "open": ones,
        "high": ones,
        "low": ones,
        "close": ones,
        "volume": ones,
    }
    return Bars(**(base | changes))


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ({}, "oracle: there are no bars; expected at least one symbol"),
        ({"Y": bars_of()}, "oracle: Y: the bars call themselves 'X'; use one name for both"),
        (
            {"X": bars_of(timestamp=np.array([0, 2, 1], dtype=np.int64))},
            "oracle: X: row 3: column 'timestamp': received 1: times must increase from row to row",
        ),
        (
            {"X": bars_of(close=np.ones(2))},
            "oracle: X: column 'close': expected float64 of shape (3,); received float64 of shape (2,)",
        ),
        (
            {"X": bars_of(timestamp=np.arange(3.0))},
            "oracle: X: timestamp must be int64 nanoseconds; received float64",
        ),
        (
            {"X": bars_of(close=np.array([1.0, np.nan, 1.0]))},
            "oracle: X: row 2: column 'close': received nan: must be a finite number; correct or remove the "
            "row",
        ),
        ({"X": bars_of(0)}, "oracle: X: there are no bars; expected at least one"),
    ],
)
def test_bars_made_elsewhere_are_checked_too(bars, expected):
    with pytest.raises(DataError) as caught:
        validate(bars, "oracle")
    assert str(caught.value) == expected
