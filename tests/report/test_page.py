from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from importlib.metadata import version

import matplotlib as mpl
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import mmvae
from mmvae.model.readouts import _quality
from mmvae.report import _page
from mmvae.report._blocks import MOST_ROWS, Note, Table, picture, text_of
from mmvae.report._embeddings import embeddings
from mmvae.report._imputation import _held_out, intervals, predictions
from mmvae.report._sections import SECTIONS

VOID = {"img", "meta", "link", "br", "hr", "input"}
TITLES = [
    "Diagnosis",
    "Training",
    "Embeddings",
    "Contributions",
    "Imputation",
    "Priors",
    "Data",
    "Settings",
    "Versions",
]


class Read(HTMLParser):
    """A page: its elements with their attributes, its text, and whether every element is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.setdefault(self.open[-1], []).append(data)

    def of(self, tag):
        """Attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def mosaic(page):
    return Read(page)


@pytest.fixture(scope="session")
def odd(odd_page):
    return Read(odd_page)


def failures(page):
    return re.findall(r'class="failure">([^<]*)', page)


def test_everything_is_made_of_a_mosaic(page, mosaic, trained):
    model, mdata = trained
    assert failures(page) == []
    assert mosaic.text["h2"] == TITLES
    heads, cells = set(mosaic.text["th"]), set(mosaic.text["td"])
    assert {"modality", "cells", "features", "likelihood", "a cell has", "setting", "software"} <= heads
    assert {
        *model.modalities,
        "rna+atac+protein",
        "batch_0",
        "mog (n_components=16)",
        mmvae.__version__,
        version("scvi-tools"),
    } <= cells
    assert f"{mdata['rna'].n_obs:,}" in cells
    # history, UMAPs by pattern and batch, weights, shared spectrum, a prior each
    assert len(mosaic.of("img")) >= 5 + len(model.modalities)


def test_everything_is_made_of_one_modality(odd_page, odd):
    assert failures(odd_page) == []
    assert odd.text["h2"] == TITLES
    assert len(odd.of("img")) == 4


def test_names_of_the_users_are_text(odd_page, odd, of_one):
    assert "<script" not in odd_page
    assert not [tag for tag, _ in odd.elements if tag in ("script", "b", "i")]
    texts = {*odd.text["td"], *odd.text["th"]}
    assert {*of_one.adata.obs["site"], "a&<i>b $_x$"} <= texts
    assert any(name in text for name in of_one.adata.var_names for text in texts)


@pytest.mark.parametrize("name", ["page", "odd_page"])
def test_nothing_is_asked_of_the_network(name, request):
    page = request.getfixturevalue(name)
    read = Read(page)
    links = [
        value for _, own in read.elements for key, value in own.items() if key in ("src", "href", "srcset", "data")
    ]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors == {own["id"] for own in read.of("section")}
    (style,) = read.text["style"]
    assert not re.search(r"url\(|@import", style)
    policy = next(own["content"] for own in read.of("meta") if own.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["page", "odd_page"])
def test_every_figure_says_what_it_shows_and_how_to_read_it(name, request):
    read = Read(request.getfixturevalue(name))
    alts = [own["alt"] for own in read.of("img")]
    assert all(len(alt) > 20 for alt in alts)
    captions = read.text["figcaption"]
    assert len(captions) == len(read.of("figure"))
    assert all(caption.strip().endswith(".") for caption in captions)


@pytest.mark.parametrize("name", ["page", "odd_page"])
def test_text_of_figures_can_be_read_on_a_phone(name, request):
    widths = [int(own["width"]) for own in Read(request.getfixturevalue(name)).of("img")]
    # Text of 10 points is 9 pixels high where the whole figure is shown in the 366 that a screen of 390 has for it.
    assert max(widths) <= 366 * (10 * 96 / 72) / 9


def test_weights_data_and_surroundings_are_left_alone(of_one, tmp_path):
    model, data = of_one, of_one.adata
    before = [set(data.obsm), set(data.obs), set(data.uns), dict(mpl.rcParams)]
    weights = {name: values.clone() for name, values in model.module.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    figure = plt.figure()
    model.report(tmp_path / "again.html")
    assert [set(data.obsm), set(data.obs), set(data.uns), dict(mpl.rcParams)] == before
    assert all(torch.equal(values, weights[name]) for name, values in model.module.state_dict().items())
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states
    assert plt.get_fignums() == [figure.number]
    plt.close(figure)


def test_existing_file_is_kept_unless_asked(trained, tmp_path, monkeypatch):
    model, _ = trained
    monkeypatch.setattr(_page, "SECTIONS", {})
    path = tmp_path / "report.html"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.report(path)
    assert path.read_text() == "precious"
    assert model.report(path, overwrite=True) == path
    assert path.read_text().startswith("<!DOCTYPE html>")


def test_failure_leaves_the_file_as_it_was(trained, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("precious")
    monkeypatch.setattr(_page, "SECTIONS", {"Data": (lambda model: iter([Note("\ud800")]),)})
    with pytest.raises(UnicodeEncodeError):
        trained[0].report(path, overwrite=True)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("report.html", "precious")]


def test_places_that_cannot_be_written_are_refused_before_anything_is_computed(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(_page, "_render", lambda model: pytest.fail("computed"))
    with pytest.raises(FileNotFoundError, match="Make it first"):
        trained[0].report(tmp_path / "none" / "report.html")
    with pytest.raises(IsADirectoryError, match="Name a file in it"):
        trained[0].report(tmp_path, overwrite=True)


def test_untrained_model_is_refused(tmp_path):
    mdata = mmvae.datasets.simulate(50)
    mmvae.MultiVAE.setup_mudata(mdata)
    with pytest.raises(RuntimeError, match="untrained"):
        mmvae.MultiVAE(mdata).report(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_model_without_data_says_what_is_not_made(saved, tmp_path):
    model = mmvae.MultiVAE.load(saved, False, accelerator="cpu")
    page = model.report(tmp_path / "report.html").read_text()
    assert len(failures(page)) >= 5
    assert all("the model was loaded without" in line for line in failures(page))
    read = Read(page)
    assert read.text["h2"] == TITLES
    assert len(read.of("img")) == 2  # the history, and what the modalities share, which is remembered
    assert {"weight", "reliability"} <= set(read.text["th"])
    assert {"rna", "mog (n_components=16)", mmvae.__version__} <= set(read.text["td"])


def test_few_cells_have_no_umap(saved, trained):
    few = mudata.MuData({name: own[:3].copy() for name, own in trained[1].mod.items()})
    few.obs["batch"] = trained[1].obs["batch"].iloc[0]
    (note,) = embeddings(mmvae.MultiVAE.load(saved, few, accelerator="cpu"))
    assert note.text == "Fewer than 15 cells are too few for a UMAP."


def test_part_that_fails_says_why_and_the_others_are_made(trained, tmp_path, monkeypatch):
    def halfway(model):
        """The number of cells."""
        yield Note("before")
        raise KeyError("<none>")

    monkeypatch.setattr(_page, "SECTIONS", {"Data": (halfway, lambda model: iter([Note("after")]))})
    page = trained[0].report(tmp_path / "report.html").read_text()
    assert page.index(">before<") < page.index("Not made: the number of cells.") < page.index(">after<")
    assert "KeyError: &#39;&lt;none&gt;&#39;" in page


def test_sentence_is_said_once(trained, tmp_path, monkeypatch):
    twice = {title: (lambda model: iter([Note("amiss", "warning")]),) for title in ("Diagnosis", "Training")}
    monkeypatch.setattr(_page, "SECTIONS", twice)
    page = trained[0].report(tmp_path / "report.html").read_text()
    assert page.count("amiss") == 1
    assert page.index("amiss") < page.index('id="training"')


def test_finding_is_said_once_whatever_its_decimals(trained, tmp_path, monkeypatch):
    lines = {
        "Diagnosis": "'rna1' carries 0.52 nats",
        "Training": "'rna1' carries 0.61 nats",
        "Data": "'rna2' carries 0.6 nats",
    }
    sections = {title: (lambda model, line=line: iter([Note(line, "warning")]),) for title, line in lines.items()}
    monkeypatch.setattr(_page, "SECTIONS", sections)
    page = trained[0].report(tmp_path / "report.html").read_text()
    assert page.count("&#39;rna1&#39; carries") == 1
    assert "0.52" in page
    assert "&#39;rna2&#39; carries" in page


def test_parts_are_named_so_that_they_fit_a_sentence():
    # the first letter is made small
    parts = [part for own in SECTIONS.values() for part in own]
    assert [part.__doc__ for part in parts if not (part.__doc__ or "").startswith("The ")] == []


def test_long_tables_end_with_how_much_is_missing():
    table = Table(pd.DataFrame({"n_cells": range(MOST_ROWS + 7)}), "Numbers.", {"n_cells": "cells"})
    assert table.heads == ["cells"]
    assert (len(table.rows), table.rest) == (MOST_ROWS, 7)
    assert Table(table.frame.head(3), "Numbers.").rest == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345, "12,345"), (np.int64(7), "7"), (0.12345, "0.123"), (np.float32(2), "2"), (12345.6, "12,346")]
    + [(True, "True"), (np.nan, "–"), (None, "–"), (pd.NA, "–"), ("a_b", "a_b"), (-3.0, "-3")],
)
def test_values_are_written_as_people_do(value, text):
    assert text_of(value) == text


def test_figure_that_fails_is_closed():
    def draw():
        plt.figure()
        raise ValueError("no")

    before = plt.get_fignums()
    with pytest.raises(ValueError, match="no"):
        picture(draw, "nothing", "Nothing.")
    assert plt.get_fignums() == before


@pytest.fixture
def enough(saved, monkeypatch):
    """The model of a mosaic with few validation cells, which are taken for enough, and data of its own."""
    monkeypatch.setattr(_quality, "LEAST_CELLS", 5)
    return mmvae.MultiVAE.load(saved, mmvae.datasets.simulate(200, missing=0.3), accelerator="cpu")


def test_predictions_are_held_against_plain_methods(enough):
    *notes, table = predictions(enough)
    # three epochs are no match for a ridge regression
    assert {note.tone for note in notes} == {"warning"}
    assert list(table.frame["modality"]) == enough.modalities
    expected = [enough.check_imputation(name)["correlation"]["mmvae"].mean() for name in enough.modalities]
    np.testing.assert_allclose(table.frame["mmvae"], expected)


def test_intervals_are_held_against_what_was_measured(enough):
    found = list(intervals(enough))
    assert len(found) == len(enough.modalities)
    for name, own in zip(enough.modalities, found, strict=True):
        share = int(re.search(r"90% intervals hold (\d+)%", own.caption)[1])
        assert 50 <= share <= 100
        assert f"'{name}'" in own.caption


def test_measured_values_are_those_of_the_data(enough):
    data = enough.adata
    truth, mean, lower, upper = _held_out(enough, "protein", list(data["protein"].var_names[[7, 2]]))
    measured = data["protein"][truth.index, truth.columns].X
    np.testing.assert_array_equal(truth, measured.toarray() if sp.issparse(measured) else measured)
    for other in (mean, lower, upper):
        assert other.index.equals(truth.index)
        assert other.columns.equals(truth.columns)
    assert (lower <= upper).all(axis=None)


@pytest.mark.parametrize("formulas", [False, True])
def test_dollars_are_text_unless_there_are_formulas(formulas):
    def draw():
        figure, axes = plt.subplots()
        axes.set_title("$1 to $2")
        drawn.append(axes.title.get_parse_math())
        return figure

    drawn = []
    picture(draw, "nothing", "Nothing.", formulas=formulas)
    assert drawn == [formulas]
