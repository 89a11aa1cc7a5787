/** The view of a finished transcript. */

import { address } from "./api.js";
import { announce, button, calm, fill, h } from "./dom.js";
import { Find } from "./find.js";
import { clock, count, lastPart } from "./format.js";
import { copy, download, fragment, linkTo, onFragment } from "./frame.js";
import { Keys, keyList } from "./keys.js";
import { facts, findings, head, section, summaryLine } from "./parts.js";
import { Player } from "./player.js";
import { Text, doubt } from "./text.js";
import { Words } from "./words.js";

const FORMATS = ["JSON", "SRT", "VTT", "TXT"];
const LATEST = 1e9; // seconds
const BAND = 0.72; // of the window: below it the spoken word is brought up again

/** The transcript of a task, or of a file of a batch. */
export class TranscriptView {
  #words;
  #text;
  #find;
  #player = null;
  #following = true;
  #file;
  #endings = [];

  /**
   * @param view the element to fill
   * @param about what the task route says
   * @param transcript what the transcript route says
   * @param file the output's name, of a file of a batch
   * @param back the way back, where there is one
   */
  constructor(view, about, transcript, { file = null, back = null } = {}) {
    this.#file = file;
    this.#words = new Words(transcript.paragraphs);
    this.#text = new Text(this.#words, (word) => this.#pick(word), (word) => this.#share(this.#words.starts[word]));
    this.#find = new Find(this.#words, this.#text, (word) => {
      this.#text.lead(word);
      this.#show(word);
    });
    const { audio } = about;
    if (audio) this.#player = new Player(audio, transcript.duration, (seconds) => this.#tick(seconds));
    const title = about.source ? lastPart(about.source) : "Transcript";
    const line = summaryLine(about.summary ?? { language: transcript.language, duration: transcript.duration });
    fill(
      view,
      head(title, line, back),
      this.#toolbar(about.no_audio),
      h("div", { class: "columns" }, this.#about(about), h("div", { class: "reading" }, findings(about.findings), this.#reading())),
      this.#catchUp,
    );
    this.#text.start();
    this.#measure();
    this.#listen();
    this.#open();
  }

  update() {}

  // It is whole: nothing of it gets old.
  late() {}

  close() {
    this.#player?.close();
    this.#find.close();
    for (const end of this.#endings) end();
  }

  #toolbar(silence) {
    const unsure = this.#words.confidences.map(doubt);
    const levels = [3, 2, 1].map((level) => unsure.filter((one) => one === level).length);
    this.#legend = h(
      "p",
      { class: "legend", hidden: true },
      ["under 50 %", "under 75 %", "under 90 %"].map((label, index) =>
        h("span", {}, h("span", { class: "sample", "data-doubt": 3 - index }, label), h("span", { class: "number" }, ` ${count(levels[index])}`)),
      ),
    );
    const shade = h("button", { type: "button", role: "switch", "aria-checked": "false", class: "switch" }, "Confidence");
    shade.addEventListener("click", () => {
      const on = this.#text.root.classList.toggle("shaded");
      shade.setAttribute("aria-checked", String(on));
      this.#legend.hidden = !on;
    });
    this.#copy = button("Copy link", () => this.#share(this.#moment()), { glyph: "link", text: true, "aria-keyshortcuts": "c" });
    const hasConfidence = this.#words.confidences.some((confidence) => typeof confidence === "number");
    this.#bar = h(
      "div",
      { class: "toolbar", role: "region", "aria-label": "Play and find" },
      this.#player ? this.#player.root : h("p", { class: "silence" }, silence ?? "There is no audio to play."),
      h("div", { class: "tools" }, this.#find.root, hasConfidence && shade, this.#words.timed && this.#copy),
      this.#legend,
      this.#link,
    );
    return this.#bar;
  }

  // What sticks below it, or is scrolled to, has to know how high it is.
  #measure() {
    const root = document.documentElement;
    const observer = new ResizeObserver(() => root.style.setProperty("--bar", `${this.#bar.offsetHeight}px`));
    observer.observe(this.#bar);
    this.#endings.push(() => {
      observer.disconnect();
      root.style.removeProperty("--bar");
    });
  }

  #bar;
  #copy;
  #legend;
  #link = h("input", { class: "by-hand", readonly: true, hidden: true, "aria-label": "Link to this moment, to be copied" });
  #catchUp = button("Back to the spoken word", () => this.#follow(), { class: "catch-up", hidden: true });

  #about({ facts: pairs, source, audio }) {
    const links = FORMATS.map((format) => {
      const href = address("download", { format: format.toLowerCase(), file: this.#file });
      return h("li", {}, h("a", { href, download: true, on: { click: download } }, format));
    });
    const wide = matchMedia("(min-width: 60rem)");
    const details = h(
      "details",
      { class: "about" },
      h("summary", {}, "Downloads and facts"),
      section("Downloads", {}, h("ul", { class: "downloads" }, links)),
      section("Facts", {}, facts([...(source ? [["Source", source]] : []), ...(pairs ?? [])]) ?? h("p", { class: "muted" }, "None are known.")),
      section("Keys", {}, keyList(Boolean(audio))),
    );
    const open = () => {
      details.open = wide.matches;
    };
    open();
    wide.addEventListener("change", open);
    this.#endings.push(() => wide.removeEventListener("change", open));
    return details;
  }

  #reading() {
    const empty = !this.#words.length;
    return h("section", { "aria-label": "Transcript" }, h("h2", { class: "unseen" }, "Transcript"), empty ? h("p", { class: "muted" }, "No words were recognised.") : this.#text.root);
  }

  #listen() {
    const keys = new Keys({
      "/": () => this.#find.focus(),
      n: () => this.#find.step(1),
      N: () => this.#find.step(-1),
      F3: () => this.#find.step(1),
      "Shift+F3": () => this.#find.step(-1),
      c: () => this.#share(this.#moment()),
      ...(this.#player && { k: this.#player.toggle, " ": this.#player.toggle, j: () => this.#player.step(-5), l: () => this.#player.step(5) }),
    });
    // Whoever moves the page by hand wants to read elsewhere; it is not moved under their eyes.
    const leave = (event) => {
      if (event.type !== "keydown" || ["PageUp", "PageDown", "Home", "End", "ArrowUp", "ArrowDown"].includes(event.key)) this.#leave();
    };
    for (const type of ["wheel", "touchmove", "keydown"]) addEventListener(type, leave, { passive: true });
    this.#endings.push(
      () => keys.close(),
      onFragment(() => this.#open()),
      () => {
        for (const type of ["wheel", "touchmove", "keydown"]) removeEventListener(type, leave);
      },
    );
  }

  // What the address says: a moment, and a phrase.
  #open() {
    const said = fragment();
    // No player goes to infinity.
    const seconds = said.has("t") ? Math.min(Number(said.get("t")), LATEST) : Number.NaN;
    const word = seconds >= 0 ? this.#words.near(seconds) : -1;
    if (said.get("q")) this.#find.search(said.get("q"), Math.max(word, 0));
    if (word < 0) return;
    this.#following = true;
    if (this.#player) this.#player.seek(seconds);
    this.#text.speak(word);
    this.#text.lead(word);
    this.#show(word);
  }

  #moment() {
    const focused = document.activeElement?.index;
    if (focused !== undefined) return this.#words.starts[focused];
    if (this.#player?.time || this.#text.spoken < 0) return this.#player?.time ?? 0;
    return this.#words.starts[this.#text.spoken];
  }

  #pick(word) {
    const start = this.#words.starts[word];
    if (start === null) return;
    this.#follow();
    if (this.#player) this.#player.play(start);
    this.#text.speak(word);
  }

  #tick(seconds) {
    if (!this.#player) return; // it is being made
    const word = this.#words.at(seconds);
    if (word === this.#text.spoken) return;
    // A moment that was opened stays marked until it plays.
    if (word < 0 && !this.#player.playing) return;
    this.#text.speak(word);
    if (word >= 0 && this.#player.playing) this.#keepInView(word);
  }

  #keepInView(word) {
    if (this.#following) this.#show(word);
    this.#catchUp.hidden = this.#following || this.#inView(word, 1);
  }

  /** Whether a word is between the bar and that part of the window. */
  #inView(word, part) {
    const { top, bottom } = this.#text.element(word).getBoundingClientRect();
    return top >= this.#bar.getBoundingClientRect().bottom && bottom <= innerHeight * part;
  }

  #leave() {
    if (this.#player?.playing) this.#following = false;
  }

  #follow() {
    this.#following = true;
    this.#catchUp.hidden = true;
    if (this.#text.spoken >= 0) this.#keepInView(this.#text.spoken);
  }

  /** Bring a word into the upper part of the window, if it is not to be seen well. */
  #show(word) {
    if (this.#inView(word, BAND)) return;
    const element = this.#text.element(word);
    const bar = this.#bar.offsetHeight;
    const goal = () => element.getBoundingClientRect().top - bar - (innerHeight - bar) * 0.25;
    const far = Math.abs(goal()) > innerHeight;
    scrollBy({ top: goal(), behavior: far || calm() ? "instant" : "smooth" });
    // What lies between was never laid out, and may be higher or lower than it was taken to be.
    if (far) requestAnimationFrame(() => requestAnimationFrame(() => Math.abs(goal()) > 40 && scrollBy({ top: goal(), behavior: "instant" })));
  }

  async #share(seconds) {
    if (seconds === null) return;
    const at = Math.round(seconds * 100) / 100;
    const link = linkTo({ t: at, ...(this.#file && { file: this.#file }) });
    const copied = await copy(link);
    this.#link.hidden = copied;
    if (copied) {
      const label = this.#copy.querySelector("span");
      label.textContent = "Copied";
      setTimeout(() => {
        label.textContent = "Copy link";
      }, 2000);
      announce(`The link to ${clock(at)} is copied.`);
    } else {
      this.#link.value = link;
      this.#link.select();
    }
  }
}
