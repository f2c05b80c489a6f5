"""Real bars that come inside other packages, for trying things out without a download."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.files import read_csv
from simengine.errors import DataError, MissingExtraError
from simengine.types import Bars


@dataclass(frozen=True, slots=True)
class _Sample:
    package: str
    distribution: str
    file: str
    symbol: str
    time_format: str


_SAMPLES = {
    "eurusd_1h": _Sample(
        package="gym_anytrading",
        distribution="gym-anytrading",
        file="datasets/data/FOREX_EURUSD_1H_ASK.csv",
        symbol="EURUSD",
        time_format="%d.%m.%Y %H:%M:%S.%f",
    ),
    "sp500_1d": _Sample(
        package="arch",
        distribution="arch",
        file="data/sp500/sp500.csv.gz",
        symbol="SP500",
        time_format="%m/%d/%Y",
    ),
}


class SampleSource:
    """Real bars from an installed package: EURUSD hourly or S&P 500 daily.

    ``eurusd_1h`` is the ask price in 2017, 6,225 bars, from gym-anytrading (MIT). ``sp500_1d`` is the
    index from 1999 to 2018, 5,031 bars without dividends, from arch (NCSA). Both packages come with the
    extra ``samples``; their files are read in place and their code is not run.
    """

    def __init__(
        self,
        *,
        name: Annotated[
            Literal["eurusd_1h", "sp500_1d"], Field(description="which bars to load")
        ] = "eurusd_1h",
    ) -> None:
        self.name = name

    def load(self) -> dict[str, Bars]:
        """Return the validated bars of the one symbol."""
        sample = _SAMPLES[self.name]
        return read_csv(self._path(sample), symbol=sample.symbol, time_format=sample.time_format)

    @property
    def files(self) -> tuple[str, ...]:
        """The file that `load` reads, for the manifest of a run."""
        return (str(self._path(_SAMPLES[self.name])),)

    def _path(self, sample: _Sample) -> Path:
        # find_spec locates a top-level package without importing it.
        spec = find_spec(sample.package)
        if spec is None or spec.origin is None:
            raise MissingExtraError(sample.distribution, "samples", f"data.source sample {self.name!r}")
        path = Path(spec.origin).parent / sample.file
        if not path.is_file():
            raise DataError(
                f"{path}: no such file in this version of {sample.distribution}; use another version"
            )
        return path


@hookimpl
def simengine_register_sources() -> list[Component]:
    """Register the component."""
    return [Component("sample", SampleSource)]
