// Questions to the server. Addresses are relative: in a notebook, the page does not stand at the root.

// Answers that are waited for at once; a browser opens six connections, and two of them are streams.
const MOST_AT_ONCE = 4;
// Seconds after which a busy server is asked again, at first and at most, and how many times.
const FIRST_WAIT = 1, LONGEST_WAIT = 5;
const MOST_ATTEMPTS = 12;

/** An answer that is an error: `message` for people, `at` the place in an expression, `part` the parameter. */
export class ApiError extends Error {
  constructor(status, said) {
    super(said.error ?? `The server answered with ${status}.`);
    Object.assign(this, { status, at: said.at ?? null, part: said.in ?? "" });
  }
}

/** No answer at all. */
export class GoneError extends Error {}

/** Told of "gone" and "back", and of "late", with the reason for which an answer has to be waited for; empty at its end. */
export const server = new EventTarget();
let isGone = false;

export function tellGone(now) {
  if (now === isGone) return;
  isGone = now;
  server.dispatchEvent(new Event(now ? "gone" : "back"));
}

let isLate = false;

function tellLate(reason) {
  if (!reason && !isLate) return;
  isLate = Boolean(reason);
  server.dispatchEvent(new CustomEvent("late", { detail: reason }));
}

function address(path, asked) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== "") found.append(name, each);
    }
  }
  const text = found.toString();
  return `api/${path}${text ? `?${text}` : ""}`;
}

const waiting = [];
let atOnce = 0;

async function turn() {
  if (atOnce >= MOST_AT_ONCE) await new Promise((go) => waiting.push(go));
  atOnce += 1;
}

function done() {
  atOnce -= 1;
  waiting.shift()?.();
}

/** Wait until the tab is seen: nothing is asked for while it is hidden. */
async function seen() {
  while (document.hidden) await new Promise((go) => document.addEventListener("visibilitychange", go, { once: true }));
}

async function answer(path, asked, signal) {
  await seen();
  await turn();
  try {
    signal?.throwIfAborted();
    const response = await fetch(address(path, asked), { signal }).catch((error) => {
      if (error.name === "AbortError") throw error;
      tellGone(true);
      throw new GoneError("The server does not answer.");
    });
    tellGone(false);
    if (response.status !== 503) tellLate("");
    if (response.ok) return path === "curves" ? await response.arrayBuffer() : await response.json();
    throw new ApiError(response.status, await response.json().catch(() => ({})));
  } finally {
    done();
  }
}

/** The answer to a question as JSON; a busy server is asked again a few times. */
export async function ask(path, asked = {}, signal = undefined) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await answer(path, asked, signal);
    } catch (error) {
      if (error.status !== 503 || attempt === MOST_ATTEMPTS) throw error;
      if (attempt > 1) tellLate(error.message);
      await new Promise((go) => setTimeout(go, Math.min(LONGEST_WAIT, attempt * FIRST_WAIT) * 1000));
    }
  }
}

/** The address of a file among the artifacts of a run. */
export const fileAddress = (run, path, isDownload = false) => address("artifact", { run, path, download: isDownload ? 1 : "" });
/** The address of a stream of changes. */
export const streamAddress = (asked) => address("events", asked);

/**
 * The curves of one metric: the header, in which each curve has its columns by their names.
 *
 * The answer is a number, the length of the header; the header; and the columns, each a row of float64.
 */
export async function curves(asked, signal) {
  const buffer = await ask("curves", asked, signal);
  const size = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  let at = 4 + size;
  for (const curve of head.curves) {
    const columns = {};
    for (const name of curve.columns) {
      columns[name] = new Float64Array(buffer, at, curve.count);
      at += 8 * curve.count;
    }
    curve.columns = columns;
  }
  head.bytes = buffer.byteLength;
  return head;
}
