"""What a run would work with, in a few figures: the content of `simengine check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simengine.data.labels import label_shares
from simengine.data.split import SEGMENTS

if TYPE_CHECKING:
    from simengine.steps.prepare import Prepared


def checkup(prepared: Prepared) -> dict[str, Any]:
    """Return ``summary`` (bars, features, holes, repairs) and ``segments`` (bars, windows, labels)."""
    dataset = prepared.dataset
    summary: dict[str, Any] = {
        "symbols": list(prepared.bars),
        "bars": sum(map(len, prepared.bars.values())),
        "features": prepared.train.n_features,
        "window": dataset.length,
        "horizon_bars": prepared.horizon_bars,
        "repairs": {symbol: dict(bars.repairs) for symbol, bars in prepared.bars.items() if bars.repairs},
        **dataset.counts,
    }
    segments = [
        {
            "segment": name,
            "bars": sum(rows.rows(name)[1] - rows.rows(name)[0] for rows in dataset.segments),
            "windows": len(windows),
            "label_share": label_shares(windows.labels).tolist(),
        }
        for name, windows in zip(SEGMENTS, (prepared.train, prepared.val, prepared.test), strict=True)
    ]
    return {"summary": summary, "segments": segments}
