// The field for expressions: what is wrong with one stands under it, with its place marked.

import { ask } from "./api.js";
import { byId, make, settled } from "./dom.js";
import { onChange, state } from "./state.js";

const field = byId("where"), said = byId("where-said");
// A name at the end of what is typed; a suggestion takes its place.
const LAST_WORD = /[\w./-]*$/;
const MOST_SUGGESTED = 200;

field.value = state.get("where");
field.addEventListener("input", settled(() => state.set({ where: field.value.trim() }), 300));
byId("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  state.set({ where: field.value.trim() });
});
onChange(["where"], () => {
  if (field.value.trim() !== state.get("where")) field.value = state.get("where");
});

/** Say under the field what is wrong; null if nothing is. */
export function tellError(error) {
  const isHere = error?.part === "where" || (error?.status === 400 && error.part !== "sort" && error.at);
  field.setAttribute("aria-invalid", String(Boolean(isHere)));
  said.replaceChildren();
  if (!error) return;
  const where = state.get("where");
  if (isHere && error.at) {
    const [from, to] = error.at;
    const marked = make("mark", { textContent: where.slice(from, Math.max(to, from + 1)) || " " });
    said.append(make("code", {}, where.slice(0, from), marked, where.slice(Math.max(to, from + 1))));
  }
  said.append(error.message);
}

let names = null;

/** All names of the store, for suggestions and for columns; asked for once, and again when runs have come. */
export function knownNames({ isOther = false } = {}) {
  if (isOther) names = null;
  names ??= ask("names").catch((error) => {
    names = null;
    throw error;
  });
  return names;
}

async function suggest() {
  const known = await knownNames().catch(() => null);
  if (!known) return;
  const word = field.value.match(LAST_WORD)[0], before = field.value.slice(0, field.value.length - word.length);
  const every = ["run_name", "experiment_name", "status", "start_time", "duration", "notes"];
  for (const part of ["params", "tags", "metrics", "results"]) every.push(...(known[part] ?? []).map((name) => `${part}.${name}`));
  const found = every.filter((name) => name.includes(word) && name !== word).slice(0, MOST_SUGGESTED);
  byId("words").replaceChildren(...found.map((name) => make("option", { value: before + name })));
}

field.addEventListener("focus", suggest);
field.addEventListener("input", suggest);
