// The controls above the charts. Each is one setting of the address.

import { byId, fillSelect, make } from "./dom.js";
import { knownNames } from "./filter.js";
import { onChange, state } from "./state.js";

const AXES = [["own", "step"], ["epoch", "epoch"], ["time", "time"], ["relative", "time since start"]];
const CENTERS = [["mean", "mean"], ["median", "median"]];
const SPREADS = [["std", "± std"], ["quartiles", "quartiles"], ["minmax", "min to max"]];
const RANKS = [["", "rank 0"], ["all", "each rank"], ["mean", "mean of ranks"], ["min", "min of ranks"], ["max", "max of ranks"]];
const ATTEMPTS = [["newest", "newest attempt"], ["all", "all attempts"]];

function choice(name, label, pairs) {
  const select = make("select", { "aria-label": label, onchange: () => state.set({ [name]: select.value }) });
  const fill = () => fillSelect(select, pairs, state.get(name));
  onChange([name], fill);
  fill();
  return select;
}

function smoothing() {
  const slider = make("input", { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": "Smoothing" });
  const number = make("output", { textContent: "" });
  const show = () => {
    slider.value = state.get("smooth");
    number.textContent = Number(slider.value).toFixed(2);
  };
  slider.addEventListener("input", () => state.set({ smooth: slider.value }));
  onChange(["smooth"], show);
  show();
  return make("label", {}, "Smoothing", slider, number);
}

function patterns() {
  const field = make("input", { type: "search", placeholder: "Charts: */loss accuracy", "aria-label": "Metrics to draw; a pattern such as */loss draws all that match in one chart", size: 26, spellcheck: false, autocapitalize: "off" });
  field.setAttribute("list", "metric-words");
  const words = make("datalist", { id: "metric-words" });
  const show = () => (field.value = state.list("chart").join(" "));
  field.addEventListener("change", () => state.set({ chart: field.value.split(/\s+/).filter(Boolean) }));
  field.addEventListener("search", () => state.set({ chart: field.value.split(/\s+/).filter(Boolean) }));
  onChange(["chart"], show);
  show();
  return [field, words];
}

/** Suggest the names of metrics, and patterns of their last parts. */
export function suggestMetrics(metrics) {
  const ends = new Set(metrics.filter((name) => name.includes("/")).map((name) => `*/${name.split("/").pop()}`));
  byId("metric-words")?.replaceChildren(...[...ends, ...metrics].slice(0, 300).map((value) => make("option", { value })));
}

/** Whether the choices of ranks and of attempts are of use: some selected run has several. */
export function showRanks(hasRanks, hasAttempts) {
  byId("ranks").hidden = !hasRanks && state.get("rank") === "";
  byId("attempts").hidden = !hasAttempts && state.get("attempts") === "newest";
}

export function drawControls() {
  const logX = make("input", { type: "checkbox", checked: state.get("logx") === "1", onchange: () => state.set({ logx: logX.checked ? "1" : "" }) });
  onChange(["logx"], () => (logX.checked = state.get("logx") === "1"));
  const bands = make("span", { id: "bands" }, choice("center", "Curve of a group", CENTERS), " ", choice("spread", "Band of a group", SPREADS));
  const showBands = () => (bands.hidden = !state.list("group").length);
  onChange(["group"], showBands);
  showBands();
  const ranks = make("span", { id: "ranks", hidden: true }, choice("rank", "Ranks", RANKS));
  const attempts = make("span", { id: "attempts", hidden: true }, choice("attempts", "Attempts", ATTEMPTS));
  byId("controls").replaceChildren(...patterns(), make("label", {}, "x", choice("x", "x axis", AXES)), make("label", {}, logX, "log x"), smoothing(), bands, ranks, attempts);
}

/** The choice of what the runs are grouped by, beside the table. */
export async function drawGroups() {
  const select = byId("group"), rows = byId("rows-choice");
  const fill = async () => {
    const known = await knownNames().catch(() => ({ params: [], tags: [] }));
    const names = ["experiment_name", ...known.params.map((name) => `params.${name}`), ...known.tags.map((name) => `tags.${name}`)];
    const chosen = state.list("group");
    fillSelect(select, [["", "by nothing"], ...names.slice(0, 500).map((name) => [name, name.replace(/^(params|tags)\./, "")])], chosen.join(", "));
    rows.hidden = !chosen.length;
    const which = state.get("rows") || "groups";
    rows.replaceChildren(...["groups", "runs"].map((word) => make("button", { type: "button", textContent: word, "aria-pressed": String(which === word), onclick: () => state.set({ rows: word === "groups" ? "" : word }) })));
  };
  select.addEventListener("change", () => state.set({ group: select.value ? [select.value] : [] }));
  onChange(["group", "rows"], fill);
  await fill();
}
