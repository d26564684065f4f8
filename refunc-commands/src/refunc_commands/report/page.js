// Draws the report. Everything that a user has written becomes text (textContent), never markup.
const content = JSON.parse(document.getElementById("content").textContent);
const runs = content.runs;
const STATUS = { completed: "good", failed: "bad", crashed: "bad", interrupted: "warn", exited: "warn", running: "busy" };
const ODD = { NaN: "nan", Infinity: "inf", "-Infinity": "-inf" };
const LEVEL = { ERROR: "bad", CRITICAL: "bad", WARNING: "warn", RESULT: "good", TRACE: "quiet", DEBUG: "quiet" };

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
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

const drawnCharts = [];
// A chart is drawn when it comes into view; a report may have hundreds.
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) drawNow(entry.target);
}, { rootMargin: "300px" });

function drawNow(figure) {
  const { chart, curves } = drawnCharts.find((each) => each.chart.figure === figure);
  seen.unobserve(figure);
  chart.show(curves);
}

function columns(curve, name) {
  const column = Object.fromEntries(["x", "y", "low", "high"].filter((each) => curve[each]).map((each) => [each, Float64Array.from(curve[each], number)]));
  const odd = curve.y.flatMap((value, at) => (typeof value === "string" ? [[number(curve.x[at]), ODD[value]]] : []));
  const parts = [curve.label ?? (runs.length > 1 ? runs[curve.run].name : ""), name ?? "", curve.rank === undefined ? "" : `rank ${curve.rank}`];
  const y = column.y.map((value) => (Number.isFinite(value) ? value : NaN));
  return { ...curve, ...column, y, odd, oddCount: curve.odd, label: parts.filter(Boolean).join("  ") };
}

/** The patterns, such as `*\/loss`, as tests of a metric's name. */
function matching(pattern) {
  const parts = pattern.split(/([*?])/).map((part) => ({ "*": ".*", "?": "." })[part] ?? part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const found = new RegExp(`^${parts.join("")}$`, "s");
  return (name) => name === pattern || found.test(name);
}

/** The charts to draw: one a metric; with patterns, one a pattern, with the curves of every metric that it names. */
function chosen(patterns) {
  const { list } = content.charts;
  if (!patterns.length) return list.map((chart) => ({ name: chart.name, curves: chart.curves.map((curve) => columns(curve)) }));
  return patterns.map((pattern) => {
    const charts = list.filter((chart) => matching(pattern)(chart.name));
    const width = Math.max(1, ...charts.flatMap((chart) => chart.curves.map((curve) => curve.slot + 1)));
    const isMany = charts.length > 1;
    const curves = charts.flatMap((chart, at) => chart.curves.map((curve) => ({ ...columns(curve, isMany && chart.name), slot: at * width + curve.slot })));
    return { name: pattern, curves };
  });
}

/** Charts with the same x axis share cursor and zoom. Curves with other axes have a chart of their own. */
function drawCharts(grid, patterns, smoothing) {
  for (const { chart } of drawnCharts.splice(0)) {
    seen.unobserve(chart.figure);
    chart.destroy();
  }
  const links = {}, found = chosen(patterns);
  for (const { name, curves } of found) {
    for (const xName of new Set(curves.map((curve) => curve.x_name))) {
      links[xName] ??= new Link();
      const chart = new Chart({ title: name, xName, smoothing, link: links[xName] });
      drawnCharts.push({ chart, curves: curves.filter((curve) => curve.x_name === xName) });
      grid.append(chart.figure);
      seen.observe(chart.figure);
    }
  }
  return found.filter((each) => !each.curves.length).map((each) => each.name);
}

function legend() {
  const list = make("ul", { className: "legend" }), curves = content.charts.list.flatMap((chart) => chart.curves);
  const named = new Map(curves.map((curve) => [curve.slot, columns(curve).label]).sort(([one], [other]) => one - other));
  if (named.size < 2) return [];
  for (const [slot, label] of named) {
    const item = make("li", {}, swatch(slot), label);
    item.addEventListener("pointerenter", () => drawnCharts.forEach(({ chart }) => chart.highlight(label)));
    item.addEventListener("pointerleave", () => drawnCharts.forEach(({ chart }) => chart.highlight(null)));
    list.append(item);
  }
  return [list];
}

function charts() {
  const notices = runs.flatMap((run) => run.left_out.map((text) => (runs.length > 1 ? `${run.name}: ${text}` : text)));
  if (content.runs_left_out) notices.unshift(`${content.runs_left_out} older runs are left out.${content.charts.bands ? " Groups are of all runs." : ""}`);
  if (!content.charts.list.length && !content.charts.left_out && !notices.length) return section("charts");
  const grid = make("div", { className: "grid" });
  const said = make("p", { className: "quiet", role: "status" });
  const together = make("input", { type: "search", id: "together", placeholder: "*/loss train/*", size: 24 });
  const smoothing = make("input", { type: "range", id: "smoothing", min: 0, max: 0.99, step: 0.01, value: 0 });
  const again = () => {
    const missing = drawCharts(grid, together.value.split(/\s+/).filter(Boolean), Number(smoothing.value));
    said.textContent = missing.length ? `No metric is called ${missing.join(" or ")}.` : "";
  };
  together.addEventListener("change", again);
  smoothing.addEventListener("input", () => drawnCharts.forEach(({ chart }) => chart.set({ smoothing: Number(smoothing.value) })));
  const label = (text, input) => make("label", {}, `${text} `, input);
  const hint = make("span", { className: "quiet", textContent: "Drag to zoom, double click for everything; Ctrl and the wheel, too." });
  const parts = [...legend(), make("div", { className: "controls" }, label("One chart for", together), label("Smoothing", smoothing), hint), said, grid];
  if (content.charts.bands) parts.unshift(make("p", { className: "quiet", textContent: `Curves are the ${content.charts.bands}.` }));
  for (const text of notices) parts.push(make("p", { className: "notice", textContent: text }));
  if (content.charts.left_out) {
    parts.push(make("p", { className: "notice", textContent: `${content.charts.left_out} more metrics are not drawn; their values stand below.` }));
  }
  section("charts", ...parts);
  again();
  addEventListener("beforeprint", () => {
    for (const { chart } of drawnCharts) {
      drawNow(chart.figure);
      chart.draw();
    }
  });
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
 * The best value of a metric, its column, and how it is marked: a goal that its name says is a guess.
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
// Charts in view are drawn with the second frame.
requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.drawn = "yes"))));
