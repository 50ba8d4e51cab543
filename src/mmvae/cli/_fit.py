"""`mmvae fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmvae._keys import FUSED
from mmvae.model import MultiVAE
from mmvae.tl import embed

from ._data import register, setup_arguments
from ._errors import InputError
from ._files import make_folder, read, refuse_existing, replacing, write
from ._umap import add_umap

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

# The name under which scvi-tools looks for a model in its folder.
MODEL_FILE = "model.pt"


def run(args: Namespace) -> None:
    """Train on a file and write it with the embeddings."""
    _check_outputs(args)
    data = read(args.input)
    model = _build(data, args)
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
    refuse_existing(args.out, overwrite=args.overwrite)
    if not args.out.parent.is_dir():
        msg = f"Expected a folder for OUT; '{args.out.parent}' is not one. Make it first."
        raise InputError(msg)
    if args.model is not None:
        refuse_existing(args.model / MODEL_FILE, overwrite=args.overwrite)
        make_folder(args.model)


def _build(data: MuData | AnnData, args: Namespace) -> MultiVAE:
    try:
        register(data, setup_arguments(args, data))
        return MultiVAE(data, prior=args.prior, fusion=args.fusion, seed=args.seed)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from error


def _save(model: MultiVAE, folder: Path) -> None:
    """Save beside the final place, then move the one file there: the folder may hold other things of the user."""
    with replacing(folder / MODEL_FILE) as part:
        scratch = part.with_suffix("")
        model.save(scratch)
        (scratch / MODEL_FILE).rename(part)
        scratch.rmdir()
