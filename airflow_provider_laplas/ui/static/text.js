/** The text on the page: every word is an element that can be clicked, reached by arrow keys, and marked. */

import { h } from "./dom.js";
import { clock, percent } from "./format.js";

const FIRST = 3000; // words that are there when the page is painted first
const SLICE = 8; // milliseconds for which the others are added at a time
const CONTROLS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** How unsure a word is: 0 is sure, 3 less than half. */
export const doubt = (confidence) =>
  confidence === null || confidence === undefined || confidence >= 0.9 ? 0 : confidence >= 0.75 ? 1 : confidence >= 0.5 ? 2 : 3;

export class Text {
  #words;
  #pick;
  #share;
  #elements = [];
  #built = 0; // blocks
  #spoken = -1;
  #stop = -1;
  #lineWidth = 60;

  /**
   * @param words the transcript
   * @param pick is called with a word that somebody chose
   * @param share is called with a word whose moment somebody wants to share
   */
  constructor(words, pick, share) {
    this.#words = words;
    this.#pick = pick;
    this.#share = share;
    const on = {
      click: (event) => this.#click(event),
      keydown: (event) => this.#key(event),
      pointerover: (event) => this.#explain(event.target),
    };
    const voices = words.blocks.some((block) => block.voice !== null);
    this.root = h("div", { class: voices ? "text voices" : "text", on });
  }

  /** Begin to build, once the root is on the page. */
  start() {
    this.#lineWidth = Math.max(20, Math.min(72, this.root.clientWidth / 8.5));
    this.#build(this.#words.blocks.findIndex((block) => block.to >= FIRST));
    if (this.#words.length) this.#reach(0);
    const rest = () => {
      const until = performance.now() + SLICE;
      while (this.#built < this.#words.blocks.length && performance.now() < until) this.#build(this.#built + 8);
      if (this.#built < this.#words.blocks.length && this.root.isConnected) setTimeout(rest);
    };
    setTimeout(rest);
  }

  /** The element of a word. */
  element(word) {
    this.#build(this.#words.block(word));
    return this.#elements[word];
  }

  /** Mark the word that is spoken, -1 for none. */
  speak(word) {
    if (word === this.#spoken) return;
    const before = this.#elements[this.#spoken];
    before?.removeAttribute("aria-current");
    this.#spoken = word;
    if (word < 0) return;
    this.element(word).setAttribute("aria-current", "true");
  }

  get spoken() {
    return this.#spoken;
  }

  /** Make a word the one that the Tab key leads to. */
  #reach(word) {
    const before = this.#elements[this.#stop];
    before?.removeAttribute("role");
    before?.setAttribute("tabindex", "-1");
    this.#stop = word;
    const element = this.element(word);
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    return element;
  }

  /** Put the Tab key's next stop at a word, without moving the focus. */
  lead(word) {
    this.#reach(word);
  }

  #build(last) {
    const fragment = document.createDocumentFragment();
    const { blocks } = this.#words;
    const until = last < 0 ? blocks.length - 1 : Math.min(last, blocks.length - 1);
    while (this.#built <= until) {
      fragment.append(this.#block(blocks[this.#built]));
      this.#built += 1;
    }
    if (fragment.firstChild) this.root.append(fragment);
  }

  #block({ from, to, start, voice, turn }) {
    const { texts, spaces, confidences, offsets } = this.#words;
    const said = document.createElement("p");
    said.dir = "auto";
    for (let word = from; word < to; word += 1) {
      if (spaces[word] && word > from) said.append(" ");
      const element = document.createElement("span");
      const text = texts[word];
      const unsure = doubt(confidences[word]);
      element.className = CONTROLS.test(text) ? "word alone" : "word";
      if (unsure) element.dataset.doubt = unsure;
      element.textContent = text;
      element.index = word;
      this.#elements[word] = element;
      said.append(element);
    }
    const block = h(
      "div",
      { class: turn ? "block turn" : "block" },
      h(
        "div",
        { class: "who" },
        turn && voice !== null && h("h3", { dir: "auto", title: voice }, voice),
        start !== null && h("a", { class: "time", href: `#t=${start}`, tabindex: "-1", "aria-label": `Play from ${clock(start)}` }, clock(start)),
      ),
      said,
    );
    if (start !== null) block.querySelector("a").index = from;
    // So that the scroll bar knows, before it is laid out, about how high it is.
    const lines = Math.ceil((offsets[to - 1] - offsets[from] + 12) / this.#lineWidth);
    block.style.containIntrinsicBlockSize = `auto ${lines * 28 + 20}px`;
    return block;
  }

  #click(event) {
    const target = event.target.closest(".word, .time");
    if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (target.className === "time") event.preventDefault();
    // Whoever selects words wants to copy them.
    else if (!getSelection().isCollapsed) return;
    this.#reach(target.index).focus({ preventScroll: true });
    this.#pick(target.index);
  }

  #key(event) {
    const word = event.target.index;
    if (word === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const forward = getComputedStyle(event.target.parentNode).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const { blocks, length } = this.#words;
    const block = this.#words.block(word);
    let next;
    if (event.key === "Enter") this.#pick(word);
    else if (event.key === "c") this.#share(word);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") next = word + (event.key === forward ? 1 : -1);
    else if (event.key === "ArrowUp") next = word > blocks[block].from ? blocks[block].from : blocks[block - 1]?.from;
    else if (event.key === "ArrowDown") next = blocks[block + 1]?.from;
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = length - 1;
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (next !== undefined && next >= 0 && next < length) {
      this.#explain(this.#reach(next));
      this.element(next).focus({ preventScroll: true });
      this.element(next).scrollIntoView({ block: "nearest" });
    }
  }

  // Only for the words that somebody points at: most are never asked for.
  #explain(target) {
    if (target.index === undefined || target.title || target.className === "time") return;
    const { starts, confidences } = this.#words;
    const start = starts[target.index];
    const confidence = confidences[target.index];
    const facts = [start !== null && clock(start), typeof confidence === "number" && `${percent(confidence)} sure`].filter(Boolean);
    if (facts.length) target.title = facts.join(" · ");
  }
}
