"""VizieR, SIMBAD and NED are asked as they want to be, and may fail in every way they do."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from archive_server import HANG_S
from associate_samples import places_at, table_at
from astropy import units as u

from fermi_unek.associate import Objects, ServiceFailure, open_services
from fermi_unek.associate.client import (
    Cache,
    CachedResponse,
    Client,
    Host,
    TooManyRows,
    TransientError,
    default_folder,
    send_in_batches,
)
from fermi_unek.associate.ned import Ned
from fermi_unek.associate.responses import read_votable
from fermi_unek.associate.simbad import Simbad
from fermi_unek.associate.vizier import VIZIER_TABLES, Vizier
from fermi_unek.catalog import load_release
from fermi_unek.config import AssociateConfig
from fermi_unek.errors import ConfigError

TABLES = {table.name: table for table in VIZIER_TABLES}


@pytest.fixture
def full(sky):
    """A server that knows a few objects around (80, 30) and elsewhere."""
    sky.vizier["VII/274/bzcat5"] = table_at(
        [80.01, 200.0, 10.0, 11.0],
        [30.0, -40.0, 5.0, 5.0],
        Name=["5BZBJ0520+3000", "5BZQJ1320-4000", "5BZU J0040+0500", "5BZG J0044+0500"],
    )
    sky.vizier["B/psr/psr"] = table_at(
        [80.0, 81.0], [30.0, 30.0], PSRJ=["J0520+3000", "J0524+3000"], P0=[0.0031, 0.5]
    )
    remnants = table_at([80.0], [30.5], SNR=["G176.0-04.0"], MajDiam=[90.0])
    remnants["MajDiam"].unit = u.arcmin
    sky.vizier["VII/297/snrs"] = remnants
    sky.vizier["VII/294/catalog"] = table_at(
        [80.02, 80.3, 80.4, 250.0],
        [30.0, 30.1, 30.2, 0.0],
        Name=["a", "b", "c", "d"],
        Type=["BRX", "QR", "Q", "Q"],
    )
    sky.vizier["IX/72/4fgldr4"] = table_at(
        [80.0], [30.01], **{"4FGL": ["J0520.0+3000"], "Class1": ["bll"]}
    )
    sky.simbad = table_at(
        [80.0, 80.1, 80.2, 250.0, 80.0],
        [30.0, 30.1, 30.0, 0.0, 30.02],
        main_id=["PKS 0517+299", "a star", "PSR J0520+3000", "QSO far", "QSO near"],
        otype=["BLL", "*", "Psr", "QSO", "QSO"],
    )
    sky.ned = table_at(
        [80.0, 80.02, 80.03, 80.04],
        [30.0, 30.0, 30.0, 30.0],
        name=["B2 0517+29", "NVSS J052004+300000", "a galaxy", "the pulsar"],
        type=["QSO", "RadioS", "G", "!Psr"],
    )
    return sky


def service(name, sky, retry, cache=None):
    client = Client(retry, cache or Cache(None))
    if name in TABLES:
        return Vizier(TABLES[name], client, sky.url)
    return {"SIMBAD": Simbad, "NED": Ned}[name](client, sky.url)


def names(surroundings):
    return dict(zip(surroundings.objects.name, surroundings.objects.class_, strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "5BZCAT",
            {
                "5BZBJ0520+3000": "bll",
                "5BZQJ1320-4000": "fsrq",
                "5BZU J0040+0500": "bcu",
                "5BZG J0044+0500": "bll",
            },
        ),
        ("ATNF", {"PSR J0520+3000": "msp", "PSR J0524+3000": "psr"}),
        ("SNR", {"SNR G176.0-04.0": "snr"}),
        ("MQC", {"a": "bll", "b": "bcu", "c": "agn"}),
        ("4FGL_DR4", {"4FGL J0520.0+3000": ""}),
        ("SIMBAD", {"PKS 0517+299": "bll", "PSR J0520+3000": "psr", "QSO near": "agn"}),
        ("NED", {"B2 0517+29": "agn", "NVSS J052004+300000": "rad", "the pulsar": "psr"}),
    ],
)
def test_each_service_hands_over_its_objects_with_their_classes(full, retry, name, expected):
    around = service(name, full, retry).look_up(places_at([80.0], 30.0))
    found = names(around)
    if name == "4FGL_DR4":  # its class column has another name at VizieR; the name is what counts
        assert list(found) == list(expected)
    else:
        assert found == expected
    assert around.reach_deg.shape == (1,)
    assert around.whole_sky is (name not in ("MQC", "SIMBAD", "NED"))
    age = datetime.now(UTC) - datetime.fromisoformat(around.asked)
    assert timedelta(0) <= age + timedelta(seconds=1) < timedelta(minutes=5)


def test_a_remnants_radius_is_its_position_error(full, retry):
    around = service("SNR", full, retry).look_up(places_at([80.0], 30.0))
    assert around.objects.error95_deg.tolist() == [0.75]


def test_gamma_ray_sources_without_listed_errors_have_those_typical_of_4fgl(full, retry):
    around = service("4FGL_DR4", full, retry).look_up(places_at([80.0], 30.0))
    table = load_release("4FGL-DR4")
    radius = np.sqrt(table["Conf_95_SemiMajor"] * table["Conf_95_SemiMinor"])
    assert around.objects.error95_deg[0] == pytest.approx(np.nanmedian(radius[radius > 0]), 0.01)


def test_a_catalog_is_fetched_whole_whatever_tables_with_positions_it_has(full, retry):
    full.vizier["J/A+A/632/A77"] = table_at([1.0], [2.0], Name=["3HSPJ000400.0+020000"])
    around = service("3HSP", full, retry).look_up(places_at([80.0], 30.0))
    assert names(around) == {"3HSPJ000400.0+020000": "bll"}


def test_a_table_that_is_not_there_costs_the_service(full, retry):
    with pytest.raises(ServiceFailure, match="J/ApJS/171/61/table5 has no objects"):
        service("CRATES", full, retry).look_up(places_at([80.0], 30.0))


def test_a_table_of_something_else_costs_the_service(full, retry):
    full.vizier["J/ApJS/242/4"] = table_at([1.0], [2.0], z=[0.1])
    with pytest.raises(ServiceFailure, match="has no objects with positions: .*no column of names"):
        service("WIBRaLS", full, retry).look_up(places_at([80.0], 30.0))


def test_rows_without_positions_are_left_out(full, retry):
    full.vizier["VII/274/bzcat5"]["ra"][1:] = np.nan
    around = service("5BZCAT", full, retry).look_up(places_at([80.0], 30.0))
    assert names(around) == {"5BZBJ0520+3000": "bll"}


@pytest.mark.parametrize(
    ("inside", "raised", "reason"),
    [
        ('<INFO name="QUERY_STATUS" value="OVERFLOW"/>', TooManyRows, "left out rows"),
        (
            '<INFO ID="Errors" name="Errors" value="no such table"/>',
            TransientError,
            "no such table",
        ),
        (
            '<PARAM name="Error" datatype="char" arraysize="*" value=" busy"/>',
            TransientError,
            "busy",
        ),
    ],
)
def test_what_goes_wrong_inside_a_votable_is_noticed(inside, raised, reason):
    text = f'<VOTABLE version="1.4"><RESOURCE type="results">{inside}</RESOURCE></VOTABLE>'
    with pytest.raises(raised, match=reason):
        read_votable(b'<?xml version="1.0"?>' + text.encode())


def test_cones_go_in_batches_and_the_widest_together(full, retry):
    places = places_at(np.full(120, 80.0), 30.0, r95=np.linspace(0.01, 0.5, 120))
    around = service("MQC", full, retry).look_up(places)
    cones = [what for kind, what in full.asked if kind == "cones"]
    assert [n for _, n, _ in cones] == [50, 50, 20]
    radii = [r for _, _, r in cones]
    assert radii == sorted(radii)
    assert max(radii) == pytest.approx(3.0)
    np.testing.assert_allclose(around.reach_deg, np.maximum(1.0, 6 * places.semimajor95_deg))
    # one that lies in several cones is listed once
    assert len(around.objects) == 3


def test_simbad_takes_all_cones_of_a_batch_with_their_own_radii(full, retry):
    places = places_at(np.full(150, 80.0), 30.0, r95=0.05)
    service("SIMBAD", full, retry).look_up(places)
    assert [n for kind, n in full.asked if kind == "simbad"] == [100, 50]


def test_a_batch_that_is_cut_short_is_halved(full, retry):
    full.most_rows = 2
    places = places_at([80.0, 250.0], [30.0, 0.0])
    with pytest.raises(ServiceFailure, match="left out objects around a single source"):
        service("SIMBAD", full, retry).look_up(places)
    full.most_rows = 3
    full.asked.clear()
    around = service("SIMBAD", full, retry).look_up(places)
    assert [n for kind, n in full.asked if kind == "simbad"] == [2, 1, 1]
    assert len(around.objects) == 4


def test_ned_is_asked_place_by_place_and_nothing_there_is_no_failure(full, retry):
    around = service("NED", full, retry).look_up(places_at([80.0, 200.0], [30.0, -60.0]))
    assert len([1 for kind, _ in full.asked if kind == "ned"]) == 2
    assert len(around.objects) == 3


def test_long_work_shows_how_far_it_has_come(full, retry):
    seen = []

    def watch(items, *, total=None, label=""):
        seen.append((label, len(items)))
        return items

    for name in ("SIMBAD", "NED", "MQC"):
        one = service(name, full, retry)
        one.client.progress = watch
        one.look_up(places_at(np.full(60, 80.0), 30.0))
    assert seen == [("SIMBAD", 1), ("NED", 60), ("MQC", 2)]


def test_no_places_ask_for_no_cones(full, retry):
    for name in ("MQC", "SIMBAD", "NED"):
        around = service(name, full, retry).look_up(places_at([], []))
        assert len(around.objects) == 0
    assert full.asked == []


ALL = ["5BZCAT", "MQC", "SIMBAD", "NED"]


def mood_of(name):
    return {"SIMBAD": "simbad", "NED": "ned"}.get(name, "vizier")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("mood", ["500", "429", "garbage", "cut", "error"])
def test_a_service_that_recovers_is_asked_again_after_a_growing_while(
    full, retry, waits, name, mood
):
    full.moods[mood_of(name)] = [mood, mood, "ok"]
    around = service(name, full, retry).look_up(places_at([80.0], 30.0))
    assert len(around.objects) >= 3
    assert waits == [2.0, 4.0]


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("500", "HTTP 500"),
        ("garbage", "cannot be read|no VOTable"),
        ("error", "out of cheese"),
        ("cut", "cannot be read|no VOTable"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_a_service_that_stays_down_fails_with_its_reason(full, retry, waits, name, mood, reason):
    full.moods[mood_of(name)] = [mood]
    with pytest.raises(ServiceFailure, match=rf"({reason}).*\(3 tries\)"):
        service(name, full, retry).look_up(places_at([80.0], 30.0))
    assert waits == [2.0, 4.0]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("mood", ["hang", "stall"])
def test_a_service_that_hangs_is_given_up(full, retry, waits, name, mood):
    full.moods[mood_of(name)] = [mood]
    retry = type(retry)(timeout_s=0.3, tries=2, sleep=waits.append)
    start = time.monotonic()
    with pytest.raises(ServiceFailure, match=r"no answer in time \(2 tries\)"):
        service(name, full, retry).look_up(places_at([80.0], 30.0))
    assert time.monotonic() - start < HANG_S


@pytest.mark.parametrize("name", ALL)
def test_a_redirect_off_the_host_is_refused(full, retry, waits, name):
    full.moods[mood_of(name)] = ["elsewhere", "ok"]
    with pytest.raises(ServiceFailure, match="it sends on to http://localhost, which is not asked"):
        service(name, full, retry).look_up(places_at([80.0], 30.0))
    assert waits == []


@pytest.mark.parametrize("name", ALL)
def test_a_redirect_on_the_host_is_followed(full, retry, name):
    full.moods[mood_of(name)] = ["moved", "ok"]
    assert len(service(name, full, retry).look_up(places_at([80.0], 30.0)).objects)


@pytest.mark.parametrize(
    "url", ["http://vizier.cfa.harvard.edu", "vizier.cfa.harvard.edu", "ftp://a.b", "https://"]
)
def test_a_mirror_must_be_https(url):
    config = AssociateConfig(services=["vizier"], servers={"vizier": url})
    with pytest.raises(ConfigError, match="server of vizier is .*begins https://"):
        open_services(config)
    for good in ("https://vizier.cfa.harvard.edu", "http://127.0.0.1:8080"):
        assert open_services(AssociateConfig(services=["vizier"], servers={"vizier": good}))


@pytest.mark.parametrize("name", ALL)
def test_a_query_that_is_refused_is_not_sent_again(full, retry, waits, name):
    full.moods[mood_of(name)] = ["404"]
    with pytest.raises(ServiceFailure, match="HTTP 404: the service does not take the query"):
        service(name, full, retry).look_up(places_at([80.0], 30.0))
    assert waits == []


@pytest.mark.parametrize("name", ALL)
def test_nobody_at_the_address_is_told(sky, retry, name):
    class Nowhere:
        url = "http://127.0.0.1:9"  # the discard port, where nothing listens

    with pytest.raises(ServiceFailure, match=r"no connection .*\(3 tries\)"):
        service(name, Nowhere, retry).look_up(places_at([80.0], 30.0))


def test_a_service_that_is_down_is_not_tried_for_every_place(full, retry, waits):
    full.moods["ned"] = ["500"]
    client = Client(retry)
    for _ in range(3):
        with pytest.raises(ServiceFailure, match="HTTP 500"):
            Ned(client, full.url).look_up(places_at([80.0], 30.0))
    assert waits == [2.0, 4.0]


def test_what_cannot_be_reached_is_not_tried_for_every_table(retry, waits):
    host = Host()
    for name in ("5BZCAT", "3HSP", "MQC"):
        one = Vizier(TABLES[name], Client(retry, host=host), "http://127.0.0.1:9")
        with pytest.raises(ServiceFailure, match=r"no connection .*\(3 tries\)"):
            one.look_up(places_at([80.0], 30.0))
    assert waits == [2.0, 4.0]


def test_a_table_in_trouble_does_not_take_the_others_with_it(full, retry):
    host = Host()
    full.moods["VII/274/bzcat5"] = ["500"]
    with pytest.raises(ServiceFailure, match="HTTP 500"):
        Vizier(TABLES["5BZCAT"], Client(retry, host=host), full.url).look_up(places_at([1.0], 1))
    other = Vizier(TABLES["ATNF"], Client(retry, host=host), full.url)
    assert len(other.look_up(places_at([1.0], 1.0)).objects) == 2


@pytest.mark.parametrize("name", ALL)
def test_a_second_run_asks_nothing_and_says_how_old_the_answer_is(full, retry, tmp_path, name):
    cache = Cache(tmp_path / "cached")
    places = places_at([80.0], 30.0)
    first = service(name, full, retry, cache).look_up(places)
    n_asked = len(full.asked)
    assert n_asked > 0
    second = service(name, full, retry, cache).look_up(places)
    assert len(full.asked) == n_asked
    assert names(first) == names(second)
    assert second.asked == first.asked
    assert second.note == ""


@pytest.mark.parametrize("name", ALL)
def test_an_old_answer_is_asked_for_again_and_does_when_the_service_is_down(
    full, retry, tmp_path, name
):
    folder = tmp_path / "cached"
    places = places_at([80.0], 30.0)
    first = service(name, full, retry, Cache(folder)).look_up(places)
    (cached,) = folder.iterdir()
    with np.load(cached) as old:
        values = dict(old)
    values["asked"] = np.array((datetime.now(UTC) - timedelta(days=40)).isoformat())
    np.savez(cached, **values)
    full.moods[mood_of(name)] = ["500"]
    stale = service(name, full, retry, Cache(folder)).look_up(places)
    assert names(stale) == names(first)
    assert "did not answer" in stale.note
    age = datetime.now(UTC) - datetime.fromisoformat(stale.asked)
    assert age.days == 40
    full.moods[mood_of(name)] = ["ok"]
    fresh = service(name, full, retry, Cache(folder)).look_up(places)
    assert fresh.note == ""
    assert datetime.fromisoformat(fresh.asked) > datetime.now(UTC) - timedelta(hours=1)


def test_a_damaged_or_forbidden_cache_is_as_if_there_were_none(full, retry, tmp_path):
    folder = tmp_path / "cached"
    places = places_at([80.0], 30.0)
    first = service("5BZCAT", full, retry, Cache(folder)).look_up(places)
    (cached,) = folder.iterdir()
    cached.write_bytes(cached.read_bytes()[:100])
    again = service("5BZCAT", full, retry, Cache(folder)).look_up(places)
    assert names(again) == names(first)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    other = service("5BZCAT", full, retry, Cache(blocked)).look_up(places)
    assert names(other) == names(first)


def test_an_age_of_zero_asks_always(full, retry, tmp_path):
    cache = Cache(tmp_path, max_age_days=0.0)
    for _ in range(2):
        around = service("5BZCAT", full, retry, cache).look_up(places_at([80.0], 30.0))
        assert around.note == ""
    assert len(full.asked) == 2


def test_the_cache_lies_where_the_system_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "fermi_unek" / "associate"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder().parts[-3:] == (".cache", "fermi_unek", "associate")


def test_batches_are_halved_until_they_pass():
    sizes = []

    def ask(batch):
        sizes.append(len(batch))
        if len(batch) > 3:
            raise TooManyRows("too many")
        return CachedResponse(Objects.empty(), datetime.now(UTC))

    assert len(send_in_batches(np.arange(10), 8, ask)) == 5
    assert sizes == [8, 4, 2, 2, 4, 2, 2, 2]


def test_a_fault_is_told_with_the_number_of_tries(retry):
    def send():
        raise TransientError("the reason")

    with pytest.raises(ServiceFailure, match=r"the reason \(3 tries\)"):
        Client(retry).send({"service": "x"}, send)
