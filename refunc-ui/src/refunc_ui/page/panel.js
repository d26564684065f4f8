// One chart of the page: which curves it shows, and bringing them from the server when it is in view.

import { Chart } from "./charts/chart.js";
import { firstFrom, smoothed } from "./charts/curves.js";
import { curves as askCurves } from "./api.js";
import { keyText } from "./cells.js";
import { settled } from "./dom.js";
import { nameOf, runOf } from "./known.js";
import { state } from "./state.js";

// Points of a curve that are asked for at once, and how many may come by themselves before the whole is asked for again.
const POINTS = 800;
const MOST_ADDED = 1_600;
// The most points of all curves of a chart.
const ALL_POINTS = 60_000;

export class Panel {
  /**
   * @param chart `title` and `metrics`, the names of what it draws.
   * @param runs From the id of each run to its slot.
   * @param groups From the key of each group to its slot, the same for all charts.
   */
  constructor({ title, metrics }, runs, link, groups) {
    Object.assign(this, { title, metrics, runs, link, groups, isSeen: false, isStale: true, early: new Map() });
    this.chart = new Chart({
      title, link, xName: this.axis(), isLog: state.list("log").includes(title), isLogX: state.get("logx") === "1", smoothing: Number(state.get("smooth")),
      onLog: (isLog) => state.set({ log: isLog ? [...state.list("log"), title] : state.list("log").filter((name) => name !== title) }),
      onPoint: (x) => this.onPoint?.(x, this.xName),
    });
    this.chart.figure.dataset.title = title;
    this.onView = settled(() => this.refine(), 130);
    link.addEventListener("view", this.onView);
  }

  axis() {
    const axis = state.get("x");
    return axis === "own" ? "step" : axis;
  }

  /** The panel came into view, or left it. */
  see(isSeen) {
    this.isSeen = isSeen;
    if (isSeen && this.isStale) this.load();
    else if (isSeen && this.link.view) this.refine();
  }

  /** Ask again, at once if the panel is in view. */
  renew() {
    this.isStale = true;
    if (this.isSeen) this.load();
  }

  question(metric, more = {}) {
    const points = Math.max(60, Math.min(POINTS, Math.floor(ALL_POINTS / Math.max(1, this.runs.size * this.metrics.length))));
    const group = state.list("group");
    return {
      metric, run: [...this.runs.keys()], x: state.get("x"), points, smooth: Number(state.get("smooth")) || "", rank: state.get("rank"),
      attempts: state.get("attempts") === "newest" ? "" : state.get("attempts"), group,
      ...(group.length ? { center: state.get("center"), spread: state.get("spread") } : {}), ...more,
    };
  }

  async load() {
    this.isStale = false;
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    this.isLoading = true;
    this.chart.figure.classList.add("is-loading");
    try {
      this.heads = await Promise.all(this.metrics.map((metric) => askCurves(this.question(metric), loading.signal)));
      this.added = 0;
      this.xName = this.heads[0]?.x ?? "step";
      this.chart.set({ xName: { own: "step" }[this.xName] ?? this.xName, smoothing: Number(state.get("smooth")), isLogX: state.get("logx") === "1" });
      this.chart.show(this.drawn(this.heads), this.notes());
      this.onDrawn?.();
      if (this.link.view) this.refine();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.isStale = true;
      this.chart.show([], [error.message]);
    } finally {
      if (loading === this.loading) {
        this.isLoading = false;
        this.chart.figure.classList.remove("is-loading");
        // What was told while the answer was on its way is in it, or comes now.
        if (this.heads) this.addEarly();
      }
    }
  }

  /** Bring the curves of the part in view, where some of their points are not drawn. */
  async refine() {
    const { view } = this.link;
    this.refining?.abort();
    if (!view || !this.isSeen || !this.heads) return;
    const isWhole = (head) => head.curves.every((curve) => curve.count >= curve.of);
    if (this.heads.every(isWhole)) return;
    const refining = (this.refining = new AbortController());
    try {
      const [from, to] = view;
      const heads = await Promise.all(this.metrics.map((metric) => askCurves(this.question(metric, { from, to }), refining.signal)));
      if (this.link.view === view) this.chart.refine(this.drawn(heads), view);
    } catch (error) {
      if (error.name !== "AbortError") this.chart.show(this.drawn(this.heads), [error.message]);
    }
  }

  /** Bring the points of a run that came since the last answer; those that come while it is on its way, after it. */
  add(run, counts) {
    const isPlain = !state.list("group").length && !state.get("rank") && state.get("attempts") === "newest";
    if (this.isLoading || (this.heads && this.isSeen && isPlain)) {
      this.early.set(run, { ...this.early.get(run), ...counts });
      if (!this.isLoading) this.addEarly();
      return;
    }
    this.isStale = true;
    if (this.isSeen) this.renewSoon ??= setTimeout(() => (this.renewSoon = this.renew()), 2000);
  }

  /** Bring the points that were told of, of one run after the other. */
  async addEarly() {
    if (this.isAdding) return;
    this.isAdding = true;
    try {
      for (const [run, counts] of this.early) {
        this.early.delete(run);
        for (const head of this.heads) if (head.metric in counts) await this.addTo(head, run, counts[head.metric]);
      }
    } catch (error) {
      if (error.name !== "AbortError") this.isStale = true;
    } finally {
      this.isAdding = false;
    }
  }

  /** Whether a run could not be read: that is tried again once something has changed. */
  get hasProblems() {
    return Boolean(this.heads?.some((head) => head.problems.length));
  }

  async addTo(head, run, count) {
    const curve = head.curves.find((each) => each.run === run);
    if (!curve?.cursor) return this.renew();
    if (count <= curve.all) return undefined;
    const more = await askCurves({ ...this.question(head.metric), run: [run], after: curve.cursor, smooth: "" }, this.loading?.signal);
    const [news] = more.curves;
    if (!news) return undefined;
    this.added += news.count;
    if (more.again) Object.assign(curve, news);
    else if (this.added > MOST_ADDED) return this.renew();
    else append(curve, news, Number(state.get("smooth")));
    this.chart.show(this.drawn(this.heads), this.notes(), { isSame: true });
    return undefined;
  }

  // -- from answers to curves ----------------------------------------------------------------------------------------

  drawn(heads) {
    const isMany = heads.length > 1, isAlone = this.runs.size === 1;
    const found = heads.flatMap((head, number) => head.curves.map((curve) => ({ curve, head, number })));
    const keys = found.filter(({ curve }) => curve.key).map(({ curve }) => JSON.stringify(curve.key)).sort();
    for (const key of keys) if (!this.groups.has(key)) this.groups.set(key, this.groups.size);
    return found.map(({ curve, head, number }, at) => {
      const { x, y, smooth, center, low, high, n } = curve.columns;
      const parts = [curve.key ? keyText(curve.key) : isAlone && (isMany || curve.rank !== null) ? "" : nameOf(curve.run), isMany ? head.metric : "", curve.rank === null ? "" : `rank ${curve.rank}`, curve.attempt === null ? "" : `attempt ${curve.attempt}`];
      const own = curve.key ? this.groups.get(JSON.stringify(curve.key)) : this.runs.get(curve.run) ?? 0;
      const others = curve.rank ?? (curve.attempt === null ? null : curve.attempt - 1);
      const best = curve.best && x.length && curve.best[0] >= x[0] && curve.best[0] <= x[x.length - 1] ? curve.best : null;
      return {
        label: parts.filter(Boolean).join("  "), slot: slotOf(own, number, others, { isMany, isAlone, at }), x, y: y ?? center, low, high, n, given: smooth,
        of: curve.key ? undefined : curve.of, odd: curve.odd ?? [], oddCount: (curve.nan ?? 0) + (curve.inf ?? 0), best: curve.key ? null : best, last: curve.last, run: curve.run,
      };
    });
  }

  notes() {
    const notes = this.heads.flatMap((head) => head.problems.map(({ run, error }) => `${nameOf(run)}: ${error}`));
    const drawn = new Set(this.heads.flatMap((head) => head.curves.map(({ run }) => run)));
    const running = [...drawn].filter((id) => runOf(id)?.status === "running").length;
    if (state.list("group").length) notes.push(`${state.get("center")} of the runs, band: ${{ std: "± std", quartiles: "quartiles", minmax: "min to max" }[state.get("spread")]}`);
    else if (running) notes.push(running === drawn.size ? "running" : `${running} running`);
    return notes;
  }

  /** The points of a run in view next to *x*, for the log lines beside. */
  indexNear(run, x) {
    const curve = this.chart.drawn.find((each) => each.run === run);
    return curve ? firstFrom(curve.x, x) : -1;
  }

  destroy() {
    this.loading?.abort();
    this.refining?.abort();
    clearTimeout(this.renewSoon);
    this.link.removeEventListener("view", this.onView);
    this.chart.destroy();
  }
}

/** Colours are those of runs. Several metrics, ranks or attempts of a run differ by colour if it is alone, else by dashes. */
function slotOf(own, number, other, { isMany, isAlone, at }) {
  if (isAlone && (isMany || other !== null)) return at;
  const kind = isMany ? number : other ?? 0;
  return kind === 0 ? own : (own % 7) + 7 * (kind % 4);
}

/**
 * Put the points behind those of a curve; what is said of all of its points is newer as well. The moving average goes on
 * from that of the last point, which is always drawn, and so comes to what the server says of all of them.
 */
function append(curve, news, weight) {
  const columns = { x: joined(curve.columns.x, news.columns.x), y: joined(curve.columns.y, news.columns.y) };
  const { smooth } = curve.columns;
  if (smooth) {
    const before = { average: smooth[smooth.length - 1], count: curve.of - curve.nan - curve.inf };
    columns.smooth = joined(smooth, smoothed(news.columns.y, weight, 1, before));
  }
  const sums = Object.fromEntries(["count", "of", "nan", "inf"].map((name) => [name, curve[name] + news[name]]));
  Object.assign(curve, { columns, ...sums, odd: [...curve.odd, ...news.odd] });
  for (const name of ["all", "cursor", "last", "best", "is_running"]) curve[name] = news[name];
}

function joined(one, other) {
  const found = new Float64Array(one.length + other.length);
  found.set(one);
  found.set(other, one.length);
  return found;
}
