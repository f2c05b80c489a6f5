"""Opening a stream on a built classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simengine.errors import unknown_name
from simengine.model.streaming.packing import pack
from simengine.model.streaming.streams import StatefulStream, Stream, StreamMode, WindowedStream

if TYPE_CHECKING:
    from simengine.model.classifier import XLSTMClassifier

MODES: dict[StreamMode, type[Stream]] = {"windowed_exact": WindowedStream, "stateful": StatefulStream}
"""The two ways to score bar by bar, by name."""


def stream(model: XLSTMClassifier, mode: StreamMode, *, allow_window_trained: bool = False) -> Stream:
    """Return a stream that scores one bar at a time with the weights that the model has now.

    ``windowed_exact`` equals the model on the window of the last bars, at every bar. ``stateful`` carries the
    state on for ever and is many times faster, but equals the windowed model only while the first window
    lasts: it is for models that are trained statefully.

    Parameters
    ----------
    model : XLSTMClassifier
        A built classifier; later changes of its weights do not reach the stream.
    mode : {"windowed_exact", "stateful"}
        How bars beyond the window count.
    allow_window_trained : bool
        Allow ``stateful`` for a model that was trained on windows.

    Returns
    -------
    Stream

    Raises
    ------
    ValueError
        When the mode is unknown, stateful scoring does not fit the model, or its weights cannot be used.
    """
    if mode not in MODES:
        raise ValueError(unknown_name("stream mode", mode, MODES))
    trained_statefully = model.architecture.get("stateful", False)
    if mode == "stateful" and not trained_statefully and not allow_window_trained:
        raise ValueError(
            "mode 'stateful' needs a model that was trained statefully, this one was trained on windows: use "
            "mode 'windowed_exact', train with stateful: true, or pass allow_window_trained=True"
        )
    # Imported here: it brings TensorFlow, which a model has loaded already.
    from simengine.model.weights import named_weights

    options = model.get_layer("xlstm").options
    return MODES[mode](pack(options, named_weights(model), int(model.architecture["length"])))
