// The part of a chart that is looked at: everything, the heights within a part, and a part in round numbers.

import { extent, firstFrom } from "./curves.js";

/** The ends of the x axis with all points of *curves*; a little to either side of a single one. */
export function wholeOf(curves, isLog) {
  const takes = isLog ? (value) => value > 0 : undefined;
  const ranges = curves.map((curve) => extent(curve.x, takes)).filter(Boolean);
  if (!ranges.length) return [0, 1];
  const low = Math.min(...ranges.map(([first]) => first)), high = Math.max(...ranges.map(([, last]) => last));
  return low < high ? [low, high] : [low - (Math.abs(low) / 2 || 1), high + (Math.abs(high) / 2 || 1)];
}

/** The ends of the y axis for what is in view, with a little room; extremes are always within. */
export function heightsOf(curves, [low, high], isLog) {
  const takes = isLog ? (value) => value > 0 : undefined;
  const ranges = curves.flatMap((curve) => {
    const [from, to] = curve.isOrdered ? [firstFrom(curve.x, low), firstFrom(curve.x, high) + 1] : [0, curve.x.length];
    const columns = curve.low ? [curve.low, curve.high, curve.y] : [curve.y];
    return columns.map((column) => extent(column, takes, from, Math.min(to, column.length)));
  }).filter(Boolean);
  if (!ranges.length) return isLog ? [0.1, 1] : [0, 1];
  const bottom = Math.min(...ranges.map(([least]) => least)), top = Math.max(...ranges.map(([, most]) => most));
  if (isLog) return bottom < top ? [bottom / (top / bottom) ** 0.04, top * (top / bottom) ** 0.04] : [bottom / 2, top * 2];
  const room = (top - bottom) * 0.04 || Math.abs(top) * 0.45 || 1;
  return [bottom - room, top + room];
}

/** The ends of a part, to a thousandth of its size: an address with them is short. */
export function rounded([low, high]) {
  const power = Math.floor(Math.log10((high - low) / 1000));
  const to = (value) => (power < 0 ? Number(value.toFixed(Math.min(20, -power))) : Math.round(value / 10 ** power) * 10 ** power);
  return [to(low), to(high)];
}
