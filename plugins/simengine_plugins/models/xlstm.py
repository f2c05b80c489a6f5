"""The xLSTM, the signal model that simengine is built around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from simengine import Component, hookimpl
from simengine.train.keras_model import KerasSignalModel

if TYPE_CHECKING:
    import keras


class Xlstm(KerasSignalModel):
    """A stack of mLSTM and sLSTM blocks on an embedding of the features.

    Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS 2024. Features -> linear embedding ->
    residual blocks -> layer norm -> last step -> dropout -> linear layer to three logits.
    """

    # Compiling costs about 10 s and saves 30 to 80 ms a step (batch 128, 60 bars, two cores).
    jit_steps: ClassVar[int | None] = 300

    def __init__(
        self,
        *,
        embedding: Annotated[int, Field(ge=1, description="width of the block stack")] = 16,
        heads: Annotated[int, Field(ge=1, description="heads of every block; divides the width")] = 4,
        blocks: Annotated[
            tuple[Literal["mlstm", "slstm"], ...],
            Field(min_length=1, description="the blocks, from the input up"),
        ] = ("mlstm", "slstm"),
        dropout: Annotated[float, Field(ge=0, lt=1, description="share of activations dropped")] = 0.1,
    ) -> None:
        if embedding % heads:
            raise ValueError(f"embedding must be a multiple of heads; received {embedding} and {heads}")
        self.embedding = embedding
        self.heads = heads
        self.blocks = blocks
        self.dropout = dropout

    def build(self, n_features: int, length: int, seed: int) -> keras.Model:
        """Return the untrained network."""
        from simengine.model.classifier import XLSTMClassifier

        return XLSTMClassifier(
            n_features,
            length,
            embedding=self.embedding,
            heads=self.heads,
            blocks=self.blocks,
            dropout=self.dropout,
            seed=seed,
        )


@hookimpl
def simengine_register_models() -> list[Component]:
    """Register the component."""
    return [Component("xlstm", Xlstm)]
