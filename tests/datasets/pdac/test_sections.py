"""Sections are those of the study, and their names say what they are of."""

from __future__ import annotations

import pytest

from mmvae.datasets.pdac._sections import SECTIONS, TISSUES, choose_sections, is_section, patient_of, tissue_of


def test_sections_are_those_of_the_study():
    assert len(set(SECTIONS)) == 30
    assert {tissue: [tissue_of(s) for s in SECTIONS].count(tissue) for tissue in TISSUES} == {
        "NP": 3,
        "T": 10,
        "HM": 12,
        "LNM": 5,
    }
    assert len({patient_of(section) for section in SECTIONS}) == 13


@pytest.mark.parametrize("n_sections", [4, 8, 30])
def test_a_few_sections_cover_the_tissues(n_sections):
    chosen = choose_sections(n_sections)
    assert len(set(chosen)) == n_sections
    assert {tissue_of(section) for section in chosen} == set(TISSUES)


@pytest.mark.parametrize("name", ["IU_PDA_", "T", "IU_PDA_XT1", "HM2_", "LNM-6", "spatial_T1", ""])
def test_other_names_are_none_of_sections(name):
    assert not is_section(name)
