"""`mmvae check`, and the options about data that it shares with `mmvae fit`."""

from argparse import Namespace
from typing import Any

from anndata import AnnData
from mudata import MuData

from mmvae._keys import RNA
from mmvae.pp import check

from ._files import read
from ._parser import InputError

NO_LAYER = "X"


def run(args: Namespace) -> None:
    """Print what would be taken of the data; raise all their faults."""
    data = read(args.input)
    check(data, **setup_arguments(args, data))
    print("No faults found.")


def setup_arguments(args: Namespace, data: MuData | AnnData) -> dict[str, Any]:
    """Arguments of :func:`~mmvae.pp.check` and :meth:`~mmvae.MultiVAE.setup_mudata`."""
    if args.modality is not None and isinstance(data, MuData):
        msg = f"Expected --modality with a .h5ad file alone; got it with '{args.input}'. Leave it out."
        raise InputError(msg)
    name = args.modality or RNA
    return {
        "batch_key": args.batch_key,
        "labels_key": args.labels_key,
        "layers": {modality: None if layer == NO_LAYER else layer for modality, layer in args.layer},
        "likelihoods": dict(args.likelihood),
        "modalities": None if isinstance(data, MuData) else {name: name},
    }
