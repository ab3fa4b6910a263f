"""The page as a browser has it: drawn, walked by keyboard, and looked over by axe."""

import csv
import io
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from report_samples import candidates, cone_mask, measured, sky_with, small_sky

from fermi_unek.catalog.build import build_catalog
from fermi_unek.catalog.releases import load_release
from fermi_unek.report import write_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page in")

SIZES = (0, 1, 30, 12_000)
WIDTHS = (360, 420, 1400)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of catalogs of `SIZES`; up to thirty lie in a field, with photons of two years."""
    folder, release = tmp_path_factory.mktemp("pages"), load_release("4FGL-DR2")
    paths = {}
    for n in SIZES:
        field = cone_mask(10.0, 1.0, 9.0) if n <= 30 else None
        made = spread(n) if n > 1 else candidates(n)
        settings = {"setting note": "a long word " + "x" * 900, "input a.fits": "sha256 0"}
        options = {"coverage": field, "provenance": settings, "purity": 0.01}
        catalog = build_catalog(made, reference=release, **options)
        years = tuple(
            small_sky(coverage=field, livetime_years=1.0, mission_year=year) for year in (2, 3)
        )
        sky = small_sky(coverage=field, years=years) if n <= 30 else None
        paths[n] = folder / f"{n}.html"
        write_page(paths[n], measured(catalog), sky, release if n >= 30 else None)
    return paths


def spread(n):
    """Thirty places within the field, or thousands over the sky, a tenth of them fakes."""
    rng = np.random.default_rng(n)
    made = candidates(n, near_edge=n // 10, fake=n // 10)
    if n <= 30:
        made.lon_deg[:], made.lat_deg[:] = rng.uniform(5, 15, n), rng.uniform(-4, 6, n)
    else:
        made.lon_deg[:] = rng.uniform(0, 360, n)
        made.lat_deg[:] = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    return made


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("n", SIZES)
def test_no_page_overflows_or_complains_at_any_width(browser, pages, n, theme):
    # what overflows does so in either theme
    for width in WIDTHS if theme == "light" else WIDTHS[:1]:
        browser.open(pages[n], width, theme=theme)
        assert browser.console == []
        assert browser.run("document.getElementById('trouble').hidden")
        assert browser.run("document.documentElement.scrollWidth") <= width
        browser.run("document.querySelectorAll('details').forEach(part => { part.open = true })")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("document.getElementById('provenance').offsetHeight") < 4000


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("n", SIZES)
def test_axe_finds_nothing(browser, pages, n, theme):
    axe = Path(os.environ.get("AXE", "/nowhere"))
    if not axe.is_file():
        pytest.skip("$AXE names no axe.min.js (npm install axe-core)")
    for width in (420, 1400):
        browser.open(pages[n], width, theme=theme)
        browser.run(axe.read_text(encoding="utf-8") + ";0")
        found = browser.run(
            "axe.run().then(result => [result.passes.length, result.violations.map("
            "rule => [rule.id, rule.nodes.map(node => node.html.slice(0, 200))])])"
        )
        assert found[0] > 15
        assert found[1] == []


def test_the_page_says_how_many_there_are_and_shows_fifty_a_time(browser, pages):
    for n, told in ((0, "Nothing was found above the threshold."), (12_000, "10,800 of 12,000")):
        browser.open(pages[n])
        assert told in browser.run("document.getElementById('shown').textContent")
        rows = browser.run("document.querySelectorAll('#table tbody tr').length")
        assert rows == min(n, 50)
    assert browser.run("document.getElementById('span').textContent") == "1 to 50 of 10,800"


def test_flux_and_counterpart_are_in_sight_at_1400(browser, pages):
    browser.open(pages[30], 1400)
    edge = browser.run("document.querySelector('#list .scroll').getBoundingClientRect().right")
    for label in ("Flux", "Counterpart"):
        right = browser.run(
            "[...document.querySelectorAll('#table th')].find(cell => "
            f"cell.textContent.startsWith('{label}')).getBoundingClientRect().right"
        )
        assert right <= edge


def test_the_card_has_no_scroll_bar_of_its_own_and_can_be_seen_whole(browser, pages):
    browser.open(pages[30], 1400, 700)
    card = "document.getElementById('card')"
    assert browser.run(f"{card}.scrollHeight - {card}.clientHeight") <= 0
    assert browser.run(f"{card}.offsetHeight") > 700
    browser.run(f"window.scrollTo(0, {card}.getBoundingClientRect().bottom - 700)")
    assert browser.run(f"Math.round({card}.getBoundingClientRect().bottom)") <= 700
    text = browser.run(f"{card}.innerText")
    for part in ("Photons", "per year", "Spectrum", "Class probabilities", "Counterparts"):
        assert part in text
    labels = browser.run(f"[...{card}.querySelectorAll('canvas')].map(c => c.ariaLabel)")
    assert len(labels) == 6
    assert all(re.search(r"GeV: [1-9]\d* in all", label) for label in labels)


def test_focus_stays_on_the_heading_and_on_the_row(browser, pages):
    browser.open(pages[30])
    focused = "document.activeElement.textContent"
    browser.run("document.querySelector('#table thead button').focus()")
    for sign in (" ▲", " ▼"):
        browser.press("Enter")
        assert browser.run(focused) == "Name" + sign
    browser.run("document.querySelectorAll('#table tbody button')[2].focus()")
    name = browser.run(focused)
    browser.press("Enter")
    assert browser.run(focused) == name
    assert browser.run("document.getElementById('card-name').textContent") == name
    assert browser.run("document.querySelectorAll('tr.chosen').length") == 1
    browser.run("document.getElementById('next').focus()")
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "next"
    assert browser.run("document.getElementById('card-name').textContent") != name
    browser.open(pages[12_000])
    browser.run("document.getElementById('first').focus()")
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "first"


def test_every_control_is_reached_by_tab_and_the_maps_by_arrows(browser, pages):
    browser.open(pages[30])
    reached = set()
    for _ in range(25):
        browser.press("Tab")
        reached.add(browser.run("document.activeElement.id || document.activeElement.className"))
    assert {"sky-map", "field-map", "closer", "search", "fakes", "save", "scroll"} <= reached
    browser.run("document.getElementById('field-map').focus()")
    names = set()
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        browser.press(key)
        names.add(browser.run("document.getElementById('card-name').textContent"))
    assert len(names) > 1
    caption = "document.getElementById('field-caption').textContent"
    before = browser.run(caption)
    browser.press("+")
    assert browser.run(caption) != before
    browser.press("Home")
    assert browser.run(caption) == before
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "card-name"


def test_dragging_a_map_is_no_click_and_a_click_is(browser, pages):
    browser.open(pages[30], height=1200)
    x, y = browser.run(
        "(box => [box.left + box.width / 2, box.top + box.height / 2])"
        "(document.getElementById('sky-map').getBoundingClientRect())"
    )
    caption = "document.getElementById('field-caption').textContent"
    before = browser.run(caption)
    browser.drag((x, y), (x + 60, y))
    assert browser.run(caption) == before
    browser.drag((x + 150, y), (x + 150, y))
    assert browser.run(caption) != before


def test_fakes_are_hidden_at_first_and_have_a_column(browser, pages):
    browser.open(pages[30])
    told = "document.getElementById('shown').textContent"
    assert browser.run(told).startswith("27 of 30 candidates; 3 likely fake hidden")
    browser.run("document.getElementById('fakes').click()")
    end = time.monotonic() + 10
    while not browser.run(told).startswith("30 candidates"):
        assert time.monotonic() < end
    cells = "[...document.querySelectorAll('#table tbody td')]"
    assert browser.run(f"{cells}.filter(cell => cell.textContent === 'fake').length") == 3


def until_told(browser, start):
    """Wait for what the page says of the rows that it shows."""
    told, end = "document.getElementById('shown').textContent", time.monotonic() + 10
    while not browser.run(told).startswith(start):
        assert time.monotonic() < end, browser.run(told)


def test_what_is_not_selected_is_hidden_at_first_and_told_on_its_card(browser, tmp_path):
    made = spread(30)
    made.probability[:] = np.where(np.arange(30) < 10, 0.98, 0.5)
    # three of the ten that are selected are fakes, and three of the others
    made.fake[:] = np.arange(30) % 10 < 3
    made.fake[20:] = False
    write_page(tmp_path / "a.html", build_catalog(made))
    browser.open(tmp_path / "a.html")
    until_told(browser, "7 of 30 candidates; 20 not selected hidden; 3 likely fake hidden")
    tally = browser.run("document.getElementById('tally').textContent")
    assert tally.startswith(
        "30 candidates, 6 of them likely fake; 10 selected for a purity of 0.95"
    )
    tags = "document.querySelector('#card .tags, #card').innerText.includes('not selected')"
    assert not browser.run(tags)
    browser.run("document.getElementById('rest').click()")
    until_told(browser, "24 of 30 candidates; 6 likely fake hidden")
    browser.run(
        "[...document.querySelectorAll('#table tbody button')].find(button => "
        "button.closest('tr').innerText.includes('0.500')).click()"
    )
    assert browser.run(tags)
    browser.run("document.querySelector('[type=reset]').click()")
    until_told(browser, "7 of 30 candidates")


def test_where_nothing_is_selected_all_is_shown_and_stays_so_after_a_reset(browser, tmp_path):
    write_page(tmp_path / "a.html", build_catalog(candidates(4)))
    browser.open(tmp_path / "a.html")
    until_told(browser, "4 candidates. A row")
    browser.run("document.getElementById('search').value = 'nowhere'")
    browser.run("document.querySelector('[type=reset]').click()")
    until_told(browser, "4 candidates. A row")


def test_the_filter_is_there_only_where_it_has_something_to_do(browser, pages):
    browser.open(pages[30])
    assert browser.run("document.getElementById('rest-filter').hidden")


def test_a_band_far_below_the_others_is_inside_the_axis_and_a_weak_one_a_limit(browser, pages):
    browser.open(pages[1])
    axis, circles, arrows = browser.run(
        "(svg => [svg.getAttribute('aria-label'),"
        " [...svg.querySelectorAll('circle')].map(c => Number(c.getAttribute('cy'))),"
        " svg.querySelectorAll('path').length])"
        "([...document.querySelectorAll('#card svg')].find(s => s.ariaLabel.includes('dN/dE')))"
    )
    assert "erg cm⁻² s⁻¹" in axis
    assert (len(circles), arrows) == (5, 1)
    assert max(circles) < 139  # the axis lies at 140


def test_the_csv_has_the_rows_that_are_shown_with_flags_fakes_and_units(browser, pages):
    browser.open(pages[30])
    browser.run(
        "URL.createObjectURL = blob => { window.saved = blob; return '#'; };"
        "document.getElementById('save').click()"
    )
    rows = list(csv.DictReader(io.StringIO(browser.run("window.saved.text()"))))
    assert len(rows) == 27
    assert {(row["Fake"], row["Selected"]) for row in rows} == {("false", "true")}
    assert {"Flags", "Conf_95_SemiMajor [deg]", "Flux1000 [ph s-1 cm-2]"} <= set(rows[0])
    assert all(re.fullmatch(r"-?\d+\.\d{4,6}", row["RAJ2000 [deg]"]) for row in rows)


def test_of_thousands_of_marks_the_improbable_leave_the_sky_in_sight(browser, pages):
    browser.open(pages[12_000])
    share = browser.run(
        "(canvas => { const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width,"
        " canvas.height).data; let seen = 0, strong = 0; for (let i = 0; i < pixels.length; i += 4)"
        " if (pixels[i + 3]) { seen++; const most = Math.max(pixels[i], pixels[i + 1],"
        " pixels[i + 2]), least = Math.min(pixels[i], pixels[i + 1], pixels[i + 2]);"
        " if (most - least > 90) strong++; } return strong / seen; })"
        "(document.getElementById('sky-map'))"
    )
    assert 0.01 < share < 0.35


def test_text_of_catalogs_stays_text_in_the_browser(browser, tmp_path):
    catalog = measured(build_catalog(candidates(1)))
    catalog.table["ASSOC1"] = ["<img src=x onerror=1>"]
    write_page(tmp_path / "a.html", catalog, sky_with(10.0, 1.0))
    browser.open(tmp_path / "a.html", fragment="#%E0%A4%A")
    assert browser.console == []
    assert browser.run("document.querySelectorAll('main img').length") == 0
    assert "<img src=x" in browser.run("document.getElementById('card').innerText")


def test_a_catalog_of_fakes_alone_opens_without_a_card(browser, tmp_path):
    write_page(tmp_path / "a.html", build_catalog(candidates(3, fake=3)))
    browser.open(tmp_path / "a.html")
    assert browser.console == []
    told = browser.run("document.getElementById('shown').textContent")
    assert told.startswith("0 of 3 candidates; 3 likely fake hidden")
    assert browser.run("document.getElementById('card-name').textContent") == "No candidate chosen"
    browser.run("document.getElementById('field-map').focus()")
    browser.press("ArrowLeft", "Enter")
    assert browser.run("document.activeElement.id") == "card-name"
    assert browser.console == []
