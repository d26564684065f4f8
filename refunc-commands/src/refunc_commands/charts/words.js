// What a chart says in words: its caption, its places, and all of it for people who do not see it.

import { described, firstFrom } from "./curves.js";
import { counted, duration, moment, shown } from "./numbers.js";

const KEYS = "Arrow keys move the cursor, + and - zoom, 0 shows everything, Shift and arrow keys move, L changes the scale.";

/** The x axis in words. */
function axisOf({ options: { xName } }) {
  return { relative: "time since the start", time: "time" }[xName] ?? xName;
}

/** A place on the x axis. */
export function placeText({ options: { xName } }, x) {
  if (xName === "time") return moment(x);
  if (xName === "relative") return duration(x);
  return `${xName} ${shown(x)}`;
}

/** How many points are drawn, of how many, and how. */
export function captionOf(chart) {
  const curves = chart.drawn, [low, high] = chart.view;
  const count = (curve) => (chart.isZoomed && curve.isOrdered ? Math.max(0, firstFrom(curve.x, high) - firstFrom(curve.x, low)) : curve.x.length);
  const points = curves.reduce((sum, curve) => sum + count(curve), 0);
  const isPart = curves.some((curve) => (curve.of ?? curve.x.length) > curve.x.length);
  // How many points a part of the first curves stands for is known when the finer ones are there.
  const of = chart.isZoomed && curves === chart.curves ? 0 : curves.reduce((sum, curve) => sum + (curve.of ?? curve.x.length), 0);
  const odd = curves.reduce((sum, curve) => sum + (curve.oddCount ?? curve.odd?.length ?? 0), 0);
  const parts = [`by ${axisOf(chart)}`];
  if (isPart && of) parts.push(`${Math.min(points, of).toLocaleString("en")} of ${of.toLocaleString("en")} points drawn, lowest and highest kept`);
  else if (isPart) parts.push(`${counted(points, "point")} drawn, lowest and highest kept`);
  else if (points) parts.push(counted(points, "point"));
  if (odd) parts.push(`${odd.toLocaleString("en")} NaN or infinite: marked at the edge`);
  const hidden = chart.isLog && curves.some((curve) => curve.y.some((value) => value <= 0));
  if (hidden) parts.push("values up to 0 have no place on this scale");
  return [...parts, ...(chart.notes ?? [])].join(" · ");
}

/** The chart for people who do not see it: range, last and best of its curves, and its keys. */
export function labelOf(chart) {
  const lines = chart.curves.slice(0, 20).map((curve) => described(curve, shown, axisOf(chart)));
  return `${chart.options.title}: ${counted(chart.curves.length, "curve")}. ${lines.join(". ")}. ${KEYS}`;
}
