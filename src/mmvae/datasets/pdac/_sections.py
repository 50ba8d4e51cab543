"""The sections of the pancreatic cancer Visium data, and what their names say."""

import re
from itertools import zip_longest
from typing import Final

PREFIX: Final = "IU_PDA_"
# What precedes a section's name in the key of its coordinates in `obsm`.
ARRAY_PREFIX: Final = "spatial_"
# Column of `obs` with the section, as the file has it.
SECTION: Final = "orig.ident"

# Normal pancreas, primary tumour, liver metastasis, lymph node metastasis.
TISSUES: Final = ("NP", "T", "HM", "LNM")
ORIGINS: Final = {"NP": "Normal Pancreas", "T": "Pancreas", "HM": "Liver", "LNM": "Lymph node"}
NUMBERS: Final = {
    "T": ("1", "2", "3", "4", "6", "8", "9", "10", "11", "12"),
    # the second section of a liver metastasis comes last, so that a few sections are of as many patients as they can be
    "HM": ("2", "3", "4", "5", "6", "8", "9", "10", "11", "12", "13", "2_2"),
    "LNM": ("6", "7", "8", "10", "12"),
    "NP": ("2", "10", "11"),
}
SECTIONS: Final = tuple(f"{PREFIX}{tissue}{number}" for tissue, numbers in NUMBERS.items() for number in numbers)

_NAME = re.compile(rf"(?:{PREFIX})?(?P<tissue>NP|T|HM|LNM)(?P<patient>\d+)(?:_\d+)?")


def is_section(name: str) -> bool:
    """Whether a name is one of a section, with or without the prefix, and so says the tissue and the patient."""
    return _NAME.fullmatch(name) is not None


def tissue_of(section: str) -> str:
    """Tissue of a section, one of :data:`TISSUES`."""
    return _NAME.sub(r"\g<tissue>", section)


def patient_of(section: str) -> str:
    """Patient that the number in a section's name stands for."""
    return _NAME.sub(r"PT_\g<patient>", section)


def choose_sections(n_sections: int) -> list[str]:
    """Sections by turns from the four tissues, in the order of :data:`SECTIONS`."""
    groups = [[section for section in SECTIONS if tissue_of(section) == tissue] for tissue in NUMBERS]
    by_turns = [section for turn in zip_longest(*groups) for section in turn if section is not None]
    return sorted(by_turns[:n_sections], key=SECTIONS.index)
