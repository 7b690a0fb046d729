"""Which metrics there are, and that nothing but their own files knows them by name."""

from __future__ import annotations

import ast
from pathlib import Path

import rl2qc
from rl2qc.scoring.spec import METRICS

NAMES = (
    "rl2", "wad_div_zero", "wad_div_exponential", "wad_div_empirical", "wad_div_normalized",
    "wad_div_ratio", "irs_alpha", "irs_inf", "irs_adjusted", "fid", "r_fid", "mifid", "kid",
    "rbf_mmd", "fld", "swd", "inception_score", "discriminator_auc",
    "precision", "recall", "density", "coverage", "authenticity",
    "nearer_train", "ms_ssim", "mean_log_likelihood_real", "mean_log_likelihood_generated",
    "median_log_likelihood_real", "median_log_likelihood_generated", "kept_fraction_real",
    "kept_fraction_generated", "fld_plus", "vendi", "rke",
)  # fmt: skip
SCORING = Path(rl2qc.__file__).parent / "scoring"
PAGES = SCORING.parent / "html" / "templates"


def test_the_metrics_in_the_order_of_the_table():
    assert METRICS.names() == NAMES


def test_nothing_but_its_own_file_knows_a_metric_by_name():
    for file in SCORING.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant):
                assert node.value not in NAMES, f"{file.name}:{node.lineno} knows {node.value}"
    for file in (*SCORING.glob("schemas/*.json"), PAGES / "score.html.j2"):
        words = file.read_text().replace("'", '"').split('"')
        assert not set(NAMES) & set(words), file.name
