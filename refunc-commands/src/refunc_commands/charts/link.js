// What charts beside each other share: the place of the cursor, and the part of the x axis in view.

export class Link extends EventTarget {
  /** The x under the cursor; null without one. */
  cursor = null;
  /** The part in view, as [from, to]; null for everything. */
  view = null;

  /** Move the cursor; *source* is the chart or list that did so. */
  point(x, source) {
    if (x === this.cursor) return;
    this.cursor = x;
    this.#tell("cursor", source);
  }

  /** Show a part of the x axis, or everything: null. */
  look(view, source) {
    this.view = view;
    this.#tell("view", source);
  }

  #tell(type, source) {
    this.dispatchEvent(new CustomEvent(type, { detail: { source } }));
  }
}
