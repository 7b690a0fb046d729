"""The agreement of extractors, against counting by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rl2qc.metrics.retrieval import (
    NO_CONSENSUS,
    consensus,
    consensus_scores,
    retrieval_agreement,
)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 9])
def test_agreement_and_consensus_are_what_counting_gives(k, rng):
    retrieved = rng.integers(0, 4, (k, 60))
    columns = list(zip(*retrieved.tolist(), strict=True))
    for i in range(k):
        for j in range(k):
            same = sum(column[i] == column[j] for column in columns) / 60
            assert retrieval_agreement(retrieved)[i, j] == pytest.approx(same, abs=1e-15)
    most = [Counter(column).most_common(1)[0] for column in columns]
    wanted = [image if votes > k / 2 else NO_CONSENSUS for image, votes in most]
    assert consensus(retrieved).tolist() == wanted
    known = [at for at, image in enumerate(wanted) if image != NO_CONSENSUS]
    for i, share in enumerate(consensus_scores(retrieved)):
        hits = [columns[at][i] == wanted[at] for at in known]
        assert share == pytest.approx(np.mean(hits), abs=1e-15)


def test_five_of_nine_are_a_consensus_and_four_are_none():
    votes = np.array([[1] * 2] * 4 + [[1, 2]] + [[3, 4]] * 4)
    assert consensus(votes).tolist() == [1, NO_CONSENSUS]
    assert np.isnan(consensus_scores([[0], [1], [2]])).all()


@pytest.mark.parametrize("wrong", [[], [0, 1], [[0.5, 1.0]], [[-1, 2]], [[[1]]]])
def test_what_is_no_retrieval_is_refused(wrong):
    for function in (retrieval_agreement, consensus, consensus_scores):
        with pytest.raises(ValueError, match="numbers of images"):
            function(wrong)
