"""The class prior: the model that every other one has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine import Component, hookimpl
from simengine.train.classes import class_prior
from simengine.types import EpochRecord, Float32Array

if TYPE_CHECKING:
    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import BatchTransform
    from simengine.train.context import TrainContext


class Prior:
    """The class shares of the train labels, whatever the window holds.

    Its NLL is the zero of skill (1 - nll / nll of this model).
    """

    uses: frozenset[str] = frozenset()

    def fit(self, train: WindowSet, val: WindowSet, context: TrainContext) -> list[EpochRecord]:
        """Learn the class shares; one record, with the entropy of the shares as training loss.

        Raises
        ------
        DataError
            When a class has no label.
        """
        from simengine.train.record import epoch_record

        prior = class_prior(train.labels, "model prior")
        self.log_prior_ = np.log(prior)
        entropy = -float(prior @ self.log_prior_)
        record = epoch_record(self.predict_logits(val), val.labels, [], entropy, 0.0, np.ones(3))
        context.on_epoch(record)
        return [record]

    def predict_logits(self, windows: WindowSet, transform: BatchTransform | None = None) -> Float32Array:
        """Return the log shares in every row, float32 (n, 3); no transform can change them."""
        return np.tile(self.log_prior_.astype(np.float32), (len(windows), 1))

    def get_state(self) -> dict[str, Any]:
        """Return the log shares."""
        return {"log_prior": self.log_prior_}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the log shares."""
        self.log_prior_ = np.asarray(state["log_prior"], dtype=np.float64)


@hookimpl
def simengine_register_models() -> list[Component]:
    """Register the component."""
    return [Component("prior", Prior)]
