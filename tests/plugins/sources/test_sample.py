"""The bars that come inside installed packages."""

import subprocess
import sys

import pandas as pd
import pytest

from simengine.errors import MissingExtraError
from simengine_plugins.sources import sample
from simengine_plugins.sources.sample import SampleSource


def span(bars):
    return [pd.Timestamp(int(bars.timestamp[i]), tz="UTC").isoformat() for i in (0, -1)]


def test_eurusd_dates_are_day_first():
    bars = SampleSource(name="eurusd_1h").load()["EURUSD"]
    assert len(bars) == 6225
    assert span(bars) == ["2017-01-01T22:00:00+00:00", "2017-12-29T21:00:00+00:00"]
    assert bars.open[0] == 1.05236
    assert dict(bars.repairs) == {}


def test_sp500_dates_are_month_first():
    bars = SampleSource(name="sp500_1d").load()["SP500"]
    assert len(bars) == 5031
    assert span(bars) == ["1999-01-04T00:00:00+00:00", "2018-12-31T00:00:00+00:00"]
    assert bars.close[0] == 1228.099976


def test_the_packages_are_read_without_running_them():
    code = (
        "import sys; from simengine_plugins.sources.sample import SampleSource; SampleSource().load();"
        "SampleSource(name='sp500_1d').load();"
        "print([m for m in sys.modules if m.split('.')[0] in ('gym_anytrading', 'gymnasium', 'arch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "package"), [("eurusd_1h", "gym-anytrading"), ("sp500_1d", "arch")])
def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch, name, package):
    monkeypatch.setattr(sample, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        SampleSource(name=name).load()
    assert str(caught.value) == (
        f"data.source sample '{name}' needs {package}: pip install 'simengine-xlstm[samples]'"
    )
