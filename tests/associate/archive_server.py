"""A server on 127.0.0.1 that answers as VizieR (asu), SIMBAD (TAP) and NED (objsearch) do.

It holds a sky of its own and reads the queries that astroquery really sends. What goes wrong is
told per service by a list of moods, one a request: "ok", "500", "429", "404", "hang" (no
answer), "stall" (half of one), "garbage", "error" (a VOTable that says so), "cut" (short),
"elsewhere" (a redirect to another host), "moved" (one to the same host, once).
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import parse_qs, urlparse
from xml.sax.saxutils import escape

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import Table

HANG_S = 6.0


@dataclass
class Sky:
    """Tables by VizieR's name, SIMBAD's objects, NED's objects; the moods; what was asked."""

    vizier: dict[str, Table] = field(default_factory=dict)
    simbad: Table | None = None
    ned: Table | None = None
    moods: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, object]] = field(default_factory=list)
    most_rows: int = 10**6
    url: str = ""

    def mood(self, service: str) -> str:
        waiting = self.moods.get(service, [])
        # the last one stays
        return waiting.pop(0) if len(waiting) > 1 else (waiting or ["ok"])[0]


def near(table: Table, ra, dec, radius) -> np.ndarray:
    """Rows within any of some cones."""
    here = SkyCoord(table["ra"], table["dec"], unit="deg")
    inside = np.zeros(len(table), bool)
    for one in zip(ra, dec, radius, strict=True):
        inside |= here.separation(SkyCoord(one[0], one[1], unit="deg")).deg <= one[2]
    return inside


def field_xml(name: str, values: np.ndarray, more: str = "") -> str:
    kind = "double" if np.asarray(values).dtype.kind == "f" else "char"
    array = "" if kind == "double" else ' arraysize="*"'
    return f'<FIELD name="{escape(name)}" datatype="{kind}"{array} {more}/>'


def rows_xml(columns: list[np.ndarray]) -> str:
    lines = []
    for row in zip(*columns, strict=True):
        lines.append("<TR>" + "".join(f"<TD>{escape(str(v))}</TD>" for v in row) + "</TR>")
    return "<DATA><TABLEDATA>" + "".join(lines) + "</TABLEDATA></DATA>"


def vizier_xml(name: str, table: Table, infos: str = "") -> str:
    """As asu answers to -oc.form=d with -out=* and the computed positions."""
    body = ""
    if len(table):
        fields = [
            field_xml("_RAJ2000", table["ra"], 'unit="deg" ucd="pos.eq.ra"'),
            field_xml("_DEJ2000", table["dec"], 'unit="deg" ucd="pos.eq.dec"'),
        ]
        columns = [table["ra"], table["dec"]]
        for column in table.colnames:
            if column in ("ra", "dec"):
                continue
            ucd = 'ucd="meta.id;meta.main"' if column in ("Name", "4FGL", "SNR") else ""
            unit = f'unit="{table[column].unit}"' if table[column].unit else ""
            fields.append(field_xml(column, table[column], f"{ucd} {unit}"))
            columns.append(table[column])
        body = (
            f'<RESOURCE ID="yCat" name="{name}"><DESCRIPTION>a catalog</DESCRIPTION>'
            '<COOSYS ID="J2000" system="eq_FK5" equinox="J2000"/>'
            f'<TABLE ID="T" name="{name}">{"".join(fields)}{rows_xml(columns)}</TABLE></RESOURCE>'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        "<DESCRIPTION>VizieR Astronomical Server vizier.cds.unistra.fr</DESCRIPTION>"
        f'<INFO ID="VERSION" name="votable-version" value="1.99+ (14-Oct-2013)"/>{infos}{body}'
        "</VOTABLE>"
    )


def simbad_xml(table: Table, status: str = "OK") -> str:
    fields = (
        '<FIELD name="main_id" datatype="char" arraysize="*" ucd="meta.id;meta.main"/>'
        '<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main"/>'
        '<FIELD name="dec" datatype="double" unit="deg" ucd="pos.eq.dec;meta.main"/>'
        '<FIELD name="otype" datatype="char" arraysize="*" ucd="src.class"/>'
    )
    rows = rows_xml([table[c] for c in ("main_id", "ra", "dec", "otype")])
    tail = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>' if status == "OVERFLOW" else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><VOTABLE version="1.4" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="OK"/><TABLE>{fields}{rows}</TABLE>{tail}'
        "</RESOURCE></VOTABLE>"
    )


def ned_xml(table: Table, error: str = "") -> str:
    head = (
        '<?xml version="1.0"?>\n<VOTABLE version="1.1"><DEFINITIONS>'
        '<COOSYS ID="J2000" equinox="2000." epoch="2000." system="eq_FK5" /></DEFINITIONS>'
        '<RESOURCE type="results"><DESCRIPTION>Results from query to NED</DESCRIPTION>'
        '<INFO name="QUERY_STATUS" value="OK"/>'
        '<PARAM name="queryDateTime" ucd="time.creation" datatype="char" arraysize="*" '
        'value="2026-11-25T00:00:00PST"/>'
    )
    if error:
        param = f'<PARAM name="Error" datatype="char" arraysize="*" value=" {error}"/>'
        return f"{head}{param}</RESOURCE></VOTABLE>"
    fields = (
        '<FIELD ID="main_col1" name="No." ucd="meta.number" datatype="int" type="hidden"/>'
        '<FIELD ID="main_col2" name="Object Name" ucd="meta.id;meta.main" datatype="char" '
        'arraysize="30"/>'
        '<FIELD ID="main_col3" name="RA(deg)" ucd="pos.eq.ra;meta.main" datatype="double" '
        'unit="degrees"/>'
        '<FIELD ID="main_col4" name="DEC(deg)" ucd="pos.eq.dec;meta.main" datatype="double" '
        'unit="degrees"/>'
        '<FIELD ID="main_col5" name="Type" ucd="src.class" datatype="char" arraysize="*"/>'
    )
    columns = [np.arange(len(table)) + 1, *(table[c] for c in ("name", "ra", "dec", "type"))]
    return (
        f'{head}<TABLE ID="NED_MainTable" name="Main">{fields}{rows_xml(columns)}</TABLE>'
        "</RESOURCE></VOTABLE>"
    )


class Handler(BaseHTTPRequestHandler):
    """One request; the sky hangs on the server."""

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        path = urlparse(self.path)
        if path.path == "/cgi-bin/objsearch":
            self.moody("ned", lambda: self.ned(parse_qs(path.query)))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        sky = self.server.sky
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/viz-bin/votable":
            query = body.decode()
            source = re.search(r"^-source=(.*)$", query, re.M).group(1)
            sky.asked.append(("vizier", source))
            self.moody(source if source in sky.moods else "vizier", lambda: self.vizier(query))
        elif self.path == "/simbad/sim-tap/sync":
            self.moody("simbad", lambda: self.simbad(body))
        else:
            self.send_error(404)

    def moody(self, service: str, answer) -> None:
        mood = self.server.sky.mood(service)
        if mood == "hang":
            time.sleep(HANG_S)
        elif mood in ("500", "404", "429"):
            self.send_error(int(mood))
            return
        elif mood in ("elsewhere", "moved"):
            host = "localhost" if mood == "elsewhere" else "127.0.0.1"
            self.send_response(307)
            self.send_header(
                "Location", f"http://{host}:{self.server.server_address[1]}{self.path}"
            )
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        elif mood == "garbage":
            self.send("<html><body>The database is being maintained</body></html>")
            return
        elif mood == "error":
            self.send(
                '<?xml version="1.0"?><VOTABLE version="1.4"><RESOURCE type="results">'
                '<INFO name="QUERY_STATUS" value="ERROR">out of cheese</INFO></RESOURCE></VOTABLE>'
            )
            return
        text = answer()
        self.send(text[: len(text) // 2] if mood == "cut" else text, pause=mood == "stall")

    def send(self, text: str, pause: bool = False) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            if pause:
                self.wfile.write(data[:100])
                self.wfile.flush()
                time.sleep(HANG_S)
            self.wfile.write(data[100 if pause else 0 :])
        except (BrokenPipeError, ConnectionResetError):  # the client gave up, as it should
            pass

    def vizier(self, query: str) -> str:
        sky = self.server.sky
        source = re.search(r"^-source=(.*)$", query, re.M).group(1)
        table = sky.vizier.get(source)
        if table is None:
            return vizier_xml(source, Table({"ra": [], "dec": []}))
        listed = re.search(r"-c=<<====AstroqueryList\n(.*)\n====AstroqueryList", query, re.S)
        alone = re.search(r"^-c=([\d.+-]+)$", query, re.M)
        if listed or alone:
            places = (listed or alone).group(1).split("\n")
            ra, dec = zip(*(map(float, re.findall(r"[+-]?[\d.]+", p)) for p in places), strict=True)
            radius = float(re.search(r"^-c\.rd=(.*)$", query, re.M).group(1))
            sky.asked.append(("cones", (source, len(ra), radius)))
            table = table[near(table, ra, dec, [radius] * len(ra))]
        return vizier_xml(source, table)

    def simbad(self, body: bytes) -> str:
        sky = self.server.sky
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
        named = {p.get_param("name", header="content-disposition"): p for p in parts}
        adql = named["QUERY"].get_content()
        assert "FROM (SELECT ra, dec, radius FROM TAP_UPLOAD.places) AS places, basic" in adql
        assert named["UPLOAD"].get_content().startswith("places,param:")
        upload = named[named["UPLOAD"].get_content().removeprefix("places,param:")]
        data = upload.get_payload(decode=True)
        cones = votable.parse_single_table(BytesIO(data)).to_table()
        types = re.findall(r"'([^']+)'", adql[adql.index("otype IN") :])
        sky.asked.append(("simbad", len(cones)))
        table = sky.simbad
        inside = near(table, cones["ra"], cones["dec"], cones["radius"])
        table = table[inside & np.isin(table["otype"], types)]
        if len(table) > sky.most_rows:
            return simbad_xml(table[: sky.most_rows], "OVERFLOW")
        return simbad_xml(table)

    def ned(self, query: dict[str, list[str]]) -> str:
        sky = self.server.sky
        assert query["search_type"] == ["Near Position Search"]
        assert query["in_csys"] == ["Equatorial"]
        # NED takes a bare equatorial longitude for hours, and astroquery sends it so
        ra, dec = 15.0 * float(query["lon"][0]), float(query["lat"][0])
        radius = float(query["radius"][0]) / 60.0
        sky.asked.append(("ned", (ra, dec, radius)))
        table = sky.ned[near(sky.ned, [ra], [dec], [radius])]
        return ned_xml(table, "" if len(table) else "No object found.")


def serve(sky: Sky) -> tuple[ThreadingHTTPServer, threading.Thread]:
    """Start the server on a free port; `sky.url` is its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.sky = sky
    sky.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    return server, thread
