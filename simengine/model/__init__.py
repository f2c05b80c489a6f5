"""The xLSTM as Keras layers."""
