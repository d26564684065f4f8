// Elements of the page. Text of users becomes text of elements, never markup.

/** An element with properties and children; a child may be a text, and null is left out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("aria-") || name === "role" || name === "for") element.setAttribute(name, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A name that is cut in its middle where there is no room: names of runs often differ at their ends. */
export function shortName(name) {
  const end = name.length > 24 ? 10 : 0;
  return make("span", { className: "short-name" }, make("span", { textContent: name.slice(0, name.length - end) }), end ? make("span", { textContent: name.slice(-end) }) : null);
}

export const byId = (id) => document.getElementById(id);

/** Call *action* once, *wait* milliseconds after the last of many calls. */
export function settled(action, wait) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), wait);
  };
}

/** Call *action* at once, and then at most every *wait* milliseconds, also for the last of many calls. */
export function spaced(action, wait) {
  let timer, last = -Infinity;
  return () => {
    if (timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      last = performance.now();
      action();
    }, Math.max(0, last + wait - performance.now()));
  };
}

/** Replace the options of a select, and keep its choice. */
export function fillSelect(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value, textContent: text })));
  if (chosen && !pairs.some(([value]) => value === chosen)) select.append(make("option", { value: chosen, textContent: chosen }));
  select.value = chosen ?? "";
}
