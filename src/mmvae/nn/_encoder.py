"""Encoder: C cells, G inputs, H hidden units, D latent dimensions."""

from scvi.nn import FCLayers
from torch import Tensor, nn
from torch.distributions import Normal

from ._sparse import InputLayer, SparseRows

LOG_VAR_RANGE = (-8.0, 4.0)


class Encoder(nn.Module):
    r"""Posterior of one modality's latent, :math:`q(z \mid x) = N(\mu(x), \operatorname{diag} v(x))`.

    LayerNorm and never BatchNorm: the rows of a minibatch differ in which modalities they have, and it may hold a single
    row of one modality, or none. ``dropout_rate`` is the probability with which a hidden unit is dropped in training,
    ``input_dropout`` that with which an input feature is hidden.
    """

    def __init__(
        self,
        n_input: int,
        n_latent: int,
        *,
        n_hidden: int,
        n_layers: int,
        dropout_rate: float,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_dropout = nn.Dropout(input_dropout)
        self.input = InputLayer(n_input, n_hidden)
        norm = nn.LayerNorm(n_hidden, elementwise_affine=False)
        self.first = nn.Sequential(norm, nn.ReLU(), nn.Dropout(dropout_rate))
        self.rest: nn.Module = nn.Identity()
        if n_layers > 1:
            rates = {"n_layers": n_layers - 1, "n_hidden": n_hidden, "dropout_rate": dropout_rate}
            self.rest = FCLayers(n_hidden, n_hidden, use_batch_norm=False, use_layer_norm=True, **rates)
        self.loc = nn.Linear(n_hidden, n_latent)
        self.log_var = nn.Linear(n_hidden, n_latent)

    def hidden(self, values: Tensor | SparseRows) -> Tensor:
        """Activations of the first layer, shape ``(n_cells, n_hidden)``."""
        kept = values.apply(self.input_dropout) if isinstance(values, SparseRows) else self.input_dropout(values)
        return self.first(self.input(kept))

    def posterior(self, hidden: Tensor, *, dropout: bool = True) -> Normal:
        """Posterior from first-layer activations, batch shape ``(n_cells, n_latent)``; on request without dropout."""
        top = self.rest(hidden) if dropout else _without_dropout(self.rest, hidden)
        # Under mixed precision the layers give half precision; densities are computed in that of the weights.
        loc, log_var = (layer(top).to(layer.weight.dtype) for layer in (self.loc, self.log_var))
        return Normal(loc, (0.5 * log_var.clamp(*LOG_VAR_RANGE)).exp(), validate_args=False)

    def forward(self, values: Tensor | SparseRows) -> Normal:
        """Posterior of each row of ``values``, shape ``(n_cells, n_input)``."""
        return self.posterior(self.hidden(values))


def _without_dropout(layers: nn.Module, values: Tensor) -> Tensor:
    """What ``layers``, one after the other, make of ``values`` outside training."""
    for layer in layers.modules():
        if next(layer.children(), None) is None and not isinstance(layer, nn.Dropout):
            values = layer(values)
    return values
