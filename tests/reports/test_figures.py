"""Drawings: what is drawn is what was given, it can be told apart and read, and strange names do no harm."""

import colorsys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from affectra.reports.figures import (
    DARK,
    LIGHT,
    MARKERS,
    N_BAR_NAMES,
    N_NAMED,
    draw_bars,
    draw_confusion,
    draw_maps,
    draw_matrix,
    draw_points,
    draw_scan,
    png,
    png_width,
)

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
STRANGE = ["$\\frac{", "_hidden", "日本語", "a very long name of a speaker in a corpus", "<b>"]


def luminance(color):
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def texts_of(axes):
    return [text for text in axes.texts if text.get_text()]


@THEMES
def test_every_number_in_a_matrix_can_be_read_on_its_ground(theme):
    shares = np.linspace(0, 1, 36).reshape(6, 6)
    texts = [[f"{value:.2f}" for value in row] for row in shares]
    names = list("abcdef")
    confusion = {"classes": names, "matrix": (1000 * shares / shares.sum(axis=1, keepdims=True)).round().tolist()}
    for figure in (draw_matrix(shares, texts, names, names, 0.5, theme), draw_confusion(confusion, theme)):
        ground = figure.axes[0].images[0].get_array()
        for text in texts_of(figure.axes[0]):
            x, y = map(int, text.get_position())
            assert contrast(text.get_color(), ground[y, x][:3]) > 3.5


@THEMES
def test_chance_has_no_colour_and_below_it_is_another_than_above(theme):
    values = np.array([[0.1, 0.25, 0.6], [np.nan, 0.25, 1.0]])
    figure = draw_matrix(values, [["x"] * 3] * 2, ["a", "b"], list("cde"), 0.25, theme)
    colors = figure.axes[0].images[0].get_array()[..., :3]
    np.testing.assert_allclose(colors[:, 1], [to_rgb(theme.paper)] * 2, atol=0.02)
    np.testing.assert_allclose(colors[1, 0], to_rgb(theme.paper), atol=0.02)
    np.testing.assert_allclose(colors[1, 2], to_rgb(theme.first), atol=0.02)
    hue_below, hue_above = (colorsys.rgb_to_hsv(*colors[0, k])[0] for k in (0, 2))
    assert abs(hue_below - hue_above) > 0.2
    assert len(texts_of(figure.axes[0])) == 5, "what was not tested stays blank"


def test_the_confusion_matrix_has_its_counts_and_shares():
    figure = draw_confusion({"classes": ["a", "b"], "matrix": [[3, 1], [0, 0]]}, LIGHT)
    shown = {text.get_position(): text.get_text() for text in texts_of(figure.axes[0])}
    assert shown == {(0, 0): "3\n0.75", (1, 0): "1\n0.25", (0, 1): "0\n0.00", (1, 1): "0\n0.00"}


@THEMES
def test_every_value_has_a_colour_and_marker_of_its_own_that_stand_out(theme):
    pairs = {(theme.palette[k % len(theme.palette)], MARKERS[k % len(MARKERS)]) for k in range(N_NAMED)}
    assert len(pairs) == N_NAMED
    assert len(set(MARKERS[:N_NAMED])) == N_NAMED, "even without colours"
    assert all(contrast(color, theme.paper) > 2 for color in theme.palette)


@pytest.mark.parametrize("n_values", [1, N_NAMED, N_NAMED + 3])
def test_every_point_is_drawn_once(n_values):
    rng = np.random.default_rng(0)
    order = [f"v{k}" for k in range(n_values)]
    values = [*order, *rng.choice(order, 200)]
    places = rng.normal(size=(len(values), 2))
    figure = draw_points(places, values, order, "speaker", LIGHT)
    drawn = np.concatenate([collection.get_offsets() for collection in figure.axes[0].collections])
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, places))
    legend = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert legend == order[:N_NAMED] + (["3 others"] if n_values > N_NAMED else [])
    for k, name in enumerate(order[:N_NAMED]):
        handle = figure.legends[0].legend_handles[k]
        mine = places[np.array(values) == name]
        same = [
            c
            for c in figure.axes[0].collections
            if len(c.get_offsets()) == len(mine) and (c.get_offsets() == mine).all()
        ]
        assert len(same) == 1
        np.testing.assert_array_equal(same[0].get_facecolor(), handle.get_facecolor())


@pytest.mark.parametrize("n_names", [3, N_BAR_NAMES + 1])
def test_a_bar_for_each_name_the_first_on_top(n_names):
    values = {f"s{k}": k / 100 for k in range(n_names)}
    figure = draw_bars(values, 0.5, [0.4, 0.6], 0.25, LIGHT)
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches[:n_names]] == list(values.values())
    assert axes.transData.transform((0, 0))[1] > axes.transData.transform((0, 1))[1]
    assert len(axes.get_yticklabels()) == (3 if n_names == 3 else 0)


def test_bars_need_no_interval():
    names = [text.get_text() for text in draw_bars({"a": 1.0}, 0.5, None, 0.5, LIGHT).legends[0].get_texts()]
    assert [name.strip() for name in names] == ["UA of all", "chance"]


@THEMES
def test_what_speaks_for_a_class_and_against_it_differ_and_zero_has_no_colour(theme):
    top_down = np.array([[-0.5, 0.0, 1.0]])
    image = draw_maps(None, np.abs(top_down), top_down, 8.0, 0.02, theme).axes[1].images[0]
    against, none, strong = (image.cmap(image.norm(value))[:3] for value in (-1.0, 0.0, 1.0))
    np.testing.assert_allclose(none, to_rgb(theme.paper), atol=0.02)
    np.testing.assert_allclose(strong, to_rgb(theme.first), atol=0.02)
    np.testing.assert_allclose(against, to_rgb(theme.second), atol=0.02)


def test_maps_and_spectrogram_share_the_time_of_the_spectrogram():
    features, maps = np.random.default_rng(0).uniform(size=(20, 75)), np.ones((5, 10))
    figure = draw_maps(features, maps, maps, 8.0, 0.02, LIGHT)
    extents = [axes.images[0].get_extent()[:2] for axes in figure.axes]
    np.testing.assert_allclose(extents, [(0, 1.5), (0, 1.6), (0, 1.6)])
    for axes in figure.axes:
        assert axes.get_xlim() == pytest.approx((0, 1.5))
        assert axes.images[0].origin == "lower", "low frequencies are below"
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), features)


def test_maps_of_nothing_but_zeros_are_drawn():
    nothing = np.zeros((3, 4))
    assert png(draw_maps(nothing, nothing, nothing, 1.0, None, LIGHT)).startswith(b"\x89PNG")


@THEMES
def test_strange_names_are_drawn_as_they_are(theme):
    ones = np.ones((len(STRANGE), len(STRANGE)))
    points = np.arange(2 * len(STRANGE), dtype=float).reshape(-1, 2)
    for figure in (
        draw_matrix(ones, [STRANGE] * len(STRANGE), STRANGE, STRANGE, 0.5, theme),
        draw_confusion({"classes": STRANGE, "matrix": ones}, theme),
        draw_points(points, STRANGE, STRANGE, "speaker", theme),
        draw_bars(dict.fromkeys(STRANGE, 0.5), 0.5, None, 0.5, theme),
    ):
        assert png(figure).startswith(b"\x89PNG")
    legend = draw_points(points, STRANGE, STRANGE, "speaker", theme).legends[0]
    assert [text.get_text().strip() for text in legend.get_texts()][:3] == STRANGE[:3]


def test_the_width_of_a_picture_is_in_pixels_of_a_page():
    figure = draw_bars({"a": 1.0}, 0.5, None, 0.5, LIGHT)
    assert png_width(png(figure)) == pytest.approx(96 * figure.get_figwidth(), abs=1)


@THEMES
def test_a_scan_has_wa_its_intervals_and_every_class_at_its_values(theme):
    recalls = {"anger": [0.9, None, 0.7], "$\\frac{": [0.1, 0.2, 0.3]}
    figure = draw_scan([2, 4, 16], [0.5, 0.6, 0.4], [[0.4, 0.6], None, [0.3, 0.5]], recalls, "height", theme)
    axes = figure.axes[0]
    anger, other, wa, *bars = axes.get_lines()
    np.testing.assert_allclose(anger.get_ydata(), [0.9, np.nan, 0.7])
    np.testing.assert_allclose(other.get_ydata(), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(wa.get_xydata(), [(2, 0.5), (4, 0.6), (16, 0.4)])
    assert wa.get_linewidth() > 2 * anger.get_linewidth() and anger.get_marker() != other.get_marker()
    assert [bar.get_xydata().tolist() for bar in bars] == [[[2, 0.4], [2, 0.6]], [[16, 0.3], [16, 0.5]]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "4", "16"]
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["WA", *recalls]
    assert figure.legends[0].legend_handles[0].get_color() == wa.get_color()
    assert png(figure).startswith(b"\x89PNG")
