// The runs that the page knows by name: those in the table, and the selected ones, which may be in no row.

import { ask } from "./api.js";

// Runs that are asked for one by one.
const MOST_ASKED = 40;
const known = new Map();

/** Keep the rows of an answer. */
export function keepRuns(rows) {
  for (const row of rows) known.set(row.id, row);
}

export const runOf = (id) => known.get(id);
export const nameOf = (id) => known.get(id)?.name ?? id;

/** Ask for those of *ids* that are not known; return the ids that no run has. */
export async function knowRuns(ids) {
  const missing = ids.filter((id) => !known.has(id));
  for (let at = 0; at < missing.length; at += 100) {
    const part = missing.slice(at, at + 100);
    const where = `run_id in (${part.map((id) => `'${id.replace(/[\\']/g, "\\$&")}'`).join(", ")},)`;
    keepRuns((await ask("runs", { where, limit: 1000 })).rows);
  }
  // A run that the index does not know yet is in no answer to a question; the run itself says that it is there.
  await Promise.all(ids.filter((id) => !known.has(id)).slice(0, MOST_ASKED).map(knowRun));
  return ids.filter((id) => !known.has(id));
}

async function knowRun(id) {
  try {
    const run = await ask("run", { run: id });
    keepRuns([{ id, name: run.run_name ?? id, status: run.status, attempt: run.attempt ?? 1, ranks: run.ranks?.length ?? 0 }]);
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}
