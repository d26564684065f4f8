// The line between the table and the charts, which can be moved. Its place is kept by the browser, and not in the
// address: it belongs to a screen.

import { byId } from "./dom.js";

const KEY = "refunc-left";
const [LEAST, MOST] = [15, 75];

export function handleDivider() {
  const line = byId("divider"), panes = byId("panes");
  const put = (share) => {
    const kept = Math.round(Math.min(MOST, Math.max(LEAST, share)));
    document.documentElement.style.setProperty("--left", `${kept}%`);
    line.setAttribute("aria-valuenow", kept);
    try {
      localStorage.setItem(KEY, kept);
    } catch {
      // A browser may keep nothing, as in a private window.
    }
  };
  const now = () => Number(line.getAttribute("aria-valuenow"));
  try {
    if (localStorage.getItem(KEY)) put(Number(localStorage.getItem(KEY)));
  } catch {
    // As above.
  }
  line.addEventListener("pointerdown", (event) => {
    line.setPointerCapture(event.pointerId);
    line.onpointermove = ({ clientX }) => put(((clientX - panes.getBoundingClientRect().left) / panes.clientWidth) * 100);
    line.onpointerup = line.onpointercancel = () => (line.onpointermove = null);
  });
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (!step) return;
    put(now() + step);
    event.preventDefault();
  });
}
