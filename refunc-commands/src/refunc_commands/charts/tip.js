// The values beside the cursor of a chart.

import { swatch } from "./curves.js";
import { shown } from "./numbers.js";
import { placeText } from "./words.js";

const MOST_ROWS = 14;

export function element(tag, className, text = "", properties = {}) {
  return Object.assign(document.createElement(tag), { className, textContent: text, ...properties });
}

/**
 * Write *rows* (see Cursor.values) into the chart's tip, and place it beside the cursor, *left* pixels from the axis;
 * *top* is the height of the pointer, if there is one.
 */
export function fillTip(chart, rows, left, top) {
  const isAlone = new Set(rows.map(({ x }) => x)).size === 1;
  const closest = nearestRow(chart, rows, top);
  const found = chosenRows(rows, closest).map((row) => rowOf(chart, row, isAlone, row === closest));
  if (isAlone) found.unshift(element("div", "chart-where", placeText(chart, rows[0].x)));
  if (rows.length > MOST_ROWS) found.push(element("div", "chart-where", `and ${rows.length - MOST_ROWS} more`));
  chart.tip.replaceChildren(...found);
  chart.tip.style.left = `${placeOf(chart.plot.over.offsetLeft + left, chart.tip.offsetWidth, chart.place.clientWidth)}px`;
}

/** The left end of a tip: to the right of the cursor, else to its left, else as far to the right as it fits. */
function placeOf(cursor, width, room) {
  const right = cursor + 14, left = cursor - 14 - width;
  if (right + width <= room) return right;
  return left >= 0 ? left : Math.max(0, room - width);
}

/** The row whose curve is nearest to the pointer; null if a key moved the cursor. */
function nearestRow(chart, rows, top) {
  if (top === undefined || rows.length < 2) return null;
  const far = ({ curve, y, at }) => {
    const pixels = Math.abs(chart.plot.valToPos(curve.smooth?.[at] ?? y, "y") - top);
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
  const where = isAlone ? "" : `${placeText(chart, x)}: `;
  const raw = `${oddOf(curve, at) ?? shown(y)}${band}`;
  const value = element("span", "chart-value", where + (curve.smooth ? shown(curve.smooth[at]) : raw));
  if (curve.smooth) value.append(element("span", "chart-where", `  raw ${raw}`));
  made.append(swatch(curve.slot), element("span", "chart-label", curve.label ?? ""), value);
  return made;
}

/** The word for a value that is a gap, if it is known which. */
function oddOf(curve, at) {
  const word = curve.odd?.find(([x]) => x === curve.x[at])?.[1];
  return Number.isFinite(curve.y[at]) || !word ? undefined : { nan: "NaN", inf: "Infinity", "-inf": "-Infinity" }[word];
}
