"""Parts of a training beside their anchors: benchmarks/components.py [--quick] [--only PART,...] [--json].

  grid         9,120 sets of label options x 300,000 bars, beside pandas; the counts must be equal
  feeding      an epoch of 281,060 windows gathered in the graph, beside windows as one array; then by what
               picks the rows: natural, class quotas, mined rows, synthetic mixtures
  smote        synthetic rows of 40,000 windows, beside imbalanced-learn, and of --smote-rows windows where
               that is more: time and peak memory
  calibration  what each calibrator repairs and costs, beside scikit-learn

Each part is a benchmark of its own (label_grid.py, feeding.py, smote.py, calibration.py) that prints more;
here its figures stand beside the anchors, which were measured on two shared cores in November 2026, before
any of this was written. Seconds are CPU time on one thread. Ratios within one run hold better than those to
an anchor's time. A target that is missed is printed as such; the exit code is 0. ``--quick`` takes smaller
cases, for most of which there are no anchors, and which say little of the targets.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import calibration
import feeding
import label_grid
import smote
from model_candidates import EPOCH

# Anchors, November 2026, two shared cores.
GRID_PANDAS, GRID_LOOP, GRID_BLOCKED = 145.0, 4.45, 1.46
"""Seconds of 9,120 combinations x 300,000 bars: pandas, a numba loop, a numba loop in blocks."""
FEED_GATHERED, FEED_GATHERED_MB, FEED_ARRAY, FEED_ARRAY_MB = 0.93, 940.0, 8.12, 5800.0
"""Seconds and peak of an epoch of 281,060 windows: gathered from the series, as one array."""
SMOTE_ROWS, SMOTE_PEER, SMOTE_PEER_DATA, SMOTE_EXACT = 40_000, 25.7, 3.5, 8.95
"""imbalanced-learn at 40,000 windows of 60 x 25: seconds, and memory in multiples of the array of windows;
exact neighbours on the series of every window: seconds. `chunked_smote` looks up those of drawn bases alone,
`borderline` those of every row of the classes that grow, among all classes."""
TEMPERATURE_ECE, VECTOR_ECE = 0.0046, 0.0036
"""ECE of 50,000 rows after temperature (before: .201) and vector scaling. Exact probabilities have .0050 +-
.0011 over 30 draws of `calibration.py`, so that neither anchor can be told from exact."""

# Targets.
GRID_TARGET, FEED_TARGET, FEED_MB_TARGET, SMOTE_MB_TARGET = label_grid.TARGET, 8.0, 1200.0, 1500.0
ECE_TARGET, SHARE_TARGET = 0.001, 0.01
"""Most that the ECE may lie above that of the exact probabilities of the same rows, and a share of the argmax
from theirs."""


@dataclass
class Part:
    """Figures of one part, each with its anchor and target where it has one."""

    name: str
    title: str
    figures: list[dict[str, Any]] = field(default_factory=list)

    def figure(
        self,
        what: str,
        value: float | None,
        unit: str,
        *,
        anchor: float | None = None,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Add a figure; None: it was not measured."""
        target, met = None, None
        if at_most is not None:
            target, met = f"<= {at_most:g}", value is not None and value <= at_most
        elif at_least is not None:
            target, met = f">= {at_least:g}", value is not None and value >= at_least
        ratio = value / anchor if anchor and value is not None else None
        self.figures.append(
            {"what": what, "value": value, "unit": unit, "anchor": anchor, "of_anchor": ratio,
             "target": target, "met": None if value is None else met}
        )  # fmt: skip

    def heading(self, what: str) -> None:
        """Say what the figures that follow are of."""
        self.figures.append({"what": what})

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}", f"{'':<66}{'anchor':>11}{'ratio':>8}  target"]
        for found in self.figures:
            if "value" not in found:
                lines.append(f"  {found['what']}")
                continue
            value = "not measured" if found["value"] is None else f"{_number(found['value'])} {found['unit']}"
            anchor = "" if found["anchor"] is None else _number(found["anchor"])
            ratio = "" if found["of_anchor"] is None else f"{found['of_anchor']:.2f}"
            line = f"  {found['what']:<52}{value:>14}{anchor:>11}{ratio:>8}"
            if found["target"] is not None:
                verdict = {None: "", True: "met", False: "MISSED"}[found["met"]]
                line += f"  {found['target']:<9} {verdict}"
            lines.append(line.rstrip())
        return "\n".join(lines)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


def grid(quick: bool) -> Part:
    """Count the labels of a grid of options."""
    found = label_grid.measure(every=40 if quick else 1)
    part = Part("grid", f"{found['combinations']:,} combinations x {found['bars']:,} bars")
    compared = f", {found['compared']:,} combinations scaled up" if quick else ""
    part.figure(f"pandas{compared}", found["pandas_seconds"], "s", anchor=GRID_PANDAS)
    part.figure("one pass for all", found["kernel_seconds"], "s", anchor=GRID_BLOCKED)
    part.figure("the same beside the plain numba loop", found["kernel_seconds"], "s", anchor=GRID_LOOP)
    part.figure(
        "pandas / one pass", found["ratio"], "x", anchor=GRID_PANDAS / GRID_BLOCKED, at_least=GRID_TARGET
    )
    part.figure(
        f"equal counts, of {found['compared']:,} compared", float(found["same_counts"]), "", at_least=1
    )
    return part


def feed(quick: bool) -> Part:
    """Feed an epoch of windows."""
    count = 40_000 if quick else EPOCH
    found = {row["case"]: row for row in feeding.figures(count)}
    one, natural = found[feeding.GATHERED], found["natural"]
    array = found.get(feeding.MATERIALISED)
    part = Part("feeding", f"an epoch of {count:,} windows of 60 x 25 in batches of 256")
    whole = not quick

    def anchor(value: float) -> float | None:
        return value if whole else None

    part.figure("gathered in the graph", one["seconds"], "s", anchor=anchor(FEED_GATHERED))
    part.figure("windows as one array", array and array["seconds"], "s", anchor=anchor(FEED_ARRAY))
    part.figure(
        "one array / gathered", array and array["seconds"] / one["seconds"], "x",
        anchor=anchor(FEED_ARRAY / FEED_GATHERED), at_least=FEED_TARGET,
    )  # fmt: skip
    part.figure(
        "peak of the process, gathered", one["peak_mb"], "MB", anchor=anchor(FEED_GATHERED_MB),
        at_most=FEED_MB_TARGET,
    )  # fmt: skip
    part.figure("peak, one array", array and array["peak_mb"], "MB", anchor=anchor(FEED_ARRAY_MB))
    for case in feeding.PICKED:
        row = found[case]
        part.figure(f"pipeline and least step, {case}", row["seconds"], "s")
        if row is not natural:
            each, base = (r["seconds"] / r["batches"] for r in (row, natural))
            part.figure("  per batch, of natural", each / base, "x")
        part.figure("  per 1,000 batches", 1000 * row["seconds"] / row["batches"], "s")
        part.figure("  peak of the process", row["peak_mb"], "MB", at_most=FEED_MB_TARGET)
    return part


def synthetic(rows: int, quick: bool) -> Part:
    """Make synthetic rows."""
    base = 8_000 if quick else SMOTE_ROWS
    sizes = [base] if quick or rows <= base else [base, rows]
    part = Part("smote", f"synthetic rows of {' and '.join(f'{n:,}' for n in sizes)} windows of 60 x 25")
    for size in sizes:
        found = {row["case"]: row for row in smote.figures(size, 1, base)}
        at_anchor = size == SMOTE_ROWS
        for case in smote.CASES:
            row = found[case]
            name = f"{case}, {size:,} windows, {row['made']:,} made"
            part.figure(name, row["seconds"], "s", anchor=SMOTE_EXACT if at_anchor else None)
            part.figure("  peak above the data", row["peak_mb"], "MB", at_most=SMOTE_MB_TARGET)
        ours, theirs = found["chunked_smote"], found.get(smote.PEER)
        if size == base:
            part.figure(
                smote.PEER, theirs and theirs["seconds"], "s", anchor=SMOTE_PEER if at_anchor else None
            )
            array = size * 60 * 25 * 4 / 2**20
            part.figure(
                "  peak above the data, in arrays of windows", theirs and theirs["peak_mb"] / array, "x",
                anchor=SMOTE_PEER_DATA,
            )  # fmt: skip
            part.figure(f"{smote.PEER} / chunked_smote", theirs and theirs["seconds"] / ours["seconds"], "x")
    return part


def calibrated(quick: bool) -> Part:
    """Fit and apply the calibrators."""
    rows, time_rows = (20_000, 20_000) if quick else (calibration.ROWS, calibration.TIME_ROWS)
    found = calibration.figures(rows, time_rows)
    part = Part("calibration", f"{rows:,} fresh rows; CPU time at {time_rows:,}")
    anchors = {} if quick else {"temperature": TEMPERATURE_ECE, "vector": VECTOR_ECE}
    for name in calibration.CALIBRATORS:
        world = "sharp" if name == "temperature" else "tilted"
        exact, before, after, peer = _of(found["repaired"], world, name)
        parametric = name != "isotonic" and not quick
        part.heading(f"{name}, {world} scores")
        for what in calibration.FIGURES:
            beside = "" if peer is None else f"; scikit-learn {peer[what]:.4f}"
            label = f"  {calibration.TITLES[what]} (before {before[what]:.4f}{beside})"
            anchor = anchors.get(name) if what == "ece" else None
            part.figure(label, after[what], "", anchor=anchor)
        excess, target = after["ece"] - exact["ece"], ECE_TARGET if parametric else None
        part.figure("  ECE above that of exact probabilities", excess, "", at_most=target)
        if name == "temperature":
            part.figure("  argmax as before", float(after["argmax_kept"]), "", at_least=1)
        else:
            pairs = zip(after["argmax_share"], exact["argmax_share"], strict=True)
            missed, target = max(abs(a - b) for a, b in pairs), SHARE_TARGET if parametric else None
            part.figure("  largest miss of an argmax share", missed, "", at_most=target)
        own, theirs = (
            next((r for r in found["timed"] if (r["calibrator"], r["by"]) == (name, by)), None)
            for by in (calibration.OURS, calibration.PEER)
        )
        for what in ("fit", "transform"):
            beside = "" if theirs is None else f" (scikit-learn {1e3 * theirs[f'{what}_seconds']:.1f} ms)"
            part.figure(f"  {what}{beside}", 1e3 * own[f"{what}_seconds"], "ms")
    return part


def _of(rows: list[dict[str, Any]], world: str, name: str) -> tuple[Any, Any, Any, Any]:
    """Return the rows of a world: exact, before, after a calibrator, and its peer or None."""
    mine = [row for row in rows if row["world"] == world]

    def only(by: str, calibrator: str | None) -> Any:
        return next((row for row in mine if (row["by"], row["calibrator"]) == (by, calibrator)), None)

    plain = (only(calibration.EXACT, None), only(calibration.BEFORE, None))
    return (*plain, only(calibration.OURS, name), only(calibration.PEER, name))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller cases")
    parser.add_argument("--smote-rows", type=int, default=SMOTE_ROWS, help="windows of the largest case")
    parser.add_argument("--only", help="parts, separated by commas")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    parts: dict[str, Callable[[], Part]] = {
        "grid": lambda: grid(options.quick),
        "feeding": lambda: feed(options.quick),
        "smote": lambda: synthetic(options.smote_rows, options.quick),
        "calibration": lambda: calibrated(options.quick),
    }
    names = list(parts) if options.only is None else options.only.split(",")
    if unknown := [name for name in names if name not in parts]:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(parts)}")
    done = []
    for name in names:
        done.append(parts[name]())
        if not options.json:
            print(f"{done[-1]}\n", flush=True)
    if options.json:
        print(json.dumps({"quick": options.quick, "parts": [asdict(part) for part in done]}))


if __name__ == "__main__":
    main()
