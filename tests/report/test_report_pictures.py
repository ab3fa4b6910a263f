"""Pictures show the photons where they are."""

import numpy as np
import pytest
from report_samples import candidates, cone_mask, sky_with

from fermi_unek.catalog.build import build_catalog
from fermi_unek.catalog.candidates import Candidates
from fermi_unek.report import describe_catalog, describe_sky, draw_sky, summary_line
from fermi_unek.report.photons import covered_cone, field_image, field_wcs, photons_to_draw
from fermi_unek.sky.geometry.frame import lonlat_to_vectors
from fermi_unek.sky.layers import with_layers

NONE = (np.array([]), np.array([]))


@pytest.mark.parametrize("where", [(0.0, 0.0), (302.2, -44.4), (100.0, 90.0)])
def test_the_cone_around_a_field_is_the_one_it_was_made_with(where):
    sky = sky_with(*where, coverage=cone_mask(*where, 9.0))
    lon, lat, radius = covered_cone(sky.coverage)
    apart = np.degrees(
        np.arccos(np.clip(lonlat_to_vectors(lon, lat) @ lonlat_to_vectors(*where), -1, 1))
    )
    assert apart < 0.1
    assert radius == pytest.approx(9.0, abs=0.2)


def test_a_sky_covered_all_over_on_both_sides_or_nowhere_is_the_whole_sky():
    both = cone_mask(0, 90, 5) | cone_mask(0, -90, 5)
    for coverage in (None, both, np.zeros_like(both)):
        assert covered_cone(coverage) == (0.0, 0.0, 180.0)


@pytest.mark.parametrize("coverage", [None, cone_mask(350.0, 10.0, 5.0)])
@pytest.mark.parametrize("lon", [[], [350.0, 351.0, 352.0]])
def test_fields_and_whole_skies_are_drawn_with_and_without_candidates(tmp_path, coverage, lon):
    from PIL import Image

    sky = sky_with(350.0, 10.0, coverage=coverage)
    lon, one = np.array(lon), np.ones(len(lon))
    lat = lon - 340.0
    made = Candidates(lon, lat, one, one * 0.3, one * 0.1, one, one > 2, fake=lon == 351.0)
    table = build_catalog(made).table
    colors = []
    for name, found in (("a.png", table), ("b.png", table[:0])):
        draw_sky(sky, tmp_path / name, found=found, true=(lon, lat) if len(lon) else NONE)
        picture = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        assert min(picture.shape[:2]) > 500
        red, blue = (
            np.count_nonzero(picture[..., a] - picture[..., b] > 60) for a, b in ((0, 2), (2, 0))
        )
        colors.append((red > 0, blue > 0))
    assert colors == [(bool(len(lon)), bool(len(lon))), (False, bool(len(lon)))]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.png", tmp_path / "b.png"]


def test_of_many_candidates_the_improbable_are_drawn_faintly(tmp_path):
    from PIL import Image

    shares = []
    for probability in (0.25, 0.95):
        lon, one = np.linspace(0, 350, 400), np.ones(400)
        made = Candidates(lon, lon / 10, one * probability, one, one, one, one > 2)
        draw_sky(sky_with(350.0, 10.0), tmp_path / "a.png", found=build_catalog(made).table)
        picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
        shares.append(np.count_nonzero(picture[..., 0] - picture[..., 2] > 100))
    assert shares[1] > 20 * shares[0] > 0


def test_a_source_lies_in_the_pixel_that_the_frame_says():
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(346, 354, 3000), rng.uniform(6, 14, 3000)
    sky = sky_with(
        np.append(lon, np.full(500, 352.0)),
        np.append(lat, np.full(500, 11.0)),
        coverage=cone_mask(350.0, 10.0, 6.0),
    )
    wcs = field_wcs(*covered_cone(sky.coverage)[:2], 0.1, 124)
    vectors, counts, _ = photons_to_draw(sky)
    image = field_image(wcs, 124, vectors, counts)
    row, column = np.unravel_index(image.argmax(), image.shape)
    x, y = wcs.wcs_world2pix(352.0, 11.0, 0)
    assert image.sum() == counts.sum() == sky.totals[2:].sum()
    assert np.hypot(column - x, row - y) < 1.0


def test_photons_below_a_gev_are_drawn_where_there_are_no_others():
    _, counts, lowest = photons_to_draw(sky_with(350.0, 10.0, present=(0, 1)))
    assert (counts.sum(), lowest) == (2, 300.0)
    _, counts, lowest = photons_to_draw(sky_with(350.0, 10.0))
    assert (counts.sum(), lowest) == (4, 1000.0)


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (Candidates.empty(), "0 candidates (0 selected for a purity of 0.77)"),
        (candidates(1), "1 candidate (1 selected for a purity of 0.77)"),
        # those below 5 degrees and those above have a list each
        (
            candidates(5, near_edge=2),
            "5 candidates (2 selected for a purity of 0.77, 2 near an edge)",
        ),
        (
            candidates(5, 1, 3),
            "5 candidates (2 selected for a purity of 0.77, 1 near an edge, 3 likely fake)",
        ),
    ],
)
def test_the_summary_counts_candidates_those_selected_and_those_that_ask_for_care(made, line):
    assert summary_line(build_catalog(made, purity=0.77)) == line


def test_the_summary_of_a_catalog_that_names_no_purity_names_none():
    """One of before there was a choice: all of it is the list."""
    catalog = build_catalog(candidates(2), purity=0.01)
    del catalog.header["purity asked for"]
    assert summary_line(catalog) == "2 candidates (2 selected)"


def test_a_long_catalog_is_told_by_its_ten_most_probable_sources():
    made = candidates(12)
    made.probability[7] = 0.99
    catalog = build_catalog(made, provenance={"model": "unek-1"}, purity=0.01)
    lines = describe_catalog(catalog).splitlines()
    assert f"{made.lon_deg[7]:8.3f}" in lines[4]
    assert " 0.990 " in lines[4]
    assert lines[14] == "  and 2 more"
    assert "model: unek-1" in lines


def test_only_what_is_selected_is_listed_and_the_rest_counted():
    """Unless nothing is: then the most probable are."""
    made = candidates(12)
    made.probability[:] = np.where(np.arange(12) % 6 == 1, 0.98, 0.5)
    lines = describe_catalog(build_catalog(made)).splitlines()
    assert lines[1:3] == [
        "selected: 2.0 of 2 expected to be real (0.98)",
        "all: 7.0 of 12 expected to be real (0.58)",
    ]
    assert all(" 0.980 " in line for line in lines[4:6])
    assert lines[6] == "  and 10 more"
    made.probability[:] = 0.5
    lines = describe_catalog(build_catalog(made)).splitlines()
    assert lines[1] == "selected: 0.0 of 0 expected to be real"
    assert all(" 0.500 " in line for line in lines[4:14])
    assert lines[14] == "  and 2 more"


def test_a_sky_is_told_with_its_field_and_absent_bins():
    field = sky_with(350.0, 10.0, present=(2, 3), coverage=cone_mask(350.0, 10.0, 5.0))
    lines = describe_sky(field).splitlines()
    assert lines[0].startswith("2 photons (front), within 5.")
    assert lines[1:4] == ["  0.3 to 0.5 GeV: absent", "  0.5 to 1 GeV: absent", "  1 to 2 GeV: 1"]
    assert describe_sky(sky_with(0.0, 0.0)).startswith("6 photons (front), the whole sky\n")


def test_photons_that_are_kept_apart_are_counted_apart():
    front = sky_with(np.array([350.0, 351.0]), np.array([10.0, 11.0]))
    back = sky_with(10.0, 10.0, present=(3, 4, 5), event_type="back")
    lines = describe_sky(with_layers([back, front])).splitlines()
    assert lines[0].startswith("15 photons (front, back), the whole sky")
    assert lines[3:5] == ["  1 to 2 GeV: 2 front", "  2 to 7 GeV: 2 front, 1 back"]
    alone = [sky_with(0.0, 0.0, present=(4,), event_type=name) for name in ("front", "back")]
    assert describe_sky(with_layers(alone)).splitlines()[1] == "  0.3 to 0.5 GeV: absent"
