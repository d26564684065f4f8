// Charts in a grid: one a metric, or one a pattern. Only those on screen ask for their curves.

import { Link } from "./charts/link.js";
import { counted } from "./charts/numbers.js";
import { ask } from "./api.js";
import { showRanks, suggestMetrics } from "./controls.js";
import { make, settled, spaced } from "./dom.js";
import { noMetrics } from "./empty.js";
import { runOf } from "./known.js";
import { Panel } from "./panel.js";
import { names } from "./patterns.js";
import { state } from "./state.js";

// Charts that are drawn without being asked for, and curves of one pattern.
const MOST_CHARTS = 48;
const MOST_METRICS = 24;

const isEqual = (one, other) => JSON.stringify([...one]) === JSON.stringify([...other]);

export class Grid {
  constructor(place) {
    this.place = place;
    this.note = make("p", { className: "quiet", role: "status" });
    this.element = make("div", { className: "grid" });
    this.panels = new Map();
    this.link = new Link();
    this.runs = new Map();
    this.groups = new Map();
    const [from, to] = [state.get("from"), state.get("to")];
    if (from !== "" && to !== "") this.link.view = [Number(from), Number(to)];
    // Browsers refuse an address that changes with each frame.
    this.link.addEventListener("view", settled(() => {
      if (this.isGone) return;
      const [low, high] = this.link.view ?? ["", ""];
      state.set({ from: low, to: high });
    }, 150));
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) this.panels.get(entry.target.dataset.title)?.see(entry.isIntersecting);
      this.onSeen?.();
    }, { root: null, rootMargin: "250px 0px" });
    place.append(this.note, this.element);
  }

  /** The metrics on screen, for which the page listens. */
  get metrics() {
    return [...new Set([...this.panels.values()].filter((panel) => panel.isSeen).flatMap((panel) => panel.metrics))];
  }

  /**
   * Draw runs: from the id of each to its slot. While their metrics are asked for, further calls for the same runs wait
   * for that answer: runs that get new metrics faster than it comes would else never be drawn.
   */
  async show(runs) {
    if (this.isAsking && isEqual(runs, this.runs)) return void (this.isOld = true);
    this.runs = new Map(runs);
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    Object.assign(this, { isAsking: true, isOld: false });
    try {
      const found = await ask("metrics", { run: [...runs.keys()] }, asking.signal);
      this.known = found.metrics;
      this.isCut = Boolean(found.more);
      suggestMetrics(this.known.map((metric) => metric.name));
      showRanks([...runs.keys()].some((id) => runOf(id)?.ranks > 1), [...runs.keys()].some((id) => runOf(id)?.attempt > 1));
      this.arrange();
    } catch (error) {
      if (error.name !== "AbortError") Object.assign(this.note, { textContent: error.message, hidden: false });
    } finally {
      if (asking === this.asking) {
        this.isAsking = false;
        if (this.isOld) this.soon();
      }
    }
  }

  /** Some runs have new metrics. */
  soon = spaced(() => this.isGone || this.show(this.runs), 1000);

  /** A run has changed: it may have new metrics. Those on screen are followed by themselves. */
  changed = spaced(() => this.isGone || this.show(this.runs), 10_000);

  /** Ask again for what is on screen, or for all if the last question had no answer. */
  again() {
    if (this.known?.length) this.renew();
    else this.show(this.runs);
  }

  /** The charts that the settings ask for, as titles and metrics. */
  wanted() {
    const patterns = state.list("chart");
    const isCurve = (metric) => metric.points > 0 && (patterns.length || !this.singles.includes(metric.name));
    const known = this.known.filter(isCurve).map((metric) => metric.name);
    known.sort((one, other) => one.startsWith("system/") - other.startsWith("system/") || (one < other ? -1 : 1));
    if (!patterns.length) return known.slice(0, MOST_CHARTS).map((name) => ({ title: name, metrics: [name] }));
    return patterns.map((pattern) => ({ title: pattern, metrics: known.filter((name) => names(pattern, name)) }));
  }

  /** Make, move and remove charts until they are those that are wanted. */
  arrange() {
    const wanted = this.wanted(), missing = wanted.filter(({ metrics }) => !metrics.length);
    const charts = wanted.filter(({ metrics }) => metrics.length).map((chart) => ({ ...chart, metrics: chart.metrics.slice(0, MOST_METRICS) }));
    for (const [title, panel] of this.panels) {
      const same = charts.find((chart) => chart.title === title);
      if (!same) this.remove(title, panel);
    }
    for (const chart of charts) {
      const there = this.panels.get(chart.title);
      if (!there) this.add(chart);
      else {
        const isOther = !isEqual(there.runs, this.runs) || String(there.metrics) !== String(chart.metrics);
        Object.assign(there, { metrics: chart.metrics, runs: this.runs });
        if (isOther || there.hasProblems) there.renew();
        this.element.append(there.chart.figure);
      }
    }
    this.say(wanted, missing);
  }

  /** Metrics with one value in each run, which are no curves; while a run goes on, they may become some. */
  get singles() {
    if ([...this.runs.keys()].some((id) => runOf(id)?.status === "running")) return [];
    return this.known.filter((metric) => metric.single).map((metric) => metric.name);
  }

  say(wanted, missing) {
    const { singles } = this, many = this.known.length - singles.length - wanted.length;
    const parts = [];
    if (missing.length) parts.push(`None of the selected runs has a metric ${missing.map(({ title }) => title).join(" or ")}.`);
    if (!state.list("chart").length && many > 0) parts.push(`${counted(wanted.length, "chart")} of ${counted(wanted.length + many, "metric")}: name others in the field above, for example */loss.`);
    if (!state.list("chart").length && singles.length) parts.push(`${singles.slice(0, 3).join(", ")}${singles.length > 3 ? ` and ${singles.length - 3} more` : ""}: one value in each run, for the columns of the table.`);
    const cut = wanted.filter(({ metrics }) => metrics.length > MOST_METRICS).map(({ title, metrics }) => `${title}: the first ${MOST_METRICS} of ${metrics.length} metrics.`);
    this.note.textContent = [...parts, ...cut].join(" ");
    this.note.hidden = !this.note.textContent;
    this.empty?.remove();
    this.empty = this.known.length ? null : noMetrics(this.runs.size);
    if (this.empty) this.place.append(this.empty);
  }

  add(chart) {
    const panel = new Panel(chart, this.runs, this.link, this.groups);
    panel.onDrawn = () => this.onDrawn?.();
    panel.onPoint = (x, xName) => this.onPoint?.(x, xName);
    this.panels.set(chart.title, panel);
    this.element.append(panel.chart.figure);
    this.seen.observe(panel.chart.figure);
  }

  remove(title, panel) {
    this.seen.unobserve(panel.chart.figure);
    this.panels.delete(title);
    panel.destroy();
  }

  /** Take settings that change the curves, or only how they are drawn; *isOther* if the groups are others. */
  renew(isOther = false) {
    if (isOther) this.groups.clear();
    for (const panel of this.panels.values()) panel.renew();
  }

  logs() {
    for (const [title, { chart }] of this.panels) chart.setLog(state.list("log").includes(title), false);
  }

  /** Look at the part that the address says. */
  look() {
    const [from, to] = [state.get("from"), state.get("to")];
    const view = from === "" || to === "" ? null : [Number(from), Number(to)];
    if (JSON.stringify(view) !== JSON.stringify(this.link.view)) this.link.look(view, this);
  }

  points(run, counts) {
    const isNew = this.known && Object.keys(counts).some((name) => !this.known.some((metric) => metric.name === name && metric.points > 0));
    if (isNew) this.soon();
    for (const panel of this.panels.values()) if (panel.metrics.some((name) => name in counts)) panel.add(run, counts);
  }

  highlight(label) {
    for (const { chart } of this.panels.values()) chart.highlight(label);
  }

  destroy() {
    this.isGone = true;
    this.asking?.abort();
    this.seen.disconnect();
    for (const [title, panel] of this.panels) this.remove(title, panel);
    this.note.remove();
    this.element.remove();
    this.empty?.remove();
  }
}
