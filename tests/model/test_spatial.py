"""Models of spots: the field as a prior, splits, new slides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae.graph import CellGraph
from mmvae.module._objective import prior_kl

SIDE = 12
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}


def slides(n_slides: int, seed: int = 0, n_genes: int = 30) -> AnnData:
    """Square slides of two halves that differ in their genes."""
    generator = np.random.default_rng(seed)
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    places = np.tile(np.stack([row, column], axis=1).astype(float), (n_slides, 1))
    half = np.tile(column >= SIDE // 2, n_slides)
    rate = np.where(half[:, None] == (np.arange(n_genes) % 2 == 0), 4.0, 1.0)
    counts = generator.poisson(rate).astype(np.float32)
    names = [f"{seed}_{i}" for i in range(len(places))]
    obs = pd.DataFrame({"section": np.repeat([f"s{k}" for k in range(n_slides)], SIDE**2), "half": half}, index=names)
    adata = AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(n_genes)]))
    adata.obsm["spatial"] = places
    return adata


def spots(n_slides: int = 2, seed: int = 0):
    return mmvae.pp.spatial(slides(n_slides, seed), slide_key="section")


def fitted(mdata, epochs: int = 15, **kwargs) -> MultiVAE:
    MultiVAE.setup_mudata(mdata, batch_key="section")
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, **kwargs)
    model.train(epochs, **QUIET)
    return model


@pytest.fixture(scope="module")
def model() -> MultiVAE:
    return fitted(spots())


def test_the_modality_brings_its_prior_and_weight(model):
    assert {name: prior.name for name, prior in model.module.priors.items()} == {"rna": "mog", "spatial": "gmrf"}
    degree = np.diff(model.adata["spatial"].obsp["spatial_connectivities"].indptr)
    assert model.module.weights == {"rna": 1.0, "spatial": pytest.approx(1 / degree.mean())}


def test_what_is_given_goes_before_what_the_data_bring():
    mdata = spots(1)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, prior="normal", modality_weights={"spatial": 0.5})
    assert {prior.name for prior in model.module.priors.values()} == {"normal"}
    assert model.module.weights["spatial"] == 0.5
    assert MultiVAE(mdata, prior={"rna": "vamp"}).module.priors["spatial"].name == "gmrf"
    assert MultiVAE(mdata, fusion="poe").module.priors["joint"].name == "mog"


def test_slides_are_not_mixed_by_force_unless_asked(model):
    assert model.summary_stats.n_batch == 2
    assert model.module.adversary is None
    assert MultiVAE(model.adata, batch_adversary=5.0).module.adversary is not None
    cells = mmvae.datasets.simulate(60)
    MultiVAE.setup_mudata(cells, batch_key="batch")
    assert MultiVAE(cells).module.adversary is not None


def test_the_kl_of_all_cells_is_that_of_the_field(model):
    module, mdata = model.module, model.adata
    mean, variance = model.get_latent_representation(modality="spatial", return_dist=True)
    kl = 0.0
    for tensors in model._make_data_loader(mdata, batch_size=50):
        minibatch = module.minibatch(tensors)
        inference = module.infer(minibatch, module.encode(minibatch))
        kl += float(prior_kl(inference, module.priors)["spatial"].sum().detach())
    prior = module.priors["spatial"]
    adjacency = mdata["spatial"].obsp["spatial_connectivities"].toarray().astype(float)
    laplacian = np.diag(adjacency.sum(axis=1)) - adjacency
    wanted = 0.0
    for d in range(prior.n_latent):
        precision = (
            float(prior.precision[d].detach()) * np.eye(len(mean)) + float(prior.smoothness[d].detach()) * laplacian
        )
        wanted += 0.5 * (
            (np.diag(precision) * variance[:, d]).sum()
            + mean[:, d] @ precision @ mean[:, d]
            - len(mean)
            - np.linalg.slogdet(precision)[1]
            - np.log(variance[:, d]).sum()
        )
    assert kl == pytest.approx(wanted, rel=1e-3)


def test_spectrum_tells_smooth_dimensions(model):
    spectrum = model.spatial_spectrum()
    assert list(spectrum["latent"]) == ["spatial"] * 4
    assert sorted(spectrum["dimension"]) == [0, 1, 2, 3]
    assert spectrum["neighbor_correlation"].is_monotonic_decreasing
    assert spectrum["neighbor_correlation"].between(0, 1).all()
    assert spectrum["morans_i"].iloc[0] > 0.5


def test_spectrum_asks_for_a_field():
    mdata = spots(1)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, prior="normal")
    model.is_trained_ = True
    with pytest.raises(ValueError, match="latent with prior 'gmrf'.*'spatial': 'normal'"):
        model.spatial_spectrum()


def test_morans_i_is_that_of_its_formula(model):
    graph = sp.csr_matrix(model.adata["spatial"].obsp["spatial_connectivities"]).toarray()
    mean = model.get_latent_representation(modality="spatial")
    centred = mean - mean.mean(axis=0)
    wanted = ((graph @ centred) * centred).sum(axis=0) / graph.sum() / (centred**2).mean(axis=0)
    found = model.spatial_spectrum().set_index("dimension")["morans_i"].sort_index()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_held_out_slide_is_read_without_training(model):
    before = {key: value.clone() for key, value in model.module.state_dict().items()}
    own = float(model.get_elbo())
    new = spots(2, seed=1)
    latent = model.get_latent_representation(new)
    assert latent.shape[0] == new.n_obs
    assert np.isfinite(float(model.get_elbo(new)))
    assert np.isfinite(model.get_outlier_score(new)).all(axis=None)
    assert model.spatial_spectrum(new)["precision"].tolist() == model.spatial_spectrum()["precision"].tolist()
    assert float(model.get_elbo()) == pytest.approx(own, abs=2.0)
    assert all(torch.equal(value, before[key]) for key, value in model.module.state_dict().items() if key != "variance")
    right = latent[new.obs["half"].to_numpy(dtype=bool)].mean(axis=0)
    left = latent[~new.obs["half"].to_numpy(dtype=bool)].mean(axis=0)
    assert np.linalg.norm(right - left) > 0.5


def test_a_slide_without_a_graph_can_be_read_but_has_no_kl(model):
    new = spots(2, seed=1)
    wanted = model.get_latent_representation(new)
    bare = spots(2, seed=1)
    del bare["spatial"].obsp["spatial_connectivities"]
    np.testing.assert_allclose(model.get_latent_representation(bare), wanted, atol=1e-5)
    with pytest.raises(ValueError, match="graph of neighbouring cells"):
        model.get_elbo(bare)


def test_save_and_load(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = MultiVAE.load(tmp_path / "model", adata=spots())
    assert loaded.module.weights == model.module.weights
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-5)
    pd.testing.assert_frame_equal(loaded.spatial_spectrum(), model.spatial_spectrum(), atol=1e-4)


def test_two_runs_are_the_same():
    first, second = (fitted(spots(1), epochs=12).get_latent_representation() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_blocks_are_held_out_together(model):
    graph = sp.csr_matrix(model.adata["spatial"].obsp["spatial_connectivities"])
    held = np.zeros(model.adata.n_obs, dtype=bool)
    held[model.validation_indices_] = True
    share = held.mean()
    assert 0.03 < share < 0.25
    neighbours = np.asarray(graph[held] @ held.astype(float)) / np.diff(graph.indptr)[held]
    assert neighbours.mean() > 3 * share
    assert set(model.adata.obs["section"][held]) == {"s0", "s1"}


def test_slides_are_held_out_whole():
    mdata = spots(4)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(2, split_by="section", **QUIET)
    held = mdata.obs["section"].to_numpy()[model.validation_indices_]
    assert len(set(held)) == 1
    assert len(held) == SIDE**2


def test_single_spots_held_out_are_warned_of():
    mdata = spots(1)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    with pytest.warns(UserWarning, match="in their neighbours' sums too"):
        model.train(1, split_by="cells", **QUIET)


def test_splits_that_cannot_be_made_are_told():
    mdata = spots(2)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    with pytest.raises(ValueError, match="column of obs, .*'section'.*got 'slide'"):
        model.train(1, split_by="slide", **QUIET)
    with pytest.raises(ValueError, match="groups enough to train, validate and test on; got 2"):
        model.train(1, split_by="section", train_size=0.7, validation_size=0.2, **QUIET)
    plain = mmvae.datasets.simulate(60)
    MultiVAE.setup_mudata(plain)
    with pytest.raises(ValueError, match="graph of neighbours for split_by='blocks'"):
        MultiVAE(plain, n_hidden=16, n_latent=4).train(1, split_by="blocks", **QUIET)


def test_a_field_needs_neighbours():
    mdata = mmvae.datasets.simulate(60)
    MultiVAE.setup_mudata(mdata)
    with pytest.raises(ValueError, match=r"obsp\['spatial_connectivities'\] for prior 'gmrf'"):
        MultiVAE(mdata, prior={"rna": "gmrf"})


def test_a_graph_that_leads_one_way_is_refused():
    mdata = spots(1)
    graph = sp.lil_matrix(mdata["spatial"].obsp["spatial_connectivities"])
    graph[0, 1] = 0
    mdata["spatial"].obsp["spatial_connectivities"] = graph.tocsr()
    with pytest.raises(SetupError, match="2 edges that lead one way only"):
        MultiVAE.setup_mudata(mdata)


def test_one_modality_of_an_anndata_can_have_a_field():
    adata = slides(1)
    mdata = mmvae.pp.spatial(adata)
    adata.obsp["spatial_connectivities"] = mdata["spatial"].obsp["spatial_connectivities"]
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, n_hidden=16, n_latent=4, prior="gmrf")
    model.train(12, **QUIET)
    assert np.isfinite(float(model.get_elbo()))
    assert list(model.spatial_spectrum()["latent"]) == ["rna"] * 4


def test_posteriors_of_all_cells_are_read_where_a_kl_is_asked_for_and_not_inside_it(monkeypatch):
    model = fitted(spots(1), epochs=12)
    reads, loss, inside = [], model.module.loss, []
    fill = CellGraph.fill
    monkeypatch.setattr(CellGraph, "fill", lambda *a: reads.append(bool(inside)) or fill(*a))

    def watched(*args, **kwargs):
        inside.append(1)
        result = loss(*args, **kwargs)
        inside.clear()
        return result

    model.module.loss = watched
    new = spots(1, seed=1)
    latent = model.get_latent_representation(new, modality="spatial")
    assert not reads
    first = model.get_elbo(new)
    assert float(model.get_elbo(new)) == pytest.approx(float(first), abs=2.0)
    model.get_modality_information(new)
    assert len(reads) == 1
    np.testing.assert_allclose(model.module.priors["spatial"].graph.mean.cpu(), latent, atol=1e-5)
    model.train(2, **QUIET)
    assert len(reads) == 3  # before it, and with the new weights, for what it says at the end
    model.get_elbo()
    assert len(reads) == 3
    assert not any(reads)


def test_spots_that_lack_the_modality_are_left_out_of_the_field():
    mdata = mmvae.pp.spatial(slides(1), radius=1.0)
    few = mdata["spatial"][np.arange(mdata["spatial"].n_obs) % 5 > 0].copy()
    mosaic = mmvae.pp.spatial(slides(1), radius=1.0)
    mosaic.mod["spatial"] = few
    mosaic.update()
    model = fitted(mosaic, epochs=12)
    assert np.isfinite(float(model.get_elbo()))
    assert len(model.module.priors["spatial"].graph.spectrum.values) == few.n_obs


def test_neighbours_are_not_where_a_single_modality_puts_them():
    model = fitted(spots(1), epochs=5, prior="gmrf", fusion="poe")
    before = model.spatial_spectrum()["morans_i"].to_numpy()
    told = model.get_modality_information()
    np.testing.assert_allclose(model.spatial_spectrum()["morans_i"], before, rtol=1e-5)
    some = model.get_modality_information(indices=np.arange(10), batch_size=3)
    np.testing.assert_allclose(some, told.iloc[:10], rtol=1e-4, atol=1e-5)
