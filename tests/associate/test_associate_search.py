"""A catalog gets counterparts, keeps what it had, and says where they come from."""

import io
import warnings
from pathlib import Path

import fermipy
import numpy as np
import pytest
from archive_server import Sky
from associate_samples import all_over, catalog_at, objects_at, table_at
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import Table
from click.testing import CliRunner

from fermi_unek.associate import Objects, ServiceFailure, associate, associate_files, open_services
from fermi_unek.associate.local import WholeCatalog
from fermi_unek.catalog import build_catalog, load_release, read_catalog, write_catalog
from fermi_unek.catalog.build import RATIO_95_TO_68
from fermi_unek.catalog.candidates import Candidates
from fermi_unek.catalog.schema import COUNTERPART_COLUMNS
from fermi_unek.cli import main
from fermi_unek.config import AssociateConfig
from fermi_unek.errors import ConfigError, InputError, OutputError, UnekWarning


class Down:
    """A service that never answers."""

    name = "DOWN"
    kind = "counterpart"

    def look_up(self, places):
        raise ServiceFailure("HTTP 500\n(3 tries)")


def background(rng, n=2000, class_="bcu"):
    return objects_at(*all_over(n, rng), class_, name="far")


def one_counterpart(class_="bll", **more):
    rng = np.random.default_rng(0)
    near = objects_at([80.01], [30.0], class_, **more)
    return Objects.joined([near, background(rng, class_=class_)])


def test_the_columns_of_4fgl_are_filled_and_the_networks_class_stays():
    catalog = catalog_at([80.0, 200.0], [30.0, -40.0])
    catalog.table["CLASS1"] = ["psr", "fsrq"]
    done = associate(catalog, [WholeCatalog("LIST", one_counterpart())])
    table = done.catalog.table
    assert list(table["ASSOC1"]) == ["object-0", ""]
    assert list(table["ASSOC_CLASS"]) == ["bll", ""]
    assert list(table["ASSOC_CAT"]) == ["LIST", ""]
    assert list(table["CLASS1"]) == ["psr", "fsrq"]
    assert table["ASSOC_PROB_BAY"][0] > 0.9
    assert np.isnan(table["ASSOC_PROB_BAY"][1])
    assert table["RA_Counterpart"][0] == 80.01
    assert table["DEC_Counterpart"][0] == 30.0
    separation = SkyCoord(80.01, 30, unit="deg").separation(catalog.positions[0]).deg
    assert table["ASSOC_SEP"][0] == pytest.approx(separation, rel=1e-3)
    assert table["ASSOC_CHANCE"][0] == 0
    assert np.isnan(table["Unc_Counterpart"][0])
    assert list(table["Match_LIST"]) == ["object-0", ""]
    assert table["MatchProb_LIST"][0] == table["ASSOC_PROB_BAY"][0]
    # the catalog handed in is as it was
    assert list(catalog.table["ASSOC1"]) == ["", ""]
    assert "Match_LIST" not in catalog.table.colnames


def test_what_is_not_probable_enough_is_listed_but_not_named():
    catalog = catalog_at([80.0], [30.0], r68=0.4)
    services = [WholeCatalog("LIST", one_counterpart("psr"))]
    done = associate(catalog, services)
    assert done.catalog.table["ASSOC1"][0] == ""
    assert done.catalog.table["Match_LIST"][0] == "object-0"
    probability = done.catalog.table["MatchProb_LIST"][0]
    assert 0 < probability < 0.8
    lower = associate(catalog, services, min_probability=float(probability) * 0.9)
    assert lower.catalog.table["ASSOC1"][0] == "object-0"
    priors = associate(catalog, services, priors={"pulsar": 0.9})
    assert priors.catalog.table["MatchProb_LIST"][0] > probability
    assert priors.catalog.header["associate prior pulsar"] == 0.9


def test_the_most_probable_of_all_services_is_first_and_another_object_second():
    near = objects_at([80.01], [30.0], "bcu", name="near")
    same = objects_at([80.01], [30.0], "bll", name="same")
    pulsar = objects_at([79.995], [30.0], "psr", name="pulsar")
    services = [
        WholeCatalog("A", Objects.joined([near, background(np.random.default_rng(1), 50_000)])),
        WholeCatalog("B", same),
        WholeCatalog("C", pulsar),
    ]
    table = associate(catalog_at([80.0], [30.0]), services, min_probability=0.3).catalog.table
    assert table["ASSOC1"][0] == "same-0"
    assert table["ASSOC2"][0] == "pulsar-0"
    assert table["CLASS2"][0] == "psr"
    assert {"Match_A", "Match_B", "Match_C"} <= set(table.colnames)


def test_gamma_ray_sources_go_to_their_own_columns_and_compete_with_nobody():
    services = [
        WholeCatalog("X", objects_at([80.01], [30.0], name="4FGL J0520.0+300"), "gamma"),
        WholeCatalog("Y", objects_at([80.01], [30.0], name="3FHL J0520.0+300"), "gamma"),
        WholeCatalog("Z", objects_at([80.01], [30.0], name="2AGL J0520+3000"), "gamma"),
    ]
    table = associate(catalog_at([80.0], [30.0]), services).catalog.table
    assert table["ASSOC_4FGL"][0] == "4FGL J0520.0+300-0"
    assert table["ASSOC_FHL"][0] == "3FHL J0520.0+300-0"
    assert table["ASSOC_GAM1"][0] == "2AGL J0520+3000-0"
    assert table["ASSOC1"][0] == ""
    assert np.isnan(table["ASSOC_CHANCE"][0])


def test_a_service_that_is_down_costs_its_own_column_and_is_named_in_the_header(tmp_path):
    services = [Down(), WholeCatalog("LIST", one_counterpart())]
    with pytest.warns(UnekWarning, match="DOWN is left out, the other services stand: HTTP 500"):
        done = associate(catalog_at([80.0], [30.0]), services)
    assert done.failures == {"DOWN": "HTTP 500 (3 tries)"}
    assert "Match_DOWN" not in done.catalog.table.colnames
    assert done.catalog.table["ASSOC1"][0] == "object-0"
    write_catalog(done.catalog, tmp_path / "c.fits")
    header = read_catalog(tmp_path / "c.fits").header
    assert header["associate missing"] == "DOWN"
    assert header["associate missing DOWN"] == "no column Match_DOWN: HTTP 500 (3 tries)"
    assert header["associate services"] == "LIST"


def test_the_header_tells_matches_and_those_by_chance():
    rng = np.random.default_rng(2)
    ra, dec = all_over(500, rng)
    done = associate(catalog_at(ra, dec, r68=0.2), [WholeCatalog("LIST", background(rng, 40_000))])
    told = done.catalog.header["associate LIST"]
    assert told.startswith("40000 objects; inside r95: ")
    hits, chance = (float(told.split(key)[1].split()[0].strip("(")) for key in ("r95:", "sources"))
    # nothing but chance was put in
    assert hits == pytest.approx(chance, abs=4 * np.sqrt(chance))


def test_sources_without_an_ellipse_have_no_counterparts_and_empty_catalogs_are_fine(tmp_path):
    catalog = catalog_at([80.0, 81.0], [30.0, 30.0])
    for part in ("SemiMajor", "SemiMinor", "PosAng"):
        catalog.table[f"Conf_95_{part}"][0] = np.nan
    done = associate(catalog, [WholeCatalog("LIST", one_counterpart())])
    assert list(done.catalog.table["ASSOC1"]) == ["", ""]
    assert done.catalog.header["associate sources looked at"] == 1
    empty = associate(build_catalog(Candidates.empty()), [WholeCatalog("LIST", one_counterpart())])
    assert len(empty.catalog) == len(empty.counterparts) == 0
    assert empty.catalog.header["associate LIST"].endswith("(chance not known)")
    write_catalog(empty.catalog, tmp_path / "c.fits")
    assert "Match_LIST" in read_catalog(tmp_path / "c.fits").table.colnames


def test_only_new_sources_are_looked_at_where_that_is_asked_for():
    catalog = catalog_at([80.0, 80.01, 80.02], [30.0, 30.0, 30.0])
    catalog.table["Sep_FGL"] = np.array([0.1, 0.4, np.nan], "f4")
    done = associate(catalog, [WholeCatalog("LIST", one_counterpart())], new_only=True)
    assert list(done.catalog.table["ASSOC1"]) == ["", "object-0", "object-0"]
    assert done.catalog.header["associate sources looked at"] == 2


def test_a_prior_of_an_unknown_family_is_refused():
    services = [WholeCatalog("LIST", one_counterpart())]
    with pytest.raises(ConfigError, match="prior of 'bll': expected a family, one of blazar"):
        associate(catalog_at([80.0], [30.0]), services, priors={"bll": 0.3})


def test_a_catalog_is_associated_again_from_the_start():
    catalog = catalog_at([80.0], [30.0])
    first = associate(catalog, [WholeCatalog("OLD", one_counterpart())]).catalog
    far = WholeCatalog("NEW", background(np.random.default_rng(3), 50))
    second = associate(first, [far]).catalog
    assert second.table["ASSOC1"][0] == ""
    assert "Match_OLD" not in second.table.colnames
    assert not [key for key in second.header if "OLD" in key]
    assert [c for c in second.table.colnames if c.startswith("ASSOC_CLASS")] == ["ASSOC_CLASS"]


def test_the_new_columns_come_back_with_units_and_descriptions(tmp_path):
    done = associate(catalog_at([80.0], [30.0]), [WholeCatalog("LIST", one_counterpart())])
    write_catalog(done.catalog, tmp_path / "c.fits")
    back = read_catalog(tmp_path / "c.fits").table
    for spec in COUNTERPART_COLUMNS:
        assert back[spec.name].description == spec.description
        assert str(back[spec.name].unit or "") == (spec.unit or "")
        assert back[spec.name].dtype == np.dtype(spec.kind)
    assert "LIST" in back["Match_LIST"].description


def test_gammapy_and_fermipy_open_an_associated_catalog(tmp_path):
    from fermipy.catalog import Catalog
    from gammapy.catalog import SourceCatalog4FGL

    done = associate(catalog_at([80.0], [30.0]), [WholeCatalog("LIST", one_counterpart())])
    path = tmp_path / "c.fits"
    write_catalog(done.catalog, path)
    opened = SourceCatalog4FGL(path)
    assert opened[0].data["ASSOC1"] == "object-0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "object-0" in str(opened[0])
    assert Catalog.create(str(path)).table["ASSOC1"][0].strip() == "object-0"


def scattered(release, n, seed):
    """Sources of a release seen again with errors like theirs, and their rows."""
    rng = np.random.default_rng(seed)
    good = np.isfinite(release["Conf_95_SemiMajor"]) & (release["Conf_95_SemiMajor"] > 0)
    table = release[rng.choice(np.flatnonzero(good), n, replace=False)]
    # the LAT's own position is off the counterpart already
    known = np.isfinite(table["RA_Counterpart"]) & (table["ASSOC1"] != "")
    ra = np.where(known, table["RA_Counterpart"], table["RAJ2000"])
    dec = np.where(known, table["DEC_Counterpart"], table["DEJ2000"])
    sky = SkyCoord(ra, dec, unit="deg")
    r68 = np.asarray(table["Conf_95_SemiMajor"], float) / RATIO_95_TO_68
    sigma = r68 / np.sqrt(-2 * np.log(0.32))
    step, angle = sigma * rng.rayleigh(size=n), rng.uniform(0, 360, n)
    moved = sky.directional_offset_by(angle * sky.ra.unit, step * sky.ra.unit)
    catalog = catalog_at(moved.ra.deg, moved.dec.deg, r68=r68)
    order = np.lexsort((moved.dec.deg, moved.ra.deg))
    return catalog, table[order]


def test_sources_of_4fgl_find_themselves_and_the_counterparts_the_lat_team_gave_them(tmp_path):
    catalog, truth = scattered(load_release("4FGL-DR3"), 300, seed=1)
    services = open_services(AssociateConfig(services="none", catalogs=["4FGL-DR4"]))
    table = associate(catalog, services).catalog.table
    assert np.mean(table["ASSOC_4FGL"] == truth["Source_Name"]) > 0.9
    named = truth["ASSOC1"] != ""
    found = table["ASSOC1"] != ""
    assert np.mean(found[named]) > 0.85
    same = table["ASSOC1"][found & named] == truth["ASSOC1"][found & named]
    assert np.mean(same) > 0.95


def test_sources_of_4fgl_find_the_3fhl_sources_the_lat_team_gave_them(shared_data):
    full = Path(fermipy.PACKAGE_DATA) / "catalogs" / "gll_psc_v29.fit"  # with ASSOC_FHL
    catalog, truth = scattered(load_release(full), 600, seed=2)
    path = shared_data / "catalogs" / "gll_psch_v13.fit.gz"
    services = open_services(AssociateConfig(services="none", catalogs=[f"3FHL={path}"]))
    table = associate(catalog, services).catalog.table
    given = np.char.startswith(np.asarray(truth["ASSOC_FHL"], str), "3FHL")
    same = table["ASSOC_FHL"][given] == truth["ASSOC_FHL"][given]
    assert given.sum() > 80
    assert np.mean(same) > 0.85
    others = table["ASSOC_FHL"][~given] != ""
    assert np.mean(others) < 0.03


def test_all_three_archives_are_asked_in_one_run_and_one_that_hangs_costs_its_own(
    sky: Sky, tmp_path
):
    sky.vizier["VII/274/bzcat5"] = table_at(
        [80.005, 150.0], [30.0, 2.0], Name=["5BZBJ0520+3000", "5BZBJ1000+0200"]
    )
    sky.simbad = table_at([80.005, 81.0], [30.0, 30], main_id=["PKS 0517", "q"], otype=["BLL"] * 2)
    sky.ned = table_at([80.0], [30.0], name=["B2 0517+29"], type=["QSO"])
    sky.moods["ned"] = ["hang"]
    write_catalog(catalog_at([80.0], [30.0]), tmp_path / "c.fits")
    config = AssociateConfig(
        servers={name: sky.url for name in ("vizier", "simbad", "ned")},
        cache=tmp_path / "cache",
        timeout=4.0,
        tries=1,
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        done = associate_files(
            tmp_path / "c.fits", tmp_path / "n.fits", config, counterparts=tmp_path / "p.vot"
        )
    # VizieR here knows 5BZCAT and MQC's empty cones only
    missing = set(done.failures)
    assert "NED" in missing
    assert not missing & {"5BZCAT", "MQC", "SIMBAD"}
    assert sum(issubclass(w.category, UnekWarning) for w in told) == len(missing)
    table = read_catalog(tmp_path / "n.fits").table
    assert table["ASSOC1"][0] in ("5BZBJ0520+3000", "PKS 0517")
    assert table["Match_5BZCAT"][0] == "5BZBJ0520+3000"
    assert table["Match_SIMBAD"][0] == "PKS 0517"
    assert "Match_NED" not in table.colnames
    votable.parse(tmp_path / "p.vot", verify="exception")
    pairs = Table.read(tmp_path / "p.vot", format="votable")
    assert list(pairs["Source_Name"]) == [table["Source_Name"][0]] * 2
    assert set(pairs["catalog"]) == {"5BZCAT", "SIMBAD"}


def run(*args):
    result = CliRunner().invoke(main, [str(a) for a in args])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_associates_exports_and_tells(tmp_path):
    source = load_release("4FGL-DR4")[100]
    write_catalog(catalog_at([source["RAJ2000"]], [source["DEJ2000"]]), tmp_path / "c.fits")
    new = tmp_path / "n.fits"
    code, told, _ = run(
        "associate", tmp_path / "c.fits", "-o", new, "--services", "none",
        "--catalogs", "4FGL-DR4", "4FGL-DR3", "--counterparts", tmp_path / "p.csv",
        "--prior", "blazar=0.4",
    )  # fmt: skip
    assert code == 0
    assert told.startswith("1 sources: ")
    assert "1 in 4FGL" in told
    assert "4FGL_DR3: 6658 objects" in told
    table = read_catalog(new).table
    assert table["ASSOC_4FGL"][0] == source["Source_Name"]
    assert (tmp_path / "p.csv").read_text().startswith("Source_Name,kind,catalog,name,class,ra")
    code, told, _ = run("export", new, "-o", tmp_path / "n.vot")
    votable.parse(tmp_path / "n.vot", verify="exception")
    assert votable.validate(str(tmp_path / "n.vot"), output=io.StringIO())
    assert (code, told.split(" written")[0]) == (0, "1 sources")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--services", "gaia"], "services is"),
        (["--services", "none"], "no service and no catalog"),
        (["--services", "none", "--catalogs", "none.fits"], "none.fits: no such file"),
        (["--server", "vizier"], "'vizier' is not what was expected, NAME=VALUE"),
        (["--prior", "blazar=2"], "--prior is"),
        (["--min-probability", "1.5"], "--min-probability is 1.5"),
    ],
)
def test_a_wrong_call_is_one_line(tmp_path, more, said):
    write_catalog(catalog_at([80.0], [30.0]), tmp_path / "c.fits")
    code, _, told = run("associate", tmp_path / "c.fits", "-o", tmp_path / "n.fits", *more)
    assert code == 2
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "n.fits").exists()


def test_outputs_are_refused_before_anything_is_asked(tmp_path):
    catalog = tmp_path / "c.fits"
    write_catalog(catalog_at([80.0], [30.0]), catalog)
    config = AssociateConfig(services="none", catalogs=["4FGL-DR4"])
    with pytest.raises(OutputError, match="exists already"):
        associate_files(catalog, catalog, config)
    with pytest.raises(OutputError, match="must end in .fits or .fit"):
        associate_files(catalog, tmp_path / "n.csv", config)
    with pytest.raises(OutputError, match="must end in one of .vot"):
        associate_files(catalog, tmp_path / "n.fits", config, counterparts=tmp_path / "p.txt")
    assert associate_files(catalog, catalog, config, overwrite=True).failures == {}


def test_without_astroquery_remote_services_are_refused_and_local_ones_work(monkeypatch):
    monkeypatch.setattr("fermi_unek.associate.files.find_spec", lambda name: None)
    with pytest.raises(InputError, match="astroquery, which is not installed: pip install"):
        open_services(AssociateConfig())
    assert len(open_services(AssociateConfig(services="none", catalogs=["4FGL-DR4"]))) == 2


def test_all_the_catalogs_that_are_promised_are_asked():
    names = [service.name for service in open_services(AssociateConfig())]
    assert names == [
        "4FGL_DR4", "4FGL_DR3", "4FGL", "5BZCAT", "3HSP", "CRATES", "WIBRaLS", "MQC", "ATNF",
        "SNR", "GLC", "SIMBAD", "NED",
    ]  # fmt: skip
