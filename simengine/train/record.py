"""The line that every epoch of every model leaves behind."""

from __future__ import annotations

from collections.abc import Sequence

from simengine.evaluate.classification import argmax_signals, class_shares, macro_f1, nll, top_label_ece
from simengine.evaluate.logproba import log_softmax
from simengine.types import EpochRecord, Float32Array, FloatArray, LabelArray


def epoch_record(
    val_logits: Float32Array,
    val_labels: LabelArray,
    history: Sequence[EpochRecord],
    train_loss: float,
    learning_rate: float,
    class_weights: FloatArray,
) -> EpochRecord:
    """Score an epoch on the validation segment.

    Parameters
    ----------
    val_logits : float32 array, shape (n, 3)
        Of the whole validation segment, finite.
    val_labels : int8 array, shape (n,)
        Their labels.
    history : sequence of EpochRecord
        The epochs before this one, which say its number and whether it is the best.
    train_loss, learning_rate : float
        See `EpochRecord`.
    class_weights : float64 array, shape (3,)
        That the epoch was trained with.
    """
    log_proba = log_softmax(val_logits)
    predicted = argmax_signals(log_proba)
    loss = float(nll(log_proba, val_labels))
    return EpochRecord(
        epoch=len(history) + 1,
        train_loss=train_loss,
        learning_rate=learning_rate,
        class_weights=_three(class_weights),
        val_nll=loss,
        val_ece=float(top_label_ece(log_proba, val_labels)),
        val_macro_f1=float(macro_f1(val_labels, predicted)),
        val_argmax_share=_three(class_shares(predicted)),
        best=all(loss < record.val_nll for record in history),
    )


def _three(values: FloatArray) -> tuple[float, float, float]:
    sell, hold, buy = (float(value) for value in values)
    return sell, hold, buy
