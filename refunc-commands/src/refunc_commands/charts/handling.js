// Mouse, touch and keys on a chart. Each becomes one of the chart's actions: point, look, zoom, pan, whole.

const ZOOM = 0.7;
// Pixels that a pointer moves before it is a drag.
const DRAG = 4;

/**
 * Drag selects the part to zoom to; with Shift, or with the middle button, it moves the part in view. Two fingers zoom and
 * move, one of them moves the cursor, and up and down the page. The wheel zooms with Ctrl (as two fingers on a touchpad
 * do), so that a page of charts can be scrolled. A double click shows everything.
 */
export function handlePointer(over, chart) {
  const { cursor } = chart, fingers = new Map();
  let start = null, pinch = null;
  const across = (event) => event.clientX - over.getBoundingClientRect().left;
  over.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    if (event.pointerType === "touch") fingers.set(event.pointerId, across(event));
    const isPan = event.shiftKey || event.button === 1;
    start = { at: across(event), view: chart.view, isPan, isTouch: event.pointerType === "touch", isDrag: false };
    pinch = fingers.size === 2 ? { view: chart.view, at: [...fingers.values()] } : null;
    if (event.button === 1) event.preventDefault();
    over.setPointerCapture(event.pointerId);
    if (fingers.size > 1) cursor.leave();
    else cursor.at(start.at, event.offsetY);
  });
  over.addEventListener("pointermove", (event) => {
    const at = across(event);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, at);
    if (pinch) chart.pinch(pinch.view, pinch.at, [...fingers.values()]);
    if (fingers.size > 1) return;
    if (start && !start.isTouch && (start.isDrag ||= Math.abs(at - start.at) > DRAG)) {
      if (start.isPan) chart.drag(start.view, at - start.at);
      else chart.mark(start.at, at);
      if (start.isPan) return;
    }
    cursor.at(at, event.offsetY);
  });
  const end = (event) => {
    const was = pinch || fingers.size > 1 ? null : start;
    fingers.delete(event.pointerId);
    pinch = start = null;
    chart.mark(null);
    if (was?.isDrag && !was.isPan && event.type === "pointerup") chart.lookBetween(was.at, across(event));
    if (was && !was.isDrag && event.type === "pointerup") chart.choose();
    if (event.type === "pointercancel") cursor.leave();
  };
  over.addEventListener("pointerup", end);
  over.addEventListener("pointercancel", end);
  over.addEventListener("pointerleave", () => start || cursor.leave());
  over.addEventListener("dblclick", () => chart.whole());
  over.addEventListener("wheel", (event) => {
    const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (event.ctrlKey || event.metaKey) chart.zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, chart.valueAt(across(event)));
    else if (isSideways && chart.isZoomed) chart.pan((event.deltaX || event.deltaY) / over.clientWidth);
    else return;
    event.preventDefault();
  }, { passive: false });
}

/** Keys of a chart that has the focus. */
export function handleKeys(place, chart) {
  const actions = {
    ArrowLeft: () => chart.cursor.step(-1),
    ArrowRight: () => chart.cursor.step(1),
    "Shift+ArrowLeft": () => chart.pan(-0.25),
    "Shift+ArrowRight": () => chart.pan(0.25),
    Home: () => chart.cursor.step(-Infinity),
    End: () => chart.cursor.step(Infinity),
    "+": () => chart.zoom(ZOOM),
    "=": () => chart.zoom(ZOOM),
    "-": () => chart.zoom(1 / ZOOM),
    0: () => chart.whole(),
    l: () => chart.setLog(!chart.isLog),
    Enter: () => chart.choose(),
    Escape: () => chart.cursor.leave(),
  };
  place.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== place) return;
    const arrow = event.key.startsWith("Arrow") && event.shiftKey;
    const action = actions[arrow ? `Shift+${event.key}` : event.key];
    if (!action) return;
    action();
    event.preventDefault();
  });
}
