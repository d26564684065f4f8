// The frame of a chart, which is uPlot's: axes, grid, the line of the cursor, and the area that is being chosen.

import { duration } from "./numbers.js";

// Steps between the marks of an axis of durations, in seconds.
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const FONT = '11px system-ui, "Segoe UI", sans-serif';

/** The uPlot of a chart, without curves: the chart paints them on it. */
export function frameOf(chart, width, height) {
  const style = getComputedStyle(chart.figure);
  const colour = (name) => style.getPropertyValue(name).trim();
  const { xName, isLogX } = chart.options, isTime = xName === "time";
  const axis = (more) => ({
    stroke: () => colour("--chart-text"), font: FONT, grid: { stroke: () => colour("--chart-grid"), width: 1 }, ticks: { show: false }, gap: 4, ...more,
  });
  const range = (name) => () => chart.scales?.[name] ?? [0, 1];
  const across = axis({ size: isTime ? 36 : 22, space: 70, ...marksOf(xName) });
  const up = axis({ size: widthOf, values: (plot, splits) => splits.map(tick) });
  const plot = new globalThis.uPlot({
    width, height, padding: [8, 10, 0, 0], legend: { show: false },
    scales: {
      x: { time: isTime, distr: isLogX ? 3 : 1, range: range("x"), auto: false },
      y: { distr: chart.isLog ? 3 : 1, range: range("y"), auto: false },
    },
    axes: [across, up],
    series: [{}, { paths: () => null, points: { show: false } }],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false, setScale: false }, bind: unbound() },
    hooks: { draw: [() => chart.paint()] },
  }, [[0, 1], [null, null]], chart.place);
  // The chart has a sentence of its own for people who do not see it.
  plot.root.setAttribute("aria-hidden", "true");
  return plot;
}

function marksOf(xName) {
  if (xName === "time") return {};
  if (xName === "relative") return { incrs: SECONDS, values: (plot, splits) => splits.map((at) => (at === null ? "" : duration(at))) };
  return { values: (plot, splits) => splits.map(tick) };
}

/** uPlot's own handling of the mouse is not used. */
function unbound() {
  const names = ["mousedown", "mouseup", "click", "dblclick", "mousemove", "mouseleave", "mouseenter"];
  return Object.fromEntries(names.map((name) => [name, () => null]));
}

function tick(value) {
  if (value === null) return "";
  const size = Math.abs(value);
  if (size >= 1e6 || (size < 1e-4 && size > 0)) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 });
}

/** The width of the y axis: that of its longest text. */
function widthOf(plot, values) {
  const longest = (values ?? []).reduce((most, text) => (String(text).length > most.length ? String(text) : most), "");
  return Math.max(34, Math.ceil(longest.length * 6.3) + 10);
}
