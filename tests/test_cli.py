"""The command line: what an analyst may get wrong ends in one line and status 2."""

import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from click.testing import CliRunner

import fermi_unek
from fermi_unek import cli, config
from fermi_unek.catalog.build import build_catalog
from fermi_unek.catalog.candidates import Candidates
from fermi_unek.catalog.io import write_catalog
from fermi_unek.cli.options import flag_of, given, shown_default, spell_out
from fermi_unek.errors import UnekWarning

FRONT_EDGES_MEV = (300, 500, 1000, 2000, 7000, 20000, 1000000)


def run(*args):
    """Result of a call, checked to be free of tracebacks unless that is asked for."""
    return CliRunner().invoke(cli.main, [str(arg) for arg in args])


def refused(*args):
    """The one line on stderr of a call that must end with status 2."""
    result = run(*args)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("fermi-unek: error: ")
    return lines[0]


def listing(folder):
    """Names and contents of all that lies in a folder."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def write_ccube(path, edges_mev=FRONT_EDGES_MEV, with_bounds=True):
    """A gtbin cube of 40 x 40 pixels of 0.2 degrees with one photon everywhere."""
    n_bins = len(edges_mev) - 1
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
    wcs.wcs.crval, wcs.wcs.cdelt, wcs.wcs.crpix = [80.0, 0.0], [-0.2, 0.2], [20.5, 20.5 - 150]
    header = wcs.to_header()
    header["NDSKEYS"] = 0
    hdus = [fits.PrimaryHDU(np.ones((n_bins, 40, 40), "i4"), header)]
    if with_bounds:
        edges_kev = np.asarray(edges_mev, float) * 1000.0
        table = Table({"CHANNEL": np.arange(1, n_bins + 1, dtype="i2")})
        table["E_MIN"], table["E_MAX"] = edges_kev[:-1], edges_kev[1:]
        table["E_MIN"].unit = table["E_MAX"].unit = "keV"
        hdus.append(fits.BinTableHDU(table, name="EBOUNDS"))
    fits.HDUList(hdus).writeto(path)
    return path


def write_ft1(path, energy_mev=2000.0, zenith_deg=50.0, n=200):
    """A photon file of FRONT photons within a few degrees of the Crab."""
    rng = np.random.default_rng(0)
    table = Table()
    table["ENERGY"] = np.full(n, energy_mev, "f4")
    table["RA"], table["DEC"] = rng.uniform(81, 86, n), rng.uniform(20, 24, n)
    table["ZENITH_ANGLE"] = np.full(n, zenith_deg, "f4")
    table["TIME"] = 239557417.0 + np.sort(rng.uniform(0, 3e7, n))
    bits = np.zeros((n, 32), bool)
    bits[:, -8:] = True  # SOURCE and below
    kind = np.zeros((n, 32), bool)
    kind[:, -1] = True  # FRONT
    columns = [
        fits.Column(name, "E" if name in ("ENERGY", "ZENITH_ANGLE") else "D", array=table[name])
        for name in table.colnames
    ]
    columns += [
        fits.Column("EVENT_CLASS", "32X", array=bits),
        fits.Column("EVENT_TYPE", "32X", array=kind),
        fits.Column("CONVERSION_TYPE", "I", array=np.zeros(n, "i2")),
    ]
    events = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    cuts = [("TIME", "s", "TABLE"), ("POS(RA,DEC)", "deg", "CIRCLE(83.6,22.0,6.0)")]
    events.header["NDSKEYS"] = len(cuts)
    for index, (kind_, unit, value) in enumerate(cuts, 1):
        events.header[f"DSTYP{index}"], events.header[f"DSUNI{index}"] = kind_, unit
        events.header[f"DSVAL{index}"] = value
    events.header["DSREF1"] = ":GTI"
    gti = fits.BinTableHDU(Table({"START": [239557417.0], "STOP": [239557417.0 + 3e7]}), name="GTI")
    fits.HDUList([fits.PrimaryHDU(), events, gti]).writeto(path)
    return path


# what the user named is wrong ---------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(tmp_path):
    line = refused("find", tmp_path / "none.fits", "-o", tmp_path / "out.fits")
    assert f"{tmp_path / 'none.fits'}: no such file" in line
    assert listing(tmp_path) == {}


def test_a_truncated_file_is_named(tmp_path):
    path = write_ccube(tmp_path / "ccube.fits")
    path.write_bytes(path.read_bytes()[:-3000])
    before = listing(tmp_path)
    assert str(path) in refused("find", path, "-o", tmp_path / "out.fits")
    assert listing(tmp_path) == before


def test_a_file_that_is_no_fits_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("photons")
    assert "notes.txt" in refused("find", tmp_path / "notes.txt", "-o", tmp_path / "out.fits")


def test_an_exposure_that_is_none_is_named(tmp_path):
    cube, other = write_ccube(tmp_path / "ccube.fits"), write_ft1(tmp_path / "ft1.fits")
    (tmp_path / "notes.txt").write_text("exposure")
    before = listing(tmp_path)
    for exposure in (other, cube, tmp_path / "notes.txt", tmp_path / "none.fits"):
        line = refused("find", cube, "-o", tmp_path / "out.fits", "--exposure", exposure)
        assert str(exposure) in line
    assert listing(tmp_path) == before


def test_a_cube_without_energy_bounds_is_refused(tmp_path):
    path = write_ccube(tmp_path / "ccube.fits", with_bounds=False)
    assert "nerg" in refused("find", path, "-o", tmp_path / "out.fits")
    assert not (tmp_path / "out.fits").exists()


def test_a_cube_coarser_than_the_network_is_refused(tmp_path):
    path = write_ccube(tmp_path / "ccube.fits", edges_mev=(1000, 20000, 1000000))
    assert "coarser" in refused("find", path, "-o", tmp_path / "out.fits")


@pytest.mark.parametrize(
    "file", [{"energy_mev": 150.0}, {"zenith_deg": 120.0}], ids=["energy", "zenith"]
)
def test_no_photon_left_after_the_cuts_is_an_error(tmp_path, file):
    path = write_ft1(tmp_path / "ft1.fits", **file)
    assert "no " in refused("find", path, "-o", tmp_path / "out.fits")


def test_an_option_out_of_range_is_told_with_its_value(tmp_path):
    line = refused("find", "x.fits", "-o", tmp_path / "o.fits", "--threshold", "1.5")
    assert "threshold is 1.5" in line
    line = refused("find", "x.fits", "-o", tmp_path / "o.fits", "--region", "10,20")
    assert "--region is '10,20': has 2 parts, expected LON,LAT,RADIUS" in line
    line = refused("refit", "c.fits", "x.fits", "-o", tmp_path / "o.fits", "--fake-ts", "-1")
    assert "--fake-ts is -1" in line


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["bin", "-o", "o.fits"], "Missing argument 'PHOTONS...'"),
        (["find", "x.fits"], "Missing option '-o'"),
        (["find", "x.fits", "-o", "o.fits", "--treshold", "1"], "--threshold"),
        (["find", "x.fits", "-o", "o.fits", "--centers", "mean"], "'kmeans', 'peaks'"),
        (["seek", "x.fits"], "No such command 'seek'"),
        (["train", "oracle", "x.yaml"], "'localizer'"),
        (["train", "localizer", "x.yaml", "--skies-only"], "--skies-only is for the classifier"),
        (["find", "x.fits", "--yearly", "-o", "y"], "Option '--yearly' requires a value"),
        (["find", "x.fits", "-o", "y", "--yearly"], "Option '--yearly' requires a value"),
        (["find", "x.fits", "-o", "y", "--yearly", "--", "a"], "'--yearly' requires a value"),
    ],
)
def test_a_wrong_call_is_one_line_that_points_to_the_help(args, said):
    line = refused(*args)
    assert said in line
    assert "--help" in line


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "no input file was given"),
        (["x.fits", "--front", "f.fits"], "front and back name all the inputs"),
        (["--back", "b.fits", "--evtype", "back"], "front and back name all the inputs"),
        (["--front", "f.fits", "g.fits", "--back", "b.fits"], "f.fits: no such file"),
    ],
)
def test_photons_are_named_once_as_inputs_or_by_their_event_types(tmp_path, inputs, said):
    assert said in refused("find", *inputs, "-o", tmp_path / "out.fits")
    assert listing(tmp_path) == {}


def test_an_unknown_config_key_is_named_with_the_one_that_was_meant(tmp_path):
    (tmp_path / "train.yaml").write_text("stepz: 3\n")
    line = refused("train", "classifier", tmp_path / "train.yaml")
    assert "unknown key 'stepz'" in line
    line = refused("train", "localizer", tmp_path / "train.yaml")
    assert "unknown key 'stepz', did you mean 'steps'" in line


def test_the_skies_of_a_classifier_are_made_without_a_training(tmp_path, monkeypatch):
    from fermi_unek.training.classifier import train as classifier

    made = []

    def simulate(settings, progress):
        made.append(settings.skies)
        return [tmp_path / "sky.npz"]

    monkeypatch.setattr(classifier, "simulate_skies", simulate)
    monkeypatch.setattr(classifier, "train_classifier", lambda *_, **__: made.append("trained"))
    (tmp_path / "train.yaml").write_text("skies: 3\n")
    result = run("train", "classifier", tmp_path / "train.yaml", "--skies-only")
    assert str(tmp_path / "sky.npz") in result.output
    assert made == [3]


def test_an_unknown_model_is_named(tmp_path):
    path = write_ccube(tmp_path / "ccube.fits")
    assert "no-such-model" in refused(
        "find", path, "-o", tmp_path / "o.fits", "--model", "no-such-model"
    )


def test_a_graphics_card_that_is_not_there_is_told(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a graphics card")
    path = write_ccube(tmp_path / "ccube.fits")
    assert "cuda" in refused("find", path, "-o", tmp_path / "o.fits", "--device", "cuda")


def test_an_unknown_reference_is_named(tmp_path):
    path = write_ccube(tmp_path / "ccube.fits")
    assert "5FGL" in refused("find", path, "-o", tmp_path / "o.fits", "--reference", "5FGL")


# outputs --------------------------------------------------------------------------------------

OUTPUT_CALLS = {
    "find": lambda out: ["find", "no-input.fits", "-o", out / "catalog.fits"],
    "find --report": lambda out: ["find", "x.fits", "-o", out / "c.fits", "--report", out],
    "bin": lambda out: ["bin", "no-input.fits", "-o", out / "sky.fits"],
    "simulate": lambda out: ["simulate", "-o", out],
    "demo": lambda out: ["demo", "-o", out],
    "evaluate": lambda out: ["evaluate", "no.fits", "--truth", "no.fits", "-o", out],
    "compare": lambda out: ["compare", "no.fits", "-o", out],
    "report": lambda out: ["report", "no.fits", "-o", out],
}
"""Calls whose input does not exist either: a refusal that names the output came first."""

EXISTING = {
    "find": "catalog.fits",
    "find --report": "catalog.reg",
    "bin": "sky.fits",
    "simulate": "truth.fits",
    "demo": "field.png",
    "evaluate": "summary.txt",
    "compare": "summary.txt",
    "report": "report.html",
}


@pytest.mark.parametrize("call", EXISTING)
def test_an_output_that_exists_is_refused_before_anything_is_read(tmp_path, call):
    (tmp_path / EXISTING[call]).write_text("precious")
    before = listing(tmp_path)
    line = refused(*OUTPUT_CALLS[call](tmp_path))
    assert f"{tmp_path / EXISTING[call]}: exists already; give --overwrite" in line
    assert listing(tmp_path) == before


@pytest.mark.parametrize("call", OUTPUT_CALLS)
def test_an_output_in_a_missing_folder_is_refused_before_anything_is_read(tmp_path, call):
    line = refused(*OUTPUT_CALLS[call](tmp_path / "none" / "deep"))
    assert "there is no folder" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", OUTPUT_CALLS)
def test_an_output_that_cannot_be_written_is_refused(tmp_path, monkeypatch, call):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert "Read-only file system" in refused(*OUTPUT_CALLS[call](tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_catalog_name_that_fermipy_would_not_know_is_refused(tmp_path):
    assert ".fits or .fit" in refused("find", "x.fits", "-o", tmp_path / "catalog.txt")


def test_a_failed_run_leaves_the_catalog_it_was_to_replace(tmp_path):
    out = tmp_path / "catalog.fits"
    out.write_text("precious")
    refused("find", tmp_path / "none.fits", "-o", out, "--overwrite")
    assert listing(tmp_path) == {out: b"precious"}


# the program ----------------------------------------------------------------------------------


def test_the_version_is_told():
    assert run("--version").stdout == f"fermi-unek, version {fermi_unek.__version__}\n"


@pytest.mark.parametrize("command", [[], *([name] for name in sorted(cli.main.commands))])
def test_help_succeeds_for_every_command(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: fermi-unek")


def test_a_call_without_a_command_shows_the_help_and_fails():
    result = run()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "fermi_unek", "find"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Missing option '-o'" in done.stderr


@pytest.fixture
def stand_in(monkeypatch):
    """Puts a function in place of the work of `fermi-unek info`."""

    def put(function):
        monkeypatch.setattr("fermi_unek.pipeline.describe", function)

    return put


def test_a_fault_of_ours_keeps_its_traceback(stand_in):
    def fail(item):
        raise ZeroDivisionError("ours")

    stand_in(fail)
    result = run("info", "x")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_is_one_line_and_the_shells_status(stand_in, number, status):
    before = signal.getsignal(number)

    def work(item):
        warnings.warn("few photons", UnekWarning, stacklevel=1)
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            # as libraries do that take whatever goes wrong for a broken file
            raise OSError("Not a gzipped file") from None

    stand_in(work)
    result = run("info", "x")
    assert result.exit_code == status
    assert result.stderr.splitlines() == ["fermi-unek: interrupted"]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("pydantic", signal.SIGINT),
        ("pydantic", signal.SIGTERM),
        ("astropy", signal.SIGTERM),
        ("torch", signal.SIGINT),
    ],
)
def test_a_signal_while_libraries_are_imported_is_as_clean(tmp_path, number, module):
    # from within a string that is executed, as the methods of dataclasses are when they are made
    code = (
        "import os, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: exec('os.kill(os.getpid(), {int(number)})')\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from fermi_unek.__main__ import main\n"
        f"sys.argv[1:] = ['demo', '-o', {str(tmp_path / 'demo')!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 128 + number
    assert done.stderr.splitlines() == ["fermi-unek: interrupted"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_after_the_work_is_done_changes_nothing(number):
    code = (
        "import atexit, os, sys\n"
        f"atexit.register(os.kill, os.getpid(), {int(number)})\n"
        "from fermi_unek.__main__ import main\n"
        "sys.argv[1:] = ['--version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], ["fermi-unek: warning: few photons (3 times)"]),
        (["-q"], []),
        (["--quiet"], []),
        (["--log-level", "error"], []),
        (
            ["--log-level", "debug"],
            [
                "fermi-unek: debug: UserWarning: theirs",
                "fermi-unek: warning: few photons (3 times)",
            ],
        ),
    ],
)
@pytest.mark.parametrize("after", [False, True], ids=["before the command", "after it"])
def test_a_warning_is_one_line_with_a_count(stand_in, options, told, after):
    def warn(item):
        warnings.warn("theirs", UserWarning, stacklevel=1)
        for _ in range(3):
            warnings.warn("few\nphotons", UnekWarning, stacklevel=1)
        return "done"

    stand_in(warn)
    result = run(*(["info", "x", *options] if after else [*options, "info", "x"]))
    assert (result.exit_code, result.stdout) == (0, "done\n")
    assert result.stderr.splitlines() == told


def test_warnings_of_many_files_that_differ_in_name_and_numbers_are_one(stand_in):
    def warn(item):
        for week in range(520):
            text = f"data/week{week:03d}.fits: {week + 1} photons were split at 450 MeV"
            warnings.warn(text, UnekWarning, stacklevel=1)
        warnings.warn("data/week001.fits: no zenith angles", UnekWarning, stacklevel=1)
        return "done"

    stand_in(warn)
    assert run("info", "x").stderr.splitlines() == [
        "fermi-unek: warning: data/week000.fits: 1 photons were split at 450 MeV (and 519 more "
        "like it)",
        "fermi-unek: warning: data/week001.fits: no zenith angles",
    ]


def test_what_is_wrong_stands_alone_without_the_warnings_before_it(stand_in):
    def work(item):
        warnings.warn("few photons", UnekWarning, stacklevel=1)
        raise fermi_unek.errors.InputError("x: no such thing")

    stand_in(work)
    assert refused("info", "x") == "fermi-unek: error: x: no such thing"


def test_the_log_tells_stages_with_their_times(tmp_path):
    path = write_ft1(tmp_path / "ft1.fits")
    result = run("bin", path, "-o", tmp_path / "sky.fits", "--log-level", "info")
    lines = result.stderr.splitlines()
    assert re.fullmatch(r"fermi-unek: info: \d\d:\d\d:\d\d reading", lines[0])
    assert re.fullmatch(r"fermi-unek: info: \d\d:\d\d:\d\d reading: \d+\.\d s", lines[1])


def test_values_after_a_repeatable_option_belong_to_it_up_to_the_next():
    args = ["sky.fits", "--yearly", "a", "b", "-o", "c.fits", "d"]
    spelt = spell_out(args, {"--yearly"})
    assert spelt == ["sky.fits", "--yearly", "a", "--yearly", "b", "-o", "c.fits", "d"]
    assert spell_out(["--yearly=a", "b"], {"--yearly"}) == ["--yearly", "a", "--yearly", "b"]
    assert spell_out(["--yearly", "a", "--", "b", "--c"], {"--yearly"}) == [
        *("--yearly", "a", "--", "b", "--c")
    ]


# options and settings --------------------------------------------------------------------------

COMMANDS = sorted(cli.main.commands)
PROGRAM_OPTIONS = {"log_level", "quiet", "version"}


def model_of(command):
    return getattr(config, command.capitalize())


def needed_by(command):
    """Words without which a command does not start."""
    values = {"network": "localizer", "flux": "1e-9"}
    required = [p for p in cli.main.commands[command].params if p.required]
    return [
        word
        for p in required
        for word in (*([p.opts[0]] if isinstance(p, click.Option) else []), values.get(p.name, "a"))
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_a_setting_and_every_setting_an_option(command):
    options = [parameter.name for parameter in cli.main.commands[command].params]
    assert sorted(options) == sorted([*model_of(command).model_fields, *PROGRAM_OPTIONS])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_the_setting_means_its_range_and_its_default(command):
    parameters = {p.name: p for p in cli.main.commands[command].params}
    for name, field in model_of(command).model_fields.items():
        parameter, bounds, default = (
            parameters[name],
            config.allowed_range(field),
            shown_default(field),
        )
        assert field.description
        assert parameter.required == field.is_required()
        if isinstance(parameter, click.Argument):
            continue
        assert parameter.help.startswith(field.description)
        assert (f"range: {bounds}" in parameter.help) == bool(bounds)
        assert (f"default: {default}" in parameter.help) == bool(default)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_is_not_given_leaves_the_default_of_the_setting(command):
    context = cli.main.commands[command].make_context(command, needed_by(command))
    required = {name for name, f in model_of(command).model_fields.items() if f.is_required()}
    assert set(given(context.params)) == required


@pytest.mark.parametrize(
    ("command", "name", "bound"),
    [
        (command, name, config.allowed_range(field).split(", ")[0])
        for command in COMMANDS
        for name, field in model_of(command).model_fields.items()
        if config.allowed_range(field)
    ],
)
def test_a_value_outside_the_range_that_help_names_is_refused(command, name, bound):
    sign, least = bound.split()
    beyond = int(least) - 1 if sign == ">=" else least
    flag = flag_of(name, model_of(command))
    line = refused(command, *needed_by(command), flag, beyond)
    assert f"error: {flag} is " in line
    assert "greater than" in line


OPTIONS_OF_THE_FIRST_GENERATION = {
    "associate": "-o --output --services --catalogs --min-probability --counterparts --new-only "
    "--cache --max-age --timeout --tries --server --prior --overwrite",
    "bin": "-o --output --evtype --zmax --overwrite",
    "compare": "--reference --radius -o --output --overwrite",
    "demo": "-o --output --overwrite",
    "evaluate": "--truth --radius -o --output --overwrite",
    "export": "-o --output --samp --overwrite",
    "find": "-o --output --threshold --centers --region --model --yearly --exposure --no-classify "
    "--classifier --evtype --zmax --device --scheduler --report --reference --overwrite",
    "info": "",
    "inject": "--flux --number --index --years --exposure --radius --threshold --centers --region "
    "--model --evtype --zmax --device --seed -o --output --overwrite",
    "refit": "-o --output --exposure --caldb --psf --diffuse --iso --background --years --fake-ts "
    "--evtype --zmax --scheduler --workers --overwrite",
    "report": "-o --output --reference --evtype --zmax --overwrite",
    "simulate": "-o --output --population --years --seed --region --format --yearly "
    "--steady --extended --evtype --background --isotropic --exposure --caldb --order "
    "--projection --coordsys --pixel --skies --workers --scheduler --overwrite",
    "train": "--resume --skies-only",
}


@pytest.mark.parametrize("command", OPTIONS_OF_THE_FIRST_GENERATION)
def test_scripts_that_were_written_for_the_first_generation_find_their_options(command):
    made = cli.main.commands[command].params
    flags = {flag for p in made for flag in (*p.opts, *p.secondary_opts)}
    assert set(OPTIONS_OF_THE_FIRST_GENERATION[command].split()) <= flags


def test_the_list_of_commands_is_not_cut():
    text = " ".join(run("--help").stdout.split())
    for command in cli.main.commands.values():
        assert command.short_help.replace("-", "") in text.replace("- ", "").replace("-", "")


def test_mirrors_and_priors_are_pairs(tmp_path):
    line = refused("associate", "c.fits", "-o", tmp_path / "o.fits", "--server", "vizier")
    assert "--server is" in line
    assert "'vizier' is not NAME=VALUE, as expected" in line


# info ------------------------------------------------------------------------------------------


def test_info_tells_what_a_catalog_holds(tmp_path):
    write_catalog(build_catalog(Candidates.empty()), tmp_path / "catalog.fits")
    result = run("info", tmp_path / "catalog.fits")
    assert result.exit_code == 0
    assert result.stdout.startswith("0 candidates (0 selected for a purity of 0.95)\n")


def test_info_tells_what_an_input_holds(tmp_path):
    result = run("info", write_ft1(tmp_path / "ft1.fits"))
    assert result.exit_code == 0
    assert result.stdout.startswith("200 photons (front), within ")
    assert "  2 to 7 GeV: 200\n" in result.stdout


def test_binned_photons_are_told_as_the_photons_were(tmp_path):
    path = write_ft1(tmp_path / "ft1.fits")
    assert run("bin", path, "-o", tmp_path / "sky.fits").exit_code == 0
    assert run("info", tmp_path / "sky.fits").stdout == run("info", path).stdout


def test_quiet_work_says_nothing(tmp_path):
    result = run("-q", "bin", write_ft1(tmp_path / "ft1.fits"), "-o", tmp_path / "sky.fits")
    assert (result.exit_code, result.output) == (0, "")


def test_info_refuses_what_is_nothing_it_knows(tmp_path):
    assert "no-such" in refused("info", tmp_path / "no-such")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_gives_out_is_one_line(monkeypatch, tmp_path, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("fermi_unek.pipeline.describe", fail)
    assert "not enough memory" in refused("info", tmp_path)
    monkeypatch.setattr("fermi_unek.pipeline.describe", lambda *_: 1 / 0)
    assert isinstance(run("info", tmp_path).exception, ZeroDivisionError)
