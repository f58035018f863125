"""Figures of one, and of more than two dimensions."""

import numpy as np
import pytest
import torch
from scorebench.datasets.mixture import GaussianMixture
from scorebench.reports.figures.clouds import Cloud, _density, cloud_figure


def cloud(dim, samples=None, **fields):
    rng = np.random.default_rng(dim)
    truth = rng.normal(size=(200, dim)) * np.arange(1, dim + 1)
    samples = rng.normal(size=(150, dim)) if samples is None else samples
    names = tuple(f"c{i}" for i in range(dim))
    return Cloud(truth, samples, fields.pop("lost", 0), names, **fields)


def test_up_to_four_coordinates_are_shown_as_they_are():
    one = cloud(4)
    truth, samples, names = one.shown
    assert names == ["c0", "c1", "c2", "c3"]
    assert truth is one.truth
    assert samples is one.samples


def test_components_follow_from_the_truth_alone():
    one = cloud(7)
    truth, samples, names = one.shown
    assert truth.shape == (200, 4)
    assert samples.shape == (150, 4)
    assert names[0].startswith("component 1 (")
    # Uncorrelated, in falling order, and the same whatever the samples are.
    covariance = np.cov(truth.T)
    assert np.allclose(covariance, np.diag(np.diag(covariance)), atol=1e-8)
    assert (np.diff(np.diag(covariance)) < 0).all()
    again = cloud(7, samples=one.truth)
    assert np.array_equal(again.shown[0], truth)
    assert np.allclose(again.shown[1], truth)


def test_a_matrix_of_pairs_has_the_ranges_of_the_truth():
    one = cloud(3)
    figure = cloud_figure(one, "title")
    axes = np.array(figure.axes).reshape(3, 3)
    for column in range(3):
        low, high = axes[2][column].get_xlim()
        assert low < one.truth[:, column].min() < one.truth[:, column].max() < high
        assert {axis.get_xlim() for axis in axes[:, column]} == {(low, high)}
    assert [axis.get_xlabel() for axis in axes[2]] == ["c0", "c1", "c2"]
    # Truth above the diagonal, samples below it.
    assert len(axes[0][1].collections[0].get_offsets()) == 200
    assert len(axes[1][0].collections[0].get_offsets()) == 150


def test_images_are_images():
    one = cloud(12, image=(3, 4))
    figure = cloud_figure(one)
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert len(shown) == 48
    assert np.array_equal(shown[0], one.truth[0].reshape(3, 4))
    assert np.array_equal(shown[24], one.samples[0].reshape(3, 4))
    assert "Images of the data above" in one.caption


def test_the_line_has_histograms_and_the_density():
    dataset = GaussianMixture(torch.tensor([[-2.0], [2.0]]), 0.5)
    places, density = _density(dataset, np.array([[-9.0], [9.0]]))
    assert np.trapezoid(density, places) == pytest.approx(1, abs=1e-3)
    one = cloud(1, density=(places, density), lost=3)
    (axis,) = cloud_figure(one).axes
    assert len(axis.patches) == 2
    assert np.array_equal(axis.lines[0].get_ydata(), density)
    assert "exact density as a line; 3 samples are not finite" in one.caption
    assert len(cloud_figure(cloud(1)).axes[0].lines) == 0
