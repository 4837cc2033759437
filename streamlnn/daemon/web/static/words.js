// How numbers and times are said.

export const $ = (id) => document.getElementById(id);
const unknown = (x) => x === null || x === undefined;

export const number = (x) => (unknown(x) ? "–" : Number(x.toPrecision(4)).toString());
export const percent = (x) => (unknown(x) ? "–" : `${Math.round(100 * x)} %`);
export const signed = (x) => (unknown(x) ? "–" : (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2));
export const moment = (time) => (time ? new Date(time).toLocaleString() : "");

export function ahead(h, clock) {
  if (clock === "samples") return h === 1 ? "1 sample" : `${h} samples`;
  for (const [unit, secs] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (h >= secs) return `${number(h / secs)} ${unit}`;
  return `${number(h)} s`;
}

// Charts know no time zones: this is what the reader's clock shows then.
export function wall(time) {
  const then = new Date(time);
  return new Date(then.getTime() - 60_000 * then.getTimezoneOffset()).toISOString().slice(0, -1);
}

// The moment that lies a horizon later: numbers of records where there is no clock.
export function later(at, h, clock) {
  return clock === "samples" ? at + h : wall(new Date(at).getTime() + 1000 * h);
}

// What has not changed is not written: a screen reader would say it again.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
