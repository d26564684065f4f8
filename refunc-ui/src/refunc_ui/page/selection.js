// The selected runs, and the colour of each: a slot, taken when the run is selected and kept until it is not.
//
// The address has a word for each: the slot and the id, as in "0:oy6x956u". So a run keeps its colour, whatever other
// runs come or go.

import { state } from "./state.js";

const MOST = 200;

/** The selected runs: from the id to the slot. */
export function selected() {
  const found = new Map();
  for (const word of state.list("run")) {
    const [, slot, id] = /^(\d{1,4}):(.+)$/s.exec(word) ?? [];
    if (id) found.set(id, Number(slot));
  }
  return found;
}

function keep(runs) {
  state.set({ run: [...runs].map(([id, slot]) => `${slot}:${id}`) });
}

function freeSlot(runs) {
  const taken = new Set(runs.values());
  let slot = 0;
  while (taken.has(slot)) slot += 1;
  return slot;
}

/** Select runs, or no longer; return whether all of them fit. */
export function select(ids, isSelected = true) {
  const runs = selected();
  for (const id of ids) {
    if (!isSelected) runs.delete(id);
    else if (!runs.has(id) && runs.size < MOST) runs.set(id, freeSlot(runs));
  }
  keep(runs);
  return !isSelected || ids.every((id) => runs.has(id));
}

export function clear() {
  keep(new Map());
}

export const mostSelected = MOST;
