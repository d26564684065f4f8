// Which columns the table has, and the panel in which they are chosen.

import { byId, make } from "./dom.js";
import { knownNames, tellError } from "./filter.js";
import { onChange, state } from "./state.js";

const STATISTICS = ["last", "min", "max", "mean", "best"];
const MOST_SHOWN = 300;
// The columns until some are chosen, which the server takes from the params and metrics of the store.
let usual = [];

/** The columns besides name, status and times. "none" in the address stands for no column. */
export function columns() {
  if (state.isUnset("column")) return usual;
  return state.list("column").filter((name) => name !== "none");
}

/** Whether the server is to choose the columns: none are chosen, and no metrics were known so far. */
export const areUsual = () => state.isUnset("column") && !usual.some((name) => name.startsWith("metrics."));

/** Keep the columns that the server has chosen. */
export function keepUsual(names) {
  usual = names;
}

function choose(names) {
  state.set({ column: names.length ? names : ["none"] });
}

const button = byId("columns-button"), panel = byId("columns");
button.addEventListener("click", () => toggle(panel.hidden));
panel.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  toggle(false);
  button.focus();
});
onChange(["column"], () => panel.hidden || fill());

function toggle(isOpen) {
  panel.hidden = !isOpen;
  button.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) fill().then(() => panel.querySelector("input")?.focus());
}

async function fill() {
  const known = await knownNames().catch(tellError);
  if (!known) return;
  const chosen = columns();
  const find = panel.querySelector("input[type=search]") ?? make("input", { type: "search", placeholder: "Find a param, tag, result or metric", "aria-label": "Find a column" });
  const statistic = panel.querySelector("select") ?? make("select", { "aria-label": "Value of a metric" }, ...STATISTICS.map((word) => make("option", { value: word, textContent: word })));
  const names = make("div", { className: "names" });
  const show = () => names.replaceChildren(...choices(known, find.value, statistic.value));
  find.oninput = statistic.onchange = show;
  show();
  const reset = make("button", { type: "button", textContent: "Usual columns", onclick: () => state.set({ column: [] }) });
  const chips = make("ul", { className: "chips" }, ...chosen.map((name) => chip(name, chosen)));
  panel.replaceChildren(chips, make("div", { className: "bar" }, find, make("label", {}, "metrics as", statistic), make("span", { className: "space" }), reset), names);
}

function chip(name, chosen) {
  const at = chosen.indexOf(name);
  const moved = [...chosen];
  moved.splice(Math.max(0, at - 1), 0, ...moved.splice(at, 1));
  const left = make("button", { type: "button", textContent: "←", "aria-label": `Move ${name} to the left`, disabled: at === 0, onclick: () => choose(moved) });
  const away = make("button", { type: "button", textContent: "✕", "aria-label": `Remove ${name}`, onclick: () => choose(chosen.filter((each) => each !== name)) });
  return make("li", {}, name, left, away);
}

function choices(known, words, statistic) {
  const chosen = new Set(columns());
  const of = (part, suffix = () => "") => (known[part] ?? []).map((name) => `${part}.${name}${suffix(name)}`);
  // A metric may be named as a statistic of another one is, such as loss.min.
  const isAlike = (name) => known.statistics.includes(name.split(".").at(-1));
  const value = (name) => (statistic === "last" && !isAlike(name) ? "" : `.${statistic}`);
  const every = [...of("params"), ...of("tags"), ...of("results"), ...of("metrics", value), "notes"];
  const wanted = words.toLowerCase().trim();
  const found = every.filter((name) => name.toLowerCase().includes(wanted));
  const boxes = found.slice(0, MOST_SHOWN).map((name) => {
    const box = make("input", { type: "checkbox", checked: chosen.has(name), onchange: () => choose(box.checked ? [...columns(), name] : columns().filter((each) => each !== name)) });
    return make("label", { title: name }, box, make("span", { textContent: name }));
  });
  if (found.length > MOST_SHOWN) boxes.push(make("span", { className: "quiet", textContent: `and ${(found.length - MOST_SHOWN).toLocaleString("en")} more: type a part of the name` }));
  return boxes.length ? boxes : [make("span", { className: "quiet", textContent: "Nothing has such a name." })];
}
