"""The options about data, as arguments of the set-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mudata import MuData

from mmvae.model import MultiVAE

from ._errors import InputError

if TYPE_CHECKING:
    from argparse import Namespace

    from anndata import AnnData

DEFAULT_MODALITY = "rna"
NO_LAYER = "X"


def setup_arguments(args: Namespace, data: MuData | AnnData) -> dict[str, Any]:
    """Arguments of :func:`~mmvae.pp.check` and :meth:`~mmvae.MultiVAE.setup_mudata`.

    Raises
    ------
    InputError
        If ``--modality`` is given for a MuData.
    """
    if args.modality is not None and isinstance(data, MuData):
        msg = f"Expected --modality with a .h5ad file alone; got it with '{args.input}'. Leave it out."
        raise InputError(msg)
    name = args.modality or DEFAULT_MODALITY
    return {
        "batch_key": args.batch_key,
        "labels_key": args.labels_key,
        "layers": {modality: None if layer == NO_LAYER else layer for modality, layer in args.layer},
        "likelihoods": dict(args.likelihood),
        "modalities": None if isinstance(data, MuData) else {name: name},
    }


def register(data: MuData | AnnData, arguments: dict[str, Any]) -> None:
    """Register ``data`` with what :func:`setup_arguments` gave."""
    if isinstance(data, MuData):
        MultiVAE.setup_mudata(data, **arguments)
        return
    (name,) = arguments["modalities"]
    layers, likelihoods = arguments["layers"], arguments["likelihoods"]
    if unknown := sorted({*layers, *likelihoods} - {name}):
        msg = (
            f"Expected --layer and --likelihood for '{name}'; got them for {unknown}. Name what it holds by --modality."
        )
        raise InputError(msg)
    keys = {key: arguments[key] for key in ("batch_key", "labels_key")}
    MultiVAE.setup_anndata(data, modality=name, layer=layers.get(name), likelihood=likelihoods.get(name), **keys)
