// Groups of runs as rows of the table: how many runs, and mean ± standard deviation of each column of numbers.

import { shown } from "./charts/numbers.js";
import { make } from "./dom.js";
import { select } from "./selection.js";
import { valueText } from "./cells.js";

export function groupRows(groups, columns, runs) {
  return groups.map((group) => {
    const count = group.runs.filter((id) => runs.has(id)).length;
    const name = group.key.map((value) => (value === null ? "none" : valueText(value))).join(", ");
    const pick = make("input", {
      type: "checkbox", checked: count > 0 && count === group.runs.length, indeterminate: count > 0 && count < group.runs.length,
      "aria-label": `Select the runs of ${name}`, onchange: (event) => select(group.runs, event.target.checked),
    });
    return make(
      "tr", { className: count ? "is-selected" : "", data: { id: `group ${name}` } },
      make("td", { className: "pick" }, make("div", {}, pick)),
      make("th", { scope: "row", className: "name", textContent: name, title: name }),
      make("td", { className: "number", textContent: group.n.toLocaleString("en") }),
      ...columns.map((column, at) => make("td", { className: "number", textContent: ofGroup(group.values[at]), title: ends(group.values[at]) })),
    );
  });
}

function ofGroup(values) {
  if (!values) return "–";
  const [mean, std] = values;
  return std === null || std === undefined ? shown(mean) : `${shown(mean)} ± ${shown(Number(Number(std).toPrecision(2)))}`;
}

function ends(values) {
  return values ? `from ${shown(values[2])} to ${shown(values[3])}` : "";
}
