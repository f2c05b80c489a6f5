"""CSV and Parquet: the same bars from both, and one line for every bad file."""

import numpy as np
import pandas as pd
import pytest

from simengine.errors import DataError
from simengine_plugins.sources.csv import CsvSource
from simengine_plugins.sources.parquet import ParquetSource

HEADER = "timestamp,open,high,low,close,volume\n"
ROWS = [f"2024-01-0{day},1,2,0.5,1.5,10\n" for day in (1, 2, 3)]


def random_table(n=500):
    rng = np.random.default_rng(5)
    parts = []
    for name in ("NA", "007", "BTC"):
        close = np.exp(np.cumsum(rng.normal(0, 0.01, n)) + rng.normal(0, 5))
        open_ = close * np.exp(rng.normal(0, 0.01, n))
        parts.append(
            pd.DataFrame(
                {
                    "timestamp": 1_700_000_000_000 + np.arange(n) * 3_600_000,
                    "open": open_,
                    "high": np.maximum(open_, close) * 1.01,
                    "low": np.minimum(open_, close) / 1.01,
                    "close": close,
                    "volume": rng.lognormal(0, 9, n),
                    "symbol": name,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="bars.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


def message(**options):
    with pytest.raises(DataError) as caught:
        CsvSource(**options).load()
    return str(caught.value)


def test_empty_lines_count_for_the_symbol_of_the_row_above(write, caplog):
    a, b = (
        ",".join(row.strip() for row in (text, name)) + "\n" for text, name in zip(ROWS, "AB", strict=False)
    )
    header = HEADER.strip() + ",symbol\n"
    name = write(f"{header}\n{a}\n\n{b},,,,,,\n")
    with caplog.at_level("INFO", logger="simengine"):
        found = CsvSource(path=name).load()
    assert {symbol: dict(bars.repairs) for symbol, bars in found.items()} == {
        "A": {"empty_lines": 3},
        "B": {"empty_lines": 1},
    }
    assert caplog.messages == ["bars.csv: 4 empty lines skipped"]
    assert dict(CsvSource(path=name, symbol="B").load()["B"].repairs) == {"empty_lines": 1}


def test_a_file_of_empty_lines_holds_no_bars(write):
    name = write(HEADER + "\n\n")
    assert message(path=name) == "bars.csv: there are no bars; the file has a header but no rows"


def test_csv_form_of_a_parquet_file_gives_the_same_bytes(tmp_path):
    table = random_table().astype({"symbol": "category"})
    table.to_parquet(tmp_path / "x.parquet")
    table.to_csv(tmp_path / "x.csv", index=False)
    a = ParquetSource(path=str(tmp_path / "x.parquet")).load()
    b = CsvSource(path=str(tmp_path / "x.csv")).load()
    assert list(a) == list(b) == ["007", "BTC", "NA"]
    for name in a:
        assert a[name].timestamp.tobytes() == b[name].timestamp.tobytes()
        assert [(k, v.tobytes()) for k, v in a[name].columns()] == [
            (k, v.tobytes()) for k, v in b[name].columns()
        ]


def test_parquet_with_a_time_index_and_dates(tmp_path):
    table = random_table(5).query("symbol == 'BTC'").drop(columns="symbol")
    table.index = pd.date_range("2024-01-01", periods=5, tz="UTC", name="date")
    table.drop(columns="timestamp").to_parquet(tmp_path / "btc.parquet")
    bars = ParquetSource(path=str(tmp_path / "btc.parquet")).load()["btc"]
    assert bars.timestamp[0] == pd.Timestamp("2024-01-01", tz="UTC").value
    table["timestamp"] = table.index.date
    table.reset_index(drop=True).to_parquet(tmp_path / "days.parquet")
    assert (
        ParquetSource(path=str(tmp_path / "days.parquet")).load()["days"].timestamp == bars.timestamp
    ).all()


def test_delimiter_time_format_and_symbol(write):
    text = (HEADER + ROWS[0]).replace(",", ";").replace("2024-01-01", "31.12.2023 13:00")
    name = write(text)
    bars = CsvSource(path=name, delimiter=";", time_format="%d.%m.%Y %H:%M", symbol="ETH").load()["ETH"]
    assert bars.timestamp[0] == pd.Timestamp("2023-12-31T13:00Z").value


def test_byte_order_mark_and_empty_lines(write):
    bars = CsvSource(path=write("\ufeff" + HEADER + ROWS[0] + "\n" + ROWS[1] + "\n\n")).load()["bars"]
    assert len(bars) == 2


def test_lines_are_counted_as_an_editor_does(write):
    name = write(HEADER + ROWS[0] + "\n" + ROWS[1].replace("0.5", "3"))
    assert message(path=name) == (
        "bars.csv: line 4: column 'high': received 2.0: high is below low 3.0; swap the two or correct the "
        "row"
    )


def test_several_files(write):
    names = (write(HEADER + ROWS[0], "a.csv"), write(HEADER + ROWS[1], "b.csv"))
    assert list(CsvSource(path=names).load()) == ["a", "b"]
    assert message(path=names, symbol="X") == (
        "b.csv: symbol 'X' is in a.csv too; put a symbol's bars into one file"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty; expected a header line and bars"),
        (HEADER, "there are no bars; the file has a header but no rows"),
        (
            HEADER + ROWS[0] + ROWS[1].strip() + ",5\n",
            "not a table: Expected 6 fields in line 3, saw 7; correct the line or set delimiter",
        ),
        (
            HEADER + ROWS[0].strip() + ",5\n",
            "the rows have more fields than the header; line 1 must name every column",
        ),
        (
            HEADER + ROWS[0] + "2024-01-02,1,2,0.5,1.5\n",
            "line 3: column 'volume': the value is missing (NaN); correct or remove the row",
        ),
        (
            HEADER + ROWS[0].replace("1.5", "NaN"),
            "line 2: column 'close': received 'NaN': not a number; correct or remove the row",
        ),
        (
            (HEADER + ROWS[0]).replace(",", ";"),
            "column 'timestamp' is missing; found: timestamp;open;high;low;close;volume; "
            "the file looks delimited by another character: set delimiter",
        ),
        (
            HEADER.replace("high", "open") + ROWS[0],
            "more than one column 'open': 'open', 'open.1'; keep one",
        ),
        (
            HEADER + ROWS[0].replace(",1,", ",True,"),
            "line 2: column 'open': received True: not a number; correct or remove the row",
        ),
    ],
)
def test_refusals(write, text, expected):
    assert message(path=write(text)) == f"bars.csv: {expected}"


def test_wrong_time_pattern(write):
    name = write(HEADER + ROWS[0])
    assert message(path=name, time_format="%Q") == (
        "bars.csv: time_format '%Q' is not a valid pattern: 'Q' is a bad directive in format '%Q'"
    )


def test_missing_files(write, tmp_path):
    write(HEADER + ROWS[0], "btcusd.csv")
    assert message(path="btcsud.csv") == (
        f"btcsud.csv: no such file (did you mean 'btcusd.csv'?) (looked in {tmp_path})"
    )
    assert (
        message(path="data/x.csv") == f"data/x.csv: no such file, nor the folder data (looked in {tmp_path})"
    )
    assert message(path=".") == ".: this is a folder; name a file in it"


def test_files_of_another_kind(write, tmp_path):
    name = write(HEADER + ROWS[0])
    with pytest.raises(DataError, match=r"^bars\.csv: not a readable Parquet file: ") as caught:
        ParquetSource(path=name).load()
    assert "\n" not in str(caught.value)
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + "2024-01-01,1,2,0.5,1.5,\xe9\n".encode("latin-1"))
    assert message(path="latin.csv").startswith("latin.csv: not UTF-8 text at byte ")
