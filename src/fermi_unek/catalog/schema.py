"""The one column schema: 4FGL-DR3's point source table, and what this package adds to it.

Names, units, order and energy bands follow gll_psc_v29 (4FGL-DR3, arXiv:2201.11184). The number
of years in the histories is that of the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Column, Table

from ..sky.bins import BAND_EDGES_MEV, ENERGY_EDGES_MEV, MISSION_START_MET, N_BINS, YEAR_S

FLAG_NEAR_EDGE = 1 << 14
"""Bit 15 of `Flags`, unused by 4FGL: within half a degree of where the data end."""

FLAG_IN_EXTENDED = 1 << 10
"""Bit 11 of `Flags`, unused by 4FGL: inside an extended source of the reference catalog, or of what
the network takes for one."""

FLAG_IN_EXTENDED_SECONDARY = 1 << 7
"""Bit 8 of `Flags`, unused by 4FGL: inside an extended source of the reference catalog, near none
of its point sources, and not the likeliest such candidate. Without those that carry it an extended
source is one candidate or none."""

CLASSES = ("bll", "fsrq", "psr", "pwn", "fake")
"""Order of the class probabilities; the last one is no class of source."""

CLASS_OF = {"bll": 0, "fsrq": 1, "psr": 2, "msp": 2, "pwn": 3, "spp": 3, "snr": 3}
"""Index in `CLASSES` of the classes that are told apart, by CLASS1 of 4FGL in lower case."""

LEAST_CONFIDENCE = 0.5
"""Probability among the four classes below which CLASS1 stays blank."""

PROBABILITY_COLUMNS = ("Prob_BLL", "Prob_FSRQ", "Prob_PSR", "Prob_PWN", "Prob_Fake")

DEFAULT_YEAR_EDGES_MET = MISSION_START_MET + YEAR_S * np.arange(13)
"""Edges of the histories where the data have no years of their own: DR3's twelve years."""

NOT_A_FERMI_PRODUCT = (
    "This catalog was made with fermi_unek from public Fermi-LAT data or simulations. "
    "It is not a product of the Fermi-LAT collaboration."
)


@dataclass(frozen=True)
class ColumnSpec:
    """One column: numpy `kind` ("U18", "f4", ...), unit, meaning, and values a row.

    `per_row` is () for one value, or a tuple in which "bin", "band" and "year" stand for the
    number of the networks' energy bins, of 4FGL's energy bands and of years.
    """

    name: str
    kind: str
    unit: str | None
    description: str
    per_row: tuple[str | int, ...] = ()

    def shape(self, n_years: int) -> tuple[int, ...]:
        """Values a row as numbers."""
        sizes = {"bin": N_BINS, "band": len(BAND_EDGES_MEV) - 1, "year": n_years}
        return tuple(sizes[s] if isinstance(s, str) else s for s in self.per_row)

    def blank(self, n_rows: int, n_years: int) -> Column:
        """Column of `n_rows` empty values: NaN, blank, 0 or False."""
        fill: float | str | int = "" if self.kind[0] == "U" else 0
        if self.kind[0] == "f":
            fill = np.nan
        data = np.full((n_rows, *self.shape(n_years)), fill, dtype=self.kind)
        return Column(data, name=self.name, unit=self.unit, description=self.description)


_FLUX = "cm-2 ph s-1"
_DENSITY = "cm-2 MeV-1 ph s-1"
_EFLUX = "erg cm-2 s-1"

_POSITION = (
    ColumnSpec("Source_Name", "U18", None, "UNEK JHHMM.m+DDMM, truncated (IAU)"),
    ColumnSpec("DataRelease", "i2", None, "0: of no 4FGL release"),
    ColumnSpec("RAJ2000", "f4", "deg", "Right ascension (ICRS)"),
    ColumnSpec("DEJ2000", "f4", "deg", "Declination (ICRS)"),
    ColumnSpec("GLON", "f4", "deg", "Galactic longitude"),
    ColumnSpec("GLAT", "f4", "deg", "Galactic latitude"),
    ColumnSpec("Conf_68_SemiMajor", "f4", "deg", "Semimajor axis of the 68% error ellipse"),
    ColumnSpec("Conf_68_SemiMinor", "f4", "deg", "Semiminor axis of the 68% error ellipse"),
    ColumnSpec("Conf_68_PosAng", "f4", "deg", "Position angle, celestial north through east"),
    ColumnSpec("Conf_95_SemiMajor", "f4", "deg", "Semimajor axis of the 95% error ellipse"),
    ColumnSpec("Conf_95_SemiMinor", "f4", "deg", "Semiminor axis of the 95% error ellipse"),
    ColumnSpec("Conf_95_PosAng", "f4", "deg", "Position angle, celestial north through east"),
    ColumnSpec("ROI_num", "i2", None, "0: no regions of interest were used"),
    ColumnSpec("Extended_Source_Name", "U18", None, "Blank: all are listed as points"),
)

_SPECTRUM = (
    ColumnSpec("Signif_Avg", "f4", None, "Significance in sigma, from a refit only"),
    ColumnSpec("Pivot_Energy", "f4", "MeV", "Energy at which the flux density is given"),
    ColumnSpec("Flux1000", "f4", _FLUX, "Photon flux, 1 to 100 GeV"),
    ColumnSpec("Unc_Flux1000", "f4", _FLUX, "1 sigma error of Flux1000"),
    ColumnSpec("Energy_Flux100", "f4", _EFLUX, "Energy flux, 100 MeV to 100 GeV"),
    ColumnSpec("Unc_Energy_Flux100", "f4", _EFLUX, "1 sigma error of Energy_Flux100"),
    ColumnSpec("SpectrumType", "U17", None, "Form of the spectrum; NaN parameters: not fitted"),
    ColumnSpec("PL_Flux_Density", "f4", _DENSITY, "Power law: flux density"),
    ColumnSpec("Unc_PL_Flux_Density", "f4", _DENSITY, "1 sigma error"),
    ColumnSpec("PL_Index", "f4", None, "Power law: photon index"),
    ColumnSpec("Unc_PL_Index", "f4", None, "1 sigma error"),
    ColumnSpec("LP_Flux_Density", "f4", _DENSITY, "Log parabola: flux density"),
    ColumnSpec("Unc_LP_Flux_Density", "f4", _DENSITY, "1 sigma error"),
    ColumnSpec("LP_Index", "f4", None, "Log parabola: index at the pivot energy"),
    ColumnSpec("Unc_LP_Index", "f4", None, "1 sigma error"),
    ColumnSpec("LP_beta", "f4", None, "Log parabola: curvature"),
    ColumnSpec("Unc_LP_beta", "f4", None, "1 sigma error"),
    ColumnSpec("LP_SigCurv", "f4", None, "Significance of the curvature"),
    ColumnSpec("LP_EPeak", "f4", "MeV", "Log parabola: peak of nu F nu"),
    ColumnSpec("Unc_LP_EPeak", "f4", "MeV", "1 sigma error"),
    ColumnSpec("PLEC_Flux_Density", "f4", _DENSITY, "Cutoff power law: flux density"),
    ColumnSpec("Unc_PLEC_Flux_Density", "f4", _DENSITY, "1 sigma error"),
    ColumnSpec("PLEC_IndexS", "f4", None, "Cutoff power law: index at the pivot energy"),
    ColumnSpec("Unc_PLEC_IndexS", "f4", None, "1 sigma error"),
    ColumnSpec("PLEC_ExpfactorS", "f4", None, "Cutoff power law: curvature at the pivot energy"),
    ColumnSpec("Unc_PLEC_ExpfactorS", "f4", None, "1 sigma error"),
    ColumnSpec("PLEC_Exp_Index", "f4", None, "Cutoff power law: exponential index"),
    ColumnSpec("Unc_PLEC_Exp_Index", "f4", None, "1 sigma error"),
    ColumnSpec("PLEC_SigCurv", "f4", None, "Significance of the curvature"),
    ColumnSpec("PLEC_EPeak", "f4", "MeV", "Cutoff power law: peak of nu F nu"),
    ColumnSpec("Unc_PLEC_EPeak", "f4", "MeV", "1 sigma error"),
    ColumnSpec("Npred", "f4", None, "Predicted photons"),
    ColumnSpec("Flux_Band", "f4", _FLUX, "Photon flux per energy band", ("band",)),
    ColumnSpec("Unc_Flux_Band", "f4", _FLUX, "Lower and upper error", ("band", 2)),
    ColumnSpec("nuFnu_Band", "f4", _EFLUX, "Spectral energy distribution", ("band",)),
    ColumnSpec("Sqrt_TS_Band", "f4", None, "Square root of TS per energy band", ("band",)),
)

_HISTORY = (
    ColumnSpec("Variability_Index", "f4", None, "2 ln L difference over the years"),
    ColumnSpec("Frac_Variability", "f4", None, "Fractional variability"),
    ColumnSpec("Unc_Frac_Variability", "f4", None, "1 sigma error"),
    ColumnSpec("Signif_Peak", "f4", None, "Significance in the brightest year"),
    ColumnSpec("Flux_Peak", "f4", _FLUX, "Peak flux, 100 MeV to 100 GeV"),
    ColumnSpec("Unc_Flux_Peak", "f4", _FLUX, "1 sigma error"),
    ColumnSpec("Time_Peak", "f8", "s", "Middle of the brightest year (MET)"),
    ColumnSpec("Peak_Interval", "f4", "s", "Length of that interval"),
    ColumnSpec("Flux_History", "f4", _FLUX, "Photon flux per year", ("year",)),
    ColumnSpec("Unc_Flux_History", "f4", _FLUX, "Lower and upper error", ("year", 2)),
    ColumnSpec("Sqrt_TS_History", "f4", None, "Square root of TS per year", ("year",)),
)

_ASSOCIATION = (
    ColumnSpec("ASSOC_4FGL", "U18", None, "Counterpart in 4FGL, from an association only"),
    ColumnSpec("ASSOC_FGL", "U19", None, "Source of the 4FGL release inside the joint 95% error"),
    ColumnSpec("ASSOC_FHL", "U18", None, "Counterpart in an FHL catalog"),
    ColumnSpec("ASSOC_GAM1", "U18", None, "Other gamma-ray counterpart"),
    ColumnSpec("ASSOC_GAM2", "U18", None, "Other gamma-ray counterpart"),
    ColumnSpec("ASSOC_GAM3", "U18", None, "Other gamma-ray counterpart"),
    ColumnSpec("TEVCAT_FLAG", "U1", None, "Blank: not looked up"),
    ColumnSpec("ASSOC_TEV", "U30", None, "Counterpart in TeVCat"),
    ColumnSpec("CLASS1", "U5", None, "bll, fsrq, psr or pwn; blank: none is likely"),
    ColumnSpec("CLASS2", "U10", None, "Class of the second counterpart"),
    ColumnSpec("ASSOC1", "U28", None, "Name of the counterpart"),
    ColumnSpec("ASSOC2", "U30", None, "Name of the second counterpart"),
    ColumnSpec("ASSOC_PROB_BAY", "f4", None, "Probability of association, Bayesian"),
    ColumnSpec("ASSOC_PROB_LR", "f4", None, "Probability of association, likelihood ratio"),
    ColumnSpec("RA_Counterpart", "f8", "deg", "Right ascension of ASSOC1"),
    ColumnSpec("DEC_Counterpart", "f8", "deg", "Declination of ASSOC1"),
    ColumnSpec("Unc_Counterpart", "f4", "deg", "95% position error of ASSOC1"),
    ColumnSpec(
        "Flags",
        "i2",
        None,
        "16384: within 0.5 deg of an edge of the data; 1024: in an extended source; 128: there, "
        "and not its likeliest",
    ),
)

_OURS = (
    ColumnSpec("Probability", "f4", None, "Network's probability of a source, 0 to 1"),
    ColumnSpec("Selected", "?", None, "True: in the list of the purity that was asked for"),
    ColumnSpec("Prob_BLL", "f4", None, "Probability of a BL Lac; NaN: not classified"),
    ColumnSpec("Prob_FSRQ", "f4", None, "Probability of a flat-spectrum radio quasar"),
    ColumnSpec("Prob_PSR", "f4", None, "Probability of a pulsar"),
    ColumnSpec("Prob_PWN", "f4", None, "Probability of a pulsar wind nebula"),
    ColumnSpec("Prob_Fake", "f4", None, "Probability of no source at all"),
    ColumnSpec("Fake", "?", None, "True: taken for a fluctuation of the background"),
    ColumnSpec("Nearest_FGL", "U19", None, "Nearest source of the 4FGL release, however far"),
    ColumnSpec("Sep_FGL", "f4", "deg", "Distance to Nearest_FGL"),
    ColumnSpec("Counts_Band", "f4", None, "Photons counted per bin; NaN: no data", ("bin",)),
)

COLUMNS = _POSITION + _SPECTRUM + _HISTORY + _ASSOCIATION + _OURS
"""All columns in the order in which they are written."""

ASSOCIATION_COLUMNS = (
    "ASSOC_4FGL",
    "ASSOC_FHL",
    "ASSOC_GAM1",
    "CLASS2",
    "ASSOC1",
    "ASSOC2",
    "ASSOC_PROB_BAY",
    "RA_Counterpart",
    "DEC_Counterpart",
    "Unc_Counterpart",
)
"""Columns of the schema that `fermi-unek associate` fills; CLASS1 stays the network's."""

COUNTERPART_COLUMNS = (
    ColumnSpec("ASSOC_CLASS", "U10", None, "Class of ASSOC1 in its catalog; CLASS1 is another"),
    ColumnSpec("ASSOC_CAT", "U40", None, "Catalog that lists ASSOC1"),
    ColumnSpec("ASSOC_SEP", "f4", "deg", "Distance to ASSOC1"),
    ColumnSpec("ASSOC_CHANCE", "f4", None, "Share of shifted positions with as good a counterpart"),
)
"""Columns that `fermi-unek associate` adds after those of the schema."""

EXTENDED_COLUMNS = (
    ColumnSpec("Source_Name", "U17", None, "NONE: no source is extended"),
    ColumnSpec("RAJ2000", "f4", "deg", "Right ascension"),
    ColumnSpec("DEJ2000", "f4", "deg", "Declination"),
    ColumnSpec("GLON", "f4", "deg", "Galactic longitude"),
    ColumnSpec("GLAT", "f4", "deg", "Galactic latitude"),
    ColumnSpec("Model_Form", "U11", None, "Disk, Map, Ring or 2D Gaussian"),
    ColumnSpec("Model_SemiMajor", "f4", "deg", "Semimajor axis"),
    ColumnSpec("Model_SemiMinor", "f4", "deg", "Semiminor axis"),
    ColumnSpec("Model_PosAng", "f4", "deg", "Position angle"),
    ColumnSpec("Spatial_Function", "U11", None, "RadialDisk, RadialGauss or SpatialMap"),
    ColumnSpec("Spatial_Filename", "U24", None, "Template file"),
)
"""Columns of the ExtendedSources table of 4FGL-DR3."""


PERIOD_COLUMNS = (
    ColumnSpec("Variability2_Index", "f4", None, "2 ln L difference over the periods"),
    ColumnSpec("Frac2_Variability", "f4", None, "Fractional variability"),
    ColumnSpec("Unc_Frac2_Variability", "f4", None, "1 sigma error"),
    ColumnSpec("Flux2_History", "f4", _FLUX, "Photon flux, 100 MeV to 100 GeV", ("year",)),
    ColumnSpec("Unc_Flux2_History", "f4", _FLUX, "Lower and upper error", ("year", 2)),
    ColumnSpec("Sqrt_TS2_History", "f4", None, "Square root of TS per period", ("year",)),
)
"""Columns that a fit with ``--history LENGTH`` adds, by the names of 4FGL-DR2's light curves of two
months; here a year is a period."""

EXTENSION_COLUMNS = (
    ColumnSpec("TS_ext", "f4", None, "Likelihood test statistic of the better shape over a point"),
    ColumnSpec("TS_ext_Disk", "f4", None, "The same of a disk"),
    ColumnSpec("Disk_Radius", "f4", "deg", "Radius of the disk; 0: a point is best"),
    ColumnSpec("Unc_Disk_Radius", "f4", "deg", "Lower and upper 1 sigma error", (2,)),
    ColumnSpec("Disk_Radius_UL95", "f4", "deg", "95% upper limit of the radius"),
    ColumnSpec("TS_ext_Gauss", "f4", None, "The same of a Gaussian"),
    ColumnSpec("Gauss_R68", "f4", "deg", "Radius that holds 68% of the Gaussian; 0: a point"),
    ColumnSpec("Unc_Gauss_R68", "f4", "deg", "Lower and upper 1 sigma error", (2,)),
    ColumnSpec("Gauss_R68_UL95", "f4", "deg", "95% upper limit of it"),
)
"""Columns that a fit with ``--extension`` adds."""

UNITS = {
    spec.name: spec.unit
    for spec in (
        *COLUMNS, *COUNTERPART_COLUMNS, *EXTENDED_COLUMNS, *PERIOD_COLUMNS, *EXTENSION_COLUMNS
    )
}  # fmt: skip
"""Units of all columns by name, None for plain numbers; what is read is brought to them."""


def band_edges_mev(table: Table) -> np.ndarray:
    """Edges of the bands of Flux_Band: 4FGL's, or in catalogs of before the networks' bins."""
    n_bands = table["Flux_Band"].shape[1]
    return BAND_EDGES_MEV if n_bands == len(BAND_EDGES_MEV) - 1 else ENERGY_EDGES_MEV


def blank_table(n_rows: int, n_years: int, columns: tuple[ColumnSpec, ...] = COLUMNS) -> Table:
    """Table of `n_rows` rows with every column of the schema, nothing measured."""
    return Table([spec.blank(n_rows, n_years) for spec in columns])
