"""A leak on purpose: the features of technical25, each one bar too early."""

import numpy as np

from simengine import Bars, Component, hookimpl
from simengine.types import Float32Array
from simengine_plugins.features.technical25 import Technical25


class OneBarEarly(Technical25):
    """The 25 features of bar t + 1, handed out at bar t: what a misplaced shift does."""

    def compute(self, bars: Bars) -> Float32Array:
        """Return (n, 25) float32; the last row repeats, as there is nothing later to leak."""
        honest = super().compute(bars)
        return np.concatenate([honest[1:], honest[-1:]])


@hookimpl
def simengine_register_features() -> list[Component]:
    """Register the component."""
    return [Component("one_bar_early", OneBarEarly)]
