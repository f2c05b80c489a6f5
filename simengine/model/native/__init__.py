"""The xLSTM cells as fused CPU kernels, forward and backward, for TensorFlow."""
