// What is said where there is nothing to show: what happened, and what to do.

import { make } from "./dom.js";
import { state } from "./state.js";

const SCRIPT = `from refunc.logging import MLLogger, experiment_context

logger = MLLogger("train")
with experiment_context("digits"):
    for step in range(100):
        logger.log_metrics({"loss": 1 / (1 + step)}, step=step)`;

export function emptyStore({ store }) {
  return make(
    "div", { className: "empty" },
    make("strong", { textContent: "There are no runs here yet." }),
    make("p", {}, "This page shows the runs in ", make("code", { textContent: store }), ". Start a training there, for example with this script, and its run appears by itself:"),
    make("pre", { textContent: SCRIPT, tabIndex: 0 }),
    make("p", {}, "If your runs are in another folder, start the page with ", make("code", { textContent: "refunc --store FOLDER ui" }), "."),
  );
}

export function noMatch() {
  return make(
    "div", { className: "empty" },
    make("strong", { textContent: "No run matches the filter." }),
    make("p", {}, "Change the expression above, or show all runs."),
    make("button", { type: "button", textContent: "Show all runs", onclick: () => state.set({ where: "" }) }),
  );
}

export function nothingSelected() {
  return make(
    "div", { className: "empty" },
    make("strong", { textContent: "No run is selected." }),
    make("p", { textContent: "Select runs in the table, and their curves are drawn here. A click on a run's name shows all of that run." }),
  );
}

export function noMetrics(count) {
  return make(
    "div", { className: "empty" },
    make("strong", { textContent: count === 1 ? "The selected run has no metrics yet." : "The selected runs have no metrics yet." }),
    make("p", {}, "They are drawn as soon as ", make("code", { textContent: 'logger.log_metrics({"loss": …}, step=…)' }), " is called."),
  );
}

export function noSuchRun(id, said) {
  return make(
    "div", { className: "empty" },
    make("strong", { textContent: `The run ${id} cannot be shown.` }),
    make("p", { textContent: said }),
    make("button", { type: "button", textContent: "Show all runs", onclick: () => state.set({ view: "" }) }),
  );
}
