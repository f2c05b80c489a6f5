"""`simengine data`: files of bars, made and checked."""

import json

import numpy as np
import pandas as pd
import pytest

from simengine.cli.app import execute


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The same bars as csv and as parquet."""
    folder = tmp_path_factory.mktemp("data")
    paths = {suffix: folder / f"bars.{suffix}" for suffix in ("csv", "parquet")}
    for path in paths.values():
        assert execute(["data", "make", str(path), "--symbols", "1", "--bars", "400"]) == 0
    return paths


def _broken(made, tmp_path, change):
    table = pd.read_csv(made["csv"])
    table = change(table)
    path = tmp_path / "broken.csv"
    table.to_csv(path, index=False)
    return path


def test_csv_and_parquet_hold_the_same_bars(simengine, made):
    reports = [json.loads(simengine("data", "check", path, "--json")[1]) for path in made.values()]
    assert reports[0]["symbols"] == reports[1]["symbols"]
    assert reports[0]["symbols"][0]["bars"] == 400
    assert reports[0]["symbols"][0]["spacing_seconds"] == 300


def test_make_never_overwrites(simengine, made):
    code, _, err = simengine("data", "make", made["csv"])
    assert code == 2
    assert "exists already" in err


def test_make_wants_a_known_ending(simengine, tmp_path):
    code, _, err = simengine("data", "make", tmp_path / "bars.xlsx")
    assert code == 2
    assert err.endswith("expected a name that ends in .csv or .parquet\n")


def _set(column, value):
    def change(table):
        table.loc[10, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda table: table.drop(columns="close"), "close"),
        (_set("open", np.nan), "line 12"),
        (_set("high", 0.5), "high"),
        (_set("volume", -1.0), "volume"),
        (
            lambda table: pd.concat([table, table.iloc[[5]].assign(close=table.close[5] * 1.0000001)]),
            "for the same time 2020-01-01T00:25:00Z",
        ),
    ],
)
def test_bad_bars_are_one_line_that_names_the_place(simengine, made, tmp_path, change, part):
    code, out, err = simengine("data", "check", _broken(made, tmp_path, change))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert part in err


def test_repairs_are_counted(simengine, made, tmp_path):
    def shuffle(table):
        return pd.concat([table.iloc[::-1], table.iloc[[3, 4]]])

    code, out, _ = simengine("data", "check", _broken(made, tmp_path, shuffle), "--json")
    assert code == 0
    repairs = json.loads(out)["symbols"][0]["repairs"]
    assert repairs["duplicate_rows"] == 2
    assert repairs["sorted"] > 0


def test_empty_lines_and_ignored_columns_are_reported(simengine, made, tmp_path):
    lines = pd.read_csv(made["csv"]).assign(trades=3, vwap=1.5).to_csv(index=False).splitlines()
    path = tmp_path / "padded.csv"
    path.write_text("\n".join([*lines[:2], "", *lines[2:5], "", *lines[5:], "", ""]) + "\n")
    code, out, _ = simengine("data", "check", path, "--json")
    assert code == 0
    (symbol,) = json.loads(out)["symbols"]
    assert symbol["repairs"] == {"empty_lines": 4}
    assert symbol["ignored_columns"] == ["trades", "vwap"]
    printed = {
        line.split()[0]: " ".join(line.split()[1:])
        for line in simengine("data", "check", path)[1].splitlines()[1:]
    }
    assert printed["repairs"] == "empty_lines 4"
    assert printed["ignored_columns"] == "trades, vwap"
    printed = simengine("data", "check", made["csv"])[1]
    assert "repairs               none\n" in printed
    assert "ignored_columns       none\n" in printed


def test_make_into_what_is_no_folder(simengine, made):
    path = made["csv"] / "x.csv"
    assert simengine("data", "make", path, "--bars", "50") == (
        2,
        "",
        f"simengine: {path}: cannot be written ({made['csv']} is a file); "
        "choose a folder that can be written to\n",
    )


def test_a_name_that_the_system_refuses(simengine):
    code, _, err = simengine("data", "check", f"{'x' * 300}.csv")
    assert code == 2
    assert "no such file" in err


def test_a_missing_file(simengine, made):
    code, _, err = simengine("data", "check", made["csv"].with_name("bar.csv"))
    assert code == 2
    assert "no such file (did you mean 'bars.csv'?)" in err
