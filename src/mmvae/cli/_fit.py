"""`mmvae fit`."""

from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

import scanpy as sc
from anndata import AnnData
from mudata import MuData

from mmvae._keys import FUSED, UMAP, embedding_key
from mmvae.model import MultiVAE
from mmvae.tl import embed

from ._check import setup_arguments
from ._files import MODEL_FILE, check_output, make_folder, read, refuse_existing, write
from ._parser import InputError


def run(args: Namespace) -> None:
    """Train on a file and write it with the embeddings."""
    _check_outputs(args)
    data = read(args.input)
    try:
        _register(data, args)
        model = MultiVAE(data, prior=args.prior, fusion=args.fusion, seed=args.seed)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from error
    model.train(args.epochs)
    embed(model, data)
    if args.umap:
        add_umap(data, FUSED)
    if args.model is not None:
        _save(model, args.model)
        print(f"Wrote the model to {args.model}")
    write(data, args.out)
    print(f"Wrote {args.out}")


def _check_outputs(args: Namespace) -> None:
    """Find out before training whether the results can be written."""
    if args.out.suffix != args.input.suffix:
        msg = f"Expected OUT to end in '{args.input.suffix}', as IN does; got '{args.out}'. Rename it."
        raise InputError(msg)
    check_output(args.out, overwrite=args.overwrite)
    if args.model is not None:
        refuse_existing(args.model / MODEL_FILE, overwrite=args.overwrite)
        make_folder(args.model)


def _register(data: MuData | AnnData, args: Namespace) -> None:
    arguments = setup_arguments(args, data)
    if isinstance(data, MuData):
        MultiVAE.setup_mudata(data, **arguments)
        return
    (name,) = arguments.pop("modalities")
    layers, likelihoods = arguments.pop("layers"), arguments.pop("likelihoods")
    if unknown := sorted({*layers, *likelihoods} - {name}):
        msg = (
            f"Expected --layer and --likelihood for '{name}'; got them for {unknown}. Name what it holds by --modality."
        )
        raise InputError(msg)
    MultiVAE.setup_anndata(data, modality=name, layer=layers.get(name), likelihood=likelihoods.get(name), **arguments)


def _save(model: MultiVAE, folder: Path) -> None:
    """Save beside the final place, then move the one file there: the folder may hold other things of the user."""
    with TemporaryDirectory(prefix=".", dir=folder) as scratch:
        model.save(scratch, overwrite=True)
        (Path(scratch) / MODEL_FILE).replace(folder / MODEL_FILE)


def add_umap(data: MuData | AnnData, readout: str) -> str:
    """Add neighbours and a UMAP of a readout, under scanpy's names if it is the fused one; the key in ``obsm``."""
    graph, key = (None, None) if readout == FUSED else (readout, f"{UMAP}_{readout}")
    sc.pp.neighbors(data, use_rep=embedding_key(readout), key_added=graph)
    sc.tl.umap(data, neighbors_key=graph, key_added=key)
    return key or UMAP
