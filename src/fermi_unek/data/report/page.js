"use strict";
(() => {
const page = JSON.parse(document.getElementById("data").textContent);
const source = page.sources, reference = page.reference;
const total = source.name.length;
const PAGE_ROWS = 50, DEG = Math.PI / 180;
/* Colors are the style sheet's, of the theme that is on. */
const COLORS = {}, dark = window.matchMedia("(prefers-color-scheme: dark)");
function takeColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["new", "known", "missed", "seen", "chosen", "field", "halo", "ink", "dim", "line", "empty"]) COLORS[name] = style.getPropertyValue("--" + name).trim();
  COLORS.near = COLORS.associated = COLORS.none = COLORS.known;
}
takeColors();
const $ = id => document.getElementById(id);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const known = value => value !== null && value !== undefined;
const has = key => key in source;
const pick = (key, row) => has(key) ? source[key][row] : null;
const flagged = (row, name) => (pick("flags", row) & page.flags[name]) !== 0;
const fake = row => Boolean(pick("fake", row));
const selected = row => !has("selected") || Boolean(source.selected[row]);
const escaped = text => String(text).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" }[c]));

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (known(text)) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/* New: no source of the release within a fixed distance. Associated: one inside the joint error. */
const status = Array.from({ length: total }, (_, row) => {
  if (!page.release) return "none";
  if (pick("fgl_assoc", row)) return "associated";
  const apart = pick("separation", row);
  return known(apart) && apart <= page.new_beyond_deg ? "near" : "new";
});
const MEANING = { new: `no ${page.release} source within ${page.new_beyond_deg}°`, near: `a ${page.release} source within ${page.new_beyond_deg}°, outside the joint 95% error`,
                  associated: `a ${page.release} source inside the joint 95% error`, none: "not compared" };

/* Packed bytes ---------------------------------------------------------------------------- */
async function unpack(text) {
  const raw = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
function trouble(text) { $("trouble").textContent = text; $("trouble").hidden = false; }
const unpacks = typeof DecompressionStream === "function";
if (!unpacks) trouble("This browser is too old to unpack the photons (it has no DecompressionStream): maps are without counts and cards without stamps.");

/* Geometry of the sphere: Galactic unit vectors ------------------------------------------ */
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const unit = (lon, lat) => [Math.cos(lat * DEG) * Math.cos(lon * DEG), Math.cos(lat * DEG) * Math.sin(lon * DEG), Math.sin(lat * DEG)];
const longitude = v => (Math.atan2(v[1], v[0]) / DEG + 360) % 360;
const latitude = v => Math.asin(clamp(v[2], -1, 1)) / DEG;
const POLE = unit(122.93192, 27.12825);  // celestial north
function axes(lon, lat) {
  const l = lon * DEG, b = lat * DEG;
  return { center: unit(lon, lat), west: [Math.sin(l), -Math.cos(l), 0],
           north: [-Math.sin(b) * Math.cos(l), -Math.sin(b) * Math.sin(l), Math.cos(b)] };
}
function cross(a, b) { return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]; }
function scaled(a) { const n = Math.hypot(...a) || 1; return a.map(x => x / n); }
function ellipse(row) {
  const major = pick("major", row), minor = pick("minor", row), angle = pick("angle", row);
  if (!known(major) || !known(minor)) return null;
  const v = unit(source.lon[row], source.lat[row]);
  const east = scaled(cross(POLE, v)), north = cross(v, east), turn = (angle || 0) * DEG;
  return Array.from({ length: 37 }, (_, k) => {
    const t = k * 10 * DEG, a = major * DEG * Math.cos(t), b = minor * DEG * Math.sin(t);
    const n = a * Math.cos(turn) - b * Math.sin(turn), e = a * Math.sin(turn) + b * Math.cos(turn);
    return scaled(v.map((x, i) => x + n * north[i] + e * east[i]));
  });
}
const sourceVectors = Array.from({ length: total }, (_, row) => unit(source.lon[row], source.lat[row]));
const referenceVectors = reference ? reference.name.map((_, row) => unit(reference.lon[row], reference.lat[row])) : [];

/* The two projections: vectors to the canvas (CSS pixels) and back ------------------------ */
function aitoff(width) {
  const scale = (width / 2 - 4) / Math.PI, x0 = width / 2, y0 = width / 4;
  return {
    width, height: width / 2,
    forward(v) {
      let lon = Math.atan2(v[1], v[0]), lat = Math.asin(clamp(v[2], -1, 1));
      const alpha = Math.acos(clamp(Math.cos(lat) * Math.cos(lon / 2), -1, 1));
      const stretch = alpha < 1e-9 ? 1 : alpha / Math.sin(alpha);
      return [x0 - scale * 2 * Math.cos(lat) * Math.sin(lon / 2) * stretch, y0 - scale * Math.sin(lat) * stretch];
    },
    inverse(px, py) {
      const x = (x0 - px) / scale / 2, y = (y0 - py) / scale, far = Math.hypot(x, y);
      if (far > Math.PI / 2) return null;
      const sinc = far < 1e-9 ? 1 : Math.sin(far) / far;
      const lat = Math.asin(clamp(y * sinc, -1, 1)), lon = 2 * Math.atan2(x * sinc, Math.cos(far));
      return [Math.cos(lat) * Math.cos(lon), Math.cos(lat) * Math.sin(lon), Math.sin(lat)];
    },
  };
}
function equalArea(width, view) {
  const { center, west, north } = axes(view.lon, view.lat);
  const scale = (width / 2) / (2 * Math.sin(Math.min(view.radius, 180) / 2 * DEG)), half = width / 2;
  return {
    width, height: width,
    forward(v) {
      const depth = dot(v, center);
      if (depth < -0.999) return null;
      const k = scale * Math.sqrt(2 / (1 + depth));
      return [half + k * dot(v, west), half - k * dot(v, north)];
    },
    inverse(px, py) {
      const x = (px - half) / scale, y = (half - py) / scale, squared = x * x + y * y;
      if (squared > 4) return null;
      const depth = 1 - squared / 2, s = Math.sqrt(1 - squared / 4);
      return center.map((c, i) => depth * c + s * (x * west[i] + y * north[i]));
    },
  };
}

/* The photons behind the maps --------------------------------------------------------------- */
let brightness = null;
function brightnessAt() {
  const grid = page.backdrop;
  if (grid.kind === "car") {
    return v => {
      const lon = Math.atan2(v[1], v[0]) / DEG;
      const column = clamp(Math.floor((180 - lon) / 360 * grid.columns), 0, grid.columns - 1);
      const row = clamp(Math.floor((latitude(v) + 90) / 180 * grid.rows), 0, grid.rows - 1);
      return brightness[row * grid.columns + column];
    };
  }
  const { center, west, north } = axes(grid.lon, grid.lat), scale = 1 / (grid.pixel * DEG);
  return v => {
    const depth = dot(v, center);
    if (depth < 0) return 0;
    const k = scale * Math.sqrt(2 / (1 + depth));
    const column = Math.floor(grid.columns / 2 + k * dot(v, west)), row = Math.floor(grid.rows / 2 + k * dot(v, north));
    return column < 0 || row < 0 || column >= grid.columns || row >= grid.rows ? 0 : brightness[row * grid.columns + column];
  };
}
function backdrop(projection) {
  const width = Math.round(projection.width), height = Math.round(projection.height);
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  const look = brightness ? brightnessAt() : null;
  const values = new Int16Array(width * height).fill(-1), histogram = new Uint32Array(256);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const v = projection.inverse(x + 0.5, y + 0.5);
      if (v) { values[at] = look ? look(v) : 0; histogram[values[at]]++; }
    }
  }
  // contrast between the second and the last percents of what is in view
  histogram[0] = 0;
  const seen = histogram.reduce((a, n) => a + n, 0);
  const percentile = share => { let sum = 0; return Math.max(1, histogram.findIndex(n => (sum += n) >= share * seen && sum > 0)); };
  const low = percentile(.02), span = Math.max(percentile(.998) - low, 8);
  const nothing = dark.matches ? [40, 50, 62, 255] : [226, 233, 241, 255];
  values.forEach((value, k) => {
    if (value < 0) return;
    const share = clamp((value - low) / span, 0, 1), grey = dark.matches ? 24 + 105 * share : 252 - 110 * share;
    image.data.set(value ? [grey, grey, grey, 255] : nothing, 4 * k);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

function plus(pen, p, size, color, width) {
  pen.strokeStyle = color; pen.lineWidth = width; pen.beginPath();
  pen.moveTo(p[0] - size, p[1]); pen.lineTo(p[0] + size, p[1]); pen.moveTo(p[0], p[1] - size); pen.lineTo(p[0], p[1] + size);
  pen.stroke();
}
function shape(pen, p, kind, size) {
  pen.beginPath();
  if (kind === "new") { const s = size * 1.25; pen.moveTo(p[0], p[1] - s); pen.lineTo(p[0] + s, p[1]); pen.lineTo(p[0], p[1] + s); pen.lineTo(p[0] - s, p[1]); pen.closePath(); }
  else if (kind === "near") pen.rect(p[0] - .9 * size, p[1] - .9 * size, 1.8 * size, 1.8 * size);
  else pen.arc(p[0], p[1], size, 0, 7);
}

/* A map: backdrop, graticule, marks, what is under the pointer ------------------------------- */
class SkyMap {
  constructor(canvas, project, options) {
    Object.assign(this, { canvas, project, options, points: [] });
    canvas.addEventListener("pointermove", event => this.hover(event));
    canvas.addEventListener("pointerleave", () => { $("tip").hidden = true; });
    canvas.addEventListener("pointerdown", event => { this.pressed = this.at(event); });
    canvas.addEventListener("click", event => this.click(event));
    canvas.addEventListener("keydown", event => this.key(event));
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
  }
  resize() {
    const width = Math.floor(this.canvas.parentElement.clientWidth);
    if (width && width !== this.width) { this.width = width; this.refresh(); }
  }
  refresh() {
    if (!this.width) return;
    this.projection = this.project(this.width);
    this.behind = backdrop(this.projection);
    this.draw();
  }
  draw() {
    if (!this.projection) return;
    const { width, height } = this.projection, ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio; this.canvas.height = height * ratio;
    this.canvas.style.height = height + "px";
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.drawImage(this.behind, 0, 0, width, height);
    this.labels = [];
    this.graticule(pen);
    this.points = [];
    this.marks(pen);
    this.write(pen);
  }
  line(pen, vectors, limit) {
    let before = null;
    pen.beginPath();
    for (const v of vectors) {
      const here = this.projection.forward(v);
      if (!here) { before = null; continue; }
      if (before && Math.hypot(here[0] - before[0], here[1] - before[1]) < limit) pen.lineTo(...here); else pen.moveTo(...here);
      before = here;
    }
    pen.stroke();
  }
  graticule(pen) {
    const { width, height } = this.projection, [across, step] = this.options.steps();
    const limit = width / 3, span = Math.max(step, 1);
    pen.strokeStyle = dark.matches ? "rgba(170,190,210,.28)" : "rgba(60,90,120,.28)"; pen.lineWidth = 1;
    for (let lat = -90 + step; lat < 90; lat += step) {
      const path = []; for (let lon = -180; lon <= 180; lon += span / 4) path.push(unit(lon === 180 ? 179.999 : lon === -180 ? -179.999 : lon, lat));
      this.line(pen, path, limit); this.label(path, lat, 0);
    }
    for (let lon = 0; lon < 360; lon += across) {
      const path = []; for (let lat = -90; lat <= 90; lat += span / 4) path.push(unit(lon === 180 ? 179.999 : lon, lat));
      this.line(pen, path, limit); this.label(path, lon, 1);
    }
    if (this.options.whole) for (let lat = -60; lat <= 60; lat += 30) {
      if (lat) this.text(lat + "°", this.projection.forward(unit(-179.99, lat)), 2, 3);
    }
    if (this.options.whole) for (let lon = 60; lon < 360; lon += 60) this.text(lon + "°", this.projection.forward(unit(lon === 180 ? 179.99 : lon, 0)), lon === 180 ? 2 : -12, -3);
    else { pen.strokeStyle = COLORS.dim; pen.strokeRect(.5, .5, width - 1, height - 1); }
  }
  text(text, where, dx, dy) { if (where) this.labels.push([text, where[0] + dx, where[1] + dy]); }
  write(pen) {
    pen.fillStyle = COLORS.ink; pen.font = "11px system-ui, sans-serif"; pen.strokeStyle = COLORS.halo; pen.lineWidth = 3;
    const taken = [];
    for (const [text, left, y] of this.labels) {
      const width = pen.measureText(text).width, x = clamp(left, 1, this.projection.width - width - 1);
      if (taken.some(([a, b, w]) => Math.abs(b - y) < 12 && x < a + w + 4 && a < x + width + 4)) continue;
      taken.push([x, y, width]);
      pen.strokeText(text, x, y); pen.fillText(text, x, y);
    }
  }
  label(path, value, axis) {
    if (this.options.whole) return;
    const { width, height } = this.projection;
    let before = null;
    for (const v of path) {
      const here = this.projection.forward(v);
      if (here && before) {
        const crosses = axis ? (here[1] - height + 6) * (before[1] - height + 6) <= 0 && here[0] > 4 && here[0] < width - 34
                             : (here[0] - 6) * (before[0] - 6) <= 0 && here[1] > 14 && here[1] < height - 22;
        if (crosses) { this.text(`${axis ? "l " : "b "}${+value.toFixed(1)}°`, axis ? [here[0] + 3, height - 5] : [4, here[1] - 3], 0, 0); return; }
      }
      before = here;
    }
  }
  marks(pen) {
    const { width, height } = this.projection, whole = this.options.whole;
    const inside = p => p && p[0] >= -9 && p[1] >= -9 && p[0] <= width + 9 && p[1] <= height + 9;
    if (whole && page.view[2] < 180) {
      pen.strokeStyle = COLORS.field; pen.lineWidth = 2; pen.setLineDash([2, 2]);
      this.circle(pen, ...page.view);
    }
    if (!whole && reference && reference.extent) {
      pen.strokeStyle = COLORS.missed; pen.lineWidth = 1.2; pen.setLineDash([5, 4]);
      reference.extent.forEach((extent, row) => { if (extent) this.circle(pen, reference.lon[row], reference.lat[row], extent); });
    }
    pen.setLineDash([]);
    referenceVectors.forEach((v, row) => {
      const p = this.projection.forward(v);
      if (!inside(p)) return;
      const near = reference.near[row];
      const bright = clamp((reference.signif[row] || 4) / 12, 0.35, 1), size = whole ? 2.4 * bright : 3 + 2 * bright;
      pen.globalAlpha = whole ? .25 + .75 * bright : 1;
      if (!whole) plus(pen, p, size + 1, COLORS.halo, 3.5);
      plus(pen, p, size, near ? COLORS.seen : COLORS.missed, whole ? .8 : 1.4);
      this.points.push([p[0], p[1], -1 - row]);
    });
    pen.globalAlpha = 1;
    // of thousands of marks the improbable ones are faint, so that the sky is seen
    const few = shown.length < 300, opacity = row => few ? 1 : clamp(source.probability[row] ** 2, .1, .9);
    for (const kind of ["none", "associated", "near", "new"]) for (const row of shown) {
      if (status[row] !== kind) continue;
      const p = this.projection.forward(sourceVectors[row]);
      if (!inside(p)) continue;
      if (!whole) this.ring(pen, row);
      this.mark(pen, p, row, whole ? (few ? 3 : 1.6) : 4, whole ? opacity(row) : 1);
      this.points.push([p[0], p[1], row]);
    }
    if (chosen !== null) {
      const p = this.projection.forward(sourceVectors[chosen]), radius = whole ? 7 : 12;
      if (inside(p) && !shown.includes(chosen)) this.mark(pen, p, chosen, whole ? 2 : 4, 1);
      if (inside(p)) for (const [color, width] of [[COLORS.halo, 5], [COLORS.chosen, 2.5]]) { pen.strokeStyle = color; pen.lineWidth = width; pen.beginPath(); pen.arc(p[0], p[1], radius, 0, 7); pen.stroke(); }
    }
  }
  mark(pen, p, row, size, alpha) {
    pen.globalAlpha = alpha;
    shape(pen, p, status[row], size);
    if (fake(row)) for (const [color, width] of [[COLORS.halo, 3.5], [COLORS[status[row]], 1.5]]) { pen.strokeStyle = color; pen.lineWidth = width; pen.stroke(); }
    else { pen.fillStyle = COLORS[status[row]]; pen.strokeStyle = COLORS.halo; pen.lineWidth = size > 2 ? 1 : 0.4; pen.fill(); pen.stroke(); }
    pen.globalAlpha = 1;
  }
  ring(pen, row) {
    const path = ellipse(row);
    if (!path) return;
    for (const [color, width] of [[COLORS.halo, 3], [COLORS[status[row]], 1.3]]) { pen.strokeStyle = color; pen.lineWidth = width; this.line(pen, path, this.projection.width); }
  }
  circle(pen, lon, lat, degrees) {
    const { center, west, north } = axes(lon, lat), radius = degrees * DEG;
    const path = Array.from({ length: 73 }, (_, k) => center.map((c, i) => Math.cos(radius) * c + Math.sin(radius) * (Math.cos(k * 5 * DEG) * west[i] + Math.sin(k * 5 * DEG) * north[i])));
    this.line(pen, path, this.projection.width / 3);
  }
  at(event) { const box = this.canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; }
  nearest(x, y, candidatesOnly) {
    let best = null, least = 100;
    for (const [px, py, row] of this.points) {
      if (candidatesOnly && row < 0) continue;
      const far = (px - x) ** 2 + (py - y) ** 2 - (row >= 0 ? 4 : 0);
      if (far < least) { least = far; best = row; }
    }
    return best;
  }
  hover(event) {
    const [x, y] = this.at(event), tip = $("tip"), found = this.nearest(x, y, false), v = this.projection && this.projection.inverse(x, y);
    if (!v) { tip.hidden = true; return; }
    let text = `l ${longitude(v).toFixed(2)}°, b ${latitude(v).toFixed(2)}°`;
    if (known(found)) text = found >= 0 ? `${source.name[found]} · probability ${fixed(source.probability[found], 3)}${fake(found) ? " · likely fake" : ""} · ${MEANING[status[found]]}`
      : `${reference.name[-1 - found]} · ${fixed(reference.signif[-1 - found], 1)} σ ${reference.class ? reference.class[-1 - found] : ""} ${reference.assoc ? reference.assoc[-1 - found] : ""}`;
    tip.textContent = text; tip.hidden = false;
    const box = $("maps").getBoundingClientRect();
    tip.style.left = clamp(event.clientX - box.left + 12, 0, Math.max(0, box.width - tip.offsetWidth)) + "px";
    tip.style.top = event.clientY - box.top + 16 + "px";
  }
  click(event) {
    const [x, y] = this.at(event), [x0, y0] = this.pressed || [x, y];
    if (Math.hypot(x - x0, y - y0) > 5) return;  // a drag
    const found = this.nearest(x, y, true), v = this.projection.inverse(x, y);
    if (known(found)) choose(found, true);
    else if (v) look(longitude(v), latitude(v), Math.min(view.radius, 10));
  }
  key(event) {
    const zoom = { "+": 1 / 1.6, "=": 1 / 1.6, "-": 1.6 }[event.key];
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) this.walk(...step);
    else if (zoom) look(view.lon, view.lat, view.radius * zoom);
    else if (event.key === "Home") look(home.lon, home.lat, home.radius);
    else if (event.key === "Enter") $("card-name").focus();
    else return;
    event.preventDefault();
  }
  walk(right, down) {
    const from = chosen === null ? null : this.projection.forward(sourceVectors[chosen]);
    const [x0, y0] = from || [this.projection.width / 2, this.projection.height / 2];
    let best = null, least = Infinity;
    for (const [px, py, row] of this.points) {
      const along = (px - x0) * right + (py - y0) * down, across = Math.abs((px - x0) * down - (py - y0) * right);
      if (row < 0 || row === chosen || along <= 0 || across > along || along + across >= least) continue;
      least = along + across; best = row;
    }
    if (best !== null) choose(best, false);
  }
}
const home = { lon: page.view[0], lat: page.view[1], radius: page.view[2] < 180 ? page.view[2] * 1.03 : 15 };
let view = { ...home };
function look(lon, lat, radius) { view = { lon, lat, radius: clamp(radius, 0.5, 60) }; fieldMap.refresh(); caption(); }
function caption() {
  const counts = page.backdrop ? `; counts above ${page.backdrop.lowest_gev} GeV` : "";
  $("field-caption").textContent = `Field of ${+view.radius.toFixed(1)}° radius around l ${view.lon.toFixed(1)}°, b ${view.lat.toFixed(1)}°, Galactic north up; 95% error ellipses${counts}. Keys: arrows go to the next candidate, Enter to its card, + and − zoom, Home shows all.`;
}

/* The table -------------------------------------------------------------------------------------- */
const fixed = (value, places) => known(value) ? value.toFixed(places) : "";
const precise = value => known(value) ? value.toExponential(2) : "";
const released = () => page.release;
const associated = row => pick("fgl_assoc", row) || (pick("fgl", row) ? `(${source.fgl[row]})` : "");
const COLUMNS = [
  { key: "name", label: "Name", text: true },
  { key: "probability", label: "Prob.", places: 3, down: true },
  { key: "status", label: "Status", text: true, value: row => status[row], only: released },
  { key: "ra", label: "RA (°)", places: 4 }, { key: "dec", label: "Dec (°)", places: 4 },
  { key: "major", label: "r95 (°)", places: 3 },
  { key: "class", label: "Class", text: true },
  { key: "fake", label: "Fake", text: true, value: row => fake(row) ? "fake" : "" },
  { key: "signif", label: "Signif. (σ)", places: 1, down: true },
  { key: "flux", label: "Flux (cm⁻² s⁻¹)", title: "photon flux, 1 to 100 GeV", precise: true, down: true },
  { key: "assoc", label: "Counterpart", text: true },
  { key: "fgl", label: "4FGL (nearest)", title: "source inside the joint 95% error; else, in brackets, the nearest", text: true, value: associated },
  { key: "separation", label: "Sep. (°)", title: "distance to the nearest source of the release", places: 3 },
  { key: "bayes", label: "P(assoc)", places: 2, down: true },
  { key: "variability", label: "Variability", places: 1, down: true },
  { key: "lon", label: "l (°)", places: 4 }, { key: "lat", label: "b (°)", places: 4 },
].filter(c => c.only ? c.only() : c.key in source);
for (const c of COLUMNS) c.value = c.value || (row => source[c.key][row]);
const write = (c, row) => { const value = c.value(row); return c.text ? value : c.precise ? precise(value) : fixed(value, c.places); };

let shown = [], first = 0, chosen = null, sorting = { column: COLUMNS.find(c => c.key === "probability"), sign: -1 };
function passes(row) {
  const wanted = $("search").value.trim().toLowerCase();
  if (wanted && !["name", "fgl", "fgl_assoc", "assoc", "class"].some(key => String(pick(key, row) || "").toLowerCase().includes(wanted))) return false;
  if ($("status").value && status[row] !== $("status").value) return false;
  if (has("class") && $("class").value && (source.class[row] || "-") !== $("class").value) return false;
  if (source.probability[row] < Number($("least").value || 0)) return false;
  if (Math.abs(source.lat[row]) < Number($("latitude").value || 0)) return false;
  if (!$("edges").checked && flagged(row, "edge")) return false;
  if (!$("inside").checked && flagged(row, "extended")) return false;
  if (!$("rest").checked && !selected(row)) return false;
  return $("fakes").checked || !fake(row);
}
function select() {
  shown = [];
  for (let row = 0; row < total; row++) if (passes(row)) shown.push(row);
  const { column, sign } = sorting, empty = value => !known(value) || value === "";
  const keys = new Map(shown.map(row => [row, column.value(row)]));
  shown.sort((a, b) => {
    const p = keys.get(a), q = keys.get(b);
    if (empty(p) || empty(q)) return empty(p) - empty(q) || a - b;
    return sign * (column.text ? p.localeCompare(q) : p - q) || a - b;
  });
  first = 0;
}
function heads() {
  const line = element("tr");
  for (const c of COLUMNS) {
    const cell = element("th", null, c.text ? "text" : ""), button = element("button");
    cell.scope = "col"; button.type = "button"; button.title = c.title || "";
    button.onclick = () => { sorting = { column: c, sign: sorting.column === c ? -sorting.sign : c.down ? -1 : 1 }; select(); table(); };
    cell.append(button); line.append(cell);
    c.head = cell;
  }
  $("table").tHead.replaceChildren(line);
}
function table() {
  for (const c of COLUMNS) {
    const sign = sorting.column === c ? sorting.sign : 0;
    c.head.firstChild.textContent = c.label + (sign > 0 ? " ▲" : sign < 0 ? " ▼" : "");
    c.head.setAttribute("aria-sort", sign > 0 ? "ascending" : sign < 0 ? "descending" : "none");
  }
  const body = $("table").tBodies[0], held = body.contains(document.activeElement) ? document.activeElement.textContent : null;
  const rows = shown.slice(first, first + PAGE_ROWS).map(row => {
    const line = element("tr", null, row === chosen ? "chosen" : "");
    for (const c of COLUMNS) {
      const text = write(c, row), cell = element(c.key === "name" ? "th" : "td", null, c.text ? "text" : "");
      if (c.key === "name") {
        const button = element("button", text);
        button.type = "button"; cell.scope = "row";
        if (row === chosen) button.setAttribute("aria-current", "true");
        cell.append(button);
      } else if (c.key === "status") cell.append(element("span", text, "tag " + text));
      else { cell.textContent = text; if (c.text) cell.title = text; }
      line.append(cell);
    }
    line.onclick = () => choose(row, true);
    return line;
  });
  body.replaceChildren(...rows);
  // whoever stood on a row stands there still
  if (held !== null) [...body.querySelectorAll("button")].find(button => button.textContent === held)?.focus({ preventScroll: true });
  const cut = page.found > total ? ` (the ${total.toLocaleString()} most probable of ${page.found.toLocaleString()})` : "";
  const rest = $("rest").checked ? 0 : source.name.filter((_, row) => !selected(row)).length;
  const hidden = $("fakes").checked ? 0 : source.name.filter((_, row) => fake(row) && (selected(row) || !rest)).length;
  $("shown").textContent = total === 0 ? "Nothing was found above the threshold."
    : `${shown.length === total ? "" : shown.length.toLocaleString() + " of "}${total.toLocaleString()} candidate${total === 1 ? "" : "s"}${cut}${rest ? `; ${rest.toLocaleString()} not selected hidden` : ""}${hidden ? `; ${hidden.toLocaleString()} likely fake hidden` : ""}. A row opens its card.`;
  document.querySelector("#list .scroll").hidden = shown.length === 0;
  pager();
}
/* A button that leads nowhere stays focusable, so that the focus is not lost at either end. */
function lead(button, to, go) { button.setAttribute("aria-disabled", String(!known(to))); button.onclick = () => { if (known(to)) go(to); }; }
function pager() {
  const last = Math.max(0, Math.ceil(shown.length / PAGE_ROWS) - 1) * PAGE_ROWS, go = to => { first = to; table(); };
  $("pager").hidden = shown.length <= PAGE_ROWS;
  for (const [id, to] of [["first", 0], ["back", Math.max(0, first - PAGE_ROWS)], ["on", Math.min(last, first + PAGE_ROWS)], ["last", last]]) lead($(id), to === first ? null : to, go);
  $("span").textContent = `${(first + 1).toLocaleString()} to ${Math.min(first + PAGE_ROWS, shown.length).toLocaleString()} of ${shown.length.toLocaleString()}`;
}
/* Rows that are shown, under the names of the catalog's columns with their units. */
function csv() {
  const quoted = text => /[",\n]/.test(text) ? `"${String(text).replace(/"/g, '""')}"` : text;
  const keys = Object.keys(page.columns).filter(has);
  const lines = [keys.map(key => quoted(page.columns[key])), ...shown.map(row => keys.map(key => key === "fake" ? fake(row) : key === "selected" ? selected(row) : quoted(source[key][row] ?? "")))];
  return lines.map(line => line.join(",")).join("\n") + "\n";
}
function save() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "candidates.csv"; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/* The card ---------------------------------------------------------------------------------------- */
function choose(row, scroll) {
  chosen = row;
  const place = shown.indexOf(row);
  if (place >= 0 && (place < first || place >= first + PAGE_ROWS)) first = Math.floor(place / PAGE_ROWS) * PAGE_ROWS;
  table();
  skyMap.draw();
  if (page.view[2] >= 180) look(source.lon[row], source.lat[row], Math.min(view.radius, 5)); else fieldMap.draw();
  card(row);
  const hash = "#" + encodeURIComponent(source.name[row]);
  if (location.hash !== hash) history.replaceState(null, "", hash);
  if (scroll && window.matchMedia("(max-width: 1080px)").matches) $("card").scrollIntoView({ block: "start" });
}
function card(row) {
  const place = shown.indexOf(row), box = $("card-body");
  $("card-name").textContent = row === null ? "No candidate chosen" : source.name[row];
  for (const [id, sign] of [["previous", -1], ["next", 1]]) lead($(id), place < 0 ? null : shown[place + sign], to => choose(to, false));
  if (row === null) { box.replaceChildren(element("p", total ? "A row of the table or a mark on a map opens a candidate's card." : "No candidates, no cards.", "dim")); return; }
  const tags = element("p");
  const tag = (text, kind) => tags.append(element("span", text, "tag " + (kind || "")), " ");
  if (page.release) tag(status[row] === "new" ? `new: ${MEANING.new}` : status[row], status[row]);
  if (pick("class", row)) tag(source.class[row]);
  if (flagged(row, "extended")) tag("inside an extended 4FGL source", "bad");
  if (flagged(row, "edge")) tag("near an edge of the data", "bad");
  if (!selected(row)) tag("not selected", "bad");
  if (fake(row)) tag("likely fake", "bad");
  box.replaceChildren(tags, facts(row), ...stampsOf(row), ...lightCurve(row), ...spectrum(row), ...classes(row), ...counterparts(row));
}
function facts(row) {
  const list = element("dl");
  const fact = (name, text) => { if (text) list.append(element("dt", name), element("dd", text)); };
  fact("Probability", fixed(source.probability[row], 3));
  fact("RA, Dec (ICRS)", `${fixed(source.ra[row], 4)}°, ${fixed(source.dec[row], 4)}°`);
  fact("l, b", `${fixed(source.lon[row], 4)}°, ${fixed(source.lat[row], 4)}°`);
  if (known(pick("major", row))) fact("95% ellipse", `${fixed(source.major[row], 3)}° × ${fixed(pick("minor", row), 3)}° (semi-axes), position angle ${fixed(pick("angle", row), 0)}°`);
  fact("4FGL association", pick("fgl_assoc", row) || (page.release && "none inside the joint 95% error"));
  if (pick("fgl", row)) fact("Nearest 4FGL", `${source.fgl[row]} at ${fixed(source.separation[row], 3)}°`);
  if (known(pick("signif", row))) fact("Significance", `${fixed(source.signif[row], 1)} σ`);
  if (known(pick("flux", row))) fact("Flux 1 to 100 GeV", `${precise(source.flux[row])}${known(pick("flux_error", row)) ? " ± " + precise(source.flux_error[row]) : ""} cm⁻² s⁻¹`);
  if (known(pick("variability", row))) fact("Variability index", fixed(source.variability[row], 1));
  return list;
}
const STOPS = [[255, 255, 255], [253, 226, 160], [245, 150, 90], [200, 60, 95], [110, 20, 110], [15, 5, 50]];
function heat(share) {
  const at = clamp(share, 0, 1) * (STOPS.length - 1), k = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[k].map((low, i) => Math.round(low + (STOPS[k + 1][i] - low) * (at - k)));
}
function stampsOf(row) {
  if (!page.stamps) return [];
  const text = page.stamps.packed[row], title = element("h4", "Photons");
  if (!text) return [title, element("p", "This page has no room for the stamps of its least probable candidates.", "dim")];
  const grid = element("div", null, "stamps"), bar = element("div", null, "scale"), boxes = page.stamps.pixels.map((_, k) => {
    const figure = element("figure"), canvas = element("canvas"), label = element("figcaption");
    canvas.width = canvas.height = 240; canvas.setAttribute("role", "img");
    label.textContent = band(k) + " GeV";
    figure.append(canvas, label); grid.append(figure);
    return { canvas, label };
  });
  if (unpacks) unpack(text).then(octets => {
    const half = octets.length / 2;
    let start = 0;
    const planes = page.stamps.pixels.map(n => Array.from({ length: n * n }, () => { const i = start++; return (octets[i] | octets[half + i] << 8) - 1; }));
    const most = planes.flat().reduce((a, v) => Math.max(a, v), 4);
    planes.forEach((values, k) => stamp(boxes[k], values, page.stamps.pixels[k], k, row, most));
    scale(bar, most);
  }).catch(error => trouble("The stamps cannot be unpacked: " + error));
  return [title, grid, bar, element("p", `Photons per pixel, one scale for all bands; ${page.stamps.side_deg.toFixed(1)}° wide, Galactic north up; ellipse: 95% error; crosses: 4FGL sources.`, "dim")];
}
const share = (value, most) => Math.log1p(value) / Math.log1p(most);
function scale(bar, most) {
  const strip = element("i"), ticks = element("p"), marks = [0, 1, 10, 100, 1000, 10000].filter(v => v < most * .7).concat(most);
  strip.style.background = `linear-gradient(90deg, ${STOPS.map(stop => `rgb(${stop})`).join(",")})`;
  for (const value of marks) { const tick = element("span", value.toLocaleString()); tick.style.left = `${100 * share(value, most)}%`; ticks.append(tick); }
  bar.replaceChildren(strip, ticks);
}
const band = k => `${+page.energies_gev[k].toPrecision(3)} to ${+page.energies_gev[k + 1].toPrecision(3)}`;
function stamp({ canvas, label }, values, n, k, row, most) {
  const pen = canvas.getContext("2d"), size = canvas.width / n;
  canvas.setAttribute("aria-label", `Photons, ${band(k)} GeV`);
  if (values.every(value => value < 0)) { label.textContent = `${band(k)} GeV: no data`; return; }
  values.forEach((value, i) => {
    const x = (i % n) * size, y = canvas.height - (Math.floor(i / n) + 1) * size;
    pen.fillStyle = value < 0 ? COLORS.empty : `rgb(${heat(share(value, most))})`;
    pen.fillRect(Math.floor(x), Math.floor(y), Math.ceil(size), Math.ceil(size));
  });
  const { center, west, north } = axes(source.lon[row], source.lat[row]);
  const scale = canvas.width / (page.stamps.side_deg * DEG), half = canvas.width / 2;
  const place = v => { const depth = dot(v, center); return depth < .5 ? null : [half + scale * dot(v, west) / depth, half - scale * dot(v, north) / depth]; };
  const path = (ellipse(row) || []).map(place);
  // black in white is seen on every color of the scale, in both themes
  for (const [color, width] of [["#fff", 6], ["#000", 2.5]]) {
    pen.strokeStyle = color; pen.lineWidth = width; pen.beginPath();
    path.forEach((p, i) => i ? pen.lineTo(...p) : pen.moveTo(...p)); pen.stroke();
    referenceVectors.forEach(v => {
      const p = place(v);
      if (p && Math.min(...p) > 0 && Math.max(...p) < canvas.width) plus(pen, p, width > 3 ? 10 : 8, color, width);
    });
  }
  const sum = values.reduce((a, v) => a + Math.max(v, 0), 0);
  const summary = `${band(k)} GeV: ${sum.toLocaleString()}`;
  label.textContent = summary; canvas.setAttribute("aria-label", `Photons, ${band(k)} GeV: ${sum} in all, at most ${values.reduce((a, v) => Math.max(a, v))} in a pixel`);
  canvas.onpointermove = event => {
    const box = canvas.getBoundingClientRect();
    const column = clamp(Math.floor((event.clientX - box.left) / box.width * n), 0, n - 1), line = clamp(n - 1 - Math.floor((event.clientY - box.top) / box.height * n), 0, n - 1);
    const value = values[line * n + column];
    label.textContent = value < 0 ? "not observed" : `${value} photon${value === 1 ? "" : "s"} here`;
  };
  canvas.onpointerleave = () => { label.textContent = summary; };
}

/* Charts: text of SVG made from numbers and fixed words only --------------------------------------- */
const W = 400, H = 170, LEFT = 62, BOTTOM = 30, TOP = 10, RIGHT = 8;
function frame(xTicks, yTicks, x, y, xLabel, yLabel, body) {
  let out = `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${escaped(yLabel)} against ${escaped(xLabel)}"><g class="axis">`;
  for (const [value, text] of yTicks) out += `<line class="grid" x1="${LEFT}" x2="${W - RIGHT}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 4}" y="${y(value) + 4}" text-anchor="end">${escaped(text)}</text>`;
  for (const [value, text] of xTicks) out += `<line x1="${x(value)}" x2="${x(value)}" y1="${H - BOTTOM}" y2="${H - BOTTOM + 4}"/><text x="${x(value)}" y="${H - BOTTOM + 15}" text-anchor="${x(value) > W - RIGHT - 12 ? "end" : "middle"}">${escaped(text)}</text>`;
  return out + `<text x="${(LEFT + W - RIGHT) / 2}" y="${H - 2}" text-anchor="middle">${escaped(xLabel)}</text><text transform="translate(11 ${(TOP + H - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escaped(yLabel)}</text><line x1="${LEFT}" x2="${W - RIGHT}" y1="${H - BOTTOM}" y2="${H - BOTTOM}"/></g>${body}</svg>`;
}
function chart(title, note, svg) {
  const box = element("div");
  box.innerHTML = svg;
  return [element("h4", title), box, element("p", note, "dim")];
}
function niceStep(span) { const ten = 10 ** Math.floor(Math.log10(span / 4)); return [1, 2, 5, 10].map(k => k * ten).find(step => span / step <= 4.5); }
function lightCurve(row) {
  if (!page.years) return [];
  const dated = page.years.start.every(known), years = dated ? page.years : { ...page.years, start: page.years.start.map((_, k) => k + .5) };
  const n = years.start.length, live = years.livetime.map(t => known(t) && t > 0.02 ? t : null);
  const whole = live.map(t => t === null || t > 0.98), per = live.map((t, k) => whole[k] || t === null ? 1 : t);
  const counts = years.counts[row], rate = counts.map((c, k) => c / per[k]), error = counts.map((c, k) => Math.sqrt(Math.max(c, 1)) / per[k]);
  const behind = years.background[row].map((c, k) => known(c) ? c / per[k] : null);
  const used = counts.map((_, k) => years.livetime[k] === null || live[k] !== null);
  const mean = counts.reduce((a, c, k) => a + (used[k] ? c : 0), 0) / Math.max(per.reduce((a, t, k) => a + (used[k] ? t : 0), 0), 1e-9);
  const top = Math.max(5, ...rate.map((r, k) => used[k] ? r + error[k] : 0), ...behind.map((b, k) => used[k] ? b || 0 : 0)) * 1.05;
  const x = t => LEFT + (t - years.start[0]) / n * (W - LEFT - RIGHT), y = c => H - BOTTOM - c / top * (H - BOTTOM - TOP);
  let body = `<line x1="${LEFT}" x2="${W - RIGHT}" y1="${y(mean)}" y2="${y(mean)}" class="model" stroke-dasharray="5 4"/>`;
  for (let k = 0; k < n; k++) {
    if (!used[k]) continue;
    const a = x(years.start[k]), b = x(years.start[k] + 1), m = (a + b) / 2;
    if (behind[k] !== null) body += `<line x1="${a}" x2="${b}" y1="${y(behind[k])}" y2="${y(behind[k])}" class="behind"/>`;
    body += `<g class="data"><title>${dated ? `${years.start[k].toFixed(1)} to ${(years.start[k] + 1).toFixed(1)}` : `year ${k + 1}`}: ${counts[k]} photons</title><line x1="${m}" x2="${m}" y1="${y(rate[k] + error[k])}" y2="${y(Math.max(rate[k] - error[k], 0))}"/><circle cx="${m}" cy="${y(rate[k])}" r="4"${whole[k] ? "" : ' class="open"'}/></g>`;
  }
  const step = niceStep(top), yTicks = [], xTicks = [];
  for (let c = 0; c <= top; c += step) yTicks.push([c, String(+c.toPrecision(4))]);
  const every = n > 8 ? 2 : 1;
  for (let t = Math.ceil(years.start[0]); t <= years.start[0] + n; t += every) xTicks.push([t, String(t)]);
  const open = whole.some((w, k) => !w && used[k]) ? " Open: years that the data span in part, scaled to a whole one." : "";
  return chart(`Photons above ${years.lowest_gev} GeV per year`, `Within ${years.circle_deg}°; grey: background from a ring of ${years.ring_deg[0]}° to ${years.ring_deg[1]}°, scaled to that area; dashed: the mean.${open}`,
    frame(xTicks, yTicks, x, y, dated ? "year" : "year of the data", "photons per year", body));
}
const ERG = 1.602177e-6;  // per MeV
function fitted(row) {
  const e0 = pick("pivot", row), form = pick("spectrum", row) || "";
  const full = key => { const p = pick(key, row); return p && p.every(known) ? p : null; };
  const pl = full("PL"), lp = full("LP"), ec = full("PLEC");
  if (!known(e0)) return null;
  if (form === "LogParabola" && lp) return e => lp[0] * (e / e0) ** (-lp[1] - lp[2] * Math.log(e / e0));
  if (form.startsWith("PL") && ec) return e => {  // 4FGL-DR3, equation 3 of arXiv:2201.11184
    const [k, s, d, b] = ec;
    return k * (e / e0) ** (-s + d / b) * Math.exp(d / b ** 2 * (1 - (e / e0) ** b));
  };
  return pl ? e => pl[0] * (e / e0) ** -pl[1] : null;
}
function spectrum(row) {
  const bands = pick("bands", row), flux = pick("bands_flux", row), error = pick("bands_error", row), model = fitted(row);
  if (!(bands && bands.some(known)) && !model) return [];
  const edges = page.bands_gev.map(e => e * 1000), points = [];
  (bands || []).forEach((value, k) => {
    const low = edges[k], high = edges[k + 1], per = ERG * low * high / (high - low), err = error ? error[k] : [null, null];
    if (!known(value) && !known(flux && flux[k])) return;
    const down = err && known(err[0]) ? Math.abs(err[0]) : null, up = err && known(err[1]) ? err[1] : null;
    const f = flux && known(flux[k]) ? flux[k] : null;
    const weak = known(pick("bands_sqrt_ts", row) && source.bands_sqrt_ts[row][k]) && source.bands_sqrt_ts[row][k] < 1;
    if (f !== null && up !== null && (weak || down === null || f <= 0 || !(value > 0))) { points.push({ low, high, limit: (f + 2 * up) * per }); return; }
    if (!(value > 0)) return;
    const ratio = f > 0 ? 1 / f : 0;
    points.push({ low, high, value, bottom: value * (1 - (down || 0) * ratio), top: value * (1 + (up || 0) * ratio) });
  });
  const line = [];
  if (model) for (let k = 0; k <= 60; k++) { const e = edges[0] * (edges[edges.length - 1] / edges[0]) ** (k / 60); const f = ERG * e * e * model(e); if (f > 0 && f < 1) line.push([e, f]); }
  let peak = Math.max(...points.map(p => p.limit || p.top), ...line.map(p => p[1]));
  if (!(peak > 0 && peak < 1e300)) return [];
  peak = Math.log10(peak) + .2;
  // every point is inside the axis; of the line only what lies near the peak counts
  const lowest = Math.min(...points.map(p => p.limit || p.value), ...line.map(p => Math.max(p[1], 10 ** (peak - 3.5))));
  const floor = Math.min(Math.log10(lowest) - .3, peak - 1);
  const x = e => LEFT + Math.log(e / edges[0]) / Math.log(edges[edges.length - 1] / edges[0]) * (W - LEFT - RIGHT);
  const y = f => { const share = clamp((Math.log10(Math.max(f, 1e-99)) - floor) / (peak - floor), 0, 1); return H - BOTTOM - share * (H - BOTTOM - TOP); };
  let body = "";
  const above = line.filter(p => p[1] > 10 ** floor);
  if (above.length) body += `<polyline class="model" points="${above.map(p => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ")}"/>`;
  for (const p of points) {
    const a = x(p.low), b = x(p.high), m = (a + b) / 2, at = y(p.limit || p.value);
    body += `<g class="data"><line x1="${a}" x2="${b}" y1="${at}" y2="${at}"/>`;
    body += p.limit ? `<line x1="${m}" x2="${m}" y1="${at}" y2="${at + 14}"/><path d="M${m - 3.5} ${at + 11}L${m + 3.5} ${at + 11}L${m} ${at + 18}Z"/>`
      : `<line x1="${m}" x2="${m}" y1="${y(p.top)}" y2="${y(p.bottom)}"/><circle cx="${m}" cy="${at}" r="3.5"/>`;
    body += "</g>";
  }
  const yTicks = [], xTicks = [[300, "0.3"], [1000, "1"], [10000, "10"], [100000, "100"], [1000000, "1000"]];
  const between = peak - floor < 1.6 ? [1, 2, 5] : [1];
  for (let k = Math.floor(floor); k <= peak; k++) for (const m of between) {
    const at = k + Math.log10(m);
    if (at >= floor && at <= peak) yTicks.push([10 ** at, `${m}e${k}`]);
  }
  return chart("Spectrum, E² dN/dE", "From the refit; arrows: 95% upper limits, where a band has TS below 1 or no lower error; line: the fitted form.",
    frame(xTicks, yTicks, x, y, "energy (GeV)", "E² dN/dE (erg cm⁻² s⁻¹)", body));
}
function classes(row) {
  const chances = pick("classes", row);
  if (!chances || !chances.some(known)) return [];
  const box = element("div", null, "bars");
  ["BL Lac", "FSRQ", "pulsar", "pulsar wind nebula", "fake"].forEach((name, k) => {
    const bar = element("i");
    bar.style.width = `${100 * (chances[k] || 0)}%`;
    if (k === 4) bar.className = "bad";
    box.append(element("span", name), bar, element("span", known(chances[k]) ? `${(100 * chances[k]).toFixed(0)}%` : "–"));
  });
  return [element("h4", "Class probabilities"), box];
}
function counterparts(row) {
  const list = element("dl"), fact = (name, text) => { if (text) list.append(element("dt", name), element("dd", text)); };
  const name = pick("assoc", row), chance = pick("bayes", row), ratio = pick("ratio", row);
  if (name) {
    fact("Name", name + (pick("assoc_class", row) ? ` (${source.assoc_class[row]})` : ""));
    fact("Probability", [known(chance) ? `${fixed(chance, 3)} Bayesian` : "", known(ratio) ? `${fixed(ratio, 3)} likelihood ratio` : ""].filter(Boolean).join(", "));
    fact("By chance", known(pick("assoc_chance", row)) ? fixed(source.assoc_chance[row], 3) : "");
    fact("RA, Dec", known(pick("assoc_ra", row)) ? `${fixed(source.assoc_ra[row], 4)}°, ${fixed(pick("assoc_dec", row), 4)}°` : "");
    fact("Distance", known(pick("assoc_separation", row)) ? `${fixed(source.assoc_separation[row] * 60, 1)}′` : "");
    fact("Listed in", pick("assoc_catalog", row));
  }
  if (pick("assoc2", row)) fact("Also", source.assoc2[row] + (pick("class2", row) ? ` (${source.class2[row]})` : ""));
  fact("Gamma-ray", ["gamma", "gamma2", "gamma3", "tev"].map(key => pick(key, row)).filter(Boolean).join(", "));
  return list.children.length ? [element("h4", "Counterparts"), list] : [];
}

/* Putting it together ---------------------------------------------------------------------------- */
function options(select, entries) { select.replaceChildren(...entries.map(([value, text]) => { const made = element("option", text); made.value = value; return made; })); }
function legend() {
  const svg = (body, name) => `<svg viewBox="0 0 14 14" aria-hidden="true" class="${name}">${body}</svg>`;
  const cross = name => svg('<path d="M7 1V13M1 7H13"/>', name), disc = '<circle cx="7" cy="7" r="5"/>', diamond = '<path d="M7 0.5L13.5 7L7 13.5L0.5 7Z"/>';
  const entries = page.release ? [
    [svg(diamond, "new"), `new: ${MEANING.new}`], [svg('<rect x="2.5" y="2.5" width="9" height="9"/>', "known"), `near: ${MEANING.near}`], [svg(disc, "known"), `associated: ${MEANING.associated}`],
    [cross("missed"), `${page.release} source without a candidate within ${page.new_beyond_deg}°`], [cross("seen"), `${page.release} source with one`],
  ] : [[svg(disc, "known"), "candidate"]];
  if (has("fake")) entries.push([svg(page.release ? diamond : disc, (page.release ? "new" : "known") + " hollow"), "hollow: likely fake (hidden until asked for)"]);
  if (reference && reference.extent && reference.extent.some(known)) entries.push([svg('<circle cx="7" cy="7" r="5.5" stroke-dasharray="3 2"/>', "missed"), "extent of an extended source"]);
  entries.push([svg('<circle cx="7" cy="7" r="5"/>', "chosen"), "chosen candidate"]);
  if (page.view[2] < 180) entries.push([svg('<circle cx="7" cy="7" r="5.5" stroke-dasharray="2 2"/>', "field"), "the field that was searched"]);
  $("legend").replaceChildren(...entries.map(([mark, text]) => { const made = element("li"); made.innerHTML = mark; made.append(text); return made; }));
}
const tally = { new: 0, near: 0, associated: 0, none: 0, fake: 0, selected: 0 };
status.forEach((kind, row) => { tally[kind]++; if (fake(row)) tally.fake++; if (selected(row)) tally.selected++; });
document.body.className = page.view[2] < 180 ? "field" : "whole";
$("tally").textContent = `${page.found.toLocaleString()} candidate${page.found === 1 ? "" : "s"}${tally.fake ? `, ${tally.fake.toLocaleString()} of them likely fake` : ""}; ${tally.selected.toLocaleString()} selected${page.purity ? ` for a purity of ${page.purity}` : ""}. ` + (page.release
  ? `${tally.associated.toLocaleString()} associated with a source of ${page.release}, ${tally.near.toLocaleString()} near one, ${tally.new.toLocaleString()} new. Of the ${reference.name.length.toLocaleString()} ${page.release} sources in the area searched, ${reference.near.filter(n => !n).length.toLocaleString()} have no candidate within ${page.new_beyond_deg}°.`
  : "Not compared with a 4FGL release.");
options($("status"), [["", "all"], ...["new", "near", "associated"].map(kind => [kind, kind])]);
const kinds = has("class") ? [...new Set(source.class)].sort() : [];
options($("class"), [["", "all"], ...kinds.map(kind => [kind || "-", kind || "not classified"])]);
$("class-filter").hidden = kinds.length < 2;
$("status-filter").hidden = !page.release;
$("fake-filter").hidden = !has("fake");
$("rest-filter").hidden = tally.selected === total;
if (!tally.selected) $("rest").checked = $("rest").defaultChecked = true;
for (const name of ["edge", "extended"]) $(name + "-filter").hidden = !has("flags") || !source.flags.some((_, row) => flagged(row, name));
legend();
heads();
select();
const skyMap = new SkyMap($("sky-map"), aitoff, { whole: true, steps: () => [30, 30] });
const fieldMap = new SkyMap($("field-map"), width => equalArea(width, view), { whole: false, steps: () => {
  const fit = wide => [0.5, 1, 2, 5, 10, 15, 30].find(step => step > wide) || 30;
  return [fit(view.radius / 3.2 / Math.max(Math.cos(view.lat * DEG), 0.1)), fit(view.radius / 3.2)];
} });
caption();
const hashed = () => source.name.findIndex(name => location.hash === "#" + encodeURIComponent(name));
let timer = 0;
function refilter() { select(); table(); skyMap.draw(); fieldMap.draw(); card(chosen); }
$("filters").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(refilter, 120); });
$("filters").addEventListener("reset", () => setTimeout(refilter));
$("filters").addEventListener("submit", event => event.preventDefault());
$("save").onclick = save;
dark.addEventListener("change", () => { takeColors(); skyMap.refresh(); fieldMap.refresh(); card(chosen); });
// a card taller than the window is held by its lower end: it needs no scroll bar of its own
const hold = () => { $("card").style.top = `${Math.min(8, window.innerHeight - $("card").offsetHeight - 8)}px`; };
new ResizeObserver(hold).observe($("card"));
window.addEventListener("resize", hold);
$("closer").onclick = () => look(view.lon, view.lat, view.radius / 1.6);
$("wider").onclick = () => look(view.lon, view.lat, view.radius * 1.6);
$("home").onclick = () => look(home.lon, home.lat, home.radius);
window.addEventListener("hashchange", () => { const row = hashed(); if (row >= 0 && row !== chosen) choose(row, true); });
table();
if (hashed() >= 0) choose(hashed(), true);
else if (shown.length) { chosen = shown[0]; table(); card(chosen); if (page.view[2] >= 180) look(source.lon[chosen], source.lat[chosen], 10); }
else card(null);
if (page.backdrop && unpacks) unpack(page.backdrop.packed).then(octets => { brightness = octets; skyMap.refresh(); fieldMap.refresh(); })
  .catch(error => trouble("The photons behind the maps cannot be unpacked: " + error));
})();
