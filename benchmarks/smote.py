"""Time and peak memory of synthetic minority rows, beside imbalanced-learn.

Each case runs in a process of its own, which is given the feature matrix and the window ends in a file and
warms up its kernels on a few of the windows. It reports the CPU seconds of the one call, and by how much the
memory of the process rose at its peak above what it was before. imbalanced-learn is given the same windows as
an array; its figure counts that array, which the others do not need. Windows are 60 bars x 25 features of the
oracle market `realistic` (four symbols), labels those of ``volatility_quantile``; one thread.

    python benchmarks/smote.py [--rows 40000] [--stride 1] [--imblearn-rows 20000] [--json]

imbalanced-learn is left out when it is not installed, and above ``--imblearn-rows`` rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from memory import peak, reset_peak

LENGTH, SYMBOLS = 60, 4
CASES = ("chunked_smote", "borderline")
PEER = "imbalanced-learn"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def make_windows(rows: int, stride: int, seed: int = 1) -> Any:
    """Return a `WindowSet` of ``rows`` labelled train windows."""
    from simengine.data.dataset import build_dataset
    from simengine.data.split import split_times
    from simengine.plugin.manager import build_registry

    registry = build_registry(discover=False)
    # Warm-up, purge and the other segments take the rest.
    bars = int(rows * stride / SYMBOLS / 0.9) + 2000
    market = {"type": "oracle_market", "market": "realistic", "symbols": SYMBOLS, "bars": bars, "seed": seed}
    source = registry.create("source", market).load()
    times = split_times(source, 0.9, 0.05, 0.05)
    labeler = registry.create("labeler", "volatility_quantile").fit(source, times.train_end)
    features = registry.create("features", "technical25")
    windows = build_dataset(source, features, labeler, window=LENGTH, times=times).windows(
        "train", stride=stride
    )
    if len(windows) < rows:
        raise SystemExit(
            f"smote: only {len(windows):,} windows for {rows:,} rows; this is an error of the benchmark"
        )
    own = [np.flatnonzero(windows.groups == group) for group in range(SYMBOLS)]
    return windows.take(np.concatenate([found[: rows // SYMBOLS] for found in own]))


def figures(rows: int, stride: int, imblearn_rows: int) -> list[dict[str, Any]]:
    """Return one mapping of figures for each case."""
    cases = [*CASES, *([PEER] if find_spec("imblearn") and rows <= imblearn_rows else [])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "windows.npz"
        windows = make_windows(rows, stride)
        np.savez(path, matrix=windows.matrix, ends=windows.ends, labels=windows.labels, groups=windows.groups)
        environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
        found = []
        for case in cases:
            command = [sys.executable, __file__, "--case", case, "--windows", str(path)]
            answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            found.append({"case": case, "rows": rows, "stride": stride, **json.loads(answer.stdout)})
            print(table(found[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return found


def one_case(case: str, path: Path) -> dict[str, Any]:
    """Return the figures of one case, measured in this process."""
    from simengine.data.windows import WindowSet

    with np.load(path) as stored:
        windows = WindowSet(**{name: stored[name] for name in stored.files}, length=LENGTH)
    data_mb = (windows.matrix.nbytes + windows.ends.nbytes) / 2**20
    call = _peer if case == PEER else _component(case)
    call(_small(windows))
    before = reset_peak()
    started = time.process_time()
    made, report = call(windows)
    seconds = time.process_time() - started
    peak_mb = peak() - before
    return {"seconds": seconds, "peak_mb": peak_mb, "data_mb": data_mb, "made": made, "report": report}


def _small(windows: Any) -> Any:
    return windows.take(np.arange(0, len(windows), max(1, len(windows) // 1500)))


def _component(case: str) -> Any:
    from simengine.data.synthetic import SmoteTask
    from simengine_plugins.smote.borderline import Borderline
    from simengine_plugins.smote.chunked_smote import ChunkedSmote

    component: Any = {"chunked_smote": ChunkedSmote, "borderline": Borderline}[case]()

    def call(windows: Any) -> tuple[int, dict[str, object]]:
        synthetic = component.synthesize(SmoteTask(windows, seed=1))
        return len(synthetic), synthetic.report

    return call


def _peer(windows: Any) -> tuple[int, dict[str, object]]:
    from imblearn.over_sampling import SMOTE

    array = windows.gather(slice(None)).reshape(len(windows), -1)
    resampled, _ = SMOTE(k_neighbors=5, random_state=1).fit_resample(array, windows.labels)
    return len(resampled) - len(array), {}


def table(found: list[dict[str, Any]]) -> str:
    """Return the figures as text."""
    head = f"{'case':<18}{'rows':>9}{'stride':>8}{'made':>9}{'CPU s':>9}{'peak MB above the data':>25}"
    lines = [
        f"{row['case']:<18}{row['rows']:>9,}{row['stride']:>8}{row['made']:>9,}{row['seconds']:>9.2f}"
        f"{row['peak_mb']:>25.0f}"
        for row in found
    ]
    return "\n".join([head, *lines])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--imblearn-rows", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--windows", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(one_case(options.case, options.windows)))
        return
    found = figures(options.rows, options.stride, options.imblearn_rows)
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
