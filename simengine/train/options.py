"""How a network is trained beyond the numbers under ``training``: options that belong to the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The model's own part of a training; the defaults change nothing.

    Parameters
    ----------
    weight_decay : float
        Decoupled decay of the weight matrices, see `simengine.train.optimizer`; 0 is plain Adam.
    ema : float or None
        Momentum of the moving average of the weights that is validated and kept, see
        `simengine.train.average`; None validates and keeps the weights themselves.
    jit : "auto" or bool
        Whether the training step is compiled with XLA; "auto" by ``jit_steps``.
    jit_steps : int or None
        With "auto", compile when the training has at least this many steps; None never. Compiling
        takes about as long as some hundred steps of a small network.
    chunk : int or None
        Bars per step of stateful training, see `simengine.train.stateful`; None trains on windows.
    identity : str
        Everything else that decides the bytes of the result, such as the options of the network. A
        checkpoint of another identity is refused.
    """

    weight_decay: float = 0.0
    ema: float | None = None
    jit: Literal["auto"] | bool = "auto"
    jit_steps: int | None = None
    chunk: int | None = None
    identity: str = ""

    def compiled(self, steps: int) -> bool:
        """Return whether a training of so many steps is compiled with XLA."""
        if isinstance(self.jit, bool):
            return self.jit
        return self.jit_steps is not None and steps >= self.jit_steps
