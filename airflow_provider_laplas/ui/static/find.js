/** Finding a phrase in a transcript: the field, the number of hits, and the steps from one to the next. */

import { button, debounced, h, icon } from "./dom.js";
import { count } from "./format.js";
import { found, searchable } from "./words.js";

// Ranges that are painted, around the hit where somebody is. More are no use to the eye, and make a single letter slow.
const PAINTED = 2000;

const paints = typeof Highlight === "function" && CSS.highlights;

export class Find {
  #words;
  #text;
  #go;
  #index = null;
  #hits = [];
  #at = -1;
  #phrase = "";
  #marked = [];

  /**
   * @param words the transcript
   * @param text where its words are on the page
   * @param go is called with the word at which a hit begins
   */
  constructor(words, text, go) {
    this.#words = words;
    this.#text = text;
    this.#go = go;
    const later = debounced(120, () => this.search());
    this.#field = h("input", {
      type: "search",
      "aria-label": "Find in the transcript",
      placeholder: "Find",
      "aria-keyshortcuts": "/",
      autocomplete: "off",
      spellcheck: "false",
      on: { input: later, keydown: (event) => this.#key(event) },
    });
    this.#count = h("output", { class: "count", "aria-live": "polite" });
    this.#steps = [
      button("Previous hit", () => this.step(-1), { glyph: "up", disabled: true, "aria-keyshortcuts": "Shift+F3" }),
      button("Next hit", () => this.step(1), { glyph: "down", disabled: true, "aria-keyshortcuts": "F3" }),
    ];
    this.root = h("div", { class: "find", role: "search" }, icon("find"), this.#field, this.#count, this.#steps);
  }

  #field;
  #count;
  #steps;

  focus() {
    this.#field.focus();
    this.#field.select();
  }

  /** Search for a phrase, or for what is in the field. Go to a hit: the first, or the first from a word on. */
  search(phrase = this.#field.value, from = 0) {
    this.#field.value = phrase;
    if (phrase === this.#phrase) return;
    this.#phrase = phrase;
    this.#index ??= searchable(this.#words.text);
    this.#hits = found(phrase, this.#index);
    const offset = this.#words.offsets[from] ?? 0;
    const first = this.#hits.findIndex(([start]) => start >= offset);
    this.#at = this.#hits.length ? Math.max(first, 0) : -1;
    for (const step of this.#steps) step.disabled = !this.#hits.length;
    this.#show();
  }

  step(by) {
    this.search();
    const { length } = this.#hits;
    if (!length) return;
    this.#at = (this.#at + by + length) % length;
    this.#show();
  }

  /** Take the marks from the page. */
  close() {
    this.#mark([]);
  }

  #show() {
    const hit = this.#hits[this.#at];
    const some = `${count(this.#at + 1)} of ${count(this.#hits.length)}`;
    this.#count.textContent = hit ? some : this.#phrase.trim() ? "No hits" : "";
    const first = Math.max(0, this.#at - PAINTED / 2);
    this.#mark(this.#hits.slice(first, first + PAINTED), hit);
    if (hit) this.#go(this.#words.holding(hit[0]));
  }

  #mark(hits, current) {
    if (paints) {
      CSS.highlights.set("hit", new Highlight(...hits.filter((hit) => hit !== current).map((hit) => this.#range(hit))));
      CSS.highlights.set("hit-current", current ? new Highlight(this.#range(current)) : new Highlight());
      return;
    }
    for (const element of this.#marked) element.classList.remove("hit", "current");
    this.#marked = hits.flatMap(([start, end]) => {
      const elements = [];
      for (let word = this.#words.holding(start); word <= this.#words.holding(end - 1); word += 1) elements.push(this.#text.element(word));
      for (const element of elements) element.classList.add("hit");
      if (current?.[0] === start) for (const element of elements) element.classList.add("current");
      return elements;
    });
  }

  #range([start, end]) {
    const [startContainer, startOffset] = this.#place(start);
    const [endContainer, last] = this.#place(end - 1);
    return new StaticRange({ startContainer, startOffset, endContainer, endOffset: last + 1 });
  }

  #place(offset) {
    const word = this.#words.holding(offset);
    return [this.#text.element(word).firstChild, offset - this.#words.offsets[word]];
  }

  #key(event) {
    if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape" && this.#field.value) this.search("");
    else return;
    event.preventDefault();
  }
}
