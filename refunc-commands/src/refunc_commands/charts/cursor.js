// The cursor of a chart: its place, which all charts with the same link share, and the values beside it.

import { firstFrom, nearest } from "./curves.js";
import { shown } from "./numbers.js";
import { fillTip } from "./tip.js";
import { placeText } from "./words.js";

export class Cursor {
  /** Whether a key has moved it, and whether this chart shows the values beside it. */
  isByKey = false;
  hasTip = false;
  /** The height of the pointer in the chart; unset if a key has moved the cursor. */
  top = undefined;

  constructor(chart) {
    this.chart = chart;
  }

  /** Move it to the pointer. */
  at(left, top) {
    const { link } = this.chart, x = this.chart.valueAt(left);
    Object.assign(this, { isByKey: false, hasTip: true, top });
    if (x === link.cursor) this.show();
    else link.point(x, this.chart);
  }

  /** Move it by so many points of the longest curve in view. */
  step(count) {
    const { chart } = this, { link } = chart;
    const curve = chart.drawn.reduce((most, each) => (each.x.length > (most?.x.length ?? 0) ? each : most), null);
    if (!curve) return;
    const [low, high] = chart.view;
    const from = curve.isOrdered ? firstFrom(curve.x, low) : 0;
    const to = curve.isOrdered ? Math.min(curve.x.length, firstFrom(curve.x, high) + 1) - 1 : curve.x.length - 1;
    const at = link.cursor === null ? (count < 0 ? to + 1 : from - 1) : nearest(curve, link.cursor);
    const next = Math.max(from, Math.min(to, at + count));
    Object.assign(this, { isByKey: true, hasTip: true, top: undefined });
    link.point(curve.x[Math.min(next, curve.x.length - 1)], chart);
    chart.spoken.textContent = this.values().map(({ curve: { label }, x, y }) => `${label ?? ""} ${placeText(chart, x)}: ${shown(y)}`).join("; ");
  }

  leave() {
    this.hasTip = this.isByKey = false;
    this.chart.link.point(null, this.chart);
    this.show();
  }

  /** The curves' points next to it. */
  values() {
    const { chart } = this, place = chart.link.cursor, [low, high] = chart.view;
    const reach = (high - low) / 50;
    return chart.drawn.flatMap((curve) => {
      const at = nearest(curve, place);
      if (at < 0 || !curve.x.length) return [];
      const x = curve.x[at];
      const isBeyond = curve.isOrdered && (place < curve.x[0] - reach || place > curve.x[curve.x.length - 1] + reach);
      return isBeyond ? [] : [{ curve, x, y: curve.y[at], at }];
    });
  }

  show() {
    const { chart } = this, { plot } = chart;
    if (!plot) return;
    const place = chart.link.cursor, [low, high] = chart.view;
    const isSeen = place !== null && place >= low && place <= high;
    plot.setCursor(isSeen ? { left: plot.valToPos(place, "x"), top: 10 } : { left: -10, top: -10 });
    const rows = isSeen && this.hasTip ? this.values() : [];
    chart.tip.hidden = !rows.length;
    if (rows.length) fillTip(chart, rows, plot.valToPos(place, "x"), this.top);
  }
}
