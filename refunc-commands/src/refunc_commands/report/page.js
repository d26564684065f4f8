// Draws the report. Everything that a user has written becomes text (textContent), never markup.
"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const runs = content.runs;
const WORDS = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };
const STATUS = { completed: "good", failed: "bad", crashed: "bad", interrupted: "warn", exited: "warn", running: "busy" };
const LEVEL = { ERROR: "bad", CRITICAL: "bad", WARNING: "warn", RESULT: "good", TRACE: "quiet", DEBUG: "quiet" };
const DASHES = ["", "6 3", "2 2", "8 3 2 3"];

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const number = (value) => (value === null ? NaN : typeof value === "string" ? WORDS[value] : value);

function shown(value) {
  if (value === null || value === undefined) return "–";
  value = number(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e9) ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

const colour = (run) => `var(--c${run % 8})`;
const dash = (run) => DASHES[Math.floor(run / 8) % DASHES.length];

function swatch(run) {
  const line = make("span", { className: "swatch" });
  line.style.background = colour(run);
  return line;
}

// -- tables ------------------------------------------------------------------------------------------------------------

function section(id, ...children) {
  const place = document.getElementById(id);
  if (children.length) place.append(...children);
  else place.remove();
}

function headings(first) {
  const row = make("tr", {}, make("th", { className: "name", textContent: first }));
  runs.forEach((run, at) => row.append(make("th", {}, swatch(at), run.name)));
  return make("thead", {}, row);
}

// A row a name and a column a run. Rows that differ are marked, and can be shown alone.
function sideBySide(id, first, part, { marked = true, cell = (value) => value } = {}) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(part(run))))];
  if (!names.length) return section(id);
  const body = make("tbody");
  let different = 0;
  for (const name of names) {
    const values = runs.map((run) => (Object.hasOwn(part(run), name) ? part(run)[name] : null));
    const differs = marked && new Set(values.map((value) => JSON.stringify(value))).size > 1;
    different += differs;
    const row = make("tr", { className: differs ? "differs" : "same" });
    row.append(make("th", { className: "name", textContent: name }));
    for (const value of values) {
      const made = value === null ? "–" : cell(value, name);
      row.append(make("td", {}, made instanceof Node ? made : String(made)));
    }
    body.append(row);
  }
  const table = make("table", {}, headings(first), body);
  const parts = [make("div", { className: "scroll" }, table)];
  if (marked && runs.length > 1) {
    const only = make("input", { type: "checkbox" });
    only.addEventListener("change", () => table.classList.toggle("only", only.checked));
    const say = `${different} of ${names.length} differ, marked ≠.`;
    parts.unshift(make("div", { className: "controls" }, make("label", {}, only, " only these "), make("span", { className: "quiet", textContent: say })));
  }
  return section(id, ...parts);
}

// -- charts ------------------------------------------------------------------------------------------------------------

const WIDTH = 640, HEIGHT = 240, LEFT = 62, RIGHT = 12, TOP = 10, BOTTOM = 24;

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) || rough;
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9 && found.length < 20; at++) found.push(at * step);
  return found;
}

function bounds(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (Number.isFinite(value)) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return [0, 1];
  if (low === high) return [low - (Math.abs(low) / 2 || 1), high + (Math.abs(high) / 2 || 1)];
  return [low, high];
}

class Chart {
  constructor(chart) {
    this.curves = chart.curves.map((curve) => ({ ...curve, x: curve.x.map(number), y: curve.y.map(number) }));
    this.isLog = false;
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" });
    this.svg.setAttribute("aria-label", chart.name);
    this.tip = make("div", { className: "tip", hidden: true });
    const canLog = this.curves.some((curve) => curve.y.some((value) => value > 0));
    const log = make("button", { type: "button", textContent: "log", title: "logarithmic scale", disabled: !canLog });
    log.setAttribute("aria-pressed", "false");
    log.addEventListener("click", () => {
      this.isLog = !this.isLog;
      log.setAttribute("aria-pressed", String(this.isLog));
      this.render();
    });
    const head = make("header", {}, make("h3", { textContent: chart.name }), log);
    this.figure = make("figure", {}, head, this.svg, this.tip, make("figcaption", { textContent: this.caption() }));
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    // One unit is one pixel, so that letters keep their shape at every width.
    new ResizeObserver(() => this.render()).observe(this.svg);
  }

  caption() {
    const of = this.curves.reduce((sum, curve) => sum + curve.of, 0);
    const drawn = this.curves.reduce((sum, curve) => sum + curve.y.length, 0);
    const odd = this.curves.reduce((sum, curve) => sum + curve.odd, 0);
    const parts = [`by ${[...new Set(this.curves.map((curve) => curve.x_name))].join(", ")}`];
    if (drawn < of) parts.push(`${drawn.toLocaleString("en")} of ${of.toLocaleString("en")} points drawn, lowest and highest kept`);
    if (odd) parts.push(`${odd.toLocaleString("en")} NaN or infinite: marked at the edge`);
    return parts.join(" · ");
  }

  height(value) {
    return this.isLog ? (value > 0 ? Math.log10(value) : NaN) : value;
  }

  render() {
    const width = Math.max(200, this.svg.clientWidth || WIDTH), height = this.svg.clientHeight || HEIGHT;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    const [left, right] = bounds(this.curves.flatMap((curve) => curve.x));
    const [low, high] = bounds(this.curves.flatMap((curve) => curve.y.map((value) => this.height(value))));
    const across = (x) => LEFT + ((x - left) / (right - left)) * (width - LEFT - RIGHT);
    const up = (y) => height - BOTTOM - ((y - low) / (high - low)) * (height - TOP - BOTTOM);
    this.scale = { across, up, width, height };
    for (const at of ticks(low, high, 5)) {
      const y = up(at);
      this.svg.append(draw("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
      this.svg.append(draw("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, shown(this.isLog ? 10 ** at : at)));
    }
    for (const at of ticks(left, right, Math.max(2, Math.floor(width / 110)))) {
      this.svg.append(draw("text", { x: across(at), y: height - 6, "text-anchor": "middle" }, shown(at)));
    }
    for (const curve of this.curves) this.curve(curve);
    this.cursor = draw("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    this.svg.append(this.cursor);
  }

  curve(curve) {
    const { across, up, height } = this.scale;
    let path = "", isDown = false, single = null;
    const marks = [];
    const dot = () => single && marks.push(draw("circle", { cx: single[0], cy: single[1], r: 2.5 }));
    curve.y.forEach((value, at) => {
      const x = across(curve.x[at]), y = up(this.height(value));
      if (!Number.isFinite(x)) return;
      if (!Number.isFinite(y)) {
        dot();
        single = null;
        isDown = false;
        const edge = value === Infinity ? TOP + 4 : height - BOTTOM - 4;
        if (!Number.isFinite(value)) marks.push(draw("path", { d: `M${x - 4} ${edge - 4}l8 8m0 -8l-8 8`, class: "curve" }));
        return;
      }
      path += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      single = isDown ? null : [x, y];
      isDown = true;
    });
    dot();
    const line = draw("path", { d: path, class: "curve", "stroke-dasharray": dash(curve.run) });
    for (const element of [line, ...marks]) {
      element.style.stroke = colour(curve.run);
      if (element.tagName === "circle") element.style.fill = colour(curve.run);
    }
    this.svg.append(line, ...marks);
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const at = event.clientX - box.left;
    const lines = [];
    let place = null;
    for (const curve of this.curves) {
      let best = -1, least = Infinity;
      curve.x.forEach((x, index) => {
        const far = Math.abs(this.scale.across(x) - at);
        if (far <= least) [best, least] = [index, far];
      });
      if (best < 0) continue; // none of its points has a place
      place ??= this.scale.across(curve.x[best]);
      const text = `${curve.x_name} ${shown(curve.x[best])}: ${shown(curve.y[best])}`;
      lines.push(make("div", {}, swatch(curve.run), runs.length > 1 ? `${runs[curve.run].name}  ${text}` : text));
    }
    if (place === null) return;
    this.cursor.setAttribute("x1", place);
    this.cursor.setAttribute("x2", place);
    this.cursor.setAttribute("visibility", "visible");
    this.tip.replaceChildren(...lines);
    this.tip.hidden = false;
    this.tip.style.top = `${this.svg.offsetTop + 8}px`;
    const onRight = place < this.scale.width / 2;
    this.tip.style.left = onRight ? `${this.svg.offsetLeft + place + 12}px` : "";
    this.tip.style.right = onRight ? "" : `${this.scale.width - place + 24}px`;
  }

  leave() {
    this.tip.hidden = true;
    this.cursor.setAttribute("visibility", "hidden");
  }
}

function charts() {
  const notices = runs.flatMap((run) => run.left_out.map((text) => (runs.length > 1 ? `${run.name}: ${text}` : text)));
  if (!content.charts.list.length && !content.charts.left_out && !notices.length) return section("charts");
  const grid = make("div", { className: "grid" });
  const parts = [grid];
  if (runs.length > 1) {
    const legend = make("ul", { className: "legend" });
    runs.forEach((run, at) => legend.append(make("li", {}, swatch(at), run.name)));
    parts.unshift(legend);
  }
  for (const text of notices) parts.push(make("p", { className: "notice", textContent: text }));
  if (content.charts.left_out) {
    parts.push(make("p", { className: "notice", textContent: `${content.charts.left_out} more metrics are not drawn; their values stand below.` }));
  }
  section("charts", ...parts);
  for (const chart of content.charts.list) grid.append(new Chart(chart).figure);
}

// -- the rest ----------------------------------------------------------------------------------------------------------

function log() {
  const parts = [];
  if (!runs.some((run) => run.lines_of)) {
    section("logs");
    return;
  }
  const levels = [...new Set(runs.flatMap((run) => run.lines.map((line) => line[1])))];
  const choice = make("select", { ariaLabel: "level" }, make("option", { value: "", textContent: "every level" }));
  for (const level of levels) choice.append(make("option", { value: level, textContent: level }));
  const text = make("input", { type: "search", placeholder: "find", ariaLabel: "find in the log" });
  parts.push(make("div", { className: "controls" }, choice, text));
  const rows = [];
  runs.forEach((run, at) => {
    if (!run.lines_of) return;
    if (runs.length > 1) parts.push(make("p", {}, swatch(at), run.name));
    if (run.lines.length < run.lines_of) {
      const say = `${run.lines.length.toLocaleString("en")} of ${run.lines_of.toLocaleString("en")} lines: the newest, and warnings and errors before them`;
      parts.push(make("p", { className: "quiet", textContent: say }));
    }
    const box = make("div", { className: "log", tabIndex: 0 });
    for (const [moment, level, logger, message] of run.lines) {
      const mark = make("span", { className: LEVEL[level] || "", textContent: level.padEnd(10) });
      const row = make("div", {}, make("span", { className: "quiet", textContent: moment + " " }), mark, ` ${logger}  ${message}`);
      rows.push([row, level, `${logger} ${message}`.toLowerCase()]);
      box.append(row);
    }
    parts.push(box);
  });
  const filter = () => {
    const wanted = text.value.toLowerCase();
    for (const [row, level, words] of rows) row.hidden = (choice.value && level !== choice.value) || !words.includes(wanted);
  };
  choice.addEventListener("change", filter);
  text.addEventListener("input", filter);
  section("logs", ...parts);
  // The newest lines say most.
  for (const box of document.querySelectorAll(".log")) box.scrollTop = box.scrollHeight;
}

function errors() {
  const parts = [];
  for (const run of runs) {
    if (run.error) parts.push(make("h3", { textContent: run.name }), make("pre", { textContent: run.error }));
  }
  section("errors", ...parts);
}

function artifacts() {
  const parts = [];
  runs.forEach((run, at) => {
    if (!run.artifacts.length) return;
    if (runs.length > 1) parts.push(make("p", {}, swatch(at), run.name));
    const body = make("tbody");
    const pictures = make("div", { className: "pictures" });
    for (const item of run.artifacts) {
      const row = make("tr", {}, make("th", { className: "name", textContent: item.name }));
      for (const text of [item.size, item.type, item.where]) row.append(make("td", { textContent: text }));
      body.append(row);
      if (item.picture) {
        const image = make("img", { alt: item.name, src: item.picture });
        pictures.append(make("figure", {}, image, make("figcaption", { textContent: item.name })));
      }
    }
    parts.push(make("div", { className: "scroll" }, make("table", {}, body)));
    if (pictures.childElementCount) parts.push(pictures);
  });
  section("artifacts", ...parts);
}

/**
 * What the best value of a metric is, in which column, and how it is marked: a goal that its name says is a guess.
 * Nothing where runs have no goal, or disagree.
 */
function best(name) {
  const known = runs.map((run) => run.values[name]).filter(Boolean);
  const defined = new Set(known.map((value) => value.goal).filter(Boolean));
  const goals = [...(defined.size ? defined : new Set(known.map((value) => value.guess).filter(Boolean)))];
  if (goals.length !== 1) return {};
  const column = goals[0] === "min" ? 1 : 2;
  const numbers = known.map((value) => value.numbers[column]).filter((value) => typeof value === "number");
  return { column, value: Math[goals[0]](...numbers), mark: defined.size ? "*" : "~" };
}

function values() {
  const body = make("tbody");
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.values)))].sort();
  if (!names.length) return section("values");
  const marks = new Set();
  for (const name of names) {
    const { column, value: winner, mark } = best(name);
    runs.forEach((run, at) => {
      if (!Object.hasOwn(run.values, name)) return;
      const row = make("tr", {}, make("th", { className: "name", textContent: name }));
      if (runs.length > 1) row.append(make("td", {}, swatch(at), run.name));
      run.values[name].numbers.forEach((value, place) => {
        const wins = place === column && value === winner;
        if (wins) marks.add(mark);
        row.append(make("td", wins ? { className: "best", textContent: `${shown(value)}${mark}` } : { textContent: shown(value) }));
      });
      body.append(row);
    });
  }
  const head = make("tr", {}, make("th", { className: "name", textContent: "metric" }));
  if (runs.length > 1) head.append(make("th", { textContent: "run" }));
  for (const title of ["last", "lowest", "highest", "points"]) head.append(make("th", { textContent: title }));
  const table = make("div", { className: "scroll" }, make("table", {}, make("thead", {}, head), body));
  const notes = Object.entries({ "*": "* the best", "~": "~ the best, guessed from the metric's name" });
  const said = notes.filter(([mark]) => marks.has(mark)).map(([, note]) => make("p", { className: "quiet", textContent: note }));
  return section("values", table, ...said);
}

document.getElementById("title").textContent = content.title;
document.getElementById("made").textContent = content.made;
sideBySide("runs", "", (run) => run.facts, {
  marked: false,
  cell: (value, name) => (name === "status" ? make("strong", { className: STATUS[value] || "", textContent: value }) : value),
});
charts();
values();
sideBySide("params", "param", (run) => run.params);
sideBySide("tags", "tag", (run) => run.tags);
errors();
log();
artifacts();
sideBySide("environment", "", (run) => run.environment);
document.documentElement.dataset.drawn = "yes";
