/** The player: the recording, its controls, and where it is. */

import { refusal } from "./api.js";
import { announce, button, h, icon } from "./dom.js";
import { clock } from "./format.js";

const RATES = [0.75, 1, 1.25, 1.5, 2];
const STEP = 5; // seconds

/**
 * Only what a browser plays, and no script. Of Airflow itself only recordings: it does things, such as signing somebody out,
 * when its addresses are asked for, and a recording may be said to be anywhere.
 */
function playable(url) {
  if (!URL.canParse(url, location.href)) return null;
  const { protocol, origin, pathname, href } = new URL(url, location.href);
  const known = origin !== location.origin || pathname === new URL("api/audio", location.href).pathname;
  return known && (protocol === "https:" || protocol === "http:") ? href : null;
}

export class Player {
  #audio;
  #duration;
  #shown = -1;
  #tick;
  #dragging = false;
  #remote;

  /**
   * @param audio url and type of the recording
   * @param duration its seconds, null if they are not known
   * @param tick is called with the time, at every frame while it plays and whenever it changes
   */
  constructor({ url }, duration, tick) {
    this.#duration = duration;
    this.#tick = tick;
    this.#audio = h("audio", { preload: "auto" });
    const address = playable(url);
    if (address !== null) this.#audio.src = address;
    this.#remote = address !== null && new URL(address).origin !== location.origin;
    this.toggle = this.toggle.bind(this);
    this.#build();
    this.#listen();
    this.#show(0);
    if (address === null) this.#trouble("The audio cannot be played. Its address is none that this page plays.");
  }

  get time() {
    return this.#audio.currentTime;
  }

  get playing() {
    return !this.#audio.paused;
  }

  /** Go to a time. */
  seek(seconds) {
    const end = this.#length();
    this.#audio.currentTime = Math.max(0, end === null ? seconds : Math.min(seconds, end));
    this.#show(this.#audio.currentTime);
  }

  /** Play, from a time if one is given. */
  play(seconds = null) {
    if (seconds !== null) this.seek(seconds);
    // It says by its events why it does not play.
    this.#audio.play().catch(() => {});
  }

  toggle() {
    if (this.playing) this.#audio.pause();
    else this.play();
  }

  step(seconds) {
    this.seek(this.time + seconds);
  }

  close() {
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    this.#audio.load();
  }

  #length() {
    return Number.isFinite(this.#audio.duration) ? this.#audio.duration : this.#duration;
  }

  #build() {
    this.#button = button("Play", this.toggle, { glyph: "play", class: "round", "aria-keyshortcuts": "k" });
    this.#position = h("input", { type: "range", min: 0, max: Math.max(this.#duration ?? 0, 0.1), step: "any", value: 0, "aria-label": "Position" });
    this.#now = h("span", { class: "now" }, "0:00");
    this.#end = h("span", {}, this.#duration === null ? "–:––" : clock(this.#duration));
    this.#rate = h(
      "select",
      { "aria-label": "Speed" },
      RATES.map((rate) => h("option", { value: rate, selected: rate === 1 }, `${rate}×`)),
    );
    this.#said = h("p", { class: "trouble", role: "alert", hidden: true });
    this.root = h(
      "div",
      { class: "player", role: "group", "aria-label": "Player" },
      this.#button,
      this.#position,
      h("span", { class: "times" }, this.#now, " / ", this.#end),
      this.#rate,
      this.#said,
      this.#audio,
    );
  }

  #button;
  #position;
  #now;
  #end;
  #rate;
  #said;

  #listen() {
    const audio = this.#audio;
    const frame = () => {
      this.#show(audio.currentTime);
      if (!audio.paused) requestAnimationFrame(frame);
    };
    const events = {
      play: () => {
        this.#label("Pause", "pause");
        requestAnimationFrame(frame);
      },
      playing: () => this.#trouble(null),
      pause: () => this.#label("Play", "play"),
      seeked: () => this.#show(audio.currentTime),
      // Frames are not drawn in a tab that nobody sees.
      timeupdate: () => this.#show(audio.currentTime),
      durationchange: () => this.#measure(),
      error: () => this.#fail(),
    };
    for (const [name, listener] of Object.entries(events)) audio.addEventListener(name, listener);
    this.#position.addEventListener("input", () => {
      this.#dragging = true;
      this.seek(Number(this.#position.value));
    });
    this.#position.addEventListener("change", () => {
      this.#dragging = false;
    });
    this.#position.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageUp: 60, PageDown: -60 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.step(step);
    });
    this.#rate.addEventListener("change", () => {
      audio.playbackRate = Number(this.#rate.value);
    });
  }

  #measure() {
    const length = this.#length();
    if (length === null) return;
    this.#position.max = length;
    this.#end.textContent = clock(length);
  }

  #label(label, glyph) {
    this.#button.replaceChildren(icon(glyph));
    this.#button.title = label;
    this.#button.setAttribute("aria-label", label);
  }

  #show(seconds) {
    this.#tick(seconds);
    // The eye sees no more, and a screen reader is told no more often.
    const second = Math.floor(seconds);
    if (second === this.#shown && !this.#audio.paused) return;
    this.#shown = second;
    const length = this.#length();
    if (!this.#dragging) this.#position.value = seconds;
    this.#position.style.setProperty("--done", length ? Math.min(1, seconds / length) : 0);
    this.#position.setAttribute("aria-valuetext", length ? `${clock(seconds)} of ${clock(length)}` : clock(seconds));
    this.#now.textContent = clock(seconds);
  }

  #trouble(sentence) {
    this.#said.hidden = sentence === null;
    this.#said.textContent = sentence ?? "";
  }

  async #fail() {
    if (!this.#audio.hasAttribute("src")) return;
    this.#label("Play", "play");
    const reason = this.#remote ? "Its server does not give it to this browser." : await refusal(this.#audio.src);
    this.#trouble(`The audio cannot be played. ${reason ?? "This browser does not know its format, or it is damaged."}`);
    announce(this.#said.textContent);
  }
}
