// One stream's forecast: the fan, the lane of what was odd, who was heard, the table of horizons.

import { DISCRETE, colour, draw, shaded } from "./charts.js";
import { $, ahead, later, number, percent, signed, wall, write } from "./words.js";

const MARKS = {
  anomaly: ["red", "triangle-down"], drift: ["pink", "diamond"], stuck: ["green", "square"],
  crossing: ["orange", "triangle-up"], gap: ["soft", "line-ns-open"], clock: ["ink", "x"], stale: ["soft", "circle-open"],
};

export const at = (told) => (told.clock === "samples" ? told.seq : wall(told.time));

export function drawFan({ id, target, k, span, newest, past, events }) {
  const mine = past.targets[target];
  const now = at(newest);
  const traces = [
    ...(k === null ? [] : earlier(past.at, mine.forecast[k], newest.clock)),
    ...fan(newest, newest.targets[target], now),
    line(past.at, mine.y, "measured", { color: colour("ink"), width: 1.4 }),
    { ...line(past.at, mine.score, "score of anomaly", { color: colour("red"), width: 1 }),
      fill: "tozeroy", fillcolor: shaded("red", 0.15), yaxis: "y2" },
    marks(events.filter((event) => event.target === null || event.target === target)),
  ];
  const window = span === "recent" ? recent(past.at[0], newest, now) : undefined;
  draw($("fan"), traces, {
    uirevision: `${id} ${target} ${span}`,
    shapes: [{ type: "line", x0: now, x1: now, yref: "paper", y0: 0, y1: 1, line: { color: colour("soft"), width: 1, dash: "dot" } }],
    xaxis: { anchor: "y2", range: window, title: { text: newest.clock === "samples" ? "record" : "" } },
    yaxis: { domain: [0.2, 1], range: window && heights(traces, window), title: { text: newest.targets[target].unit } },
    yaxis2: { domain: [0, 0.15], range: [0, 1.15], fixedrange: true, tickvals: [0, 1], gridcolor: colour("line"), zerolinecolor: colour("line") },
  });
}

// So much of the past that the forecast takes a fifth of the picture's width.
function recent(first, { clock, targets }, now) {
  const longest = Math.max(...Object.values(targets)[0].forecast.map(({ h }) => h));
  const from = later(now, -4.4 * longest, clock);
  return [from < first ? first : from, later(now, 1.1 * longest, clock)];
}

// What is shown fills the picture: a value of long ago does not press it flat.
function heights(traces, [from, to]) {
  let [low, high] = [Infinity, -Infinity];
  for (const { x, y } of traces.filter(({ yaxis }) => !yaxis))
    y.forEach((value, n) => {
      if (value === null || x[n] < from || x[n] > to) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
  const room = 0.05 * (high - low) || 0.05 * Math.abs(high) || 1;
  return low <= high ? [low - room, high + room] : undefined;
}

function line(x, y, name, look) {
  return { x, y, name, mode: "lines", line: look, connectgaps: false };
}

function earlier(moments, { h, yhat, lower, upper }, clock) {
  const x = moments.map((moment) => later(moment, h, clock));
  const edge = { hoverinfo: "skip" };
  return [
    { ...line(x, lower, "lower", { width: 0 }), ...edge },
    { ...line(x, upper, "upper", { width: 0 }), ...edge, fill: "tonexty", fillcolor: shaded("orange", 0.16) },
    line(x, yhat, `said ${ahead(h, clock)} before`, { color: colour("orange"), width: 1.2, dash: "dot" }),
  ];
}

function fan({ clock }, { y, forecast }, now) {
  const x = [now, ...forecast.map(({ h }) => later(now, h, clock))];
  const told = (key) => [y, ...forecast.map((item) => item[key])];
  const band = [...told("yhat_upper"), ...told("yhat_lower").reverse()];
  return [
    { ...line([...x, ...[...x].reverse()], band, "band", { width: 0 }), fill: "toself", fillcolor: shaded("blue", 0.25), hoverinfo: "skip" },
    { ...line(x, told("yhat"), "forecast", { color: colour("blue"), width: 2 }), mode: "lines+markers", marker: { size: 5 } },
  ];
}

// An event without a time, of a stream without a clock, stands in the list of events only.
function marks(events) {
  const mine = events.filter(({ type, time }) => MARKS[type] && time);
  const begun = [...new Map(mine.map((event) => [event.id, event])).values()];
  return {
    x: begun.map(({ since, time }) => wall(since || time)), y: begun.map(() => 1), yaxis: "y2", mode: "markers", name: "event",
    text: begun.map(({ text }) => text), hovertemplate: "%{text}<extra></extra>",
    marker: { size: 9, color: begun.map(({ type }) => colour(MARKS[type][0])), symbol: begun.map(({ type }) => MARKS[type][1]) },
  };
}

// The experts that are hardly ever heard are one area, so that colours suffice.
export function drawHeard({ id, target, k, newest, past }) {
  const { at: x, experts, targets } = past.heard;
  const mine = targets[target][k ?? 0];
  if (!mine) return;
  write($("heard-said"), `Who is heard over time, ${ahead(newest.targets[target].forecast[k ?? 0].h, newest.clock)} ahead`);
  const mean = mine.map((weights) => weights.reduce((sum, one) => sum + one, 0));
  const order = experts.map((_, n) => n).sort((a, b) => mean[b] - mean[a]);
  const loud = order.slice(0, DISCRETE.length - 1);
  const areas = loud.map((n) => [experts[n], mine[n]]);
  areas.push(["others", x.map((_, place) => 1 - loud.reduce((sum, n) => sum + mine[n][place], 0))]);
  const traces = areas.map(([name, y], n) => ({
    x, y, name, mode: "lines", stackgroup: "one", line: { width: 0.5, color: DISCRETE[n] }, fillcolor: DISCRETE[n],
    hovertemplate: `%{y:.0%} ${name}<extra></extra>`,
  }));
  draw($("heard"), traces, {
    uirevision: id, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom", traceorder: "normal" },
    yaxis: { tickformat: ".0%", range: [0, 1] },
  });
}

export function fillHorizons({ clock }, { forecast }) {
  const body = $("horizons").tBodies[0];
  while (body.rows.length < forecast.length) {
    const row = body.insertRow();
    for (let n = 0; n < 5; n++) row.insertCell().className = n ? "number" : "";
  }
  while (body.rows.length > forecast.length) body.deleteRow(-1);
  forecast.forEach((item, k) => {
    const width = item.yhat_upper - item.yhat_lower;
    const band = `${number(item.yhat_lower, width)} to ${number(item.yhat_upper, width)}`;
    const said = [ahead(item.h, clock), number(item.yhat, width), band, percent(item.coverage), signed(item.skill)];
    said.forEach((text, n) => write(body.rows[k].cells[n], text));
  });
}
