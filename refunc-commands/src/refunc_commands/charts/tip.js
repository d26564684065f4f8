// The values beside the cursor of a chart.

import { swatch } from "./curves.js";
import { shown } from "./numbers.js";

const MOST_ROWS = 14;

export function element(tag, className, text = "", properties = {}) {
  return Object.assign(document.createElement(tag), { className, textContent: text, ...properties });
}

/** Write *rows* (see Chart.values) into the chart's tip, and place it beside the cursor, *left* pixels from the axis. */
export function fillTip(chart, rows, left) {
  const isAlone = new Set(rows.map(({ x }) => x)).size === 1;
  const closest = nearestRow(chart, rows);
  const found = chosenRows(rows, closest).map((row) => rowOf(chart, row, isAlone, row === closest));
  if (isAlone) found.unshift(element("div", "chart-where", chart.placeText(rows[0].x)));
  if (rows.length > MOST_ROWS) found.push(element("div", "chart-where", `and ${rows.length - MOST_ROWS} more`));
  chart.tip.replaceChildren(...found);
  const { offsetLeft, offsetWidth } = chart.plot.over, place = offsetLeft + left;
  const isOnRight = left > offsetWidth / 2;
  chart.tip.style.left = isOnRight ? "" : `${place + 14}px`;
  chart.tip.style.right = isOnRight ? `${chart.place.clientWidth - place + 14}px` : "";
}

/** The row whose curve is nearest to the pointer; null if a key moved the cursor. */
function nearestRow(chart, rows) {
  if (chart.top === undefined || rows.length < 2) return null;
  const far = ({ curve, y, at }) => {
    const pixels = Math.abs(chart.plot.valToPos(curve.smooth?.[at] ?? y, "y") - chart.top);
    return Number.isFinite(pixels) ? pixels : Infinity;
  };
  return rows.reduce((one, other) => (far(other) < far(one) ? other : one));
}

/** The rows that fit, with the nearest one among them. */
function chosenRows(rows, closest) {
  const found = rows.slice(0, MOST_ROWS);
  if (closest && !found.includes(closest)) found[MOST_ROWS - 1] = closest;
  return found;
}

function rowOf(chart, { curve, x, y, at }, isAlone, isNear) {
  const made = element("div", isNear ? "chart-near" : "");
  const members = curve.n ? `, n ${curve.n[at]}` : "";
  const band = curve.low ? ` (${shown(curve.low[at])} to ${shown(curve.high[at])}${members})` : "";
  const smooth = curve.smooth ? `${shown(curve.smooth[at])} smoothed, ` : "";
  const where = isAlone ? "" : `${chart.placeText(x)}: `;
  const value = `${where}${smooth}${oddOf(curve, at) ?? shown(y)}${band}`;
  made.append(swatch(curve.slot), element("span", "chart-label", curve.label ?? ""), element("span", "chart-value", value));
  return made;
}

/** The word for a value that is a gap, if it is known which. */
function oddOf(curve, at) {
  const word = curve.odd?.find(([x]) => x === curve.x[at])?.[1];
  return Number.isFinite(curve.y[at]) || !word ? undefined : { nan: "NaN", inf: "Infinity", "-inf": "-Infinity" }[word];
}
