"""Opening a stream on a built classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simengine.errors import unknown_name
from simengine.model.streaming.packing import pack
from simengine.model.streaming.stateful import StatefulStream
from simengine.model.streaming.streams import Stream, StreamMode
from simengine.model.streaming.windowed import WindowedStream

if TYPE_CHECKING:
    from simengine.model.classifier import XLSTMClassifier

MODES: dict[StreamMode, type[Stream]] = {"windowed_exact": WindowedStream, "stateful": StatefulStream}
"""The two ways to score bar by bar, by name."""


def stream(
    model: XLSTMClassifier,
    mode: StreamMode | None = None,
    *,
    allow_window_trained: bool = False,
    allow_stateful_trained: bool = False,
) -> Stream:
    """Return a stream that scores one bar at a time with the weights that the model has now.

    ``windowed_exact`` equals the model on the window of the last bars, at every bar. ``stateful`` carries the
    state on for ever and is many times faster, but equals the windowed model only while the first window
    lasts: it is for models that are trained statefully, which in turn have never seen a window alone.

    Parameters
    ----------
    model : XLSTMClassifier
        A built classifier; later changes of its weights do not reach the stream.
    mode : {"windowed_exact", "stateful"}, optional
        How bars beyond the window count; by default as in training.
    allow_window_trained : bool
        Allow ``stateful`` for a model that was trained on windows.
    allow_stateful_trained : bool
        Allow ``windowed_exact`` for a model that was trained statefully.

    Returns
    -------
    Stream

    Raises
    ------
    ValueError
        When the mode is unknown or not that of the training, or the weights cannot be used.
    """
    trained_statefully = bool(model.architecture.get("stateful", False))
    if mode is None:
        mode = "stateful" if trained_statefully else "windowed_exact"
    if mode not in MODES:
        raise ValueError(unknown_name("stream mode", mode, MODES))
    if mode == "stateful" and not trained_statefully and not allow_window_trained:
        raise ValueError(
            "mode 'stateful' needs a model that was trained statefully, this one was trained on windows: use "
            "mode 'windowed_exact', train with stateful: true, or pass allow_window_trained=True"
        )
    if mode == "windowed_exact" and trained_statefully and not allow_stateful_trained:
        raise ValueError(
            "mode 'windowed_exact' needs a model that was trained on windows, this one was trained "
            "statefully: use mode 'stateful', train with stateful: false, or pass allow_stateful_trained=True"
        )
    # Imported here: it brings TensorFlow, which a model has loaded already.
    from simengine.model.weights import named_weights

    options = model.get_layer("xlstm").options
    return MODES[mode](pack(options, named_weights(model), int(model.architecture["length"])))
