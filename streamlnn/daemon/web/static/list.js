// The list of streams, the oddest first.

import { $, number, signed, write } from "./words.js";

const SORT_EVERY_MS = 2000;
const MOST_LATEST = 60;
const SVG = "http://www.w3.org/2000/svg";
const rows = new Map(); // by stream
let sorted = -Infinity;
let current = null;

export function list(streams) {
  for (const told of streams) {
    if (!rows.has(told.stream)) rows.set(told.stream, newRow(told.stream));
    const known = rows.get(told.stream);
    if (told.latest) known.latest = told.latest;
    else if (told.seq !== known.told.seq) known.latest = [...known.latest, told.y].slice(-MOST_LATEST);
    known.told = told;
    fill(known, told);
  }
  $("none").hidden = rows.size > 0;
  if (performance.now() - sorted > SORT_EVERY_MS) sort();
}

export const oddest = () => $("list").tBodies[0].querySelector("tr a")?.textContent;

export function mark(id) {
  current = id;
  rows.forEach(({ row }, name) => marked(row, name));
}

function marked(row, name) {
  if (name === current) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
}

function newRow(id) {
  const row = document.createElement("tr");
  const link = document.createElement("a");
  link.href = `#/${encodeURIComponent(id)}`;
  const parts = id.split("/");
  parts.forEach((part, n) => link.append(...(n ? ["/", document.createElement("wbr"), part] : [part])));
  const badge = document.createElement("span");
  const cells = Array.from({ length: 5 }, () => row.appendChild(document.createElement("td")));
  cells[0].append(link, " ", badge);
  for (const n of [1, 3, 4]) cells[n].className = "number";
  const path = document.createElementNS(SVG, "path");
  cells[2].append(newSpark(path));
  marked(row, id);
  return { row, cells, badge, path, told: null, latest: [] };
}

function newSpark(path) {
  const spark = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["class", "spark"], ["viewBox", "0 0 100 30"],
    ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) spark.setAttribute(name, value);
  spark.append(path);
  return spark;
}

function fill({ badge, cells, path, latest }, told) {
  const state = told.anomaly ? "anomaly" : told.stale ? "stale" : told.status;
  write(badge, state);
  badge.className = `badge ${state}`;
  write(cells[1], [number(told.y, told.band), told.unit, told.field].filter(Boolean).join(" "));
  write(cells[3], told.score === null ? "–" : told.score.toFixed(2));
  write(cells[4], signed(told.skill));
  path.setAttribute("d", drawn(latest));
}

function drawn(values) {
  const there = values.filter((y) => y !== null);
  if (there.length < 2) return "";
  const low = Math.min(...there);
  const span = Math.max(...there) - low || 1;
  let pen = "M";
  let path = "";
  values.forEach((y, i) => {
    if (y === null) return void (pen = "M");
    path += `${pen}${((100 * i) / (values.length - 1)).toFixed(1)} ${(28 - (26 * (y - low)) / span).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

function sort() {
  sorted = performance.now();
  const body = $("list").tBodies[0];
  const wanted = $("filter").value.toLowerCase();
  const held = body.contains(document.activeElement); // nothing moves under a reader's hands
  const order = [...rows.values()].sort(
    (a, b) => b.told.oddness - a.told.oddness || a.told.stream.localeCompare(b.told.stream),
  );
  order.forEach(({ row, told }, place) => {
    row.hidden = !told.stream.toLowerCase().includes(wanted);
    if (body.rows[place] !== row && !(held && row.parentNode))
      body.insertBefore(row, body.rows[place] || null);
  });
}

$("filter").addEventListener("input", sort);
