"""A stack of LSTM layers: the plain recurrent network to measure the xLSTM against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.seed import integer
from simengine.train.keras_model import KerasSignalModel
from simengine.train.option_types import Ema, HeadBias, JitCompile, Share, WeightDecay

if TYPE_CHECKING:
    import keras


class Lstm(KerasSignalModel):
    """LSTM layers, the last state, dropout and a linear layer to three logits.

    Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, with a forget
    gate bias of 1. The options of its training are those of `xlstm`, so that the two can be compared.
    """

    def __init__(
        self,
        *,
        units: Annotated[int, Field(ge=1, description="width of every LSTM layer")] = 32,
        layers: Annotated[int, Field(ge=1, description="number of LSTM layers")] = 1,
        dropout: Annotated[Share, Field(description="share of the last state dropped")] = 0.1,
        block_dropout: Annotated[
            Share, Field(description="share dropped of what each layer but the last passes on")
        ] = 0.0,
        recurrent_dropout: Annotated[
            Share,
            Field(description="share of the state hidden from the gates, the same for all bars of a window"),
        ] = 0.0,
        head_bias: HeadBias = "zeros",
        weight_decay: WeightDecay = 0.0,
        ema: Ema = None,
        jit_compile: JitCompile = "auto",
    ) -> None:
        self.units = units
        self.layers = layers
        self.dropout = dropout
        self.block_dropout = block_dropout
        self.recurrent_dropout = recurrent_dropout
        self.head_bias = head_bias
        self.weight_decay = weight_decay
        self.ema = ema
        self.jit_compile = jit_compile

    def build(self, n_features: int, length: int, seed: int) -> keras.Model:
        """Return the untrained network."""
        import keras

        def glorot(purpose: str, layer: int) -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(seed=integer(seed, purpose, layer))

        inputs = keras.Input((length, n_features), dtype="float32", name="windows")
        hidden = inputs
        for layer in range(self.layers):
            orthogonal = keras.initializers.Orthogonal(seed=integer(seed, "lstm recurrent", layer))
            if layer and self.block_dropout:
                hidden = keras.layers.Dropout(
                    self.block_dropout,
                    seed=integer(seed, "block dropout", layer),
                    name=f"dropout_{layer}",
                )(hidden)
            hidden = keras.layers.LSTM(
                self.units,
                return_sequences=layer < self.layers - 1,
                kernel_initializer=glorot("lstm kernel", layer),
                recurrent_initializer=orthogonal,
                recurrent_dropout=self.recurrent_dropout,
                seed=integer(seed, "lstm dropout", layer),
                use_cudnn=False,  # the fused GPU kernel has no deterministic form and no XLA form
                name=f"lstm_{layer}",
            )(hidden)
        hidden = keras.layers.Dropout(self.dropout, seed=integer(seed, "dropout"), name="dropout")(hidden)
        logits = keras.layers.Dense(3, kernel_initializer=glorot("logits", 0), name="logits")(hidden)
        return keras.Model(inputs, logits, name="lstm")


@hookimpl
def simengine_register_models() -> list[Component]:
    """Register the component."""
    return [Component("lstm", Lstm)]
