// What all charts share: colours of the theme, axes, and the library that draws them.

const CONFIG = { displayModeBar: false, responsive: true };
// Told apart by those who do not see red and green, too (Okabe and Ito).
export const DISCRETE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999"];

export const there = () => Boolean(window.Plotly);

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function shaded(name, alpha) {
  return colour(name) + Math.round(255 * alpha).toString(16).padStart(2, "0");
}

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

export function draw(element, traces, { xaxis, yaxis, ...more } = {}) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  const layout = {
    margin: { l: 50, r: 10, t: 8, b: 34 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("ink"), size: 12 },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink") } },
    ...more,
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
  };
  window.Plotly.react(element, traces, layout, CONFIG);
}
