// The cells of one run in the table.

import { swatch } from "./charts/curves.js";
import { duration, moment, shown } from "./charts/numbers.js";
import { make, shortName } from "./dom.js";
import { select } from "./selection.js";
import { state } from "./state.js";

const STATUS = { completed: "good", failed: "bad", crashed: "bad", unreadable: "bad", interrupted: "warn", exited: "warn", running: "busy" };

/** A status with the mark of its kind. */
export function statusMark(status) {
  return make("span", { className: `status ${STATUS[status] ?? "quiet"}` }, make("span", { textContent: status }));
}

/** How long ago, short enough for a table; the moment itself is the title. */
export function ago(seconds) {
  const passed = Date.now() / 1000 - seconds;
  if (passed < 60) return "just now";
  return passed < 86400 * 30 ? `${duration(passed).split(" ")[0]} ago` : moment(seconds).slice(0, 10);
}

/** A value as its column's kind asks. */
export function valueText(value, kind) {
  if (value === null || value === undefined) return "–";
  if (kind === "time") return moment(value);
  if (kind === "duration") return duration(value);
  if (kind === "number" || typeof value === "number") return shown(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The name of a group of runs: the values that its runs share. */
export function keyText(key) {
  return key.map((value) => (value === null ? "none" : valueText(value))).join(", ");
}

export function cells(run, columns, slot) {
  const pick = make("input", {
    type: "checkbox", checked: slot !== undefined, "aria-label": `Select ${run.name}`,
    onchange: (event) => {
      if (!select([run.id], event.target.checked)) event.target.checked = false;
    },
  });
  const name = make("a", {
    href: state.address({ view: run.id }), title: `${run.name} (${run.id})`,
    onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      state.set({ view: run.id }, { isStep: true });
    },
  }, shortName(run.name));
  const marks = [];
  if (run.attempt > 1) marks.push(`attempt ${run.attempt}`);
  if (run.ranks > 1) marks.push(`${run.ranks} ranks`);
  return [
    make("td", { className: "pick" }, make("div", {}, pick, slot === undefined ? null : swatch(slot))),
    make("th", { scope: "row", className: "name" }, name, marks.length ? make("span", { className: "quiet", textContent: `  ${marks.join(", ")}` }) : null),
    make("td", {}, statusMark(run.damaged ? "unreadable" : run.status)),
    make("td", { className: "quiet", textContent: ago(run.start_time), title: moment(run.start_time) }),
    make("td", { className: "number", textContent: duration(run.duration) }),
    ...columns.map((column, at) => {
      const text = run.pending ? "…" : valueText(run.values[at], column.kind);
      return make("td", { className: ["number", "duration"].includes(column.kind) ? "number" : "", textContent: text, title: text });
    }),
  ];
}
