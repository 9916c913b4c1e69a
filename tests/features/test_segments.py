"""Segments: every frame is seen, none is invented, pooling is a mean."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from affectra.features.segments import n_frames, pool_segments, segment_starts


@given(st.integers(0, 200_000), st.integers(1, 1000), st.integers(1, 800))
def test_frames_cover_every_sample_and_no_frame_is_all_padding(n_samples: int, window: int, hop: int) -> None:
    n = n_frames(n_samples, window, hop)
    assert (n - 1) * hop + window >= n_samples
    assert n == 1 or (n - 2) * hop + window < n_samples, "one frame fewer would not cover them"


@given(st.integers(1, 3000), st.integers(1, 300), st.data())
def test_segments_cover_every_frame_and_each_has_one(n: int, length: int, data: st.DataObject) -> None:
    shift = data.draw(st.integers(1, length))
    starts = segment_starts(n, length, shift)
    covered = set()
    for start in starts:
        assert start < n, "a segment of padding alone"
        covered |= set(range(start, min(start + length, n)))
    assert covered == set(range(n))
    assert all(start + length <= n for start in starts[:-1]), "only the last may be padded"


def test_a_short_utterance_gives_one_segment() -> None:
    assert segment_starts(1, 197, 100) == [0]
    assert segment_starts(197, 197, 100) == [0]
    assert segment_starts(198, 197, 100) == [0, 100]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_pooling_is_the_mean_whatever_the_order(owners: list[int], seed: int) -> None:
    owners = [sorted(set(owners)).index(owner) for owner in owners]
    scores = np.random.default_rng(seed).random((len(owners), 3))
    pooled = pool_segments(scores, owners)
    for i in range(max(owners) + 1):
        np.testing.assert_allclose(pooled[i], scores[[owner == i for owner in owners]].mean(0))
    order = np.random.default_rng(seed + 1).permutation(len(owners))
    np.testing.assert_allclose(pool_segments(scores[order], np.array(owners)[order]), pooled)
