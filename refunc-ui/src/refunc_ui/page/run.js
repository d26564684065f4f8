// The view of one run: its curves with its log lines beside, and its facts below.

import { ask } from "./api.js";
import { statusMark } from "./cells.js";
import { byId, fillSelect, make } from "./dom.js";
import { noSuchRun } from "./empty.js";
import { artifactsOf, factsOf, times } from "./facts.js";
import { Grid } from "./grid.js";
import { keepRuns } from "./known.js";
import { Lines } from "./lines.js";
import { selected } from "./selection.js";
import { state } from "./state.js";

export class RunView {
  constructor(place, id) {
    Object.assign(this, { place, id });
    const back = make("button", { type: "button", textContent: "← All runs", onclick: () => state.set({ view: "", other: "", from: "", to: "" }, { isStep: true }) });
    this.head = make("div", { className: "run-head" }, back);
    this.charts = make("div");
    this.body = make("div", { className: "run-body" }, this.charts);
    this.facts = make("div", { className: "facts" });
    this.other = make("select", { "aria-label": "Compare params with another run", onchange: () => state.set({ other: this.other.value }) });
    place.replaceChildren(this.head, this.body, this.facts);
    this.start(back);
  }

  async start(back) {
    try {
      this.run = await ask("run", { run: this.id });
    } catch (error) {
      this.place.replaceChildren(noSuchRun(this.id, error.message));
      return;
    }
    if (this.isGone) return;
    const { run } = this;
    keepRuns([{ id: this.id, name: run.run_name ?? this.id, status: run.status, attempt: run.attempt ?? 1, ranks: run.ranks?.length ?? 0 }]);
    const title = make("h2", { textContent: run.run_name ?? this.id });
    this.mark = make("span", {}, statusMark(run.status));
    this.took = make("span", { className: "quiet", textContent: times(run) });
    const compare = make("label", {}, "Compare with", this.other);
    this.head.replaceChildren(back, title, this.mark, make("span", { className: "quiet", textContent: `${run.experiment_name} · ${this.id}` }), this.took, make("span", { className: "space" }), compare);
    document.title = `${run.run_name ?? this.id} · refunc`;
    this.grid = new Grid(this.charts);
    this.lines = new Lines(this.id, this.grid.link);
    Object.assign(this.lines, { start: run.start_time, isOver: run.status !== "running" });
    this.lines.xName = state.get("x") === "own" ? "step" : state.get("x");
    this.body.append(this.lines.element);
    this.fillOthers();
    await Promise.all([this.grid.show(new Map([[this.id, selected().get(this.id) ?? 0]])), this.drawFacts()]);
    this.onReady?.();
  }

  async fillOthers() {
    const { rows } = await ask("runs", { limit: 200 }).catch(() => ({ rows: [] }));
    const others = rows.filter((row) => row.id !== this.id).map((row) => [row.id, row.name]);
    fillSelect(this.other, [["", "no other run"], ...others], state.get("other"));
  }

  async drawFacts() {
    const other = state.get("other") ? await ask("run", { run: state.get("other") }).catch(() => null) : null;
    const facts = factsOf(this.run, other);
    this.facts.replaceChildren(...facts);
    const artifacts = await artifactsOf(this.id).catch(() => null);
    if (artifacts) this.facts.append(artifacts);
  }

  /** The run has changed: its status and its facts are asked for again. */
  async status(status) {
    if (!this.run || status === this.run.status) return;
    this.mark.replaceChildren(statusMark(status));
    this.run = await ask("run", { run: this.id }).catch(() => this.run);
    this.took.textContent = times(this.run);
    this.drawFacts();
  }

  axis() {
    if (!this.lines) return;
    this.lines.xName = state.get("x") === "own" ? "step" : state.get("x");
    this.grid.renew();
  }

  destroy() {
    this.isGone = true;
    this.grid?.destroy();
    this.lines?.destroy();
    byId("view").replaceChildren();
  }
}
