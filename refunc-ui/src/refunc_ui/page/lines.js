// The log lines of a run, linked with the cursor of the charts beside them: a place in a chart shows the lines logged
// there, and the pointer on a line shows its place in the charts.

import { moment } from "./charts/numbers.js";
import { ask } from "./api.js";
import { make, settled } from "./dom.js";
import { onChange, state } from "./state.js";

const PART = 200;
// Lines that are elements at once; those farthest from what is read are left out, and asked for again.
const MOST = 2_000;
const LEVELS = ["", "DEBUG", "INFO", "WARNING", "ERROR"];
const KINDS = { ERROR: "bad", CRITICAL: "bad", WARNING: "warn", RESULT: "good", DEBUG: "quiet", TRACE: "quiet" };

export class Lines {
  constructor(run, link) {
    Object.assign(this, { run, link, lines: [], ends: { before: null, after: null } });
    const level = make("select", { "aria-label": "Least level", onchange: () => state.set({ level: level.value }) }, ...LEVELS.map((word) => make("option", { value: word, textContent: word ? `${word} and above` : "all levels" })));
    const find = make("input", { type: "search", placeholder: "Find in the log", "aria-label": "Find in the log" });
    find.addEventListener("input", settled(() => state.set({ find: find.value }), 300));
    level.value = state.get("level");
    find.value = state.get("find");
    this.box = make("div", { className: "lines", tabIndex: 0, role: "log", "aria-label": "Log lines", "aria-live": "off" });
    this.said = make("span", { className: "quiet", role: "status" });
    this.element = make("div", { className: "run-log" }, make("div", { className: "bar" }, find, level, this.said), this.box);
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.box.addEventListener("pointerover", (event) => this.point(event.target.closest(".line")));
    this.box.addEventListener("pointerleave", () => this.point(null));
    this.box.addEventListener("keydown", (event) => this.move(event));
    this.onCursor = settled(({ detail: { source } }) => source !== this && this.follow(), 120);
    link.addEventListener("cursor", this.onCursor);
    this.onSettings = onChange(["level", "find"], () => this.isGone || this.load());
    this.load();
  }

  question(more) {
    return { run: this.run, level: state.get("level"), search: state.get("find"), limit: PART, ...more };
  }

  /** Ask for lines: the newest, or those around a place. */
  async load(around = {}) {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const isAround = Object.keys(around).length > 0;
    try {
      const found = await this.searched(this.question(around), asking.signal, "before");
      this.lines = found.lines;
      this.ends = { before: found.before, after: found.after };
      this.draw();
      if (!isAround) this.box.scrollTop = this.box.scrollHeight;
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
    }
  }

  /** Lines that match are rare: the server stops after a while, and is asked to go on. */
  async searched(question, signal, way) {
    const found = await ask("lines", question, signal);
    for (let left = 50; found.searched_to && found.lines.length < PART && left > 0; left--) {
      this.say(`${found.lines.length} found, searching …`);
      const more = await ask("lines", { ...question, around_step: "", around_time: "", [way]: found.searched_to }, signal);
      found.lines = way === "before" ? [...more.lines, ...found.lines] : [...found.lines, ...more.lines];
      Object.assign(found, { searched_to: more.searched_to, [way]: more[way] });
    }
    this.say("");
    return found;
  }

  /** Bring the lines before the first or behind the last. */
  async more(way) {
    if (!this.ends[way] || this.isAsking) return;
    this.isAsking = true;
    try {
      const found = await this.searched(this.question({ [way]: this.ends[way] }), this.asking?.signal, way);
      const height = this.box.scrollHeight, top = this.box.scrollTop;
      this.ends[way] = found[way];
      if (way === "before") {
        this.lines = [...found.lines, ...this.lines];
        this.draw();
        this.box.scrollTop = top + this.box.scrollHeight - height;
      } else {
        this.lines = [...this.lines, ...found.lines].slice(-MOST);
        this.draw();
        this.box.scrollTop = top;
      }
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
    } finally {
      this.isAsking = false;
    }
  }

  /** New lines were logged. They are shown if the end of the log is in view. */
  async news() {
    const isAtEnd = this.box.scrollTop + this.box.clientHeight > this.box.scrollHeight - 40;
    const last = this.lines[this.lines.length - 1];
    if (!last) return void this.load();
    if (!isAtEnd) {
      this.ends.after ??= last.cursor;
      return;
    }
    this.ends.after = last.cursor;
    await this.more("after");
    this.box.scrollTop = this.box.scrollHeight;
  }

  scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.box;
    if (scrollTop < 60) this.more("before");
    if (scrollTop + clientHeight > scrollHeight - 60) this.more("after");
  }

  // -- drawing -------------------------------------------------------------------------------------------------------

  draw() {
    const rows = this.lines.map((line, at) => this.row(line, at));
    if (!rows.length) {
      const isFiltered = state.get("level") || state.get("find");
      rows.push(make("div", { className: "empty", textContent: isFiltered ? "No line matches. Choose another level or text." : `This run has no log lines${this.isOver ? "" : " yet"}.` }));
    }
    this.box.replaceChildren(...rows);
    this.mark();
  }

  row(line, at) {
    const kind = KINDS[line.level] ?? "";
    const step = line.step ?? line.at_step ?? null, place = step === null ? "" : String(step);
    const rank = line.rank ? `[rank ${line.rank}] ` : "";
    return make(
      "div", { className: `line${kind === "bad" ? " is-bad" : ""}`, data: { at } },
      make("span", { className: "step", textContent: moment(line.time, false), title: `${moment(line.time)}${place ? `, step ${place}` : ""}, ${line.logger}` }),
      make("span", { className: "step at", textContent: place }),
      make("span", { className: kind, textContent: line.level }),
      make("span", { textContent: rank + line.message + (line.trace ? `\n${line.trace}` : "") }),
    );
  }

  say(text) {
    this.said.textContent = text;
  }

  // -- the link with the charts --------------------------------------------------------------------------------------

  /** The place of a line on the charts' axis; null if it has none. */
  placeOf(line) {
    const axis = this.xName ?? "step";
    if (axis === "time") return line.time;
    if (axis === "relative") return line.time - this.start;
    return axis === "step" ? line.step ?? line.at_step ?? null : null;
  }

  point(element) {
    const line = element && this.lines[Number(element.dataset.at)];
    this.link.point(line ? this.placeOf(line) : null, this);
  }

  /** Show the lines at the cursor of the charts: those that are here, else others. */
  follow() {
    const place = this.link.cursor;
    if (place === null || this.isGone) return;
    const places = this.lines.map((line) => this.placeOf(line));
    const known = places.filter((each) => each !== null);
    const isHere = known.length && place >= known[0] && place <= known[known.length - 1];
    const isEnd = known.length && ((place < known[0] && !this.ends.before) || (place > known[known.length - 1] && !this.ends.after));
    if (isHere || isEnd) this.mark(true);
    else this.loadAround(place).then(() => this.mark(true));
  }

  loadAround(place) {
    const axis = this.xName ?? "step";
    if (axis === "time") return this.load({ around_time: place });
    if (axis === "relative") return this.load({ around_time: place + this.start });
    return axis === "step" ? this.load({ around_step: Math.round(place) }) : Promise.resolve();
  }

  /** Mark the last line at or before the cursor. */
  mark(isScrolled = false) {
    this.box.querySelector(".is-here")?.classList.remove("is-here");
    const place = this.link.cursor;
    if (place === null) return;
    let found = -1;
    this.lines.forEach((line, at) => {
      const there = this.placeOf(line);
      if (there !== null && there <= place) found = at;
    });
    const row = this.box.children[Math.max(0, found)];
    if (!row?.dataset.at) return;
    row.classList.add("is-here");
    if (isScrolled) this.box.scrollTop = row.offsetTop - this.box.offsetTop - this.box.clientHeight / 2;
  }

  /** Arrow keys go through the lines, and the cursor of the charts with them. */
  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target !== this.box) return;
    const here = this.box.querySelector(".is-here");
    const next = here ? (step > 0 ? here.nextElementSibling : here.previousElementSibling) : this.box.firstElementChild;
    if (!next?.dataset.at) return;
    this.point(next);
    here?.classList.remove("is-here");
    next.classList.add("is-here");
    next.scrollIntoView({ block: "nearest" });
    event.preventDefault();
  }

  destroy() {
    this.isGone = true;
    this.asking?.abort();
    this.link.removeEventListener("cursor", this.onCursor);
    this.element.remove();
  }
}
