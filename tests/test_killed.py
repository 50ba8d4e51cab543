"""Killed at any moment, every file is the one of before or the one of after, whole, and the next run clears the rest."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pytest
from killing import killed_at_random
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE
from mmvae._files import claimed, replacing
from mmvae.cli import main
from mmvae.cli._files import read, write
from mmvae.datasets.pdac import _visium

if TYPE_CHECKING:
    from mudata import MuData

KILLS = 50
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "early_stopping": False}
# trainings of few epochs warn
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class Save(Callback):
    """Saves the model after each epoch."""

    def __init__(self, model: MultiVAE, folder: Path) -> None:
        self.model, self.folder = model, folder

    def on_train_epoch_end(self, *_) -> None:
        self.model.save(self.folder, overwrite=True)


@pytest.fixture(scope="module")
def mdata() -> MuData:
    mdata = mmvae.datasets.simulate(100, modalities={"rna": 200, "protein": 10}, n_clusters=3)
    MultiVAE.setup_mudata(mdata)
    return mdata


def trained(mdata: MuData, seed: int = 0, **kwargs) -> MultiVAE:
    model = MultiVAE(mdata, n_latent=4, n_hidden=64, seed=seed)
    model.train(2, **QUIET, **kwargs)
    return model


@pytest.fixture
def folder(mdata, tmp_path) -> Path:
    """A folder with all that is replaced: input, output, model, values, page and figure."""
    model = trained(mdata)
    write(mdata, tmp_path / "in.h5mu")
    model.save(tmp_path / "model")
    embed_and_write(model, mdata, tmp_path / "out.h5mu")
    for name in ("values.h5ad", "values.zarr"):
        model.get_normalized_expression(modality="protein", out=tmp_path / name)
    mmvae.pl.history(model, show=False, save=tmp_path / "figure.png")
    return tmp_path


def embed_and_write(model: MultiVAE, mdata: MuData, path: Path) -> None:
    mmvae.tl.embed(model, mdata)
    with replacing(path) as part:
        write(mdata, part)


def training(folder: Path, mdata: MuData, model: MultiVAE) -> None:
    new = MultiVAE(mdata, n_latent=4, n_hidden=64)
    new.train(5, callbacks=[Save(new, folder / "model")], **QUIET)


def saving(folder: Path, mdata: MuData, model: MultiVAE) -> None:
    for _ in range(10):
        model.save(folder / "model", overwrite=True)


def embedding(folder: Path, mdata: MuData, model: MultiVAE) -> None:
    for _ in range(3):
        embed_and_write(model, mdata, folder / "out.h5mu")


def values(folder: Path, mdata: MuData, model: MultiVAE) -> None:
    for name in ("values.h5ad", "values.zarr"):
        model.get_normalized_expression(modality="protein", out=folder / name, overwrite=True)
    mmvae.pl.history(model, show=False, save=folder / "figure.png")


def fitting(folder: Path, mdata: MuData, model: MultiVAE) -> None:
    given = ["--out", str(folder / "out.h5mu"), "--model", str(folder / "model"), "--overwrite", "--no-umap"]
    assert main(["fit", str(folder / "in.h5mu"), *given, "--epochs", "2"]) == 0


def assert_whole(folder: Path, mdata: MuData) -> None:
    """Nothing is there but what was before, whole, and what the next run clears."""
    names = {"in.h5mu", "out.h5mu", "model", "values.h5ad", "values.zarr", "figure.png"}
    assert {path.name for path in folder.iterdir() if not is_scratch(path)} == names
    assert [path.name for path in (folder / "model").iterdir() if not is_scratch(path)] == ["model.pt"]
    loaded = MultiVAE.load(folder / "model", mdata, accelerator="cpu")
    assert all(bool(weights.isfinite().all()) for weights in loaded.module.state_dict().values())
    assert "X_mmvae" in read(folder / "out.h5mu").obsm
    for found in (ad.read_h5ad(folder / "values.h5ad"), ad.read_zarr(folder / "values.zarr")):
        assert found.shape == (100, 10)
        assert np.isfinite(found.X).all()
        assert (found.X > 0).all()
    # the last chunk of a PNG
    assert (folder / "figure.png").read_bytes()[-8:-4] == b"IEND"


def is_scratch(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".mmvae")


def clear(folder: Path) -> None:
    """What the next run does."""
    for path in (*folder.iterdir(), *(folder / "model").iterdir()):
        if is_scratch(path):
            with claimed(path.with_name(path.name.removeprefix(".").removesuffix(".mmvae"))):
                pass
    assert not [path for path in folder.rglob("*") if is_scratch(path)]


@pytest.mark.parametrize("work", [training, saving, embedding, values, fitting])
def test_killed_at_random(folder, mdata, work):
    model = trained(mdata, seed=1)
    n_left = 0
    for _ in killed_at_random(partial(work, folder, mdata, model), KILLS, np.random.default_rng(0)):
        n_left += any(map(is_scratch, folder.rglob("*")))
        assert_whole(folder, mdata)
    clear(folder)
    assert_whole(folder, mdata)
    print(f"{work.__name__}: {KILLS} kills, {n_left} of which left a folder that the next run clears")


@pytest.fixture
def figshare(monkeypatch):
    """Plays figshare; gives the content of the file."""
    content = b"".join(np.random.default_rng(0).bytes(2**20) for _ in range(64))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # clients that are killed
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    url, md5 = f"http://127.0.0.1:{server.server_port}/atlas.h5ad", hashlib.md5(content).hexdigest()
    monkeypatch.setattr(_visium, "_look_up", lambda: ([url], md5, len(content)))
    monkeypatch.setattr(_visium, "_check_whole", lambda *_: None)
    monkeypatch.setattr(_visium, "read_h5ad", lambda path: path)
    yield md5
    server.shutdown()
    server.server_close()


def test_a_download_killed_at_random_leaves_no_part(figshare, tmp_path):
    final = f"khaliq2024-{figshare}.h5ad"

    def download() -> None:
        for path in tmp_path.glob("*.h5ad"):
            path.unlink()
        mmvae.datasets.pdac_visium(cache=tmp_path, progress=False, tidy=False)

    n_whole = 0
    for _ in killed_at_random(download, KILLS, np.random.default_rng(0)):
        names = {path.name for path in tmp_path.iterdir() if not is_scratch(path)}
        assert names <= {final}
        for path in tmp_path.glob("*.h5ad"):
            n_whole += 1
            assert hashlib.md5(path.read_bytes()).hexdigest() == figshare
        assert len(list(tmp_path.iterdir())) <= 3
    download()
    assert {path.name for path in tmp_path.iterdir()} == {final}
    print(f"download: {n_whole} of {KILLS} had ended")
