"""`mmvae fit`."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import scanpy as sc
from anndata import AnnData
from mudata import MuData

from mmvae._files import Claim, check_room
from mmvae._keys import FUSED, UMAP, embedding_key
from mmvae.data import size_of
from mmvae.model import MultiVAE
from mmvae.tl import embed
from mmvae.train import CHECKPOINT_FILE

from ._check import setup_arguments
from ._files import MODEL_FILE, folder_for, output, read, write, write_all
from ._parser import InputError


def run(args: Namespace) -> None:
    """Train on a file and write it with the embeddings."""
    if args.out.suffix != args.input.suffix:
        msg = f"Expected OUT to end in '{args.input.suffix}', as IN does; got '{args.out}'. Rename it."
        raise InputError(msg)
    _check_checkpoint(args)
    with _outputs(args) as outputs:
        data = read(args.input)
        check_room(args.out.parent, size_of(data), ", or name another folder for OUT")
        try:
            _register(data, args)
            model = MultiVAE(data, prior=args.prior, fusion=args.fusion, seed=args.seed)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from error
        # What is resumed begins if there is nothing yet, so that one command does for both.
        model.train(args.epochs, checkpoint=args.checkpoint, resume_from=args.checkpoint if args.resume else None)
        embed(model, data)
        if args.umap:
            add_umap(data, FUSED)
        writers = (partial(write, data), lambda path: model.save(path.parent))
        write_all(dict(zip(outputs, writers, strict=False)))


def _check_checkpoint(args: Namespace) -> None:
    if args.resume and args.checkpoint is None:
        msg = "Expected --checkpoint with --resume, the folder that holds the training; got none. Name it."
        raise InputError(msg)
    if not args.resume and args.checkpoint is not None and (args.checkpoint / CHECKPOINT_FILE).exists():
        msg = f"'{args.checkpoint}' holds a training. Add --resume to go on with it, or name another folder."
        raise InputError(msg)


@contextmanager
def _outputs(args: Namespace) -> Iterator[list[Claim]]:
    """OUT and the file of the model, if one is asked for, found to be writable before training."""
    with ExitStack() as stack:
        outputs = [stack.enter_context(output(args.out, overwrite=args.overwrite))]
        if args.model is not None:
            stack.enter_context(folder_for(args.model))
            outputs.append(stack.enter_context(output(args.model / MODEL_FILE, overwrite=args.overwrite)))
        yield outputs


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


def add_umap(data: MuData | AnnData, readout: str) -> str:
    """Add neighbours and a UMAP of a readout, under scanpy's names if it is the fused one; the key in ``obsm``."""
    graph, key = (None, None) if readout == FUSED else (readout, f"{UMAP}_{readout}")
    sc.pp.neighbors(data, use_rep=embedding_key(readout), key_added=graph)
    sc.tl.umap(data, neighbors_key=graph, key_added=key)
    return key or UMAP
