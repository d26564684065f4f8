// Changes of the store, as the server sends them. Nothing is asked for while the tab is hidden; when it is seen again, the
// stream goes on from the last change that the page knows.

import { server, streamAddress, tellGone } from "./api.js";
import { byId, settled } from "./dom.js";

const EVENTS = ["store", "points", "lines", "status"];
// Seconds until a lost server is asked again, at first and at most.
const FIRST_WAIT = 1, LONGEST_WAIT = 15;

class Live extends EventTarget {
  #asked = null;
  #source = null;
  #last = "";
  #seen = "";
  #wait = FIRST_WAIT;
  #timer = undefined;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#close("paused") : this.#open()));
    addEventListener("pagehide", () => this.#close("paused"));
    // A question without an answer: the stream is opened again, which finds out when the server is back.
    server.addEventListener("gone", () => this.#openLater());
  }

  /** Keep the place of the newest table: what has changed in the list of runs since then is told in any case. */
  keep(place) {
    this.#seen = place;
  }

  /** Listen for changes of these runs and metrics. */
  listen = settled((asked) => {
    if (JSON.stringify(asked) === JSON.stringify(this.#asked)) return;
    this.#asked = asked;
    this.#last = ""; // what changed of the new ones before this is not known yet
    this.#open();
  }, 150);

  #open() {
    clearTimeout(this.#timer);
    this.#source?.close();
    if (document.hidden || !this.#asked) return;
    const source = (this.#source = new EventSource(streamAddress({ ...this.#asked, last_id: this.#last, seen: this.#seen })));
    source.addEventListener("open", () => {
      this.#wait = FIRST_WAIT;
      tellGone(false);
      this.#say("live", true);
    });
    source.addEventListener("error", () => {
      if (source !== this.#source) return;
      this.#close("not live");
      this.#openLater();
      if (this.#wait > FIRST_WAIT) tellGone(true);
      this.#wait = Math.min(LONGEST_WAIT, this.#wait * 1.6);
    });
    for (const type of EVENTS) {
      source.addEventListener(type, (event) => {
        this.#last = event.lastEventId || this.#last;
        if (type === "store") this.#seen = this.#last;
        this.dispatchEvent(new CustomEvent(type, { detail: JSON.parse(event.data) }));
      });
    }
  }

  #openLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), this.#wait * 1000);
  }

  #close(word) {
    this.#source?.close();
    this.#source = null;
    this.#say(word, false);
  }

  #say(word, isLive) {
    const mark = byId("live");
    mark.textContent = word;
    mark.classList.toggle("is-live", isLive);
  }
}

export const live = new Live();
