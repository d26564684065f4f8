// The facts of one run: params, tags, results, metrics, artifacts, environment, delivery, and how it failed.

import { duration, moment, shown } from "./charts/numbers.js";
import { ask, fileAddress } from "./api.js";
import { valueText } from "./cells.js";
import { make } from "./dom.js";

const PICTURE = /\.(png|jpe?g|gif|webp)$/i;
// Pictures that are shown at once, and characters of a text's preview.
const MOST_PICTURES = 24;
const PREVIEW = 20_000;

/** Nested values as pairs of a name with dots and a value. */
export function flat(values, before = "") {
  return Object.entries(values ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length ? flat(value, `${before}${name}.`) : [[before + name, value]],
  );
}

function section(title, ...parts) {
  return make("section", { "aria-label": title }, make("h3", { textContent: title }), ...parts);
}

/** Names and values; with *other*, a second column, and differences marked. */
function pairs(title, values, other = null, names = null) {
  const mine = new Map(values), theirs = new Map(other ?? []);
  const every = [...new Set([...mine.keys(), ...theirs.keys()])];
  if (!every.length) return null;
  const rows = every.map((name) => {
    const isOther = other && JSON.stringify(mine.get(name) ?? null) !== JSON.stringify(theirs.get(name) ?? null);
    const cells = [mine, ...(other ? [theirs] : [])].map((from) => make("td", { textContent: from.has(name) ? valueText(from.get(name)) : "–" }));
    return make("tr", { className: isOther ? "differs" : "" }, make("th", { scope: "row", textContent: name }), ...cells);
  });
  const head = names ? make("thead", {}, make("tr", {}, make("th"), ...names.map((name) => make("th", { scope: "col", textContent: name })))) : null;
  return section(title, make("table", {}, head, make("tbody", {}, ...rows)));
}

function metricsOf(run) {
  const names = Object.keys(run.metrics ?? {});
  if (!names.length) return null;
  const marks = new Set();
  const row = (name) => {
    const metric = run.metrics[name], goal = metric.goal ?? metric.guessed_goal;
    const mark = (kind) => {
      if (goal !== kind || metric[kind] === undefined) return "";
      marks.add(metric.goal ? "*" : "~");
      return metric.goal ? " *" : " ~";
    };
    const cells = [shown(metric.last), shown(metric.min) + mark("min"), shown(metric.max) + mark("max"), shown(metric.count)];
    return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells.map((text) => make("td", { textContent: text, className: /[*~]$/.test(text) ? "good" : "" })));
  };
  const head = make("tr", {}, ...["metric", "last", "lowest", "highest", "points"].map((textContent) => make("th", { scope: "col", textContent })));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...names.map(row)));
  const notes = Object.entries({ "*": "* the best", "~": "~ the best, guessed from the name" });
  const said = notes.filter(([mark]) => marks.has(mark)).map(([, note]) => make("p", { className: "quiet", textContent: note }));
  const found = section("Metrics", table, ...said);
  found.classList.add("wide");
  return found;
}

function delivery(run) {
  if (!run.delivery?.length) return null;
  const rows = run.delivery.map(({ name, state: word, delivered, waiting, dead, last_error: error }) => {
    const counts = [[delivered, "delivered"], [waiting, "waiting"], [dead, "given up"]].filter(([count]) => count);
    const more = counts.map(([count, said]) => `${count.toLocaleString("en")} ${said}`).join(", ");
    const failure = error ? make("div", { className: "bad", textContent: error }) : null;
    return make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", {}, `${word}${more ? `: ${more}` : ""}`, failure));
  });
  return section("Delivery", make("table", {}, make("tbody", {}, ...rows)));
}

function environment(run) {
  const own = ["script", "host", "pid", "python", "refunc", "folder"].map((name) => [name, run[name]]);
  const { children, ...links } = run.links ?? {};
  const more = [...flat(run.environment), ...Object.entries(links), ["children", children?.length ? children.map((child) => child.name ?? child).join(", ") : null]];
  const known = [...own, ...more].filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs("Environment", known.map(([name, value]) => [name.replaceAll("_", " "), name === "pid" ? String(value) : value]));
}

/** The sections of a run; *other* is a run whose params and tags stand beside. */
export function factsOf(run, other) {
  const names = other ? [run.run_name ?? run.run_id, other.run_name ?? other.run_id] : null;
  const of = (part) => (other ? flat(other[part]) : null);
  const failed = run.error ? section("Error", make("pre", { textContent: run.error, tabIndex: 0 })) : null;
  failed?.classList.add("wide");
  const notes = run.notes.map((note) => [moment(note.time), note.text]);
  const leftOut = run.left_out_told?.length ? section("Left out", ...run.left_out_told.map((textContent) => make("p", { textContent }))) : null;
  return [failed, leftOut, pairs("Params", flat(run.params), of("params"), names), pairs("Tags", flat(run.tags), of("tags"), names), pairs("Results", flat(run.results), of("results"), names), pairs("Notes", notes), delivery(run), environment(run), metricsOf(run)].filter(Boolean);
}

/** The artifacts, with pictures, and texts on demand. */
export async function artifactsOf(run) {
  const { artifacts: list } = await ask("artifacts", { run });
  if (!list.length) return null;
  const pictures = make("div", { className: "pictures" }), preview = make("div");
  const rows = list.flatMap((artifact) => rowsOf(run, artifact, pictures, preview));
  const head = make("tr", {}, ...["file", "size", "type", ""].map((textContent) => make("th", { scope: "col", textContent })));
  const made = section("Artifacts", make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)), preview, pictures);
  made.classList.add("wide");
  return made;
}

function rowsOf(run, artifact, pictures, preview) {
  const files = artifact.reference ? [] : artifact.is_folder ? artifact.files.filter((file) => file.stored) : [{ path: "", size: artifact.size }];
  if (!files.length) {
    return [make("tr", {}, make("th", { scope: "row", textContent: artifact.name }), make("td", { textContent: bytes(artifact.size) }), make("td", { textContent: artifact.type ?? "" }), make("td", { className: "quiet", textContent: `not copied: ${artifact.source ?? ""}` }))];
  }
  return files.map((file) => {
    const path = file.path ? `${artifact.name}/${file.path}` : artifact.name;
    if (PICTURE.test(path) && pictures.childElementCount < MOST_PICTURES) {
      const image = make("img", { src: fileAddress(run, path), alt: path, loading: "lazy" });
      pictures.append(make("figure", {}, image, make("figcaption", { textContent: path })));
    }
    const look = make("button", { type: "button", textContent: "look", "aria-label": `Look at ${path}`, onclick: () => show(run, path, preview) });
    const load = make("a", { href: fileAddress(run, path, true), textContent: "download", "aria-label": `Download ${path}` });
    return make("tr", {}, make("th", { scope: "row", textContent: path }), make("td", { textContent: bytes(file.size) }), make("td", { textContent: artifact.type ?? "" }), make("td", {}, PICTURE.test(path) ? null : look, " ", load));
  });
}

async function show(run, path, place) {
  const response = await fetch(fileAddress(run, path)).catch(() => null);
  const text = response?.ok ? (await response.text()).slice(0, PREVIEW) : "This file cannot be shown.";
  place.replaceChildren(make("h3", { textContent: path }), make("pre", { textContent: text, tabIndex: 0 }));
}

export function bytes(count) {
  if (count === null || count === undefined) return "";
  const power = Math.min(4, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return `${Number((count / 1000 ** power).toPrecision(3))} ${["B", "KB", "MB", "GB", "TB"][power]}`;
}

/** The line of a run's times. */
export function times(run) {
  return `started ${moment(run.start_time)}${run.duration === null ? "" : `, took ${duration(run.duration)}`}`;
}
