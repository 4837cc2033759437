// The page: a list of streams, and one of them in full. All data comes from /api/v1; nothing else is
// asked for. What a slow browser does not take is left out: the daemon never waits for it.

const $ = (id) => document.getElementById(id);
const MOST_POINTS = 1500;
const DRAW_EVERY_MS = 250;
const SORT_EVERY_MS = 2000;
const AGAIN_MS = 2000;
const MOST_LATEST = 60;

let token = sessionStorage.getItem("streamlnn-token") || "";
let feed = null; // AbortController of the live connection
const rows = new Map(); // stream -> {row, cells, told}
const one = { id: null }; // the stream that is shown, see `show`

// ------------------------------------------------------------------------------------ asking

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.status === 401) {
    $("login").hidden = false;
    $("house").hidden = true;
    throw new Error("a token is asked for");
  }
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

const get = async (path) => (await ask(path)).json();
const ofStream = (id, what = "") => `api/v1/streams/${encodeURIComponent(id)}${what}`;

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value;
  sessionStorage.setItem("streamlnn-token", token);
  $("login").hidden = true;
  $("house").hidden = false;
  route();
});

// EventSource cannot send a token, so the events are cut out of a plain answer.
async function listen() {
  feed?.abort();
  const own = (feed = new AbortController());
  let heard = false;
  const query = one.id === null ? "" : `?stream=${encodeURIComponent(one.id)}`;
  try {
    const answer = await ask(`api/v1/live${query}`, { signal: own.signal });
    heard = true;
    said("live", false);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) take(part);
    }
  } catch (error) {
    if (own.signal.aborted) return;
    console.debug(error);
  }
  if (own !== feed || !$("login").hidden) return;
  if (heard) return void listen(); // an answer ends by itself after some seconds
  said("the daemon does not answer; trying again", true);
  setTimeout(() => own === feed && route(), AGAIN_MS);
}

function said(text, lost) {
  if ($("link").textContent !== text) $("link").textContent = text;
  $("link").classList.toggle("lost", lost);
}

function take(frame) {
  const lines = frame.split("\n");
  const kind = lines.find((line) => line.startsWith("event: "))?.slice(7);
  const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
  if (data === undefined) return;
  const told = JSON.parse(data);
  if (kind === "streams") list(told);
  if (kind === "forecast" && told.stream === one.id) addForecast(told);
  if (kind === "state" && told.stream === one.id) addState(told.x);
  if (kind === "weights" && told.stream === one.id) addHeard(told);
  if (kind === "event" && told.stream === one.id) addEvent(told);
}

// ---------------------------------------------------------------------------------- the list

const number = (x) => (x === null || x === undefined ? "–" : Number(x.toPrecision(4)).toString());
const percent = (x) => (x === null || x === undefined ? "–" : `${Math.round(100 * x)} %`);
const signed = (x) => (x === null || x === undefined ? "–" : (x >= 0 ? "+" : "−") + Math.abs(x).toFixed(2));

function ahead(h, clock) {
  if (clock === "samples") return h === 1 ? "1 sample" : `${h} samples`;
  for (const [unit, secs] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (h >= secs) return `${Number((h / secs).toPrecision(4))} ${unit}`;
  return `${h} s`;
}

function list(streams) {
  for (const told of streams) {
    let known = rows.get(told.stream);
    if (!known) rows.set(told.stream, (known = newRow(told.stream)));
    known.told = told;
    known.latest = told.latest || [...known.latest, told.y].slice(-MOST_LATEST);
    fill(known, told);
  }
  $("none").hidden = rows.size > 0;
  const now = performance.now();
  if (now - (list.sorted || 0) > SORT_EVERY_MS) {
    list.sorted = now;
    sort();
  }
}

function newRow(id) {
  const row = document.createElement("tr");
  const link = document.createElement("a");
  link.href = `#/${encodeURIComponent(id)}`;
  link.textContent = id;
  const badge = document.createElement("span");
  const cells = Array.from({ length: 5 }, () => row.appendChild(document.createElement("td")));
  cells[0].append(link, badge);
  for (const n of [1, 3, 4]) cells[n].className = "number";
  const spark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  spark.setAttribute("class", "spark");
  spark.setAttribute("viewBox", "0 0 100 30");
  spark.setAttribute("preserveAspectRatio", "none");
  spark.setAttribute("aria-hidden", "true");
  const path = spark.appendChild(document.createElementNS(spark.namespaceURI, "path"));
  cells[2].append(spark);
  if (id === one.id) row.setAttribute("aria-current", "true");
  return { row, cells, badge, path, told: null, latest: [] };
}

function fill(known, told) {
  const state = told.anomaly ? "anomaly" : told.stale ? "stale" : told.status;
  write(known.badge, state);
  known.badge.className = `badge ${state}`;
  write(known.cells[1], `${number(told.y)}${told.unit ? ` ${told.unit}` : ""}`);
  write(known.cells[3], told.score === null ? "–" : told.score.toFixed(2));
  write(known.cells[4], signed(told.skill));
  known.path.setAttribute("d", spark(known.latest));
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function spark(values) {
  const there = values.filter((y) => y !== null);
  if (there.length < 2) return "";
  const low = Math.min(...there);
  const span = Math.max(...there) - low || 1;
  let pen = "M";
  let path = "";
  values.forEach((y, i) => {
    if (y === null) return void (pen = "M");
    const x = (100 * i) / (values.length - 1);
    path += `${pen}${x.toFixed(1)} ${(28 - (26 * (y - low)) / span).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

// The oddest first: anomalies, what has fallen silent, drifts; then by score.
function oddness({ told }) {
  return (told.anomaly ? 8 : 0) + (told.stale ? 4 : 0) + (told.status === "drifting" ? 2 : 0) + (told.score || 0);
}

function sort() {
  const wanted = $("filter").value.toLowerCase();
  const body = $("list").tBodies[0];
  const sorted = [...rows.values()].sort(
    (a, b) => oddness(b) - oddness(a) || a.told.stream.localeCompare(b.told.stream),
  );
  const held = body.contains(document.activeElement); // nothing moves under a reader's hands
  sorted.forEach((known, place) => {
    known.row.hidden = !known.told.stream.toLowerCase().includes(wanted);
    if (body.rows[place] !== known.row && !(held && known.row.parentNode))
      body.insertBefore(known.row, body.rows[place] || null);
  });
}

$("filter").addEventListener("input", sort);

// -------------------------------------------------------------------------------- one stream

async function show(id) {
  Object.assign(one, { id, target: null, points: [], bands: [], newest: null, events: [], states: null });
  for (const [name, { row }] of rows)
    name === id ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current");
  $("choose").hidden = id !== null;
  $("shown").hidden = id === null;
  document.title = id === null ? "streamlnn" : `${id} – streamlnn`;
  if (id === null) return;
  write($("name"), id);
  $("nocharts").hidden = Boolean(window.Plotly);
  const [newest, past, reservoir] = await Promise.all(
    ["", "/history", "/reservoir"].map((what) => get(ofStream(id, what))),
  );
  if (one.id !== id) return;
  one.newest = newest;
  one.past = past;
  one.events = newest.events;
  choices(newest);
  drawReservoir(reservoir);
  drawSoon();
  drawEvents();
}

function choices(newest) {
  const names = Object.keys(newest.targets);
  one.target = names[0];
  options($("target"), names.map((name) => [name, name]));
  const first = newest.targets[one.target].forecast;
  options($("earlier"), [
    ...first.map(({ h }, k) => [String(k), `${ahead(h, newest.clock)} before`]),
    ["", "none"],
  ]);
  one.k = 0;
}

function options(select, wanted) {
  select.replaceChildren(
    ...wanted.map(([value, text]) => Object.assign(document.createElement("option"), { value, textContent: text })),
  );
}

$("target").addEventListener("change", () => { one.target = $("target").value; drawSoon(); });
$("earlier").addEventListener("change", () => {
  one.k = $("earlier").value === "" ? null : Number($("earlier").value);
  drawSoon();
});

const at = (told) => (told.clock === "samples" ? told.seq : told.time);

function addForecast(told) {
  if (!one.past || (one.newest && one.newest.epoch === told.epoch && one.newest.seq >= told.seq)) return;
  one.newest = { ...one.newest, ...told };
  const past = one.past;
  past.at.push(at(told));
  for (const [name, target] of Object.entries(told.targets)) {
    const known = past.targets[name];
    if (!known) continue;
    known.y.push(target.y);
    target.forecast.forEach((item, k) => {
      known.forecast[k].yhat.push(item.yhat);
      known.forecast[k].lower.push(item.yhat_lower);
      known.forecast[k].upper.push(item.yhat_upper);
    });
  }
  if (past.at.length > MOST_POINTS) trim(past, past.at.length - MOST_POINTS);
  drawSoon();
}

function trim(past, n) {
  past.at.splice(0, n);
  for (const { y, forecast } of Object.values(past.targets))
    for (const list of [y, ...forecast.flatMap(({ yhat, lower, upper }) => [yhat, lower, upper])]) list.splice(0, n);
}

function drawSoon() {
  if (drawSoon.waiting) return;
  drawSoon.waiting = setTimeout(() => {
    drawSoon.waiting = null;
    if (document.hidden || !one.newest) return;
    requestAnimationFrame(draw);
  }, DRAW_EVERY_MS);
}
document.addEventListener("visibilitychange", drawSoon);

function draw() {
  if (!one.newest || !one.past) return;
  const { newest } = one;
  const target = newest.targets[one.target];
  if (!target) return;
  const unit = target.unit ? ` ${target.unit}` : "";
  write(
    $("standing"),
    `${number(target.y)}${unit}, ${target.anomaly.active ? "anomaly" : newest.status}, ` +
      `${newest.seq + 1} records${newest.time ? `, ${new Date(newest.time).toLocaleString()}` : ""}`,
  );
  table(newest, target);
  if (!window.Plotly) return;
  drawFan(newest, target);
  drawMix(newest);
}

function table(newest, target) {
  const body = $("horizons").tBodies[0];
  while (body.rows.length < target.forecast.length) {
    const row = body.insertRow();
    for (let n = 0; n < 5; n++) row.insertCell().className = n ? "number" : "";
  }
  while (body.rows.length > target.forecast.length) body.deleteRow(-1);
  target.forecast.forEach((item, k) => {
    const band = `${number(item.yhat_lower)} to ${number(item.yhat_upper)}`;
    const said = [ahead(item.h, newest.clock), number(item.yhat), band, percent(item.coverage), signed(item.skill)];
    said.forEach((text, n) => write(body.rows[k].cells[n], text));
  });
}

// ------------------------------------------------------------------------------------ charts

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const shaded = (name, alpha) => colour(name) + Math.round(255 * alpha).toString(16).padStart(2, "0");
const CONFIG = { displayModeBar: false, responsive: true };

function layout(more = {}) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line") };
  return {
    margin: { l: 56, r: 12, t: 8, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("ink"), size: 12 },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("panel"), font: { color: colour("ink") } },
    ...more,
    xaxis: { ...axis, ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
  };
}

// A horizon later than a moment: seconds where there is a clock, samples where there is none.
function later(moment, h, clock) {
  return clock === "samples" ? moment + h : new Date(new Date(moment).getTime() + 1000 * h).toISOString();
}

function drawFan(newest, target) {
  const { past } = one;
  const mine = past.targets[one.target];
  const now = at(newest);
  const fan = { x: [now], yhat: [target.y], lower: [target.y], upper: [target.y] };
  for (const item of target.forecast) {
    fan.x.push(later(now, item.h, newest.clock));
    fan.yhat.push(item.yhat);
    fan.lower.push(item.yhat_lower);
    fan.upper.push(item.yhat_upper);
  }
  const line = (x, y, name, look) => ({ x, y, name, mode: "lines", line: look, connectgaps: false });
  const edge = { width: 0 };
  const traces = [];
  if (one.k !== null && mine.forecast[one.k]) {
    const { h, yhat, lower, upper } = mine.forecast[one.k];
    const x = past.at.map((moment) => later(moment, h, newest.clock));
    traces.push(
      { ...line(x, lower, "lower", edge), hoverinfo: "skip" },
      { ...line(x, upper, "upper", edge), fill: "tonexty", fillcolor: shaded("orange", 0.16), hoverinfo: "skip" },
      line(x, yhat, `said ${ahead(h, newest.clock)} before`, { color: colour("orange"), width: 1.2, dash: "dot" }),
    );
  }
  traces.push(
    { ...line([...fan.x, ...fan.x.toReversed()], [...fan.upper, ...fan.lower.toReversed()], "band", edge),
      fill: "toself", fillcolor: shaded("blue", 0.25), hoverinfo: "skip" },
    { ...line(fan.x, fan.yhat, "forecast", { color: colour("blue"), width: 2 }), mode: "lines+markers", marker: { size: 5 } },
    line(past.at, mine.y, "measured", { color: colour("ink"), width: 1.4 }),
    marks(),
  );
  const shapes = [{ type: "line", x0: now, x1: now, yref: "paper", y0: 0, y1: 1, line: { color: colour("soft"), width: 1, dash: "dot" } }];
  Plotly.react($("fan"), traces, layout({
    shapes,
    uirevision: `${one.id} ${one.target}`,
    yaxis: { domain: [0, 0.92], title: { text: target.unit } },
    yaxis2: { domain: [0.94, 1], range: [0, 1], visible: false, fixedrange: true },
  }), CONFIG);
}

function marks() {
  const looks = { anomaly: ["red", "triangle-down"], drift: ["pink", "diamond"], stuck: ["green", "square"],
    crossing: ["orange", "triangle-up"], gap: ["soft", "line-ns-open"], clock: ["ink", "x"] };
  const mine = one.events.filter((event) => event.phase === "start" && event.time && looks[event.type] &&
    (event.target === null || event.target === one.target));
  return {
    x: mine.map((event) => event.since || event.time), y: mine.map(() => 0.5), yaxis: "y2", mode: "markers",
    name: "event", text: mine.map((event) => event.text), hovertemplate: "%{text}<extra></extra>",
    marker: { size: 9, color: mine.map(({ type }) => colour(looks[type][0])), symbol: mine.map(({ type }) => looks[type][1]) },
  };
}

const DISCRETE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999"];

function drawMix(newest) {
  const told = newest.explanation?.targets[one.target];
  if (!told) return;
  const names = Object.keys(told[0].weights).filter((name) => told.some(({ weights }) => weights[name] > 0.005));
  const traces = names.map((name, n) => ({
    type: "bar", name, x: told.map(({ h }) => ahead(h, newest.clock)), y: told.map(({ weights }) => weights[name]),
    marker: { color: DISCRETE[n % DISCRETE.length] }, hovertemplate: `${name}: %{y:.0%}<extra></extra>`,
  }));
  Plotly.react($("mix"), traces, layout({
    barmode: "stack", showlegend: true, hovermode: "closest", legend: { font: { size: 11 } },
    yaxis: { tickformat: ".0%", range: [0, 1] }, xaxis: { type: "category" },
  }), CONFIG);
}

// --------------------------------------------------------------------------------- reservoir

function drawReservoir({ units, connectivity, eigenvalues, order }) {
  one.order = order;
  if (!connectivity) return write($("matrix-said"), `${units} units are too many to show who hears whom`);
  write($("matrix-said"), `Connectivity matrix: who hears whom, ${units} units`);
  write($("spectrum-said"), `Spectrum in the unit circle: radius ${radius(eigenvalues).toFixed(3)}`);
  if (!window.Plotly) return;
  const most = Math.max(...connectivity.flat().map(Math.abs)) || 1;
  const empty = colour("paper");
  Plotly.react($("matrix"), [{
    type: "heatmap", z: connectivity, zmin: -most, zmax: most, showscale: true,
    colorscale: [[0, "#2166ac"], [0.5, empty], [1, "#b2182b"]], colorbar: { thickness: 10 },
    hovertemplate: "unit %{y} hears unit %{x}: %{z:.3f}<extra></extra>",
  }], layout({ hovermode: "closest", xaxis: { title: { text: "from unit" } },
    yaxis: { title: { text: "to unit" }, autorange: "reversed", scaleanchor: "x" } }), CONFIG);
  const ring = (r, name, look) => ({ type: "circle", x0: -r, x1: r, y0: -r, y1: r, line: { color: colour(name), ...look } });
  Plotly.react($("spectrum"), [{
    x: eigenvalues.map(([re]) => re), y: eigenvalues.map(([, im]) => im), mode: "markers",
    marker: { size: 6, color: colour("blue") }, hovertemplate: "%{x:.3f} + %{y:.3f} i<extra></extra>",
  }], layout({ hovermode: "closest", shapes: [ring(1, "soft", { width: 1 }), ring(radius(eigenvalues), "orange", { width: 1, dash: "dash" })],
    xaxis: { range: [-1.1, 1.1] }, yaxis: { range: [-1.1, 1.1], scaleanchor: "x" } }), CONFIG);
}

const radius = (values) => Math.max(0, ...values.map(([re, im]) => Math.hypot(re, im)));

// One column a sample, one row a unit: what is new comes in at the right.
const COLUMNS = 300;

function addState(text) {
  if (!one.order) return;
  const x = Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const canvas = $("states");
  if (canvas.height !== x.length || canvas.width !== COLUMNS) {
    canvas.width = COLUMNS;
    canvas.height = x.length;
  }
  const context = canvas.getContext("2d");
  context.drawImage(canvas, -1, 0);
  const column = context.createImageData(1, x.length);
  one.order.forEach((unit, place) => column.data.set(shade(x[unit] / 127), 4 * (x.length - 1 - place)));
  context.putImageData(column, COLUMNS - 1, 0);
}

function shade(value) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const none = dark ? [20, 23, 26] : [255, 255, 255];
  const full = value < 0 ? [33, 102, 172] : [178, 24, 43];
  const much = Math.min(1, Math.abs(value));
  return [...none.map((c, n) => Math.round(c + much * (full[n] - c))), 255];
}

// ------------------------------------------------------------------------------------ events

function addEvent(event) {
  one.events.push(event);
  drawEvents();
  drawSoon();
}

function drawEvents() {
  $("events").replaceChildren(
    ...one.events.slice(-30).reverse().map((event) => {
      const item = document.createElement("li");
      const time = document.createElement("time");
      time.textContent = event.time ? new Date(event.time).toLocaleString() : "";
      item.append(time, ` ${event.text}`);
      return item;
    }),
  );
}

// ------------------------------------------------------------------------------------- start

async function route() {
  const wanted = location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : null;
  try {
    await show(wanted);
  } catch (error) {
    if (!$("login").hidden) return;
    console.debug(error);
    write($("choose"), `There is no stream ${wanted} now.`);
    $("choose").hidden = false;
    $("shown").hidden = true;
  }
  listen();
}

addEventListener("hashchange", () => location.hash === "#stream" || route());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => one.id !== null && route());
route();
