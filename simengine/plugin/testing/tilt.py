"""The optional promise of balancers, reweighters, losses and decisions: `prior_tilt`."""

from __future__ import annotations

import numpy as np

from simengine.plugin.testing.case import Case


def check_prior_tilt(case: Case) -> None:
    """Three log-odds, the same every time, before anything is fitted."""
    component = case.fresh()
    if not hasattr(component, "prior_tilt"):
        return
    share = np.array([0.25, 0.35, 0.4])
    with case.untouched("prior_tilt()", share):
        tilt = component.prior_tilt(share)
    values = case.array(tilt, "prior_tilt()", (3,), np.float64)
    case.expect(
        not np.isnan(values).any() and (values < np.inf).all() and np.isfinite(values).any(),
        f"prior_tilt() must be log-odds below infinity, one of them finite; received {values}",
    )
    case.same(tilt, case.fresh().prior_tilt(share), "two components with the same options tilt differently")
