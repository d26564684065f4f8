// Groups of runs as rows of the table: how many runs, and mean ± standard deviation of each column of numbers.

import { shown } from "./charts/numbers.js";
import { make } from "./dom.js";
import { select } from "./selection.js";
import { keyText } from "./cells.js";

export function groupRows(groups, columns, runs) {
  return groups.map((group) => {
    const count = group.runs.filter((id) => runs.has(id)).length;
    const name = keyText(group.key);
    const pick = make("input", {
      type: "checkbox", checked: count > 0 && count === group.runs.length, indeterminate: count > 0 && count < group.runs.length,
      "aria-label": `Select the runs of ${name}`, onchange: (event) => select(group.runs, event.target.checked),
    });
    return make(
      "tr", { className: count ? "is-selected" : "", data: { id: `group ${name}` } },
      make("td", { className: "pick" }, make("div", {}, pick)),
      make("th", { scope: "row", className: "name", textContent: name, title: name }),
      make("td", { className: "number", textContent: group.n.toLocaleString("en") }),
      ...columns.flatMap((column, at) => (column.kind === "number" ? [make("td", { className: "number", textContent: ofGroup(group.values[at]), title: ends(group.values[at]) })] : [])),
    );
  });
}

/** Mean and standard deviation, with as many digits as the deviation makes sense of. */
function ofGroup(values) {
  if (!values) return "–";
  const [mean, std] = values;
  if (!(std > 0)) return shown(mean);
  const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(std))));
  return std >= 1e6 || std < 1e-5 ? `${shown(mean)} ± ${shown(std)}` : `${mean.toFixed(digits)} ± ${std.toFixed(digits)}`;
}

function ends(values) {
  return values ? `from ${shown(values[2])} to ${shown(values[3])}` : "";
}
