// Curves onto a canvas.
//
// uPlot draws the axes and the grid. Curves are drawn here: each has its own x, and a chart of twenty runs in the form
// that uPlot takes, one x for all, would be twenty times as long.

import { dashesOf, firstFrom } from "./curves.js";

// Curves whose best points are marked; among more, marks hide the curves.
const MOST_RINGS = 12;

/** From a value to canvas pixels along one scale: linear in the value, or in its logarithm. */
export function along(plot, key) {
  const scale = plot.scales[key];
  const isLog = scale.distr === 3;
  const first = isLog ? Math.log10(scale.min) : scale.min, last = isLog ? Math.log10(scale.max) : scale.max;
  const start = plot.valToPos(scale.min, key, true), end = plot.valToPos(scale.max, key, true);
  const factor = (end - start) / (last - first || 1), shift = start - first * factor;
  return isLog ? (value) => (value > 0 ? Math.log10(value) * factor + shift : NaN) : (value) => value * factor + shift;
}

/** The part of a curve's points that lies in view, with one more at either side so that lines reach the edges. */
function inView(curve, low, high) {
  if (!curve.isOrdered) return [0, curve.x.length];
  const from = Math.max(0, firstFrom(curve.x, low) - 1);
  let to = firstFrom(curve.x, high);
  while (to < curve.x.length && curve.x[to] <= high) to++;
  return [from, Math.min(curve.x.length, to + 1)];
}

/**
 * Draw *curves* in the area of *plot*, the later ones on top.
 *
 * @param colours From a slot to a colour.
 * @param isMoving Whether the next frame will be another one: lines are thin then and without dashes, which takes a
 *   browser without a graphics card a fifth of the time.
 */
export function paint(plot, curves, colours, isMoving = false) {
  const { ctx: context, bbox } = plot, ratio = devicePixelRatio || 1;
  const across = along(plot, "x"), up = along(plot, "y");
  const { min, max } = plot.scales.x;
  context.save();
  context.beginPath();
  // With room for marks at the edges.
  context.rect(bbox.left - 2 * ratio, bbox.top - 6 * ratio, bbox.width + 8 * ratio, bbox.height + 8 * ratio);
  context.clip();
  context.lineJoin = "bevel";
  const pen = { context, across, up, bbox, ratio, isMoving };
  for (const curve of curves) {
    const view = inView(curve, min, max), colour = colours(curve.slot);
    context.fillStyle = context.strokeStyle = colour;
    if (curve.low) area(pen, curve, view);
    if (!isMoving) context.setLineDash(dashesOf(curve.slot).map((part) => part * ratio));
    if (curve.smooth && !isMoving) {
      context.globalAlpha = curves.length > 12 ? 0.12 : 0.25;
      line(pen, curve, curve.y, view, 1);
    }
    context.globalAlpha = curve.isFaint ? 0.3 : 0.9;
    const singles = line(pen, curve, curve.smooth ?? curve.y, view, curve.isBold ? 2.6 : 1.5);
    context.setLineDash([]);
    context.globalAlpha = curve.isFaint ? 0.3 : 1;
    for (const [x, y] of singles) dot(pen, x, y, 2.5);
    for (const [x, word] of curve.odd ?? []) cross(pen, across(x), word);
    if (curve.best && curves.length <= MOST_RINGS) ring(pen, across(curve.best[0]), up(curve.best[1]));
    context.globalAlpha = 1;
  }
  context.restore();
}

/** Stroke the line; return the points that stand alone between gaps, which no line shows. */
function line({ context, across, up, ratio, isMoving }, curve, column, [from, to], width) {
  const { x } = curve, singles = [];
  let isDown = false, before = null;
  context.lineWidth = isMoving ? 1 : width * ratio;
  context.beginPath();
  for (let at = from; at < to; at++) {
    const left = across(x[at]), top = up(column[at]);
    if (left - left !== 0 || top - top !== 0) { // a gap
      if (before) singles.push(before);
      before = null;
      isDown = false;
    } else if (isDown) {
      context.lineTo(left, top);
      before = null;
    } else {
      context.moveTo(left, top);
      before = [left, top];
      isDown = true;
    }
  }
  if (before) singles.push(before);
  context.stroke();
  return singles;
}

function area({ context, across, up }, { x, low, high }, [from, to]) {
  context.globalAlpha = 0.22;
  let start = from;
  const fill = (end) => {
    if (end - start > 1) {
      context.beginPath();
      for (let at = start; at < end; at++) context.lineTo(across(x[at]), up(high[at]));
      for (let at = end - 1; at >= start; at--) context.lineTo(across(x[at]), up(low[at]));
      context.fill();
    }
    start = end + 1;
  };
  for (let at = from; at < to; at++) if (!Number.isFinite(up(low[at]) + up(high[at]))) fill(at);
  fill(to);
}

function dot({ context, ratio }, left, top, size) {
  context.beginPath();
  context.arc(left, top, size * ratio, 0, 2 * Math.PI);
  context.fill();
}

/** The mark of a NaN, at the lower edge, or of an infinity, at its side. */
function cross({ context, bbox, ratio }, left, word) {
  if (!Number.isFinite(left)) return;
  const half = 3.5 * ratio, top = word === "inf" ? bbox.top + half : bbox.top + bbox.height - half;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  context.moveTo(left - half, top - half);
  context.lineTo(left + half, top + half);
  context.moveTo(left + half, top - half);
  context.lineTo(left - half, top + half);
  context.stroke();
}

/** The mark of the best point. */
function ring({ context, ratio }, left, top) {
  if (!Number.isFinite(left + top)) return;
  context.lineWidth = 1.75 * ratio;
  context.beginPath();
  context.arc(left, top, 4.5 * ratio, 0, 2 * Math.PI);
  context.stroke();
}
