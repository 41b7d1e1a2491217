"""The site: python -m sphinx -W --keep-going docs docs/_build (install ".[docs]" first)."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "tests"), str(DOCS / "pages")]
os.environ.setdefault("MPLBACKEND", "Agg")

import tinygrad_nn  # noqa: E402

project, author, copyright = "tinygrad_nn", "The tinygrad_nn developers", "The tinygrad_nn developers, MIT licence"
version = release = tinygrad_nn.__version__

extensions = ["myst_parser", "sphinx.ext.viewcode", "sphinx_gallery.gen_gallery", "mathml", "notebooks", "reference"]
exclude_patterns = ["_build", "lessons", "pages", "conftest.py", "generated/lessons/**/*.ipynb"]
suppress_warnings = ["config.cache"]
nitpicky = True  # a link that leads nowhere is an error
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "pydata_sphinx_theme"
html_title = "tinygrad_nn"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = html_show_sourcelink = False
html_sidebars = {"index": []}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "navigation_depth": 2,
    "collapse_navigation": True,  # beside a page the names of its group: those of all groups would be most of the site
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

sphinx_gallery_conf = {
    "examples_dirs": "lessons",
    "gallery_dirs": "generated/lessons",
    "filename_pattern": r"/\d\d[abc]?_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 3600,
    "remove_config_comments": True,
    "capture_repr": ("_repr_html_",),
    "plot_gallery": "True",
    "abort_on_example_error": True,
}
