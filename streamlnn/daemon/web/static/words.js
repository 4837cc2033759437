// How numbers and times are said.

export const $ = (id) => document.getElementById(id);
const MOST_DIGITS = 12;
const unknown = (x) => x === null || x === undefined;

// Four digits, more where a band is narrow; whole numbers stay whole.
export function number(x, band) {
  if (unknown(x)) return "–";
  const size = x ? Math.log10(Math.abs(x)) : 0;
  const closer = band > 0 ? Math.ceil(size - Math.log10(band)) + 2 : 0;
  const digits = Math.max(4, size < MOST_DIGITS ? Math.floor(size) + 1 : 4, closer);
  return Number(x.toPrecision(Math.min(digits, MOST_DIGITS))).toString();
}

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
