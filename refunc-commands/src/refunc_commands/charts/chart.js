// One chart: several curves over one x axis, in uPlot's frame. It knows neither server nor report: it is given columns
// (see curves.js). Which part is looked at stands in its link (see link.js), so that its owner can bring a finer one.

import { Cursor } from "./cursor.js";
import { colourName, extent, isOrdered, smoothed } from "./curves.js";
import { frameOf } from "./frame.js";
import { handleKeys, handlePointer } from "./handling.js";
import { Link } from "./link.js";
import { paint } from "./painting.js";
import { element } from "./tip.js";
import { heightsOf, rounded, wholeOf } from "./view.js";
import { captionOf, labelOf } from "./words.js";

// Milliseconds without a change after which a chart is still.
const STILL = 120;

export class Chart {
  /**
   * @param options `title`; `link`, shared with other charts; `xName`, "step", "epoch", "time", "relative" or another
   *   metric; `isLog` and `isLogX`; `smoothing`, 0 to 0.999; `onLog`, called when the scale is
   *   changed; `onPoint`, called with the x of a click or of Enter.
   */
  constructor(options) {
    this.options = { xName: "step", smoothing: 0, ...options };
    this.link = options.link ?? new Link();
    this.isLog = Boolean(options.isLog);
    this.curves = [];
    this.detail = null;
    this.cursor = new Cursor(this);
    this.build();
    this.onCursor = () => this.cursor.show();
    this.onLook = () => this.redraw(false, true);
    this.looked = -Infinity;
    this.onScheme = () => this.restyle();
    this.link.addEventListener("cursor", this.onCursor);
    this.link.addEventListener("view", this.onLook);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onScheme);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.place);
  }

  build() {
    const title = this.options.title;
    const button = (text, name, action) => {
      const made = element("button", "chart-button", text, { type: "button", title: name });
      made.setAttribute("aria-label", `${name}: ${title}`);
      made.addEventListener("click", action);
      return made;
    };
    this.logButton = button("log", "Logarithmic scale", () => this.setLog(!this.isLog));
    this.logButton.setAttribute("aria-pressed", String(this.isLog));
    this.wholeButton = button("all", "Show everything (double click)", () => this.whole());
    const closer = button("+", "Zoom in", () => this.zoom(0.5));
    const farther = button("−", "Zoom out", () => this.zoom(2));
    this.tools = element("div", "chart-tools");
    this.tools.append(this.wholeButton, farther, closer, this.logButton);
    const head = element("header", "");
    head.append(element("h3", "", title, { title }), this.tools);
    this.place = element("div", "chart-plot", "", { tabIndex: 0 });
    this.place.setAttribute("role", "img");
    this.tip = element("div", "chart-tip", "", { hidden: true });
    this.caption = element("figcaption", "");
    this.spoken = element("div", "unseen");
    this.spoken.setAttribute("aria-live", "polite");
    this.figure = Object.assign(element("figure", "chart"), { chart: this });
    const body = element("div", "chart-body");
    body.append(this.place, this.tip);
    this.figure.append(head, body, this.caption, this.spoken);
    handleKeys(this.place, this);
    this.place.addEventListener("blur", () => this.cursor.isByKey && this.cursor.leave());
  }

  /** What the chart is made of, for those that check it. */
  get parts() {
    return { smoothed };
  }

  /** Draw other curves. *notes* are said in the caption; *isSame* if they are those before, with points added. */
  show(curves, notes = [], { isSame = false } = {}) {
    this.curves = curves.map((curve) => this.prepared(curve));
    this.notes = notes;
    if (!isSame) this.detail = null;
    this.logButton.disabled = !this.curves.some((curve) => extent(curve.y, (value) => value > 0));
    this.redraw();
  }

  /** Draw finer *curves* of the part from *from* to *to*, as long as that part is looked at. */
  refine(curves, [from, to]) {
    this.detail = { curves: curves.map((curve) => this.prepared(curve)), from, to };
    this.redraw();
  }

  prepared(curve) {
    const weight = this.options.smoothing, per = (curve.of ?? curve.x.length) / (curve.x.length || 1);
    const smooth = weight > 0 ? curve.given ?? smoothed(curve.y, weight, per) : null;
    return { ...curve, smooth, isOrdered: isOrdered(curve.x) };
  }

  /** Change `smoothing`, `isLogX` or `xName`, and draw again. */
  set(changes) {
    const changed = Object.keys(changes).filter((name) => changes[name] !== this.options[name]);
    if (!changed.length) return;
    const isOther = changed.some((name) => name !== "smoothing");
    Object.assign(this.options, changes);
    this.curves = this.curves.map((curve) => this.prepared(curve));
    if (this.detail) this.detail.curves = this.detail.curves.map((curve) => this.prepared(curve));
    this.redraw(isOther);
  }

  setLog(isLog, isTold = true) {
    if (isLog === this.isLog || (isLog && this.logButton.disabled)) return;
    this.isLog = isLog;
    this.logButton.setAttribute("aria-pressed", String(isLog));
    if (isTold) this.options.onLog?.(isLog);
    this.redraw(true);
  }

  /** Tell the owner that the place of the cursor was chosen. */
  choose() {
    if (this.link.cursor !== null) this.options.onPoint?.(this.link.cursor);
  }

  /** Make one curve stand out, by its label; null for none. */
  highlight(label) {
    if (label === this.highlighted) return;
    this.highlighted = label;
    this.plot?.redraw(false, false);
  }

  // -- the part in view ----------------------------------------------------------------------------------------------

  get isZoomed() {
    return this.link.view !== null;
  }

  get everything() {
    return wholeOf(this.curves, this.options.isLogX);
  }

  get view() {
    return this.link.view ?? this.everything;
  }

  whole() {
    if (this.isZoomed) this.look(null);
  }

  look(view) {
    this.link.look(view && rounded(view), this);
  }

  lookBetween(one, other) {
    const ends = [this.valueAt(Math.min(one, other)), this.valueAt(Math.max(one, other))];
    if (ends[1] > ends[0]) this.look(ends);
  }

  zoom(factor, around = this.link.cursor) {
    const [low, high] = this.view.map(this.flat);
    const middle = around === null ? (low + high) / 2 : Math.min(high, Math.max(low, this.flat(around)));
    this.lookAt(middle - (middle - low) * factor, middle + (high - middle) * factor);
  }

  pan(share) {
    const [low, high] = this.view.map(this.flat);
    this.lookAt(low + (high - low) * share, high + (high - low) * share);
  }

  drag(view, pixels) {
    const [low, high] = view.map(this.flat), far = (pixels / this.plot.over.clientWidth) * (high - low);
    this.lookAt(low - far, high - far);
  }

  /** Look at the part in which two places of *view*, pixels from its left end, come to lie at two others. */
  pinch(view, [one, other], [left, right]) {
    const [low, high] = view.map(this.flat), width = this.plot.over.clientWidth;
    if (left === right) return;
    const factor = ((other - one) * (high - low)) / width / (right - left), first = low + (one / width) * (high - low) - left * factor;
    if (factor > 0) this.lookAt(first, first + width * factor);
  }

  /** Look at a part within everything, of the size that is asked for as far as it fits. */
  lookAt(low, high) {
    const [first, last] = this.everything.map(this.flat), size = high - low;
    if (size >= last - first) return this.whole();
    if (size < (last - first) * 1e-9) return undefined;
    if (low < first) [low, high] = [first, first + size];
    if (high > last) [low, high] = [last - size, last];
    return this.look([low, high].map(this.raised));
  }

  valueAt(left) {
    return this.plot.posToVal(Math.max(0, Math.min(left, this.plot.over.clientWidth)), "x");
  }

  // Along a logarithmic axis, halves and shares are those of the logarithm.
  flat = (x) => (this.options.isLogX ? Math.log10(x) : x);
  raised = (x) => (this.options.isLogX ? 10 ** x : x);

  // -- drawing -------------------------------------------------------------------------------------------------------

  /** The curves to draw: the finer ones where they hold all that is in view. */
  get drawn() {
    const { detail } = this, [low, high] = this.view;
    return this.isZoomed && detail && detail.from <= low && detail.to >= high ? detail.curves : this.curves;
  }

  /**
   * Draw at the next frame.
   *
   * @param isOther Whether the axes are of another kind.
   * @param isLook Whether only another part is looked at. While that changes with each frame, only the last drawing
   *   has everything: thick lines, and words.
   */
  redraw(isOther = false, isLook = false) {
    this.mustRebuild ||= isOther;
    const now = performance.now();
    this.isMoving = isLook && now - this.looked < STILL;
    if (isLook) this.looked = now;
    clearTimeout(this.stilling);
    if (this.isMoving) {
      this.stilling = setTimeout(() => {
        this.isMoving = false;
        this.draw();
      }, STILL);
    }
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const width = this.place.clientWidth, height = this.place.clientHeight;
    if (!width || !height) return;
    if (this.mustRebuild || !this.plot) this.rebuild(width, height);
    const [min, max] = this.view, [low, high] = heightsOf(this.drawn, this.view, this.isLog);
    this.scales = { x: [min, max], y: [low, high] };
    this.plot.batch(() => {
      this.plot.setScale("x", { min, max });
      this.plot.setScale("y", { min: low, max: high });
    });
    this.wholeButton.hidden = !this.isZoomed;
    this.cursor.show();
    if (!this.isMoving) this.say();
  }

  rebuild(width, height) {
    this.mustRebuild = false;
    this.plot?.destroy();
    this.plot = frameOf(this, width, height);
    handlePointer(this.plot.over, this);
  }

  paint() {
    const style = getComputedStyle(this.figure);
    const colours = (slot) => style.getPropertyValue(colourName(slot)).trim() || "#888";
    const faint = (curve) => ({ ...curve, isFaint: curve.label !== this.highlighted, isBold: curve.label === this.highlighted });
    const known = this.highlighted != null && this.curves.some((curve) => curve.label === this.highlighted);
    const curves = known ? this.drawn.map(faint).sort((one, other) => one.isBold - other.isBold) : this.drawn;
    paint(this.plot, curves, colours, this.isMoving);
  }

  resize() {
    const width = this.place.clientWidth, height = this.place.clientHeight;
    if (!this.plot) this.redraw(true);
    else if (width && height && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  restyle() {
    this.redraw(true);
  }

  say() {
    this.caption.textContent = captionOf(this);
    this.place.setAttribute("aria-label", labelOf(this));
  }

  /** Show the part of the x axis between two pixels as chosen; null for none. */
  mark(from, to) {
    const height = this.plot.over.clientHeight;
    const left = from === null ? 0 : Math.min(from, to), width = from === null ? 0 : Math.abs(to - from);
    this.plot.setSelect({ left, top: 0, width, height: width ? height : 0 }, false);
  }

  destroy() {
    this.link.removeEventListener("cursor", this.onCursor);
    this.link.removeEventListener("view", this.onLook);
    this.scheme.removeEventListener("change", this.onScheme);
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.stilling);
    this.plot?.destroy();
    this.figure.remove();
  }
}
