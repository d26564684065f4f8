// The table of runs. Only the rows in view are elements, and only their part of the answer is asked for.

import { counted } from "./charts/numbers.js";
import { ask } from "./api.js";
import { cells } from "./cells.js";
import { byId, make, spaced } from "./dom.js";
import { emptyStore, noMatch } from "./empty.js";
import { tellError } from "./filter.js";
import { groupRows } from "./groups.js";
import { select, selected } from "./selection.js";
import { onChange, state } from "./state.js";
import { areUsual, columns, keepUsual } from "./columns.js";

const PART = 100;
const SORTS = { name: "run_name", status: "status", started: "start_time", took: "duration" };

class Table {
  /** The rows that are known, by their numbers; of which question; and its answer without rows. */
  rows = [];
  parts = new Set();
  head = null;
  /** The rows that were made, by the ids of their runs, and what they say. */
  made = new Map();
  above = make("tr", { className: "filler", "aria-hidden": "true" }, make("td", { colSpan: 99 }));
  below = make("tr", { className: "filler", "aria-hidden": "true" }, make("td", { colSpan: 99 }));

  constructor(place) {
    this.place = place;
    this.body = make("tbody");
    this.headRow = make("tr");
    this.table = make("table", {}, make("thead", {}, this.headRow), this.body);
    place.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(place);
    this.body.addEventListener("keydown", (event) => this.move(event));
    this.again = spaced(() => this.load({ isSame: true }), 1000);
    onChange(["where", "sort", "column", "group", "rows", "removed"], () => this.load());
    onChange(["run"], () => this.draw());
  }

  get isGrouped() {
    return state.list("group").length > 0 && state.get("rows") !== "runs";
  }

  question(offset) {
    return {
      where: state.get("where"), sort: state.get("sort"), columns: areUsual() ? [] : columns(), usual: areUsual() ? 1 : "", group: this.isGrouped ? state.list("group") : [],
      removed: state.get("removed"), offset, limit: PART,
    };
  }

  /**
   * Ask for the rows in view; *isSame* if the question is the one before, so that known rows stay until then. One answer
   * to that is waited for at a time: a store that changes faster than it can be read would else never be shown.
   */
  async load({ isSame = false } = {}) {
    if (isSame && this.isLoading) return void (this.isOld = true);
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const first = isSame ? Math.floor(this.first / PART) : 0;
    if (!isSame) this.place.scrollTop = 0;
    Object.assign(this, { isLoading: true, isOld: false });
    try {
      const question = this.question(first * PART), answer = await ask("runs", question, asking.signal);
      if (question.usual && areUsual()) keepUsual(answer.columns.map((column) => column.key));
      this.head = answer;
      this.rows = [];
      this.parts = new Set();
      if (this.made.size > 2000) this.made.clear();
      this.take(first, answer);
      tellError(null);
      this.said();
      this.draw(true);
      this.onLoad?.(answer);
    } catch (error) {
      if (error.name !== "AbortError") tellError(error);
    } finally {
      if (asking === this.asking) {
        this.isLoading = false;
        if (this.isOld) this.again();
      }
    }
  }

  take(part, answer) {
    this.parts.add(part);
    answer.rows.forEach((row, at) => (this.rows[part * PART + at] = row));
  }

  async more(part) {
    if (this.parts.has(part)) return;
    this.parts.add(part);
    const asking = this.asking;
    try {
      const answer = await ask("runs", this.question(part * PART), asking.signal);
      if (asking !== this.asking) return;
      this.take(part, answer);
      this.draw();
    } catch (error) {
      this.parts.delete(part);
      if (error.name !== "AbortError") tellError(error);
    }
  }

  said() {
    const { total, matched, store } = this.head;
    byId("count").textContent = matched === total ? counted(total, "run") : `${matched.toLocaleString("en")} of ${counted(total, "run")}`;
    Object.assign(byId("store"), { textContent: `\u200e${store}`, title: store });
    if (!state.get("view")) document.title = `refunc · ${store.split("/").pop()}`; // else it is that of the run
    const notes = [...this.head.notes, ...this.head.unreadable.map(({ folder, error }) => `${folder} cannot be read: ${error} \`refunc doctor\` says more.`)];
    byId("table-notes").replaceChildren(...notes.map((text) => make("p", { className: "notice", textContent: text })));
  }

  // -- drawing -------------------------------------------------------------------------------------------------------

  get first() {
    return Math.max(0, Math.floor(this.place.scrollTop / this.rowHeight));
  }

  get rowHeight() {
    return 28;
  }

  draw(isOther = false) {
    if (!this.head) return;
    const { total, matched } = this.head;
    if (!matched) {
      this.place.replaceChildren(total ? noMatch() : emptyStore(this.head));
      return;
    }
    if (this.table.parentNode !== this.place) this.place.replaceChildren(this.table);
    if (isOther) this.drawHead();
    const groups = this.isGrouped && this.head.groups;
    if (groups) {
      this.made.clear();
      this.put(...groupRows(groups, this.head.columns, selected()));
      return;
    }
    const count = Math.ceil(this.place.clientHeight / this.rowHeight) + 12;
    const from = Math.max(0, this.first - 6), to = Math.min(matched, from + count);
    for (let part = Math.floor(from / PART); part <= Math.floor(Math.max(from, to - 1) / PART); part++) this.more(part);
    const runs = selected(), focused = document.activeElement?.closest?.("tr")?.dataset.id;
    const rows = [];
    for (let at = from; at < to; at++) rows.push(this.row(this.rows[at], at, runs));
    this.put(filler(this.above, from * this.rowHeight), ...rows, filler(this.below, (matched - to) * this.rowHeight));
    this.table.setAttribute("aria-rowcount", matched + 1);
    if (focused !== undefined && !this.body.contains(document.activeElement)) this.rowOf(focused)?.querySelector("input")?.focus({ preventScroll: true });
  }

  /** Have these rows and no others. A row that stays is left alone: the pointer may be on it, or the focus in it. */
  put(...rows) {
    const wanted = new Set(rows);
    for (const row of [...this.body.rows]) if (!wanted.has(row)) row.remove();
    rows.forEach((row, at) => this.body.rows[at] !== row && this.body.insertBefore(row, this.body.rows[at] ?? null));
  }

  rowOf(id) {
    return [...this.body.rows].find((row) => row.dataset.id === id);
  }

  row(run, at, runs) {
    if (!run) return make("tr", { "aria-rowindex": at + 2 }, make("td", { className: "pick" }), make("td", { className: "quiet", textContent: "…", colSpan: 99 }));
    const slot = runs.get(run.id), isSelected = slot !== undefined;
    const said = JSON.stringify([run, at, slot ?? null, this.head.columns]), known = this.made.get(run.id);
    if (known?.said === said) return known.row;
    const row = make("tr", { className: isSelected ? "is-selected" : "", "aria-rowindex": at + 2, data: { id: run.id } });
    row.append(...cells(run, this.head.columns, slot));
    this.made.set(run.id, { said, row });
    return row;
  }

  drawHead() {
    const said = JSON.stringify([this.head.columns, state.get("sort"), this.isGrouped && state.list("group")]);
    if (said === this.headSaid) return;
    this.headSaid = said;
    const sort = state.get("sort"), isDown = sort.startsWith("-"), key = sort.replace(/^-/, "");
    const heading = (text, by, className = "") => {
      const order = key === by ? (isDown ? "descending" : "ascending") : "none";
      const button = make("button", { type: "button", textContent: text, title: `Sort by ${by}`, onclick: () => sortBy(by) });
      return make("th", { scope: "col", className, "aria-sort": order }, button);
    };
    const { columns: shown } = this.head;
    const own = this.isGrouped
      ? [make("th", { scope: "col", className: "name", textContent: state.list("group").join(", ") }), make("th", { scope: "col", className: "number", textContent: "runs" })]
      : [heading("run", SORTS.name, "name"), heading("status", SORTS.status), heading("started", SORTS.started), heading("took", SORTS.took, "number")];
    const side = (column) => (column.kind === "number" || column.kind === "duration" ? "number" : "");
    const rest = this.isGrouped
      ? shown.filter((column) => column.kind === "number").map((column) => make("th", { scope: "col", className: "number", textContent: column.title, title: "mean ± standard deviation" }))
      : shown.map((column) => heading(column.title, column.key, side(column)));
    byId("select-top").hidden = this.isGrouped;
    this.headRow.replaceChildren(make("th", { scope: "col", className: "pick" }, make("span", { className: "unseen", textContent: "Selected" })), ...own, ...rest);
  }

  // -- keys ----------------------------------------------------------------------------------------------------------

  move(event) {
    const row = event.target.closest("tr");
    const to = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
    if (event.key === "Enter" && event.target.type === "checkbox") state.set({ view: row.dataset.id }, { isStep: true });
    else if (to?.dataset.id) {
      const { id } = to.dataset;
      to.scrollIntoView({ block: "nearest" });
      (this.rowOf(id) ?? to).querySelector("input").focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }

  /** The first rows, as far as they are known. */
  top(count) {
    return this.rows.slice(0, count).filter(Boolean);
  }
}

/** Highest first, then lowest first, then as it was: newest first. */
function sortBy(key) {
  state.set({ sort: { [`-${key}`]: key, [key]: "" }[state.get("sort")] ?? `-${key}` });
}

/** The row in place of those that are out of view. */
function filler(row, height) {
  row.cells[0].style.height = `${height}px`;
  row.hidden = height <= 0;
  return row;
}

export const table = new Table(byId("table"));

byId("clear").addEventListener("click", () => state.set({ run: [] }));
byId("select-top").addEventListener("click", () => select(table.top(10).map((run) => run.id)));
