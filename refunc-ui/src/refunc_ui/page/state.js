// The state of the view, which stands in the fragment of the address: a copy of the address shows the same view, and the
// server never sees it.

const LISTS = ["run", "column", "group", "chart", "log"];
const DEFAULTS = { where: "", sort: "", x: "own", smooth: "0", center: "mean", spread: "std", rank: "", attempts: "newest",
  logx: "", view: "", other: "", from: "", to: "", rows: "", level: "", find: "", removed: "" };

class State extends EventTarget {
  #values = {};
  #lists = {};

  constructor() {
    super();
    this.#read();
    addEventListener("hashchange", () => this.#take());
    addEventListener("popstate", () => this.#take());
  }

  /** A setting as text. */
  get(name) {
    return this.#values[name] ?? DEFAULTS[name];
  }

  /** A setting that has several values. */
  list(name) {
    return this.#lists[name] ?? [];
  }

  /** Whether the address says nothing about *name*. */
  isUnset(name) {
    return !(name in this.#values) && !(name in this.#lists);
  }

  /**
   * Change settings; those that are told of it are called with the names that have changed.
   *
   * @param isStep Whether the browser's button "back" leads to the view before.
   */
  set(changes, { isStep = false } = {}) {
    const before = this.#text();
    const changed = new Set();
    for (const [name, value] of Object.entries(changes)) {
      if (JSON.stringify(value) === JSON.stringify(LISTS.includes(name) ? this.list(name) : this.get(name))) continue;
      changed.add(name);
      if (LISTS.includes(name)) this.#lists[name] = value;
      else this.#values[name] = String(value);
    }
    const text = this.#text();
    if (text !== before) history[isStep ? "pushState" : "replaceState"](null, "", text || location.pathname + location.search);
    if (changed.size) this.#tell(changed);
  }

  /** The address of this view with other settings, for a link. */
  address(changes) {
    return `#${encode({ ...this.#values, ...changes }, this.#lists)}`;
  }

  #text() {
    const text = encode(this.#values, this.#lists);
    return text ? `#${text}` : "";
  }

  #read() {
    this.#values = {};
    this.#lists = {};
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      if (LISTS.includes(name)) (this.#lists[name] ??= []).push(value);
      else if (name in DEFAULTS) this.#values[name] = value;
    }
  }

  #take() {
    const before = { ...this.#values }, lists = { ...this.#lists };
    this.#read();
    const changed = [
      ...Object.keys(DEFAULTS).filter((name) => (before[name] ?? DEFAULTS[name]) !== this.get(name)),
      ...LISTS.filter((name) => JSON.stringify(lists[name] ?? []) !== JSON.stringify(this.list(name))),
    ];
    if (changed.length) this.#tell(new Set(changed));
  }

  #tell(changed) {
    this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }
}

function encode(values, lists) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== DEFAULTS[name]) found.append(name, value);
  for (const name of LISTS) for (const value of lists[name] ?? []) found.append(name, value);
  // These are plain enough in an address, and easier to read.
  return found.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",");
}

export const state = new State();

/** Call *action* when one of *names* has changed. */
export function onChange(names, action) {
  state.addEventListener("change", ({ detail: changed }) => {
    if (names.some((name) => changed.has(name))) action(changed);
  });
}
