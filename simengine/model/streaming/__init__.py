"""Live scoring of an xLSTM classifier, one bar at a time, in compiled code without TensorFlow."""

from simengine.model.streaming.opening import MODES, stream
from simengine.model.streaming.streams import Stream, StreamMode

__all__ = ["MODES", "Stream", "StreamMode", "stream"]
