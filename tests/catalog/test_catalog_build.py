"""A list of candidates becomes a catalog: names, flags, classes, neighbours."""

from itertools import combinations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from catalog_samples import some

from fermi_unek.catalog import Candidates, Catalog, build_catalog, load_release
from fermi_unek.catalog.build import (
    NAME_SUFFIXES,
    RATIO_95_TO_68,
    name_neighbours,
    nearest,
    source_names,
    stated_classes,
)
from fermi_unek.catalog.schema import (
    COLUMNS,
    FLAG_IN_EXTENDED,
    FLAG_IN_EXTENDED_SECONDARY,
    FLAG_NEAR_EDGE,
)
from fermi_unek.catalog.selected import select_by_purity
from fermi_unek.errors import InputError
from fermi_unek.sky.geometry.frame import vectors_to_lonlat


@pytest.fixture(scope="module")
def dr2():
    return load_release("4FGL-DR2")


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, 0.0, "UNEK J0000.0+0000"),
        (359.9999, 0.999, "UNEK J2359.9+0059"),
        (83.6331, 22.0199, "UNEK J0534.5+2201"),
        (15.0, -0.9999, "UNEK J0100.0-0059"),
        (-15.0, -0.001, "UNEK J2300.0-0000"),
        (0.0, -90.0, "UNEK J0000.0-9000"),
    ],
)
def test_names_are_truncated_not_rounded(ra, dec, name):
    assert source_names([ra], [dec], [0.5])[0] == name


def test_names_agree_with_those_the_lat_team_gave():
    release = load_release("FL16Y")
    ra, dec = (np.asarray(release[c], float) for c in ("RAJ2000", "DEJ2000"))
    given = np.array([n.split(" J")[1][:11] for n in release["Source_Name"]])
    ours = np.array([n.split(" J")[1][:11] for n in source_names(ra, dec, np.ones(len(ra)))])
    # the rest lie on an edge of a digit: positions are kept in single precision
    assert np.mean(given == ours) > 0.995


def test_sources_of_one_name_get_letters_in_falling_probability():
    names = source_names([10.0, 10.001, 50.0], [5.0, 5.001, 5.0], [0.3, 0.9, 0.5])
    assert list(names) == ["UNEK J0040.0+0500b", "UNEK J0040.0+0500a", "UNEK J0320.0+0500"]


def test_more_sources_of_one_name_than_letters_are_refused():
    n = len(NAME_SUFFIXES) + 1
    with pytest.raises(InputError, match="at most 22 can be told apart"):
        source_names(np.full(n, 10.0), np.full(n, 5.0), np.full(n, 0.5))


def test_a_sky_without_sources_has_all_columns_and_no_rows(dr2):
    catalog = build_catalog(Candidates.empty(), reference=dr2)
    assert len(catalog) == 0
    assert catalog.table.colnames == [c.name for c in COLUMNS]


def test_columns_and_units_follow_4fgl_dr3():
    release = load_release("4FGL-DR3")
    ours = build_catalog(some()).table
    assert set(release.colnames) <= set(ours.colnames)
    for name in release.colnames:
        if release[name].dtype.kind == "U":
            assert ours[name].dtype.itemsize >= release[name].dtype.itemsize, name
        elif "Band" not in name:
            assert ours[name].dtype == release[name].dtype, name
            assert ours[name].shape[1:] == release[name].shape[1:], name


def test_what_was_not_measured_is_blank():
    table = build_catalog(some()).table
    for name in ("Signif_Avg", "Flux1000", "PL_Index", "Sep_FGL", "Prob_BLL", "Counts_Band"):
        assert np.all(np.isnan(table[name])), name
    for name in ("CLASS1", "ASSOC_FGL", "ASSOC1", "Extended_Source_Name"):
        assert np.all(table[name] == ""), name
    assert not table["Fake"].any()


def test_rows_are_sorted_by_right_ascension_and_keep_what_belongs_together():
    rng = np.random.default_rng(2)
    n = 50
    candidates = some(
        n,
        lon_deg=rng.uniform(0, 360, n),
        lat_deg=rng.uniform(-90, 90, n),
        probability=np.arange(n) / n,
        counts=np.arange(6.0 * n).reshape(n, 6),
        near_edge=np.arange(n) % 2 == 0,
        fake=np.arange(n) % 3 == 0,
        position_angle_deg=np.arange(n, dtype=float),
    )
    table = build_catalog(candidates).table
    assert np.all(np.diff(table["RAJ2000"]) >= 0)
    row = np.round(np.asarray(table["Probability"], float) * n).astype(int)
    assert sorted(row) == list(range(n))
    icrs = SkyCoord(table["RAJ2000"], table["DEJ2000"], unit="deg")
    galactic = SkyCoord(candidates.lon_deg, candidates.lat_deg, unit="deg", frame="galactic")
    assert icrs.separation(galactic[row].icrs).arcsec.max() < 0.2
    np.testing.assert_array_equal(table["Counts_Band"][:, 1], 6 * row + 1)
    np.testing.assert_array_equal(table["Flags"], np.where(row % 2 == 0, FLAG_NEAR_EDGE, 0))
    np.testing.assert_array_equal(table["Fake"], row % 3 == 0)
    np.testing.assert_array_equal(table["Conf_95_PosAng"], row)


def test_the_95_percent_ellipse_holds_95_percent_where_the_68_percent_one_holds_68():
    draws = np.random.default_rng(3).normal(size=(200_000, 2))
    radius = np.hypot(*draws.T)
    r68 = np.percentile(radius, 68)
    assert np.mean(radius < r68 * RATIO_95_TO_68) == pytest.approx(0.95, abs=0.002)
    table = build_catalog(some()).table
    ratio = table["Conf_95_SemiMajor"] / table["Conf_68_SemiMajor"]
    np.testing.assert_allclose(ratio, RATIO_95_TO_68, rtol=1e-6)


def test_the_likeliest_of_four_classes_is_named_and_the_unclassified_stay_blank():
    chances = np.array(
        [[0.1, 0.2, 0.1, 0.5, 0.1], [0.1, 0.05, 0.05, 0.0, 0.8], [np.nan] * 5], dtype=float
    )
    table = build_catalog(some(class_probabilities=chances)).table
    named = dict(zip(np.round(table["GLON"]), table["CLASS1"], strict=True))
    assert named == {10: "pwn", 155: "bll", 300: ""}
    assert np.sort(table["Prob_Fake"])[1] == pytest.approx(0.8)


def test_a_class_that_is_less_likely_than_not_is_not_stated():
    chances = np.array(
        [[0.3, 0.2, 0.2, 0.1, 0.2], [0.3, 0.1, 0.1, 0.0, 0.5], [0.6, 0.4, 0.0, 0.0, 0.0]]
    )
    assert list(stated_classes(chances)) == ["", "bll", "bll"]
    assert stated_classes(np.zeros((0, 5))).shape == (0,)


def test_the_nearest_4fgl_source_and_its_distance_are_given_however_far(dr2):
    spots = some(3, lon_deg=np.array([80.0, 200.0, 10.0]), lat_deg=np.array([20.0, -5.0, -89.0]))
    table = build_catalog(spots, reference=dr2).table
    everything = SkyCoord(dr2["RAJ2000"], dr2["DEJ2000"], unit="deg")
    for row in table:
        apart = SkyCoord(row["RAJ2000"], row["DEJ2000"], unit="deg").separation(everything).deg
        assert row["Nearest_FGL"] == dr2["Source_Name"][np.argmin(apart)]
        assert row["Sep_FGL"] == pytest.approx(apart.min(), abs=1e-4)
    assert list(table["ASSOC_FGL"]) == ["", "", ""]


def moved(source, along, errors, angle_deg=0.0, **more):
    """A candidate with 95% semi-axes `errors`, `along` (east, north) degrees from a source."""
    place = SkyCoord(source["RAJ2000"], source["DEJ2000"], unit="deg")
    place = place.spherical_offsets_by(along[0] * u.deg, along[1] * u.deg).galactic
    major, minor = (np.array([error]) for error in errors)
    return some(
        1,
        lon_deg=place.l.deg[None],
        lat_deg=place.b.deg[None],
        semimajor68_deg=major / RATIO_95_TO_68,
        semiminor68_deg=minor / RATIO_95_TO_68,
        position_angle_deg=np.array([angle_deg]),
        **more,
    )


def lone_source(dr2, errors, angle_deg=0.0):
    row = dr2[np.flatnonzero(np.abs(dr2["GLAT"]) > 60)[:1]].copy()
    for part, value in zip(("SemiMajor", "SemiMinor", "PosAng"), (*errors, angle_deg), strict=True):
        row[f"Conf_95_{part}"] = value
    return row


@pytest.mark.parametrize("angle", [0.0, 30.0, -75.0])
def test_an_association_lies_inside_the_joint_95_percent_error(dr2, angle):
    """Along each axis of two parallel ellipses the errors add in squares."""
    release = lone_source(dr2, (0.09, 0.03), angle)
    name = str(release["Source_Name"][0])
    north, east = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    for axis, reach in (
        ((east, north), np.hypot(0.12, 0.09)), ((north, -east), np.hypot(0.04, 0.03)),
    ):  # fmt: skip
        for factor, expected in ((0.98, name), (1.02, "")):
            along = [factor * reach * part for part in axis]
            spot = moved(release[0], along, (0.12, 0.04), angle)
            table = build_catalog(spot, reference=release).table
            assert table["ASSOC_FGL"][0] == expected
            assert table["Nearest_FGL"][0] == name
            assert table["Sep_FGL"][0] == pytest.approx(factor * reach, rel=1e-3)


def test_a_stated_radius_takes_the_place_of_the_errors(dr2):
    release = lone_source(dr2, (0.01, 0.01))
    spot = moved(release[0], (0.0, 0.25), (0.01, 0.01))
    named = [
        build_catalog(spot, reference=release, association_radius=radius).table["ASSOC_FGL"][0]
        for radius in (None, 0.2, 0.3)
    ]
    assert named == ["", "", release["Source_Name"][0]]


def test_the_semimajor_axis_of_an_extended_source_is_its_error(dr2):
    row = dr2[dr2["Extended_Source_Name"] == "Cygnus Loop"]
    extent = dr2.meta["EXTENTS"]["Cygnus Loop"]
    for factor, expected in ((0.95, row["Source_Name"][0]), (1.05, "")):
        spot = moved(row[0], (0.0, factor * extent), (0.02, 0.02))
        assert build_catalog(spot, reference=row).table["ASSOC_FGL"][0] == expected


def test_of_close_4fgl_sources_the_nearest_that_agrees_is_the_association(dr2):
    """The nearest one of all may have too small an error."""
    release = vstack([lone_source(dr2, (0.001, 0.001)), lone_source(dr2, (0.3, 0.3))])
    release["Source_Name"] = ["4FGL near", "4FGL wide"]
    release["GLAT"][1] -= 0.1
    table = build_catalog(moved(release[0], (0.0, 0.05), (0.01, 0.01)), reference=release).table
    assert (table["Nearest_FGL"][0], table["ASSOC_FGL"][0]) == ("4FGL near", "4FGL wide")


def test_an_error_that_is_not_known_counts_as_none(dr2):
    """That of a candidate, and that of the parts of the Crab, which 4FGL holds in place."""
    release = lone_source(dr2, (0.1, 0.1))
    for along, expected in ((0.09, release["Source_Name"][0]), (0.11, "")):
        table = build_catalog(moved(release[0], (0.0, along), (0.2, 0.2))).table
        table["Conf_95_SemiMajor"] = table["Conf_95_SemiMinor"] = np.nan
        name_neighbours(table, release)
        assert table["ASSOC_FGL"][0] == expected
    fixed = dr2[dr2["Source_Name"] == "4FGL J0534.5+2201s"]
    for along, expected in ((0.09, fixed["Source_Name"][0]), (0.11, "")):
        table = build_catalog(moved(fixed[0], (along, 0.0), (0.1, 0.1)), reference=fixed).table
        assert table["ASSOC_FGL"][0] == expected


def test_a_row_without_a_position_keeps_blank_neighbours(dr2):
    catalog = build_catalog(some(2))
    catalog.table["GLON"][0] = np.nan
    name_neighbours(catalog.table, dr2)
    assert (catalog.table["Nearest_FGL"] == "").tolist() == [True, False]
    assert np.isnan(catalog.table["Sep_FGL"]).tolist() == [True, False]


def test_an_empty_release_leaves_neighbours_blank(dr2):
    table = build_catalog(some(), reference=dr2[:0]).table
    assert np.all(np.isnan(table["Sep_FGL"]))
    assert set(table["Nearest_FGL"]) == {""}


def test_the_nearest_place_is_found_across_zero_longitude():
    index, separation = nearest([359.9], [0.0], np.array([0.1, 359.0]), np.array([0.0, 0.0]))
    assert index[0] == 0
    assert separation[0] == pytest.approx(0.2, abs=1e-9)


def test_the_header_tells_where_the_catalog_came_from(dr2):
    told = {"model sha256": "ab" * 32, "threshold": np.float32(0.25), "edges": (1, 2)}
    header = build_catalog(some(), provenance=told, reference=dr2).header
    assert header["model sha256"] == "ab" * 32
    assert header["threshold"] == 0.25
    assert header["edges"] == "(1, 2)"
    assert header["reference catalog"] == "4FGL-DR2"
    assert header["version numpy"] == np.__version__
    assert build_catalog(some()).header["reference catalog"] == "none"
    assert (
        build_catalog(some(), reference=Table(dr2[:1], meta={})).header["reference catalog"]
        == "a table"
    )


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr("fermi_unek.catalog.build._VERSIONED", ("no-such-package",))
    assert "version no-such-package" not in build_catalog(some()).header


def test_a_table_of_something_else_is_no_catalog():
    with pytest.raises(InputError, match="no column Source_Name"):
        Catalog(Table({"a": [1]}))


def test_histories_and_their_years_must_agree():
    assert build_catalog(some(), year_edges_met=[0.0, 1.0, 2.0]).table["Flux_History"].shape == (
        3,
        2,
    )
    with pytest.raises(InputError, match="must be one more and grow"):
        build_catalog(some(), year_edges_met=[0.0, 2.0, 1.0])


def test_coverage_of_another_order_is_refused():
    with pytest.raises(InputError, match="coverage has shape"):
        build_catalog(some(), coverage=np.ones(12, bool))


def test_a_catalog_knows_where_was_looked_and_how_near_the_edge_a_place_is():
    import healpy as hp

    nside = 512
    lon, lat = vectors_to_lonlat(np.array(hp.pix2vec(nside, np.arange(12 * nside**2), nest=True)).T)
    catalog = build_catalog(some(), coverage=lat > 80.0)
    lat_tried = np.array([79.5, 80.3, 80.7, 89.99, -90.0])
    lon_tried = np.array([0.0, 120.0, 240.0, 10.0, 0.0])
    assert list(catalog.covers(lon_tried, lat_tried)) == [False, True, True, True, False]
    edge = catalog.covers(lon_tried, lat_tried, margin_deg=0.5)
    assert list(edge) == [False, False, True, True, False]
    assert build_catalog(some()).covers(lon_tried, lat_tried, 0.5).all()
    assert catalog.covers(np.zeros(0), np.zeros(0), 0.5).shape == (0,)


def test_candidates_inside_an_extended_source_of_the_reference_are_flagged(dr2):
    loop = dr2[list(dr2["Extended_Source_Name"]).index("Cygnus Loop")]
    radius = dr2.meta["EXTENTS"]["Cygnus Loop"]
    lat = loop["GLAT"] + radius * np.array([0.9, -1.1])
    two = some(2, lon_deg=np.full(2, float(loop["GLON"])), lat_deg=lat)
    table = build_catalog(two, reference=dr2).table
    flagged = (np.asarray(table["Flags"]) & FLAG_IN_EXTENDED) != 0
    assert flagged.tolist() == (np.asarray(table["GLAT"]) > loop["GLAT"]).tolist()


def test_of_several_candidates_inside_an_extended_source_all_but_the_likeliest_are_flagged():
    """A remnant of a degree with a pulsar in it, and a smaller one inside the first."""
    reference = Table(
        {
            "Source_Name": ["remnant", "core", "pulsar"],
            "GLON": [80.0, 80.5, 79.5],
            "GLAT": [0.0, 0.0, 0.0],
            "Extended_Source_Name": ["R", "C", ""],
        },
        meta={"EXTENTS": {"R": 1.0, "C": 0.2}},
    )
    lon = np.array([79.5, 80.0, 80.2, 80.5, 80.6, 82.0])
    six = some(6, lon_deg=lon, lat_deg=np.zeros(6),
               probability=np.array([0.99, 0.4, 0.9, 0.5, 0.6, 0.8]))  # fmt: skip
    table = build_catalog(six, reference=reference).table
    table = table[np.argsort(table["GLON"])]
    inside = (np.asarray(table["Flags"]) & FLAG_IN_EXTENDED) != 0
    swarm = (np.asarray(table["Flags"]) & FLAG_IN_EXTENDED_SECONDARY) != 0
    assert inside.tolist() == [True, True, True, True, True, False]
    # the pulsar's, the likeliest of the remnant and that of its core are not
    assert swarm.tolist() == [False, True, False, True, False, False]


def test_a_reference_without_extended_sources_flags_nothing():
    reference = Table({"Source_Name": ["near"], "GLON": [10.0], "GLAT": [-80.0]})
    assert not np.any(build_catalog(some(), reference=reference).table["Flags"] & FLAG_IN_EXTENDED)


def test_the_95_percent_ellipse_may_be_wider_than_a_gaussian_has_it():
    table = build_catalog(some(1, ratio95=np.array([2.5]))).table
    assert table["Conf_95_SemiMajor"][0] == pytest.approx(2.5 * table["Conf_68_SemiMajor"][0])


def test_a_95_percent_ellipse_inside_the_68_percent_one_is_refused():
    with pytest.raises(InputError, match="must not be smaller"):
        some(1, ratio95=np.array([0.9]))


# the list of a purity ---------------------------------------------------------------------------

LATITUDES = (0.0, 10.0, -60.0)


def test_the_list_of_a_purity_is_the_longest_that_has_it_in_each_band_of_latitude():
    """Against all lists that there are: subsets of at most nine candidates a band."""
    rng = np.random.default_rng(5)
    for purity in (0.6, 0.8, 0.95):
        chance = rng.uniform(0.2, 1.0, 27)
        lat = np.repeat(LATITUDES, 9)
        order = rng.permutation(27)
        chosen = select_by_purity(chance[order], lat[order], purity)
        for band in LATITUDES:
            inside = chance[order][lat[order] == band]
            listed = chosen[lat[order] == band]
            longest = max(
                n
                for n in range(10)
                if n == 0 or max(np.mean(some) for some in combinations(inside, n)) >= purity
            )
            assert listed.sum() == longest
            assert not listed.any() or inside[listed].mean() >= purity
            # nothing left out is more probable than what is listed
            assert inside[listed].min(initial=1.0) >= inside[~listed].max(initial=0.0)


def test_a_poor_band_does_not_live_on_the_others():
    chance = np.array([0.99, 0.99, 0.99, 0.90])
    assert select_by_purity(chance, np.zeros(4)).tolist() == [True] * 4
    assert select_by_purity(chance, np.array([40.0, 40.0, 40.0, 0.0])).tolist() == [True] * 3 + [
        False
    ]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_where_none_is_pure_enough_none_is_selected(n):
    chosen = select_by_purity(np.full(n, 0.94), np.zeros(n))
    assert chosen.dtype == bool
    assert chosen.tolist() == [False] * n


def test_the_catalog_says_what_is_selected_and_how_much_of_it_is_expected_to_be_real():
    chance = np.array([0.99, 0.25, 0.97, 0.9])
    made = some(4, lat_deg=np.array([-60.0, 60.0, 0.0, 40.0]), probability=chance)
    catalog = build_catalog(made)
    table = catalog.table
    picked = dict(zip(np.round(np.asarray(table["Probability"], float), 2), table["Selected"],
                      strict=True))  # fmt: skip
    # 0.99 and 0.9 lie in one band: together they are nearly pure enough
    assert picked == {0.99: True, 0.25: False, 0.97: True, 0.9: False}
    assert catalog.header["purity asked for"] == 0.95
    assert catalog.header["expected purity, selected"] == pytest.approx(0.98)
    assert catalog.header["expected real sources, selected"] == pytest.approx(2.0)
    assert catalog.header["expected purity, all"] == pytest.approx(3.11 / 4, abs=1e-4)
    assert catalog.header["expected real sources, all"] == pytest.approx(3.1)
    assert sorted(catalog.selected["Probability"]) == pytest.approx([0.97, 0.99])
    looser = build_catalog(made, purity=0.9)
    assert len(looser.selected) == 3
    assert looser.header["purity asked for"] == 0.9


def test_where_nothing_is_selected_the_header_expects_nothing_of_it():
    header = build_catalog(some(probability=np.full(3, 0.5))).header
    assert "expected purity, selected" not in header
    assert header["expected purity, all"] == 0.5
    assert len(build_catalog(some(probability=np.full(3, 0.5))).selected) == 0
    assert not any(key.startswith("expected") for key in build_catalog(Candidates.empty()).header)


def test_what_the_network_takes_for_extended_is_flagged_without_any_reference():
    lit = some(3, extended=np.array([0.1, 0.9, 0.6]), near_edge=np.array([True, True, False]))
    table = build_catalog(lit).table
    table = table[np.argsort(table["GLAT"])]
    assert list(table["Flags"]) == [
        FLAG_NEAR_EDGE,
        FLAG_NEAR_EDGE | FLAG_IN_EXTENDED,
        FLAG_IN_EXTENDED,
    ]
