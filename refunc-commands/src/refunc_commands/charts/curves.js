// Curves as columns of numbers: their extent, the point next to a place, smoothing, colours.
//
// A curve is an object with the columns `x` and `y`, and for a group `low` and `high`, of equal length. A y that is NaN
// is a gap. `slot` chooses its colour and dashes. Optional: `label`; `of`, the number of logged points that the columns
// stand for; `odd`, pairs of x and "nan", "inf" or "-inf"; `best`, a pair of x and y; `smooth`, a smoothed column.

export const COLOURS = 7;
const DASHES = [[], [7, 3], [2, 2.5], [9, 3, 2, 3]];

/** The name of the CSS variable with the colour of a slot. */
export const colourName = (slot) => `--curve-${slot % COLOURS}`;
/** Seven colours, then the same colours with other dashes. */
export const dashesOf = (slot) => DASHES[Math.floor(slot / COLOURS) % DASHES.length];

/** A short line in the colour and the dashes of a slot, as an element. */
export function swatch(slot) {
  const line = document.createElement("span");
  line.className = `swatch dash-${Math.floor(slot / COLOURS) % DASHES.length}`;
  line.style.setProperty("--swatch", `var(${colourName(slot)})`);
  return line;
}

/** Whether no x is lower than the one before. */
export function isOrdered(x) {
  for (let at = 1; at < x.length; at++) if (!(x[at] >= x[at - 1])) return false;
  return true;
}

/** The index of the first x that is not below *place*, in an ordered column. */
export function firstFrom(x, place) {
  let low = 0, high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index of the point whose x is nearest to *place*; the last of several; -1 without points. */
export function nearest(curve, place) {
  const { x } = curve;
  if (curve.isOrdered ?? isOrdered(x)) {
    const at = firstFrom(x, place);
    if (at === x.length) return at - 1;
    const before = at > 0 && place - x[at - 1] < x[at] - place ? at - 1 : at;
    const last = firstFrom(x, nextAbove(x[before])) - 1;
    return Math.max(before, last);
  }
  let best = -1, least = Infinity;
  for (let at = 0; at < x.length; at++) {
    const far = Math.abs(x[at] - place);
    if (far <= least) [best, least] = [at, far];
  }
  return best;
}

const nextAbove = (value) => value + Math.max(Number.EPSILON * Math.abs(value), Number.MIN_VALUE);

/** The lowest and the highest finite number, of those that *takes* lets pass; null without any. */
export function extent(column, takes = () => true, from = 0, to = column.length) {
  let low = Infinity, high = -Infinity;
  for (let at = from; at < to; at++) {
    const value = column[at];
    if (value - value !== 0 || !takes(value, at)) continue; // NaN or infinite
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/**
 * The exponential moving average of a column, without the bias of its beginning: what TensorBoard calls smoothing. It is
 * `Curve.smoothed` of refunc.runs in another language: a test holds that both agree.
 *
 * @param per How many logged points each number stands for, where only some of them are there. The weight is that of so
 *   many points, so that a curve looks about the same no matter how many of its points are drawn.
 * @param before The `average` that it goes on from, and the `count` of the finite numbers in that.
 */
export function smoothed(column, weight, per = 1, before = { average: NaN, count: 0 }) {
  const kept = weight ** Math.max(1, per), found = new Float64Array(column.length);
  let share = 1 - kept ** before.count, average = before.average, sum = share > 0 ? average * share : 0;
  for (let at = 0; at < column.length; at++) {
    const value = column[at];
    if (Number.isFinite(value)) {
      sum = sum * kept + (1 - kept) * value;
      share = share * kept + (1 - kept);
      average = sum / share;
    }
    found[at] = average;
  }
  return found;
}

/** The curve in one sentence, for people who do not see it. */
export function described(curve, shown, xName) {
  const range = extent(curve.y);
  const last = curve.y.length - 1;
  const parts = [];
  if (range) parts.push(`from ${shown(range[0])} to ${shown(range[1])}`);
  if (last >= 0) parts.push(`last ${shown(curve.last ?? curve.y[last])} at ${xName} ${shown(curve.x[last])}`);
  if (curve.best) parts.push(`best ${shown(curve.best[1])} at ${xName} ${shown(curve.best[0])}`);
  if (curve.odd?.length) parts.push(`${curve.odd.length} not finite`);
  return `${curve.label ? `${curve.label}: ` : ""}${parts.join(", ") || "no points"}`;
}
