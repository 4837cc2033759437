// The reservoir, live: states of all units over time, who hears whom, and the spectrum.

import { colour, draw, isDark, there } from "./charts.js";
import { $, write } from "./words.js";

const COLUMNS = 300;
const NEGATIVE = [33, 102, 172];
const POSITIVE = [178, 24, 43];
let order = null;

export function drawReservoir({ units, connectivity, eigenvalues, order: bySpeed }, states) {
  order = bySpeed;
  Object.assign($("states"), { width: COLUMNS, height: units });
  decoded(states).forEach((x) => drawState(x));
  for (const id of ["matrix", "spectrum"]) $(id).hidden = !connectivity;
  if (!connectivity) {
    write($("matrix-said"), `${units} units: too many to show who hears whom`);
    return write($("spectrum-said"), "");
  }
  write($("matrix-said"), `Connectivity matrix: who hears whom, ${units} units`);
  write($("spectrum-said"), `Spectrum in the unit circle, radius ${radius(eigenvalues).toFixed(3)}`);
  if (!there()) return;
  drawMatrix(connectivity);
  drawSpectrum(eigenvalues);
}

function drawMatrix(connectivity) {
  const most = Math.max(...connectivity.flat().map(Math.abs)) || 1;
  draw($("matrix"), [{
    type: "heatmap", z: connectivity, zmin: -most, zmax: most, colorbar: { thickness: 10 },
    colorscale: [[0, "#2166ac"], [0.5, colour("paper")], [1, "#b2182b"]],
    hovertemplate: "unit %{y} hears unit %{x}: %{z:.3f}<extra></extra>",
  }], {
    hovermode: "closest", xaxis: { title: { text: "from unit" }, showgrid: false, zeroline: false, constrain: "domain" },
    yaxis: { title: { text: "to unit" }, autorange: "reversed", scaleanchor: "x", showgrid: false, zeroline: false, constrain: "domain" },
  });
}

function drawSpectrum(eigenvalues) {
  const ring = (r, name, look) => ({ type: "circle", x0: -r, x1: r, y0: -r, y1: r, line: { color: colour(name), ...look } });
  draw($("spectrum"), [{
    x: eigenvalues.map(([re]) => re), y: eigenvalues.map(([, im]) => im), mode: "markers",
    marker: { size: 6, color: colour("blue") }, hovertemplate: "%{x:.3f} + %{y:.3f} i<extra></extra>",
  }], {
    hovermode: "closest", shapes: [ring(1, "soft", { width: 1 }), ring(radius(eigenvalues), "orange", { width: 1, dash: "dash" })],
    xaxis: { range: [-1.1, 1.1], title: { text: "real part" }, constrain: "domain" },
    yaxis: { range: [-1.1, 1.1], title: { text: "imaginary part" }, scaleanchor: "x", constrain: "domain" },
  });
}

const radius = (values) => Math.max(0, ...values.map(([re, im]) => Math.hypot(re, im)));

// One column a sample, one row a unit: what is new comes in at the right.
export function addState(text) {
  if (order) decoded(text).forEach((x) => drawState(x));
}

function decoded(text) {
  const all = Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Array.from({ length: all.length / order.length }, (_, n) => all.subarray(n * order.length, (n + 1) * order.length));
}

function drawState(x) {
  const canvas = $("states");
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "copy"; // what moves on must not stay where it was
  context.drawImage(canvas, -1, 0);
  const column = context.createImageData(1, x.length);
  order.forEach((unit, place) => column.data.set(shade(x[unit] / 127), 4 * (x.length - 1 - place)));
  context.putImageData(column, COLUMNS - 1, 0);
}

function shade(value) {
  const none = isDark() ? [20, 23, 26] : [255, 255, 255];
  const full = value < 0 ? NEGATIVE : POSITIVE;
  const much = Math.min(1, Math.abs(value));
  return [...none.map((c, n) => Math.round(c + much * (full[n] - c))), 255];
}
