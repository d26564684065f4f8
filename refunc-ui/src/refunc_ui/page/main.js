// The page: what happens at the start, and what changes with each setting and each change of the store.
//
//   state.js      the settings, in the address          table.js, cells.js, groups.js   the table of runs
//   api.js        questions to the server                filter.js, columns.js           its filter and its columns
//   live.js       changes, as the server sends them      selection.js, known.js          selected runs, names of runs
//   controls.js   the controls above the charts          compare.js, run.js              the two views: runs, and one run
//   grid.js       charts on screen                       panel.js                        one chart and its curves
//   lines.js      log lines                              facts.js                        params, artifacts and the rest
//   empty.js      sentences where nothing is             dom.js, divider.js, patterns.js
//
// The charts themselves are modules of refunc-commands, which `refunc report` uses as well: static/charts/.

import { server } from "./api.js";
import { CompareView } from "./compare.js";
import { drawControls, drawGroups } from "./controls.js";
import { handleDivider } from "./divider.js";
import { byId, settled, spaced } from "./dom.js";
import { knownNames } from "./filter.js";
import { keepRuns } from "./known.js";
import { live } from "./live.js";
import { RunView } from "./run.js";
import { select, selected } from "./selection.js";
import { onChange, state } from "./state.js";
import { table } from "./table.js";

// Runs that are selected when the address names none.
const AT_START = 5;

let view = null;
let isFirst = true, isChosen = false;

function open() {
  const id = state.get("view");
  view?.destroy();
  document.body.classList.toggle("is-run", Boolean(id));
  view = id ? new RunView(byId("view"), id) : new CompareView(byId("view"));
  view.onReady = () => {
    if (view.grid) view.grid.onSeen = listen;
    listen();
  };
  if (!id) {
    table.draw(true);
    if (table.head) table.said();
    if (isChosen) tellChosen();
  }
  byId("main").scrollTop = 0;
}

/** Listen for changes of the runs and metrics on screen. */
function listen() {
  const runs = state.get("view") ? [state.get("view")] : [...selected().keys()];
  live.listen({ run: runs, metric: view?.grid?.metrics.slice(0, 200) ?? [] });
}

function tellChosen() {
  const count = selected().size;
  if (view instanceof CompareView) view.say(count === 1 ? "This is the newest run. Select others in the table." : `These are the newest ${count} runs. Select others in the table.`);
}

table.onLoad = ({ rows, place }) => {
  live.keep(place);
  keepRuns(rows);
  if (view instanceof CompareView) view.drawLegend(selected());
  if (isFirst && rows.length) isFirst = false;
  else return;
  if (selected().size || state.get("view") || table.isGrouped) return;
  isChosen = true;
  select(rows.slice(0, AT_START).map((row) => row.id));
  tellChosen();
};

const showRuns = spaced(() => view instanceof CompareView && view.show(), 100);

onChange(["view"], open);
onChange(["run"], () => {
  showRuns();
  if (!(view instanceof CompareView)) return;
  if (isChosen && selected().size !== AT_START) view.say("");
});
onChange(["chart"], () => view?.grid?.known && view.grid.arrange());
onChange(["group", "center", "spread", "rank", "attempts", "logx"], (changed) => {
  view?.grid?.renew(changed.has("group"));
  if (view instanceof CompareView) view.drawLegend(selected());
});
onChange(["x"], () => {
  state.set({ from: "", to: "" });
  if (view instanceof RunView) view.axis();
  else view?.grid?.renew();
});
onChange(["smooth"], settled(() => view?.grid?.renew(), 80));
onChange(["log"], () => view?.grid?.logs());
onChange(["from", "to"], () => view?.grid?.look());
onChange(["other"], () => view instanceof RunView && view.run && view.drawFacts());

// -- changes of the store ----------------------------------------------------------------------------------------------

live.addEventListener("store", ({ detail }) => {
  if (detail.new || detail.gone) knownNames({ isOther: true }).catch(() => {});
  // An answer that is on its way may be of the time before.
  const isSeen = detail.new || detail.gone || detail.changed.some((id) => table.isLoading || table.rowOf(id));
  if (isSeen && !state.get("view")) table.again();
  const { grid } = view ?? {};
  if (grid?.known && detail.changed.some((id) => grid.runs.has(id))) {
    if (grid.known.length) grid.changed();
    else grid.again();
  }
});
live.addEventListener("points", ({ detail }) => view?.grid?.points(detail.run, detail.metrics));
live.addEventListener("lines", ({ detail }) => view instanceof RunView && detail.run === view.id && view.lines?.news());
live.addEventListener("status", ({ detail }) => view instanceof RunView && detail.run === view.id && view.status(detail.status));

server.addEventListener("gone", () => {
  byId("gone").textContent = "The server does not answer. If you ended `refunc ui`, start it again: the page goes on by itself as soon as it is back.";
  byId("gone").hidden = false;
});
server.addEventListener("late", ({ detail: reason }) => {
  byId("gone").textContent = reason && `${reason} The page goes on by itself.`;
  byId("gone").hidden = !reason;
});
server.addEventListener("back", () => {
  byId("gone").hidden = true;
  table.load({ isSame: true });
  if (view?.grid) view.grid.again();
  else open();
});

// -- the start ---------------------------------------------------------------------------------------------------------

handleDivider();
drawControls();
open();
table.load();
drawGroups();
live.listen({ run: [...selected().keys()], metric: [] });
