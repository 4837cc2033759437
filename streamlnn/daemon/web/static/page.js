// The page: a list of streams, and one of them in full. To read on: `daemon` (what is asked and told),
// `list`, `forecast` and `reservoir` (what is drawn). What a slow browser does not take is left out:
// the daemon never waits for it.

import { there } from "./charts.js";
import { Refused, knows, listen, ofStream, remember } from "./daemon.js";
import { at, drawFan, drawHeard, fillHorizons } from "./forecast.js";
import { list, mark, oddest } from "./list.js";
import { addState, drawReservoir } from "./reservoir.js";
import { $, ahead, moment, number, wall, write } from "./words.js";

const MOST_POINTS = 1500; // of the past: beyond, the daemon is asked again, which thins it
const DRAW_EVERY_MS = 250;
const DRAW_SHARE = 0.1; // of a slow machine's time
const MOST_EVENTS = 100;
const one = { id: null, target: null, k: 0, span: "recent", newest: null, past: null, events: [] };
const isWide = () => matchMedia("(min-width: 861px)").matches; // room for a stream beside the list
let waiting = null;
let tookMs = 0;
let isHeardNew = true;

// ---------------------------------------------------------------------------- which is shown

async function route() {
  const id = location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : null;
  mark(id);
  document.title = id === null ? "streamlnn" : `${id} – streamlnn`;
  if (id !== one.id) Object.assign(one, { id, target: null, k: 0, newest: null, past: null, events: [] });
  listen(id, { told, connected, lost });
  await show(id).catch((error) => failed(error, id));
}

async function show(id) {
  if (id === null) return appear("choose");
  const [newest, past, reservoir] = await Promise.all(["", "/history", "/reservoir"].map((what) => ofStream(id, what)));
  if (one.id !== id) return;
  Object.assign(one, { newest, past: onTheWall(past, newest), events: newest.events });
  write($("name"), id);
  $("nocharts").hidden = there();
  appear("shown");
  choices();
  drawReservoir(reservoir, past.states);
  drawEvents();
  drawAllSoon();
}

function onTheWall(past, { clock }) {
  if (clock !== "samples") for (const part of [past, past.heard]) part.at = part.at.map(wall);
  return past;
}

function failed(error, id) {
  if (error instanceof Refused) return lost(error);
  if (one.newest || one.id !== id) return;
  write($("choose"), `There is no forecast of ${id} now.`);
  appear("choose");
}

function appear(id) {
  for (const part of ["choose", "shown"]) $(part).hidden = part !== id;
}

function connected() {
  const back = $("link").classList.contains("lost");
  write($("link"), "live");
  $("link").classList.remove("lost");
  if (back || (one.id !== null && !one.newest)) show(one.id).catch((error) => failed(error, one.id));
}

function lost(error) {
  const refused = error instanceof Refused;
  $("login").hidden = !refused;
  $("house").hidden = refused;
  if (refused) $("token").focus();
  const asked = knows() ? "this token is not the right one" : "a token is asked for";
  write($("link"), refused ? asked : "the daemon does not answer; trying again");
  $("link").classList.add("lost");
  $("missing").hidden = true;
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  remember($("token").value);
  $("login").hidden = true;
  $("house").hidden = false;
  route();
});

// --------------------------------------------------------------------------- what is told

function told(kind, data) {
  if (kind === "streams") return listed(data);
  if (kind === "daemon") return ofDaemon(data);
  if (data.stream !== one.id || !one.past) return;
  ({ forecast: addForecast, weights: addHeard, event: addEvent, state: ({ x }) => addState(x) })[kind]?.(data);
}

function listed(streams) {
  list(streams);
  if (one.id === null && isWide() && oddest()) location.replace(`#/${encodeURIComponent(oddest())}`);
}

function ofDaemon({ instance, version, missing }) {
  write($("instance"), [instance, version].filter(Boolean).join(", streamlnn "));
  const said = missing.map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  $("missing").replaceChildren(...said);
  $("missing").hidden = said.length === 0;
}

function addForecast(forecast) {
  const { newest, past } = one;
  if (newest.epoch === forecast.epoch && newest.seq >= forecast.seq) return;
  one.newest = forecast;
  past.at.push(at(forecast));
  for (const [name, known] of Object.entries(past.targets)) {
    const target = forecast.targets[name];
    known.y.push(target.y);
    known.score.push(target.anomaly.score);
    known.forecast.forEach((kept, k) => {
      const item = target.forecast[k];
      kept.yhat.push(item.yhat);
      kept.lower.push(item.yhat_lower);
      kept.upper.push(item.yhat_upper);
    });
  }
  if (past.at.length > MOST_POINTS) thin(past);
  drawSoon();
}

async function thin(past) {
  if (past.thinning) return;
  past.thinning = true;
  const { id } = one;
  const thinned = await ofStream(id, "/history").catch(() => null);
  if (thinned && one.id === id) one.past = onTheWall(thinned, one.newest);
}

function addHeard({ at: when, targets }) {
  const { heard } = one.past;
  heard.at.push(one.newest.clock === "samples" ? when : wall(when));
  for (const [name, horizons] of Object.entries(heard.targets))
    horizons.forEach((experts, k) => heard.experts.forEach((expert, n) => experts[n].push(targets[name][k].weights[expert])));
  isHeardNew = true;
}

function addEvent(event) {
  const isSame = (known) => known.id === event.id && known.phase === event.phase && known.time === event.time;
  if (one.events.some(isSame)) return; // told again after a restart of the daemon
  one.events = [...one.events, event].slice(-MOST_EVENTS);
  drawEvents();
  drawSoon();
}

// -------------------------------------------------------------------------- what is drawn

function choices() {
  const { targets, clock } = one.newest;
  const names = Object.keys(targets);
  if (!names.includes(one.target)) one.target = names[0];
  options($("target"), names.map((name) => [name, name]), one.target);
  const horizons = targets[one.target].forecast.map(({ h }, k) => [String(k), `${ahead(h, clock)} before`]);
  options($("earlier"), [...horizons, ["", "none"]], one.k === null ? "" : String(one.k));
}

function options(select, wanted, chosen) {
  const made = wanted.map(([value, text]) => Object.assign(document.createElement("option"), { value, textContent: text }));
  select.replaceChildren(...made);
  select.value = chosen;
}

$("target").addEventListener("change", () => { one.target = $("target").value; drawAllSoon(); });
$("earlier").addEventListener("change", () => {
  one.k = $("earlier").value === "" ? null : Number($("earlier").value);
  drawAllSoon();
});

$("span").addEventListener("change", () => { one.span = $("span").value; drawSoon(); });

function drawSoon() {
  waiting ??= setTimeout(() => {
    waiting = null;
    if (one.past && !document.hidden) requestAnimationFrame(draw);
  }, Math.max(DRAW_EVERY_MS, tookMs / DRAW_SHARE));
}

function drawAllSoon() {
  isHeardNew = true;
  drawSoon();
}

document.addEventListener("visibilitychange", drawSoon);

function draw() {
  const { newest, past } = one;
  if (!past) return;
  const target = newest.targets[one.target];
  const state = target.anomaly.active ? "anomaly" : newest.status;
  const [{ yhat_lower: lower, yhat_upper: upper }] = target.forecast;
  const value = `${number(target.y, upper - lower)}${target.unit ? ` ${target.unit}` : ""}`;
  write($("standing"), [value, state, `${newest.seq + 1} records`, moment(newest.time)].filter(Boolean).join(", "));
  fillHorizons(newest, target);
  if (!there()) return;
  const began = performance.now();
  drawFan(one);
  if (isHeardNew) drawHeard(one);
  isHeardNew = false;
  setTimeout(() => { tookMs = performance.now() - began; }); // once it is on the screen
}

function drawEvents() {
  $("no-events").hidden = one.events.length > 0;
  $("events").replaceChildren(...one.events.slice(-30).reverse().map((event) => {
    const item = document.createElement("li");
    const time = Object.assign(document.createElement("time"), { textContent: moment(event.time) });
    item.append(time, ` ${event.text}`);
    return item;
  }));
}

addEventListener("hashchange", () => location.hash === "#stream" || route());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", route);
route();
