"""fermipy's own classes take the network for their seed step, and our catalogs for models.

Its Python runs for real; the nine compiled modules it imports are stubs (`fermitools_stub`).
"""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from astropy import units as u
from astropy.coordinates import SkyCoord
from fermipy.utils import ellipse_to_cov
from fermitools_stub import Compiled, source_maps, without_fermitools
from gammapy.maps import Map
from plugin_samples import (
    BRIGHT,
    CENTRE,
    NO_SOURCE,
    demo_sky,
    field_wcs,
    found_catalog,
    thinned,
)

from fermi_unek.catalog import read_catalog, write_catalog
from fermi_unek.catalog.export import export_file
from fermi_unek.errors import ConfigError, InputError, UnekWarning
from fermi_unek.plugins.fermipy import (
    SeedConfig,
    UNEKMixin,
    _peak,
    _unexplained,
    _wanted,
    component_cubes,
    find_sources,
)
from fermi_unek.sky.io.writers import write_healpix_counts, write_wcs_counts

pytestmark = [
    pytest.mark.usefixtures("one_look", "one_search"),
    pytest.mark.filterwarnings("ignore::fermi_unek.errors.UnekWarning"),
]

COMPONENTS = [
    {"selection": {"evtype": 1}, "binning": {"binsz": 0.1}},
    {"selection": {"evtype": 2}, "binning": {"binsz": 0.2}},
]


def seek(gta, prefix="", **config):
    """`find_sources` without classes, templates and purity, which these tests have no use for."""
    usual = {"classify": False, "diffuse": "none", "skip_unselected": False}
    return find_sources(gta, prefix, **(usual | config))


@pytest.fixture(scope="module")
def gtanalysis():
    """fermipy's GTAnalysis class."""
    with without_fermitools():
        from fermipy.gtanalysis import GTAnalysis

        yield GTAnalysis


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """Folder with the cubes of a FRONT and a BACK component, of different pixels."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("cubes")
    sky = demo_sky()
    for index, (event_type, share, pixel) in enumerate((("front", 1.0, 0.1), ("back", 0.7, 0.2))):
        part = thinned(sky, share, event_type, rng)
        write_wcs_counts(part, folder / f"ccube_{index:02d}.fits", *field_wcs(pixel), rng=rng)
    return folder


def settings(folder, **changes):
    """A configuration as analysts write it."""
    return {
        "data": {"evfile": "events.lst", "scfile": "spacecraft.fits"},
        "components": COMPONENTS,
        "binning": {"roiwidth": 8.0, "binsz": 0.1, "binsperdec": 8, "coordsys": "GAL"},
        "selection": {
            **{"emin": 300.0, "emax": 1000000.0, "zmax": 100.0, "evclass": 128},
            **{"tmin": 239557417.0, "tmax": 555137417.0, "glon": CENTRE[0], "glat": CENTRE[1]},
        },
        "fileio": {"outdir": str(folder)},
        "gtlike": {"irfs": "P8R3_SOURCE_V3"},
        "model": {"src_roiwidth": 10.0, "sources": []},
        **changes,
    }


def model_source(name, lon, lat, **more):
    """A source of a configuration's model."""
    place = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    position = {"ra": float(place.ra.deg), "dec": float(place.dec.deg)}
    return {"name": name, **position, "SpatialModel": "PointSource", **more}


@pytest.fixture
def analysis(gtanalysis, cubes, tmp_path, monkeypatch):
    """Makes an analysis in whose folder lies what gta.setup() leaves."""

    def make(kind=gtanalysis, **changes):
        # fermipy keeps the first of its folders for the process
        monkeypatch.setenv("FERMIPY_WORKDIR", str(tmp_path))
        gta = kind(settings(tmp_path, **changes))
        for cube in cubes.iterdir():
            shutil.copy(cube, tmp_path)
        source_maps(tmp_path, len(gta.components))
        return gta

    return make


def nearest(peaks, lon, lat):
    """The peak or source nearest to a place, and its distance in degrees."""
    place = SkyCoord(lon, lat, unit="deg", frame="galactic")
    apart = [SkyCoord(p["ra"], p["dec"], unit="deg").separation(place).deg for p in peaks]
    return peaks[int(np.argmin(apart))], min(apart)


def test_the_seed_step_finds_the_bright_sources_of_the_component_cubes(analysis):
    gta = analysis()
    found = seek(gta, threshold=0.5)
    assert set(found) == {"sources", "peaks"}
    for place in BRIGHT:
        for kind in ("sources", "peaks"):
            assert nearest(found[kind], *place)[1] < 0.1


def peak_of_a_ts_map(geom):
    """What fermipy makes of the peak of a TS map."""
    from fermipy.sourcefind_utils import find_peaks, fit_error_ellipse

    ts = Map.from_geom(geom.to_image())
    apart = geom.to_image().center_skydir.separation(ts.geom.get_coord().skycoord).deg
    ts.data = 50.0 * np.exp(-0.5 * (apart / 0.3) ** 2)
    peak = find_peaks(ts, 10.0)[0]
    fit = fit_error_ellipse(ts, (peak["ix"], peak["iy"]), dpix=2)
    # as GTAnalysis._build_src_dicts_from_peaks does
    return peak | {"fit_loc": fit, "fit_skydir": fit["skydir"]} | fit


def test_peaks_have_all_keys_of_fermipys_and_values_of_the_same_kind(analysis):
    gta = analysis()
    theirs = peak_of_a_ts_map(gta.geom)
    found = seek(gta, threshold=0.9)
    assert found["peaks"]
    for ours in found["peaks"]:
        assert set(theirs) <= set(ours)
        assert set(theirs["fit_loc"]) == set(ours["fit_loc"])
        for name, value in theirs["fit_loc"].items():
            assert np.shape(ours[name]) == np.shape(value), name
            if np.ndim(value) == 0 and not isinstance(value, SkyCoord):
                assert type(ours[name]) in (float, bool), name
        assert ours["fit_success"]
        assert ours["fit_inbounds"]
        off = np.hypot(ours["xpix"] - ours["ix"], ours["ypix"] - ours["iy"])
        assert ours["peak_offset"] == pytest.approx(off)
        assert off <= np.sqrt(0.5)
        # a map in Galactic pixels
        axes = ours["pos_err_semimajor"], ours["pos_err_semiminor"], ours["theta"]
        np.testing.assert_allclose(ellipse_to_cov(*axes), ours["pos_gal_cov"])


def test_sources_are_members_of_the_roi_where_the_peaks_are(analysis):
    gta = analysis()
    found = seek(gta, threshold=0.9)
    for peak, source in zip(found["peaks"], found["sources"], strict=True):
        assert source is gta.roi[peak["name"]]
        assert source["pos_r95"] == peak["pos_r95"]
        assert peak["skydir"].separation(source.skydir).deg < 1e-6
        assert (peak["glon"], peak["glat"]) == pytest.approx((source["glon"], source["glat"]))
        shown = gta.geom.to_image().pix_to_coord((peak["ix"], peak["iy"]))
        assert SkyCoord(*shown, frame="galactic").separation(peak["skydir"]).deg < 0.08


def test_numbers_handed_to_fermipy_are_pythons_own(analysis, monkeypatch):
    """fermipy writes numpy's as np.float64(...), which the Fermitools cannot read."""
    gta = analysis()
    given = []
    add_source = gta.add_source
    monkeypatch.setattr(gta, "add_source", lambda name, source, **more: given.append(source) or
                        add_source(name, source, **more))  # fmt: skip
    spectrum = {"Index": {"value": np.float64(2.2)}, "Prefactor": np.float32(1e-13)}
    seek(gta, threshold=0.9, model=spectrum)
    assert given
    for source in given:
        single = [value for value in source.values() if np.ndim(value) == 0]
        single += [value for part in source.values() if isinstance(part, dict)
                   for value in part.values()]  # fmt: skip
        assert not [value for value in single if isinstance(value, np.generic)]
        assert source["Index"]["value"] == 2.2


@pytest.mark.filterwarnings("always::fermi_unek.errors.UnekWarning")
def test_the_section_of_fermipys_source_finder_is_obeyed_or_said_to_have_no_effect(analysis):
    section = {
        "min_separation": 2.0,
        "max_iter": 3,
        "tsmap_fitter": "tscube",
        "model": {"Index": 2.7},
    }
    gta = analysis(sourcefind=section)
    with pytest.warns(UnekWarning, match="max_iter, tsmap_fitter without effect") as told:
        found = seek(gta, threshold=0.2)
    assert len([one for one in told if "without effect" in str(one.message)]) == 1
    places = SkyCoord([source.skydir for source in found["sources"]])
    for index, place in enumerate(places[1:], 1):
        assert place.separation(places[:index]).deg.min() >= 2.0
    assert found["sources"][0].params["Index"]["value"] == pytest.approx(-2.7)
    # what is said in the call goes first
    gta = analysis(sourcefind={"min_separation": 2.0})
    assert len(seek(gta, threshold=0.2, min_separation=0.0)["sources"]) > len(places)


@pytest.mark.filterwarnings("error::fermi_unek.errors.UnekWarning")
def test_a_section_of_fermipys_own_values_changes_nothing_and_is_not_warned_of(analysis):
    gta = analysis(sourcefind={"min_separation": 1.0, "max_iter": 5, "sqrt_ts_threshold": 5.0})
    apart = [
        source.skydir.separation(other.skydir).deg
        for source, other in itertools.combinations(
            seek(gta, threshold=0.2, evtype="front")["sources"], 2
        )
    ]
    assert min(apart) < 1.0


def test_the_error_of_a_peak_is_that_of_the_catalog(analysis, tmp_path):
    gta = analysis()
    peak = seek(gta, threshold=0.9)["peaks"][0]
    table = read_catalog(tmp_path / "fermi_unek.fits").table
    row = table[list(table["Source_Name"]).index(peak["name"])]
    for percent in (68, 95):  # a circle of the same area
        axes = [float(row[f"Conf_{percent}_Semi{name}"]) for name in ("Major", "Minor")]
        assert peak[f"pos_r{percent}"] == pytest.approx(np.sqrt(axes[0] * axes[1]))
    assert peak["pos_r68"] < peak["pos_r95"] < peak["pos_r99"]
    assert peak["pos_err"] == pytest.approx(peak["pos_r68"] / np.sqrt(2.3), rel=1e-3)
    assert np.sqrt(np.linalg.eigvalsh(peak["pos_gal_cov"])) == pytest.approx(
        [peak["pos_err_semiminor"], peak["pos_err_semimajor"]]
    )


def test_an_elongated_error_keeps_its_direction_on_the_sky(analysis):
    gta = analysis()
    peak = _peak(found_catalog(4).table[2], gta.geom.to_image())
    major = np.linalg.eigh(peak["pos_cel_cov"])[1][:, 1]
    angle = np.degrees(np.arctan2(major[0], major[1])) % 180.0
    assert angle == pytest.approx(peak["pos_angle"] % 180.0, abs=1e-3)
    # one step along the major axis, seen from the Galactic pole
    step = peak["skydir"].directional_offset_by(peak["pos_angle"] * u.deg, 0.01 * u.deg)
    expected = peak["skydir"].galactic.position_angle(step.galactic).deg % 180.0
    major = np.linalg.eigh(peak["pos_gal_cov"])[1][:, 1]
    assert np.degrees(np.arctan2(major[0], major[1])) % 180.0 == pytest.approx(expected, abs=0.01)


def test_new_sources_are_power_laws_whose_parameters_are_free(analysis):
    gta = analysis()
    for source in seek(gta, threshold=0.9)["sources"]:
        assert source["SpectrumType"] == "PowerLaw"
        assert source["SpatialModel"] == "PointSource"
        free = {name for name, one in source.spectral_pars.items() if one["free"]}
        assert free == {"Prefactor", "Index"}


def test_the_spectrum_of_new_sources_can_be_told_as_fermipy_has_it(analysis):
    gta = analysis()
    model = {"SpectrumType": "LogParabola", "alpha": 2.2, "beta": 0.1, "norm": 2e-13}
    found = seek(gta, threshold=0.9, model=model, free_params=["norm"])
    for source in found["sources"]:
        assert source["SpectrumType"] == "LogParabola"
        assert source.params["norm"]["value"] == pytest.approx(2e-13)
        assert source.params["alpha"]["value"] == pytest.approx(2.2)
        assert [name for name, one in source.spectral_pars.items() if one["free"]] == ["norm"]


def test_what_the_model_explains_is_left_out_unless_asked_for(analysis):
    known = model_source("Known", BRIGHT[0][0] + 0.1, BRIGHT[0][1])
    gta = analysis(model={"src_roiwidth": 10.0, "sources": [known]})
    found = seek(gta, threshold=0.5)
    assert nearest(found["peaks"], *BRIGHT[0])[1] > 0.2
    assert nearest(found["peaks"], *BRIGHT[1])[1] < 0.1
    everything = seek(gta, threshold=0.5, skip_known=False)
    assert nearest(everything["sources"], *BRIGHT[0])[1] < 0.1


def test_an_extended_source_explains_all_inside_it(analysis):
    disk = model_source("Disk", BRIGHT[0][0] + 1.0, BRIGHT[0][1], SpatialWidth=1.5)
    disk["SpatialModel"] = "RadialDisk"
    gta = analysis(model={"src_roiwidth": 10.0, "sources": [disk]})
    found = seek(gta, threshold=0.5)
    assert nearest(found["peaks"], *BRIGHT[0])[1] > 0.4
    assert nearest(found["peaks"], *BRIGHT[1])[1] < 0.1


def test_a_second_run_finds_nothing_new(analysis):
    gta = analysis()
    assert seek(gta, threshold=0.5)["sources"]
    assert seek(gta, threshold=0.5) == {"sources": [], "peaks": []}


def test_a_name_that_is_taken_gets_a_number_and_its_owner_stays_where_it_is(analysis):
    gta = analysis()
    first = seek(gta, threshold=0.9)["sources"]
    places = {one.name: tuple(one.radec) for one in first}
    # the sources of these names now lie somewhere else
    for one in first:
        one.set_radec(one["ra"], one["dec"] - 20.0)
    moved = {one.name: tuple(one.radec) for one in first}
    second = seek(gta, threshold=0.9)["sources"]
    assert {one.name for one in second} == {f"{name}_2" for name in places}
    for one in second:
        assert tuple(one.radec) == pytest.approx(places[one.name.removesuffix("_2")])
    assert {name: tuple(gta.roi[name].radec) for name in places} == moved


def test_a_name_that_is_an_association_of_another_source_is_not_used(analysis):
    gta = analysis()
    name = seek(gta, threshold=0.9)["sources"][0].name
    gta.delete_source(name)
    other = gta.roi.create_source("Other", model_source("Other", CENTRE[0] - 3, CENTRE[1] - 3))
    gta.roi._add_source_alias(name.replace(" ", "").lower(), other)
    names = [one.name for one in seek(gta, threshold=0.9)["sources"]]
    assert f"{name}_2" in names
    assert name not in names


def test_new_sources_keep_the_least_distance(analysis):
    gta = analysis()
    found = seek(gta, threshold=0.2, min_separation=2.0)
    places = SkyCoord([one.skydir for one in found["sources"]])
    assert len(found["sources"]) < len(found["peaks"])
    for index, place in enumerate(places[1:], 1):
        assert place.separation(places[:index]).deg.min() >= 2.0
    # the most probable of all was not left out for a lesser one
    assert found["sources"][0].name == found["peaks"][0]["name"]


def test_sources_are_added_in_the_search_region_only(analysis):
    gta = analysis()
    here = SkyCoord(*BRIGHT[1], unit="deg", frame="galactic")
    near = seek(gta, search_skydir=here)  # as fermipy has it, up to one degree
    assert nearest(near["sources"], *BRIGHT[1])[1] < 0.1
    assert all(one.skydir.separation(here).deg <= 1.0 for one in near["sources"])
    assert len(near["peaks"]) > len(near["sources"])
    ring = seek(gta, search_skydir=here, search_minmax_radius=[2.0, 4.0])
    apart = [one.skydir.separation(here).deg for one in ring["sources"]]
    assert apart
    assert 2.0 <= min(apart) <= max(apart) <= 4.0


def test_where_nothing_is_found_nothing_is_added(analysis):
    gta = analysis()
    assert seek(gta, region=NO_SOURCE) == {"sources": [], "peaks": []}
    assert gta.roi.sources == []


def test_all_components_are_taken_unless_an_event_type_is_asked_for(analysis):
    gta = analysis()
    expected = {None: [0, 1], "fb": [0, 1], "all": [0, 1], "front": [0], "back": [1]}
    for event_type, numbers in expected.items():
        names = [one.name for one in component_cubes(gta, event_type)]
        assert names == [f"ccube_{number:02d}.fits" for number in numbers]


def test_quartiles_of_one_layer_are_taken_together(analysis):
    gta = analysis(components=[{"selection": {"evtype": kind}} for kind in (16, 32)])
    assert len(component_cubes(gta, "psf23")) == 2
    assert [one.name for one in component_cubes(gta, "psf3")] == ["ccube_01.fits"]


@pytest.mark.parametrize("event_type", [None, "all"])
def test_front_and_back_components_of_other_pixels_are_layers(analysis, tmp_path, event_type):
    seek(analysis(), threshold=0.9, evtype=event_type)
    both = read_catalog(tmp_path / "fermi_unek.fits").header
    assert {f"ccube_0{k}.fits" for k in (0, 1)} == {
        key.removeprefix("input ") for key in both if key.endswith(".fits")
    }
    assert both["event type"] == "front+back"
    seek(analysis(), threshold=0.9, evtype="front")
    alone = read_catalog(tmp_path / "fermi_unek.fits").header
    assert alone["event type"] == "front"
    assert alone["photons bin 5"] < 0.7 * both["photons bin 5"]


def test_what_is_not_in_the_list_of_the_purity_is_left_out_unless_asked_for(analysis, tmp_path):
    everything = seek(analysis())["peaks"]
    chances = [peak["probability"] for peak in everything]
    # more than all have together, less than the best has
    purity = 0.5 * (np.mean(chances) + max(chances))
    chosen = find_sources(analysis(), classify=False, diffuse="none", purity=purity)
    table = read_catalog(tmp_path / "fermi_unek.fits").table
    selected = table["Source_Name"][np.asarray(table["Selected"], bool)]
    assert 0 < len(selected) < len(table) == len(everything)
    assert {one["name"] for one in chosen["peaks"]} == set(selected)
    assert {one.name for one in chosen["sources"]} == set(selected)


def test_events_that_no_component_has_are_refused(analysis):
    gta = analysis(components=[{"selection": {"evtype": 16}}, {"selection": {"evtype": 32}}])
    assert len(component_cubes(gta)) == 2
    with pytest.raises(InputError, match="no component has front events alone .*16, 32"):
        component_cubes(gta, "front")


def test_without_cubes_the_user_is_told_to_set_up_first(gtanalysis, tmp_path, monkeypatch):
    monkeypatch.setenv("FERMIPY_WORKDIR", str(tmp_path))
    with pytest.raises(InputError, match=r"ccube_00\.fits: no such count cube, run gta\.setup"):
        seek(gtanalysis(settings(tmp_path)))


def test_the_whole_list_lies_in_the_working_directory_behind_the_prefix(analysis, tmp_path):
    found = seek(analysis(), "seed", threshold=0.5)
    catalog = read_catalog(tmp_path / "seed_fermi_unek.fits")
    assert {one["name"] for one in found["peaks"]} == set(catalog.table["Source_Name"])


def test_a_misspelt_option_is_refused_with_the_nearest_name(analysis):
    with pytest.raises(ConfigError, match="did you mean 'min_separation'"):
        seek(analysis(), min_seperation=1.0)


@pytest.mark.filterwarnings("always::fermi_unek.errors.UnekWarning")
def test_options_of_ts_maps_are_taken_with_a_warning(analysis):
    gta = analysis()
    with pytest.warns(UnekWarning, match="max_iter, tsmap_fitter without effect"):
        found = seek(gta, threshold=0.9, tsmap_fitter="tsmap", max_iter=3)
    assert found["sources"]


def test_fluctuations_are_listed_but_not_added_where_that_is_asked_for():
    peaks = [{"skydir": SkyCoord(k, 0, unit="deg"), "fake": k == 1} for k in range(3)]
    assert list(_wanted(peaks, SeedConfig(skip_fake=True))) == [peaks[0], peaks[2]]
    assert list(_wanted(peaks, SeedConfig(skip_fake=False))) == peaks


def test_candidates_are_classified_as_find_would(analysis, tmp_path):
    gta = analysis()
    found = find_sources(gta, skip_unselected=False)
    table = read_catalog(tmp_path / "fermi_unek.fits").table
    fake = dict(zip(table["Source_Name"], table["Fake"], strict=True))
    assert np.isfinite(table["Prob_Fake"]).any()
    assert {one["name"]: one["fake"] for one in found["peaks"]} == fake
    assert not any(fake[one.name] for one in found["sources"])


def test_a_wide_error_reaches_farther_than_the_radius(analysis):
    gta = analysis(model={"src_roiwidth": 10.0, "sources": [model_source("Known", *CENTRE)]})
    place = SkyCoord(CENTRE[0], CENTRE[1] + 0.5, unit="deg", frame="galactic")
    peaks = [{"skydir": place, "pos_r95": r95} for r95 in (0.1, 0.6, np.nan)]
    assert _unexplained(peaks, gta.roi, 0.3) == [peaks[0], peaks[2]]


def test_healpix_components_will_do(gtanalysis, tmp_path, monkeypatch):
    monkeypatch.setenv("FERMIPY_WORKDIR", str(tmp_path))
    binning = {"projtype": "HPX", "hpx_order": 9, "roiwidth": 10.0, "coordsys": "GAL"}
    config = settings(tmp_path, components=[{"selection": {"evtype": 1}}])
    gta = gtanalysis(config | {"binning": config["binning"] | binning})
    rng = np.random.default_rng(3)
    cube = tmp_path / "ccube_00.fits"
    write_healpix_counts(demo_sky(), cube, 9, rng=rng, region=(*CENTRE, 5.0))
    source_maps(tmp_path, 1)
    found = seek(gta, threshold=0.5)
    for place in BRIGHT:
        assert nearest(found["sources"], *place)[1] < 0.1
    assert "ix" not in found["peaks"][0]


def test_components_split_in_energy_are_one_sky(gtanalysis, tmp_path, monkeypatch):
    monkeypatch.setenv("FERMIPY_WORKDIR", str(tmp_path))
    sky, rng = demo_sky(), np.random.default_rng(4)
    components = []
    for index, (low, high, pixel, bins) in enumerate(
        ((300.0, 2000.0, 0.2, range(3)), (2000.0, 1e6, 0.1, range(3, 6)))
    ):
        part = replace(sky, bins=tuple(b if k in bins else None for k, b in enumerate(sky.bins)))
        write_wcs_counts(part, tmp_path / f"ccube_{index:02d}.fits", *field_wcs(pixel), rng=rng)
        selection = {"evtype": 1, "emin": low, "emax": high}
        components.append({"selection": selection, "binning": {"binsz": pixel}})
    gta = gtanalysis(settings(tmp_path, components=components))
    source_maps(tmp_path, 2)
    found = seek(gta, threshold=0.5)
    for place in BRIGHT:
        assert nearest(found["sources"], *place)[1] < 0.1
    header = read_catalog(tmp_path / "fermi_unek.fits").header
    assert header["event type"] == "front"
    assert all(header[f"photons bin {b}"] > 0 for b in range(6))


# ------------------------------------------------------------------ with a likelihood


def fitted(gtanalysis, ts):
    """A GTAnalysis whose likelihood gives every fitted source this TS; records the calls."""

    class Fitted(gtanalysis):
        like = Compiled
        calls: list = []

        def free_source(self, name, free=True, pars=None, **kwargs):
            self.calls.append((name, free, pars))

        def fit(self, **kwargs):
            self.roi[self.calls[-1][0]]["ts"] = ts

        def free_norm(self, name, **kwargs):
            pass

        def _update_roi(self):
            pass

    return Fitted


def test_new_sources_are_fitted_one_by_one_and_left_fixed(gtanalysis, analysis):
    gta = analysis(fitted(gtanalysis, ts=49.0))
    found = seek(gta, threshold=0.9, free_params=["Prefactor"])
    names = [one.name for one in found["sources"]]
    expected = [(name, False, None) for name in names]
    for name in names:
        expected += [(name, True, ["Prefactor"]), (name, False, None)]
    assert gta.calls == expected
    assert {one["amp"] for one in found["peaks"]} == {7.0}


def test_sources_whose_fit_falls_short_are_taken_out_again(gtanalysis, analysis):
    gta = analysis(fitted(gtanalysis, ts=9.0))
    found = seek(gta, threshold=0.9, sqrt_ts_threshold=5.0)
    assert found["sources"] == []
    assert gta.roi.sources == []
    assert all(np.isnan(one["amp"]) for one in found["peaks"])
    assert len(seek(gta, threshold=0.9, sqrt_ts_threshold=3.0)["sources"]) > 1


@pytest.mark.parametrize(
    ("ts", "skip_fake", "added"),
    [(26.0, None, "all"), (24.0, None, "real"), (24.0, False, "all"), (26.0, True, "real")],
)
def test_what_is_flagged_as_a_fluctuation_stays_where_the_fit_gives_it_five_sigma(
    gtanalysis, analysis, ts, skip_fake, added
):
    gta = analysis(fitted(gtanalysis, ts=ts))
    found = find_sources(gta, skip_fake=skip_fake, skip_unselected=False)
    fake = {peak["name"]: peak["fake"] for peak in found["peaks"]}
    assert 0 < sum(fake.values()) < len(fake)
    expected = {name for name in fake if added == "all" or not fake[name]}
    assert {source.name for source in found["sources"]} == expected
    for peak in found["peaks"]:
        known = ts if peak["name"] in expected else np.nan
        assert peak["zoffset"] == pytest.approx(known, nan_ok=True)
        assert peak["fit_loc"]["zoffset"] == pytest.approx(known, nan_ok=True)


def test_without_a_fit_the_likelihood_is_left_alone(gtanalysis, analysis):
    gta = analysis(fitted(gtanalysis, ts=9.0))
    assert seek(gta, threshold=0.9, fit=False)["sources"]
    assert gta.calls == []


# ------------------------------------------------------------------ the mixin


def test_the_section_of_a_file_steers_the_mixin_and_fermipy_never_sees_it(
    gtanalysis, analysis, tmp_path, monkeypatch
):
    class Analysis(UNEKMixin, gtanalysis):
        pass

    gta = analysis(Analysis, fermi_unek={"threshold": 0.5, "min_separation": 2.5})
    assert gta.fermi_unek == {"threshold": 0.5, "min_separation": 2.5}
    assert "fermi_unek" not in gta.config
    found = gta.find_sources(min_separation=0.0)["sources"]
    assert nearest(found, *BRIGHT[0])[1] < 0.1
    # what fermipy's light curves do with the configuration
    assert len(gtanalysis(gta.config).components) == 2


def test_the_mixin_reads_a_configuration_file_and_its_folder_is_where_results_go(
    gtanalysis, tmp_path, monkeypatch
):
    class Analysis(UNEKMixin, gtanalysis):
        pass

    monkeypatch.setenv("FERMIPY_WORKDIR", str(tmp_path))
    config = settings(tmp_path, fermi_unek={"threshold": 0.7})
    del config["fileio"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    gta = Analysis(str(tmp_path / "config.yaml"), fermi_unek={"centers": "peaks"})
    assert gta.fermi_unek == {"threshold": 0.7, "centers": "peaks"}
    assert gta.outdir == str(tmp_path)


def test_a_misspelt_key_of_the_section_stops_the_analysis_at_once(gtanalysis, tmp_path):
    class Analysis(UNEKMixin, gtanalysis):
        pass

    with pytest.raises(ConfigError, match="section fermi_unek: unknown key 'treshold'"):
        Analysis(settings(tmp_path, fermi_unek={"treshold": 0.5}))


# ------------------------------------------------------------------ catalogs as models


@pytest.mark.parametrize("kind", ["catalogs", "sources"])
@pytest.mark.parametrize("number", [0, 3])
def test_an_analysis_takes_an_exported_model_and_can_save_its_configuration(
    analysis, tmp_path, number, kind
):
    path = tmp_path / ("model.xml" if kind == "catalogs" else "model.yaml")
    write_catalog(found_catalog(number), tmp_path / "catalog.fits")
    export_file(tmp_path / "catalog.fits", path)
    model = {"src_roiwidth": 10.0, "catalogs": [str(path)]}
    if kind == "sources":
        model |= {"catalogs": [], **yaml.safe_load(path.read_text())["model"]}
    gta = analysis(model=model)
    assert len(gta.roi.point_sources) == number
    json.dumps(gta.config)  # as gta.write_roi does
    for source in gta.roi.point_sources:
        for parameter in source.spectral_pars.values():
            assert parameter["min"] <= parameter["value"] <= parameter["max"]


def test_an_exported_section_goes_on_top_of_a_configuration_file(gtanalysis, tmp_path, monkeypatch):
    monkeypatch.setenv("FERMIPY_WORKDIR", str(tmp_path))
    write_catalog(found_catalog(2), tmp_path / "catalog.fits")
    export_file(tmp_path / "catalog.fits", tmp_path / "model.yaml")
    (tmp_path / "iso.txt").write_text("100 1e-7 1e-9\n1000 1e-9 1e-11\n")
    config = settings(tmp_path, model={"src_roiwidth": 10.0, "isodiff": str(tmp_path / "iso.txt")})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    more = yaml.safe_load((tmp_path / "model.yaml").read_text())
    gta = gtanalysis(str(tmp_path / "config.yaml"), **more)
    assert len(gta.roi.point_sources) == 2
    assert [source.name for source in gta.roi.diffuse_sources] == ["isodiff"]


# ------------------------------------------------------------------ real components


def test_components_of_the_real_galactic_centre_become_sources(
    gtanalysis, shared_data, tmp_path, monkeypatch
):
    monkeypatch.setenv("FERMIPY_WORKDIR", str(tmp_path))
    folder = shared_data / "real" / "fermi-gc"
    config = yaml.safe_load((folder / "config_fermipy_gc_example.yaml").read_text())
    config["fileio"] = {"outdir": str(tmp_path)}
    config["components"] = [{"selection": one["selection"]} for one in config["components"]]
    config["data"] = {"evfile": "events.lst", "scfile": "spacecraft.fits"}
    config["gtlike"] = {"irfs": "P8R3_CLEAN_V3"}
    gta = gtanalysis(config)
    for index in (0, 1):
        shutil.copy(folder / f"ccube_{index:02d}.fits", tmp_path)
    source_maps(tmp_path, 2)
    found = find_sources(gta, skip_fake=False, skip_unselected=False)
    # Sagittarius A* and the globular cluster Terzan 5
    for place in ((359.944, -0.046), (3.839, 1.687)):
        assert nearest(found["sources"], *place)[1] < 0.15
