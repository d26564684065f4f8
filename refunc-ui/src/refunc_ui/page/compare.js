// The view of the selected runs: a legend, and a grid of charts.

import { swatch } from "./charts/curves.js";
import { make, shortName } from "./dom.js";
import { nothingSelected } from "./empty.js";
import { Grid } from "./grid.js";
import { knowRuns, nameOf } from "./known.js";
import { selected } from "./selection.js";
import { state } from "./state.js";

export class CompareView {
  constructor(place) {
    this.place = place;
    this.legend = make("ul", { className: "legend", "aria-label": "Selected runs", tabIndex: 0 });
    this.said = make("p", { className: "quiet", hidden: true });
    this.charts = make("div");
    place.replaceChildren(this.said, this.legend, this.charts);
    this.show();
  }

  /** A sentence above the charts. */
  say(text) {
    this.said.textContent = text;
    this.said.hidden = !text;
  }

  async show() {
    const runs = selected();
    if (!runs.size) {
      this.grid?.destroy();
      this.grid = null;
      this.legend.replaceChildren();
      this.charts.replaceChildren(nothingSelected());
      return;
    }
    const unknown = await knowRuns([...runs.keys()]).catch(() => []);
    if (this.isGone) return;
    if (unknown.length) this.say(`${unknown.length === 1 ? `The run ${unknown[0]} is` : `${unknown.length} selected runs are`} not in this store any more.`);
    if (!this.grid) this.charts.replaceChildren();
    this.grid ??= new Grid(this.charts);
    this.grid.onDrawn = () => this.drawLegend(selected());
    this.drawLegend(runs);
    await this.grid.show(runs);
    this.onReady?.();
  }

  drawLegend(runs) {
    const isGrouped = state.list("group").length > 0;
    const named = isGrouped ? [...(this.grid?.groups ?? [])] : [...runs].map(([id, slot]) => [nameOf(id), slot]);
    const said = JSON.stringify(named);
    if (said === this.legendSaid) return;
    this.legendSaid = said;
    this.legend.replaceChildren(...named.map(([name, slot]) => {
      const item = make("li", { title: name }, swatch(slot), shortName(name));
      item.addEventListener("pointerenter", () => this.grid?.highlight(name));
      item.addEventListener("pointerleave", () => this.grid?.highlight(null));
      return item;
    }));
  }

  destroy() {
    this.isGone = true;
    this.grid?.destroy();
    this.place.replaceChildren();
  }
}
