"""Lists of the user's own: gtlike XML, gammapy YAML, FITS, against fermipy and gammapy."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import astropy.units as u
import fermipy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from fermipy.spectrum import PowerLaw as FermipyPowerLaw
from gammapy.modeling import models as gm

from fermi_unek.catalog.spectra import differential_flux, photon_flux
from fermi_unek.errors import InputError, UnekWarning
from fermi_unek.simulate.population import dr2_table
from fermi_unek.simulate.userlist import integral_power_law, read_user_list

CATALOGS = Path(fermipy.__file__).parent / "data" / "catalogs"
ENERGIES = np.geomspace(100.0, 1e6, 41)


def point_source(spectrum: str, name: str = "A", place: str | None = None) -> str:
    place = place or (
        '<spatialModel type="SkyDirFunction"><parameter name="RA" scale="1" value="83.63"/>'
        '<parameter name="DEC" scale="1" value="22.01"/></spatialModel>'
    )
    return f'<source name="{name}" type="PointSource">{spectrum}{place}</source>'


def spectrum(kind: str, **values: tuple[float | str, float]) -> str:
    lines = "".join(
        f'<parameter name="{name}" value="{value}" scale="{scale}"/>'
        for name, (value, scale) in values.items()
    )
    return f'<spectrum type="{kind}">{lines}</spectrum>'


POWER_LAW = spectrum("PowerLaw", Prefactor=(1, 1e-12), Index=(2.2, -1), Scale=(1000, 1))


def library(folder: Path, *sources: str) -> Path:
    path = folder / "list.xml"
    path.write_text(f'<source_library title="t">{"".join(sources)}</source_library>')
    return path


def models(folder: Path, *models: gm.SkyModel) -> Path:
    path = folder / "list.yaml"
    gm.Models(list(models)).write(path)
    return path


def flux(model: gm.SpectralModel) -> np.ndarray:
    return model(ENERGIES * u.MeV).to_value("cm-2 s-1 MeV-1")


def assert_spectrum(table: Table, expected: np.ndarray, rtol: float = 1e-6) -> None:
    got = differential_flux(table, ENERGIES)[0]
    strong = expected > 1e-12 * expected.max()
    np.testing.assert_allclose(got[strong], expected[strong], rtol=rtol)


# gtlike XML ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalog_xml() -> Table:
    with pytest.warns(UnekWarning, match="left out 75 extended and diffuse sources"):
        return read_user_list(CATALOGS / "gll_psc_v20.xml")


def test_the_xml_of_a_catalog_is_the_catalog(catalog_xml):
    fits_list = Table.read(CATALOGS / "gll_psc_v20.fit", hdu=1)
    kinds = np.char.strip(np.asarray(fits_list["SpectrumType"]).astype(str))
    fits_list["SpectrumType"] = np.char.replace(kinds, "Cutoff2", "Cutoff")
    rows = {str(name).strip(): i for i, name in enumerate(fits_list["Source_Name"])}
    common = [i for i, name in enumerate(catalog_xml["Source_Name"]) if str(name) in rows]
    assert len(common) > 0.99 * len(catalog_xml)
    theirs = fits_list[[rows[str(catalog_xml["Source_Name"][i])] for i in common]]
    ours = catalog_xml[common]
    np.testing.assert_array_equal(ours["SpectrumType"], theirs["SpectrumType"])
    apart = SkyCoord(ours["RAJ2000"], ours["DEJ2000"], unit="deg").separation(
        SkyCoord(theirs["RAJ2000"], theirs["DEJ2000"], unit="deg")
    )
    assert apart.deg.max() < 1e-3
    a, b = (differential_flux(table, np.geomspace(300, 1e5, 12)) for table in (ours, theirs))
    np.testing.assert_allclose(a, b, rtol=2e-3)


def test_a_catalogs_xml_is_read_as_gammapy_reads_its_fits(catalog_xml):
    from gammapy.catalog import SourceCatalog4FGL

    catalog = SourceCatalog4FGL(CATALOGS / "gll_psc_v20.fit")
    # gammapy does not know this release's word for it
    kinds = np.char.strip(np.asarray(catalog.table["SpectrumType"]).astype(str))
    catalog.table["SpectrumType"] = np.char.replace(kinds, "Cutoff2", "Cutoff")
    for name in ("4FGL J0835.3-4510", "4FGL J1104.4+3812", "4FGL J0358.0-6946"):
        row = catalog_xml[catalog_xml["Source_Name"] == name]
        assert_spectrum(row, flux(catalog[name].spectral_model()), rtol=2e-3)


def test_the_names_and_places_of_an_xml_are_those_it_says(catalog_xml):
    root = ElementTree.parse(CATALOGS / "gll_psc_v20.xml").getroot()
    names = [s.get("name") for s in root if s.get("type") == "PointSource"]
    assert catalog_xml["Source_Name"].tolist() == names
    assert catalog_xml["CLASS1"].tolist() == [""] * len(names)
    assert not np.isfinite(catalog_xml["Signif_Avg"]).any()


def test_the_older_cutoff_and_integral_forms_are_read(tmp_path):
    two = library(
        tmp_path,
        point_source(spectrum("PowerLaw2", Integral=(3, 1e-9), Index=(-2.3, 1),
                              LowerLimit=(100, 1), UpperLimit=(3e5, 1))),
        point_source(spectrum("PLSuperExpCutoff", Prefactor=(2, 1e-12), Index1=(1.5, -1),
                              Scale=(1, 1e3), Cutoff=(3, 1e3), Index2=(0.7, 1)), "B"),
    )  # fmt: skip
    table = read_user_list(two)
    assert table["Source_Name"].tolist() == ["A", "B"]
    reference = gm.PowerLaw2SpectralModel(
        amplitude="3e-9 cm-2 s-1", index=2.3, emin="100 MeV", emax="300 GeV"
    )
    assert_spectrum(table[:1], flux(reference))
    e = ENERGIES
    assert_spectrum(table[1:], 2e-12 * (e / 1e3) ** -1.5 * np.exp(-((e / 3e3) ** 0.7)))


def test_the_cutoff_of_dr3_is_read_and_without_curvature_of_its_own_is_a_log_parabola(tmp_path):
    def one(exponent: float) -> Table:
        values = dict(Prefactor=(4, 1e-13), IndexS=(2.1, -1), Scale=(1500, 1),
                      ExpfactorS=(0.6, 1), Index2=(exponent, 1))  # fmt: skip
        return read_user_list(library(tmp_path, point_source(
            spectrum("PLSuperExpCutoff4", **values))))  # fmt: skip

    def reference(exponent: float) -> np.ndarray:
        return flux(gm.SuperExpCutoffPowerLaw4FGLDR3SpectralModel(
            amplitude="4e-13 cm-2 s-1 MeV-1", reference="1500 MeV", expfactor=0.6, index_1=2.1,
            index_2=exponent))  # fmt: skip

    assert_spectrum(one(0.667), reference(0.667))
    flat = one(0.0)
    assert flat["SpectrumType"].tolist() == ["LogParabola"]
    assert_spectrum(flat, reference(1e-5), rtol=1e-3)


def test_a_power_law_between_two_energies_is_fermipys():
    for index in (1.0, 1.8, 2.5):
        row = integral_power_law(1e-9, index, 1e3, 1e5)
        norm = FermipyPowerLaw.eval_norm(row["Pivot_Energy"], [-index], 1e3, 1e5, 1e-9)
        assert row["PL_Flux_Density"] == pytest.approx(float(np.squeeze(norm)), rel=1e-6)


def test_a_library_of_diffuse_sources_alone_is_a_population_of_no_source(tmp_path):
    diffuse = f'<source name="iso" type="DiffuseSource">{POWER_LAW}</source>'
    with pytest.warns(UnekWarning, match="left out 1 extended and diffuse sources .iso."):
        table = read_user_list(library(tmp_path, diffuse))
    assert len(table) == 0
    assert {"GLON", "Flux1000", "CLASS1", "PLEC_Index"} <= set(table.colnames)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (point_source(spectrum("BrokenPowerLaw")), "spectrum 'BrokenPowerLaw' is not known"),
        (point_source(spectrum("PowerLaw", Index=(2, -1))), "has no parameter Prefactor"),
        (
            point_source(spectrum("PowerLaw", Prefactor=("x", 1), Index=(2, -1), Scale=(1e3, 1))),
            "Prefactor is 'x' times '1'",
        ),
        ('<source name="A" type="PointSource"/>', "expected a <spectrum> and a <spatialModel>"),
        (
            point_source(spectrum("PowerLaw", Prefactor=(0, 1), Index=(2, -1), Scale=(1e3, 1))),
            "source 'A' has no flux between 1 and 100 GeV",
        ),
        (
            point_source(
                spectrum(
                    "PowerLaw2", Integral=(1, 1), Index=(2, -1),
                    LowerLimit=(0, 1), UpperLimit=(1e5, 1),
                )
            ),
            "are no spectrum",
        ),
        (
            point_source(
                POWER_LAW,
                place='<spatialModel><parameter name="RA" value="10"/>'
                '<parameter name="DEC" value="95"/></spatialModel>',
            ),
            "are no position",
        ),
        (point_source(POWER_LAW, place="<spatialModel/>"), "has no parameter RA"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_used_is_named(tmp_path, source, message):
    with pytest.raises(InputError, match=message) as caught:
        read_user_list(library(tmp_path, source))
    assert "'A'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_source_that_cannot_be_used_costs_itself(tmp_path):
    """Spectra that 4FGL has no name for, in gtlike's and in gammapy's form."""
    absorbed = point_source(spectrum("EblAtten::PowerLaw2", Integral=(1, 1e-9)), "B")
    with pytest.warns(UnekWarning, match="left out 1 of 2 .*'B': spectrum 'EblAtten::PowerLaw2'"):
        table = read_user_list(library(tmp_path, point_source(POWER_LAW), absorbed))
    assert table["Source_Name"].tolist() == ["A"]
    twice = point_source(spectrum("PowerLaw", Index=(1, 1), Scale=(1, 1), Prefactor=(1, 1)), "B")
    twice = twice.replace("</spectrum>", '<parameter name="Index" value="3"/></spectrum>')
    for other, told in (
        (point_source(POWER_LAW), "'A' is there twice"),
        (twice, "parameter twice"),
    ):
        with pytest.warns(UnekWarning, match=f"left out 1 of 2 .*{told}"):
            table = read_user_list(library(tmp_path, point_source(POWER_LAW), other))
        assert table["Source_Name"].tolist() == ["A"]
    place = gm.PointSpatialModel(lon_0="20 deg", lat_0="-3 deg", frame="galactic")
    broken = gm.SkyModel(gm.BrokenPowerLawSpectralModel(), place, name="broken")
    good = gm.SkyModel(SPECTRA[0], place, name="good")
    with pytest.warns(UnekWarning, match="left out 1 of 2 .*'broken'"):
        assert read_user_list(models(tmp_path, broken, good))["Source_Name"].tolist() == ["good"]


def test_entities_of_an_xml_are_not_expanded(tmp_path):
    path = tmp_path / "bomb.xml"
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>'
        "<source_library>&c;</source_library>"
    )
    with pytest.raises(InputError, match="not an XML file, or damaged.*Entities"):
        read_user_list(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.xml", "no xml", "not an XML file"),
        ("list.xml", "<model/>", "holds <model>, expected a <source_library>"),
        ("list.yaml", "a: [", "not a YAML file"),
        ("list.yml", "a: 1", "no list 'components'"),
        ("list.yaml", "components: [1]", "no list 'components'"),
    ],
)
def test_a_file_that_is_no_list_is_told(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_user_list(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_list_that_does_not_exist_is_told(tmp_path):
    for name in ("none.xml", "none.yaml", "none.fits"):
        with pytest.raises(InputError, match="no such file"):
            read_user_list(tmp_path / name)


# gammapy YAML ----------------------------------------------------------------------------------

SPECTRA = [
    gm.PowerLawSpectralModel(index=2.3),
    gm.PowerLaw2SpectralModel(amplitude="1e-9 cm-2 s-1", index=1.3, emin="1 GeV", emax="0.1 TeV"),
    gm.LogParabolaSpectralModel(alpha=2.0, beta=0.1, reference="2 GeV"),
    gm.ExpCutoffPowerLawSpectralModel(lambda_="0.2 GeV-1", reference="1 GeV", alpha=0.8),
    gm.ExpCutoffPowerLaw3FGLSpectralModel(ecut="4 GeV", reference="900 MeV"),
    gm.SuperExpCutoffPowerLaw3FGLSpectralModel(ecut="4 GeV", reference="900 MeV", index_2=0.7),
    gm.SuperExpCutoffPowerLaw4FGLSpectralModel(
        reference="1500 MeV", expfactor=0.01, index_2=0.667, index_1=1.2
    ),
    gm.SuperExpCutoffPowerLaw4FGLDR3SpectralModel(
        reference="1500 MeV", expfactor=0.7, index_2=0.667, index_1=2.1
    ),
]


def test_every_spectrum_of_gammapy_that_4fgl_has_keeps_its_flux(tmp_path):
    place = gm.PointSpatialModel(lon_0="20 deg", lat_0="-3 deg", frame="galactic")
    many = [
        gm.SkyModel(spectral_model=spectral, spatial_model=place, name=f"s{i}")
        for i, spectral in enumerate(SPECTRA)
    ]
    table = read_user_list(models(tmp_path, *many))
    assert table["Source_Name"].tolist() == [f"s{i}" for i in range(len(SPECTRA))]
    np.testing.assert_allclose(table["GLON"], 20.0)
    np.testing.assert_allclose(table["GLAT"], -3.0)
    for i, spectral in enumerate(SPECTRA):
        assert_spectrum(table[i : i + 1], flux(spectral))
        integral = spectral.integral(1 * u.GeV, 100 * u.GeV).to_value("cm-2 s-1")
        assert photon_flux(table[i : i + 1])[0] == pytest.approx(integral, rel=2e-3)


def test_extended_models_and_backgrounds_of_gammapy_are_left_out(tmp_path):
    disk = gm.SkyModel(SPECTRA[0], gm.DiskSpatialModel(r_0="1 deg"), name="disk")
    everywhere = gm.SkyModel(SPECTRA[0], name="no place")
    point = gm.SkyModel(SPECTRA[0], gm.PointSpatialModel(), name="point")
    path = models(tmp_path, disk, everywhere, point)
    with pytest.warns(UnekWarning, match="left out 2 models that are no point source .disk, no"):
        assert read_user_list(path)["Source_Name"].tolist() == ["point"]


@pytest.mark.parametrize(
    ("spectral", "message"),
    [
        ("{type: NoSuchModel}", "spectrum 'NoSuchModel' is not known"),
        ("{type: TemplateSpectralModel}", "spectrum 'TemplateSpectralModel' is not known"),
        ("{type: pl, parameters: [{name: index, value: two}]}", "model 'A'"),
        ("{type: pl, parameters: 7}", "the spectrum cannot be read"),
        ("{type: pl, parameters: [{name: amplitude, value: 1, unit: m}]}", "cannot be used"),
    ],
)
def test_a_model_of_gammapy_that_cannot_be_used_is_named(tmp_path, spectral, message):
    path = tmp_path / "a.yaml"
    path.write_text(
        "components:\n- name: A\n  type: SkyModel\n  spatial: {type: PointSpatialModel}\n"
        f"  spectral: {spectral}\n"
    )
    with pytest.raises(InputError, match=message) as caught:
        read_user_list(path)
    assert "\n" not in str(caught.value)
    assert "'A'" in str(caught.value)


# FITS ------------------------------------------------------------------------------------------


def test_a_fits_list_is_read_as_a_population(tmp_path):
    real = dr2_table()[:5]
    real.write(tmp_path / "part.fits")
    table = read_user_list(tmp_path / "part.fits")
    assert table["Source_Name"].tolist() == real["Source_Name"].tolist()
    np.testing.assert_allclose(table["Flux1000"], photon_flux(real), rtol=1e-5)
