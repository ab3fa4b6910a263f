"""The page is one file that holds what it shows, and asks nothing of a network."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.wcs import WCS
from report_samples import catalog_of, cone_mask, measured, sky_with, small_sky

from fermi_unek.catalog.build import build_catalog
from fermi_unek.catalog.releases import load_release
from fermi_unek.catalog.schema import FLAG_IN_EXTENDED, FLAG_NEAR_EDGE
from fermi_unek.report import content, write_page
from fermi_unek.report.backdrop import backdrop
from fermi_unek.report.content import page_data
from fermi_unek.report.page import CAPTIONS, about, embedded_json, grouped
from fermi_unek.report.photons import covered_cone


class Page(HTMLParser):
    """Elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.scripts, self._inside = [], [], False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag == "script"

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, text):
        if self._inside:
            self.scripts.append(text)

    @property
    def data(self):
        return json.loads(self.scripts[0])


def unpacked(text):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)


@pytest.fixture(scope="module")
def release():
    return load_release("4FGL-DR2")


@pytest.fixture(scope="module")
def full_page(tmp_path_factory, release):
    """A field with a candidate, of which everything is filled, and its page."""
    field = cone_mask(10.0, 1.0, 5.0)
    year = small_sky(coverage=field, livetime_years=1.0, mission_year=2)
    sky = small_sky(coverage=field, years=(year,), livetime_years=1.0)
    catalog = measured(
        catalog_of(
            1,
            reference=release,
            coverage=field,
            provenance={
                "setting threshold": 0.2,
                "input <b>.fits": "sha256 00",
                "event type": "front",
            },
        )
    )
    catalog.table["ASSOC1"] = ["</script><b>&"]
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, catalog, sky, release)
    return path


def test_nothing_outside_the_file_is_named_in_it(full_page):
    page = Page(full_page)
    readable = re.sub(r"[A-Za-z0-9+/=]{100,}", "", page.source)  # packed bytes may spell anything
    assert not re.search(r"(?i:\b(https?|ftp|wss?):)|(?<![:\w])//\w|@import|\burl\(", readable)
    for _, attrs in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,"))
    rules = {a.get("http-equiv"): a.get("content") for tag, a in page.elements if tag == "meta"}
    assert rules["Content-Security-Policy"].startswith("default-src 'none';")
    assert "unsafe" not in rules["Content-Security-Policy"]
    assert not any(name == "style" or name.startswith("on") for _, a in page.elements for name in a)


def test_text_of_files_cannot_leave_its_place(full_page):
    page = Page(full_page)
    assert len(page.scripts) == 2
    assert page.data["sources"]["assoc"] == ["</script><b>&"]
    assert "input <b>" not in page.source
    assert "&lt;b&gt;.fits" in page.source


def test_what_the_script_looks_for_is_in_the_page(full_page):
    page = Page(full_page)
    wanted = set(re.findall(r'\$\("([\w-]+)"\)', page.scripts[1]))
    wanted |= {f"{key}-filter" for key in ("edge", "extended", "rest")}
    wanted |= {"first", "back", "on", "last", "previous", "next"}
    assert len(wanted) > 15
    assert wanted <= {attrs.get("id") for _, attrs in page.elements}


def test_the_page_holds_what_was_measured_and_no_empty_columns(full_page):
    data = Page(full_page).data
    sources = data["sources"]
    assert sources["lon"] == [10.0]
    assert sources["bands"] == [[None, None, 4e-13, 1.5e-17, *[4e-13] * 4]]
    assert sources["classes"] == [[0.5, None, None, None, None]]
    assert "fake" not in sources
    assert "gamma" not in sources
    assert len(data["years"]["counts"]) == 1
    assert data["years"]["start"] == [2010.593]
    assert len(unpacked(data["stamps"]["packed"][0])) == 2 * sum(
        n * n for n in data["stamps"]["pixels"]
    )


def test_flags_are_told_apart():
    catalog = catalog_of(4)
    catalog.table["Flags"][:] = [0, FLAG_NEAR_EDGE, FLAG_IN_EXTENDED, FLAG_NEAR_EDGE | 1]
    data = page_data(catalog)
    flags = np.array(data["sources"]["flags"])
    assert ((flags & data["flags"]["edge"]) != 0).tolist() == [False, True, False, True]
    assert ((flags & data["flags"]["extended"]) != 0).tolist() == [False, False, True, False]


def test_only_4fgl_sources_inside_the_field_are_marked(full_page, release):
    named = Page(full_page).data["reference"]
    here = np.radians([1.0, 10.0])
    lat, lon = np.radians(release["GLAT"]), np.radians(release["GLON"])
    cosine = np.sin(lat) * np.sin(here[0]) + np.cos(lat) * np.cos(here[0]) * np.cos(lon - here[1])
    away = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    assert set(release["Source_Name"][away < 4.9]) <= set(named["name"])
    assert set(named["name"]) <= set(release["Source_Name"][away < 5.1])


def test_figures_of_the_comparison_are_inside_the_page(full_page):
    pictures = [a["src"] for tag, a in Page(full_page).elements if tag == "img"]
    # a field of few sources has no figure of detected fractions
    assert len(pictures) == len(CAPTIONS) - 1
    for picture in pictures:
        assert base64.b64decode(picture.partition(",")[2]).startswith(b"\x89PNG")


def test_the_extent_of_extended_sources_goes_with_them(release):
    named = page_data(catalog_of(0), reference=release)["reference"]
    extents = dict(zip(release["Extended_Source_Name"], named["extent"], strict=True))
    # as the table ExtendedSources of gll_psc_v27 has it
    assert extents["IC 443"] == pytest.approx(0.27, abs=0.01)
    assert sum(extent is not None for extent in named["extent"]) > 50
    assert extents[""] is None


@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_page_without_photons_or_a_release_says_so(tmp_path, n):
    write_page(tmp_path / "a.html", catalog_of(n))
    page = Page(tmp_path / "a.html")
    assert page.data["backdrop"] is page.data["stamps"] is page.data["years"] is None
    assert page.data["reference"] is None
    assert len(page.data["sources"]["name"]) == page.data["found"] == n
    assert "No release was compared with." in page.source
    assert list(tmp_path.iterdir()) == [tmp_path / "a.html"]


def test_a_page_of_nine_thousand_candidates_stays_within_its_bound(tmp_path):
    write_page(tmp_path / "a.html", catalog_of(9000))
    # three hundred bytes a candidate leave room for 16 MB of stamps within 30
    assert (tmp_path / "a.html").stat().st_size < 9000 * 300 + 100_000


def test_stamps_go_to_the_most_probable_candidates_while_there_is_room(monkeypatch):
    catalog = catalog_of(6)
    whole = page_data(catalog, small_sky())["stamps"]["packed"]
    best = np.argsort(-np.asarray(catalog.table["Probability"]))
    monkeypatch.setattr(content, "STAMP_BYTES", sum(len(whole[row]) for row in best[:2]))
    some = page_data(catalog, small_sky())["stamps"]["packed"]
    assert {row for row, text in enumerate(some) if text} == set(best[:2])


def test_of_too_many_candidates_the_most_probable_are_listed_in_their_order(monkeypatch):
    monkeypatch.setattr(content, "MAX_SOURCES", 3)
    data = page_data(catalog_of(5), small_sky())
    assert data["found"] == 5
    assert data["sources"]["lon"] == sorted(data["sources"]["lon"])
    assert min(data["sources"]["probability"]) > 0.5
    assert len(data["stamps"]["packed"]) == 3


def test_a_release_source_with_a_candidate_within_the_distance_is_not_missed(release):
    named = page_data(build_catalog_at(release, 7, 0.29), reference=release)["reference"]
    assert sum(named["near"]) >= 1
    assert named["near"][7] == 1
    named = page_data(build_catalog_at(release, 7, 0.31), reference=release)["reference"]
    assert named["near"][7] == 0


def build_catalog_at(release, row, north_deg):
    """A candidate so far north of a source of the release."""
    from fermi_unek.catalog.candidates import Candidates

    one = np.ones(1)
    lon, lat = one * release["GLON"][row], one * release["GLAT"][row] + north_deg
    made = Candidates(lon, lat, one * 0.5, one * 0.1, one * 0.1, one, one > 2)
    return build_catalog(made, reference=release)


@pytest.mark.parametrize("where", [(10.0, 1.0), (359.0, 88.0)])
def test_the_backdrop_of_a_field_is_bright_where_the_photons_are(where):
    field = cone_mask(*where, 4.0)
    lon, lat = where[0] + 1.0 / np.cos(np.radians(where[1])), where[1]
    made = backdrop(sky_with(np.full(50, lon), np.full(50, lat), coverage=field))
    row, column = np.argwhere(made.brightness == 255).mean(axis=0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-ZEA", "GLAT-ZEA"]
    wcs.wcs.crval = [made.lon_deg, made.lat_deg]
    wcs.wcs.crpix = [(made.brightness.shape[0] + 1) / 2] * 2
    wcs.wcs.cdelt = [-made.pixel_deg, made.pixel_deg]
    x, y = wcs.wcs_world2pix(lon, lat, 0)
    assert made.kind == "zea"
    assert np.hypot(column - x, row - y) * made.pixel_deg < 0.06
    seen = np.count_nonzero(made.brightness) * made.pixel_deg**2
    assert seen == pytest.approx(2 * np.pi * (1 - np.cos(np.radians(4))) * 57.29578**2, rel=0.02)


def test_the_backdrop_of_a_whole_sky_has_longitude_growing_to_the_left():
    made = backdrop(sky_with(np.full(9, 90.0), np.full(9, 30.0)))
    row, column = np.argwhere(made.brightness == 255).mean(axis=0)
    rows, columns = made.brightness.shape
    assert made.kind == "car"
    assert 180 - (column + 0.5) * 360 / columns == pytest.approx(90.0, abs=0.5)
    assert (row + 0.5) * 180 / rows - 90 == pytest.approx(30.0, abs=0.5)
    assert made.brightness.min() == 1


def test_json_inside_a_script_holds_no_tag_and_reads_back():
    value = {"a": ["</script>", "<!--", "&amp;", None, 1.5]}
    text = embedded_json(value)
    assert not set("<>&") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json({"a": float("nan")})


def test_the_header_is_listed_under_headings_and_without_folders():
    header = {"model name": "v1", "setting seed": 0, "event type": "front", "date": "now"}
    header |= {"setting exposure": "/home/me/cubes/a.fits"}
    assert grouped(header) == {
        "Run": [("event type", "front"), ("date", "now")],
        "Settings": [("seed", 0), ("exposure", "a.fits")],
        "Model": [("name", "v1")],
    }


def test_the_view_of_a_field_is_its_coverage(full_page):
    expected = covered_cone(cone_mask(10.0, 1.0, 5.0))
    np.testing.assert_allclose(Page(full_page).data["view"], expected, atol=1e-3)


def test_the_head_says_field_data_energies_date_and_whose_product_it_is_not(full_page):
    (heading,) = re.findall(r"<h1>(.*?)</h1>", full_page.read_text(encoding="utf-8"))
    title = re.search(r"<title>(.*?)</title>", full_page.read_text(encoding="utf-8"))[1]
    for text in (heading, title):
        assert re.search(r"within 5\.\d° of l (9\.9|10\.0)\d°, b \+\d\.\d\d°", text)
        assert "&lt;b&gt;.fits, event type front" in text
        assert "0.3 to 1000 GeV" in text
        assert re.search(r"made \d{4}-\d\d-\d\d", text)
        assert "not a product of the Fermi-LAT collaboration" in text


@pytest.mark.parametrize(
    ("header", "sky", "told"),
    [
        ({}, None, ["data not named", "energies not recorded"]),
        ({"photons bin 4": 3, "photons bin 3": 0}, None, ["", "energy bins from 7 to 20 GeV"]),
        ({f"input {k}.fits": "sha256 0" for k in range(4)}, None, ["4 files", ""]),
        ({}, sky_with(0, 0, (4, 5), intervals_mev=((1e4, 5e5),)), ["", "10 to 500 GeV"]),
        ({}, sky_with(0, 0, (4,)), ["", "7 to 20 GeV"]),
    ],
)
def test_the_head_names_few_files_and_the_energies_that_were_observed(header, sky, told):
    made = about(catalog_of(0, provenance=header), sky)
    assert made[0] == "Gamma-ray candidates in the whole sky"
    assert all(expected in text for expected, text in zip(told, made[1:3], strict=True))


def test_the_map_and_the_years_of_data_from_ten_gev_say_ten_gev():
    year = small_sky(present=(4, 5), mission_year=2)
    sky = small_sky(present=(4, 5), intervals_mev=((1e4, 2e6),), years=(year,))
    data = page_data(catalog_of(1), sky)
    assert data["backdrop"]["lowest_gev"] == data["years"]["lowest_gev"] == 10.0


def test_positions_have_six_decimals_and_the_csv_names_units():
    catalog = catalog_of(3)
    data = page_data(catalog)
    for key, name in {"ra": "RAJ2000", "dec": "DEJ2000", "lon": "GLON", "lat": "GLAT"}.items():
        np.testing.assert_allclose(data["sources"][key], catalog.table[name], atol=5.1e-7)
        assert data["columns"][key] == f"{name} [deg]"
    assert data["columns"]["flux"] == "Flux1000 [ph s-1 cm-2]"
    assert {"fake", "flags"} <= set(data["columns"])


def test_associations_of_the_catalog_stand_unless_the_page_compares_with_another_release(release):
    catalog = build_catalog_at(release, 7, 0.29)
    catalog.table["ASSOC_FGL"] = "4FGL by a radius"
    assert page_data(catalog, reference=release)["sources"]["fgl_assoc"] == ["4FGL by a radius"]
    catalog.header["reference catalog"] = "4FGL-DR3"
    assert "fgl_assoc" not in page_data(catalog, reference=release)["sources"]


def luminance(color):
    """Relative luminance of `#rgb` or `#rrggbb`, as WCAG 2 defines it."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    shares = np.array([int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(*colors):
    """Contrast of two colors, 1 to 21, as WCAG 2 defines it."""
    dark, light = sorted(map(luminance, colors))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_words_and_marks_stand_out_from_all_that_lies_behind_them(full_page, theme):
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    style = full_page.read_text(encoding="utf-8").partition("<style>")[2].partition("</style>")[0]
    rules = re.findall(r":root \{(.*?)\}", style, re.S)
    color = dict(re.findall(r"--([\w-]+): (#\w+);", rules[theme]))
    for name in ("ink", "dim", "new", "known", "bad"):
        assert all(contrast(color[name], color[behind]) >= 4.5 for behind in ("page", "pale")), name
    for name in ("new", "known", "missed", "seen", "chosen", "field"):
        assert all(contrast(color[name], color[behind]) >= 3 for behind in ("halo", "empty")), name
