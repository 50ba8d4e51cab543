# Configuration of the Sphinx documentation builder, https://www.sphinx-doc.org/en/master/usage/configuration.html

# -- Path setup --------------------------------------------------------------
import os
import sys
from datetime import datetime
from importlib.metadata import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

# The inventories of other projects are fetched only where a network is expected; without them a link to another
# project's object can't be resolved, so only then are broken links errors.
ONLINE = bool(os.environ.get("READTHEDOCS") or os.environ.get("MMVAE_DOCS_ONLINE"))

# -- Project information -----------------------------------------------------

# NOTE: If the project is installed in editable mode, this may be stale: reinstall to refresh the metadata.
info = metadata("mmvae")
project = info["Name"]
author = info["Author"]
copyright = f"{datetime.now():%Y}, {author}"
version = release = info["Version"]
urls = dict(url.split(", ") for url in info.get_all("Project-URL"))
repository_url = urls["Source"]

# -- General configuration ---------------------------------------------------

needs_sphinx = "8.1"
extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",  # after napoleon
    "sphinxcontrib.bibtex",
    *[path.stem for path in (HERE / "extensions").glob("*.py")],
]

templates_path = ["_templates"]
exclude_patterns = ["_build", "_evidence", "Thumbs.db", ".DS_Store", "**.ipynb_checkpoints"]
source_suffix = {".rst": "restructuredtext", ".ipynb": "myst-nb", ".md": "myst-nb"}
default_role = "literal"
pygments_style = "default"

autosummary_generate = True
autodoc_member_order = "groupwise"
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_include_init_with_doc = False
napoleon_use_rtype = True  # a separate entry is easier to read
napoleon_use_param = True
always_use_bars_union = True
typehints_defaults = "braces"
myst_heading_anchors = 6
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "html_admonition", "html_image"]
myst_url_schemes = ("http", "https", "mailto")
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"

# Types that other packages import for type checking alone: not ours to mend.
suppress_warnings = ["sphinx_autodoc_typehints.forward_reference", "sphinx_autodoc_typehints.guarded_import"]

nitpicky = ONLINE
nitpick_ignore: list[tuple[str, str]] = [
    # Links that can't be resolved for reasons outside the project, for instance ("py:class", "igraph.Graph").
]
intersphinx_mapping = {
    "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
    "matplotlib": ("https://matplotlib.org/stable/", None),
    "mudata": ("https://mudata.readthedocs.io/stable/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "pandas": ("https://pandas.pydata.org/docs/", None),
    "python": ("https://docs.python.org/3", None),
    "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
    "scipy": ("https://docs.scipy.org/doc/scipy/", None),
    "scvi": ("https://docs.scvi-tools.org/en/stable/", None),
    "torch": ("https://docs.pytorch.org/docs/stable/", None),
}
if not ONLINE:
    intersphinx_mapping = {}

# -- Options for HTML output -------------------------------------------------

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["css/custom.css"]
html_theme_options = {
    "repository_url": repository_url,
    "use_repository_button": True,
    "path_to_docs": "docs/",
    "navigation_with_keys": False,
}
