"""Readouts: where a cell lies in the fused latent, in a modality's own, and in what the modalities share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mmvae._checks import COUNT, check_numbers
from mmvae._keys import EXPERTS, FUSED, PRESENT, QZ, SHARED, UNWEIGHTED

from ._cells import CellMixin
from ._reliability import ReliabilityMixin
from ._shared import SharedSubspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor
    from torch.distributions import Normal

    from ._typing import Indices


class RepresentationMixin(CellMixin, ReliabilityMixin):
    """Latent representations."""

    @torch.inference_mode()
    def get_latent_representation(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        give_mean: bool = True,
        mc_samples: int = 1,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        *,
        representation: str = FUSED,
        **data_loader_kwargs: Any,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Latent representation of cells, whatever they have.

        Parameters
        ----------
        adata
            Data other than the model's own. They may lack modalities.
        indices
            Cells, by number or as a mask; all by default.
        give_mean
            Whether to return the posterior mean; else the mean of ``mc_samples`` samples.
        mc_samples
            Number of samples where ``give_mean`` is ``False``.
        batch_size
            Cells at a time.
        return_dist
            Whether to return the mean and the variance of the posterior.
        dataloader
            Minibatches to use in place of ``adata``.
        representation
            ``"fused"``: the latents of all modalities, that of a modality which a cell lacks predicted from the others.
            Each is scaled so that its draws have a total variance of 1 over the training cells that have it, and multiplied
            by its :meth:`get_reliability`, so that a modality which is mostly noise moves cells less; a joint latent has
            no parts and is left as it is. ``"unweighted"``: without that, as the decoders read it.
            ``"shared"``: what the modalities agree on (see below). The name of a modality: that modality's own latent,
            predicted where a cell lacks it.
        **data_loader_kwargs
            Passed to the loader.

        Returns
        -------
        Array of shape ``(n_cells, n_dimensions)``, in the order of ``indices`` or of the data; with ``return_dist``
        the means and variances.

        Notes
        -----
        ``"shared"`` is a generalised canonical correlation analysis of the modalities' latents over the training
        cells that have several, fitted on first use and saved with the model. It needs such cells. ``"fused"`` is the
        default, for mosaics too, because cell types lie further apart in it; ``benchmarks/peers.py`` scores both.
        """
        self._check_if_trained(warn=False)
        check_numbers({"mc_samples": COUNT}, mc_samples=mc_samples)
        if representation == SHARED:
            return self._shared_representation(adata, indices, batch_size, return_dist, dataloader)
        if representation not in (known := [FUSED, UNWEIGHTED, SHARED, *self.modalities]):
            msg = f"Expected representation as one of {known}; got '{representation}'."
            raise ValueError(msg)
        means, variances = [], []
        for outputs in self._outputs(adata, indices, batch_size, dataloader, **data_loader_kwargs):
            posterior, draw = self._readout(representation, outputs)
            variance = posterior.scale.square()
            if representation == FUSED:
                variance = self._weighted(self._weighted(variance))
            if give_mean or return_dist:
                mean = draw(posterior.loc)
            else:
                mean = torch.stack([draw(None) for _ in range(mc_samples)]).mean(dim=0)
            means.append(mean.cpu())
            variances.append(variance.cpu())
        together = torch.cat(means).numpy()
        return (together, torch.cat(variances).numpy()) if return_dist else together

    def _readout(
        self, representation: str, outputs: dict[str, Any]
    ) -> tuple[Normal, Callable[[Tensor | None], Tensor]]:
        """Posterior of a readout, and what it reads of a latent; of a fresh draw if given ``None``."""
        fusion, experts, posterior = self.module.fusion, outputs[EXPERTS], outputs[QZ]
        if representation not in (FUSED, UNWEIGHTED):
            own = fusion.single(representation, experts)
            return own, lambda latent: own.sample() if latent is None else latent

        def draw(latent: Tensor | None) -> Tensor:
            fused = fusion.fuse(fusion.sample(experts, posterior) if latent is None else latent, experts)
            return self._weighted(fused) if representation == FUSED else fused

        return posterior, draw

    def get_shared_spectrum(self) -> np.ndarray:
        """Eigenvalues of the modalities' correlation matrix, largest first, ``(n_dimensions,)``.

        With two modalities an eigenvalue is 1 plus a canonical correlation; those above 1.4 span ``"shared"``.
        """
        self._check_if_trained(warn=False)
        return self._shared_subspace().spectrum

    def _outputs(
        self,
        adata: MuData | AnnData | None,
        indices: Indices | None,
        batch_size: int | None,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        **data_loader_kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Inference outputs, and which cells have what, minibatch by minibatch."""
        for tensors in self._minibatches(adata, indices, batch_size, dataloader, **data_loader_kwargs):
            yield self.module.inference(**self.module._get_inference_input(tensors)) | {PRESENT: tensors[PRESENT]}

    def _shared_representation(
        self,
        adata: MuData | AnnData | None,
        indices: Indices | None,
        batch_size: int | None,
        return_dist: bool,
        dataloader: Iterator[dict[str, Tensor]] | None,
    ) -> np.ndarray:
        if return_dist:
            msg = "Expected return_dist=False for representation 'shared', which has no posterior; got True."
            raise ValueError(msg)
        return self._shared_subspace().transform(*self._modality_means(adata, indices, batch_size, dataloader))

    def _shared_subspace(self) -> SharedSubspace:
        if self.shared_ is None:
            indices = None if self.train_indices_ is None else np.asarray(self.train_indices_)
            self.shared_ = SharedSubspace.fit(*self._modality_means(None, indices, None, None)).to_dict()
        return SharedSubspace(**self.shared_)

    @torch.inference_mode()
    def _modality_means(
        self,
        adata: MuData | AnnData | None,
        indices: Indices | None,
        batch_size: int | None,
        dataloader: Iterator[dict[str, Tensor]] | None,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Posterior means of each modality and which cells have it."""
        means: dict[str, list[Tensor]] = {name: [] for name in self.modalities}
        present = []
        for outputs in self._outputs(adata, indices, batch_size, dataloader):
            experts = outputs[EXPERTS]
            for name in self.modalities:
                means[name].append(self.module.fusion.single(name, experts).loc.cpu())
            present.append(outputs[PRESENT].cpu())
        return {n: torch.cat(m).double().numpy() for n, m in means.items()}, torch.cat(present).numpy()
