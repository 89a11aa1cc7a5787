/** The table of a batch's files: searched, filtered, sorted and divided into pages by the server. */

import { ApiError, get } from "./api.js";
import { button, debounced, fill, foreign, h, uncut } from "./dom.js";
import { clock, count, counted, lastPart } from "./format.js";
import { called, inOrder, look } from "./states.js";

const COLUMNS = [
  ["name", "File"],
  ["state", "State"],
  ["length", "Length"],
];

// What somebody looked for is there again when they come back from a file.
const asked = { q: "", state: "", sort: "name", page: 0, left: null };

export class FileTable {
  #request = null;
  #shown = null; // counts at the time of the rows
  #counts = null;
  #pages = 1;

  constructor() {
    this.#search = h("input", { type: "search", value: asked.q, placeholder: "Find a file", "aria-label": "Find a file", autocomplete: "off", spellcheck: "false" });
    this.#search.addEventListener("input", debounced(250, () => this.#ask({ q: this.#search.value, page: 0 })));
    this.#state = h("select", { "aria-label": "State" });
    this.#state.addEventListener("change", () => this.#ask({ state: this.#state.value, page: 0 }));
    this.#new = button("Show what is new", () => this.#ask({}), { class: "new", hidden: true });
    this.#heads = COLUMNS.map(([sort, label]) => h("th", { scope: "col", class: sort }, h("button", { type: "button", on: { click: () => this.#ask({ sort, page: 0 }) } }, label)));
    this.#page = h("input", { type: "number", min: 1, value: 1, "aria-label": "Page" });
    this.#page.addEventListener("change", () => this.#turn(Number(this.#page.value) - 1));
    this.#before = button("Previous", () => this.#turn(asked.page - 1), {});
    this.#after = button("Next", () => this.#turn(asked.page + 1), {});
    this.#pager = h("nav", { class: "pager", "aria-label": "Pages of the table", hidden: true }, this.#before, h("span", {}, "Page ", this.#page, this.#of), this.#after);
    this.#body = h("tbody");
    this.root = h(
      "section",
      { class: "files", "aria-labelledby": "files" },
      h("h2", { id: "files" }, "Files"),
      h("div", { class: "filters", role: "search" }, this.#search, this.#state, this.#matching, this.#new),
      h("table", { "aria-labelledby": "files" }, h("thead", {}, h("tr", {}, this.#heads)), this.#body),
      this.#trouble,
      this.#pager,
    );
    this.#load();
  }

  #search;
  #state;
  #new;
  #heads;
  #body;
  #page;
  #pager;
  #before;
  #after;
  #of = h("span");
  #matching = h("output", { class: "count", "aria-live": "polite" });
  #trouble = h("p", { class: "trouble", role: "alert", hidden: true });

  /** Take note of the files by state: the rows stay as they are while somebody reads them, until they are asked for. */
  counted(counts, atWork) {
    const first = !this.#counts;
    this.#counts = counts;
    if (document.activeElement !== this.#state) this.#options();
    if (first) {
      this.#shown = counts;
      // The batch may have begun only now.
      if (!this.#trouble.hidden) this.#load();
      this.#return();
      return;
    }
    const changed = JSON.stringify(counts) !== JSON.stringify(this.#shown);
    if (changed && !atWork) this.#load();
    else this.#new.hidden = !changed;
  }

  close() {
    this.#request?.abort();
  }

  #options() {
    if (!this.#counts) return;
    const states = inOrder(this.#counts).map(([state, files]) => [state, `${called(state)} (${count(files)})`]);
    if (asked.state && !this.#counts[asked.state]) states.push([asked.state, `${called(asked.state)} (0)`]);
    fill(
      this.#state,
      [["", "Every state"], ...states].map(([value, label]) => h("option", { value, selected: value === asked.state }, label)),
    );
  }

  #turn(page) {
    this.#ask({ page: Math.max(0, Math.min(this.#pages - 1, Math.floor(page) || 0)) });
  }

  #ask(changes) {
    Object.assign(asked, changes, { left: null });
    this.#load();
  }

  async #load() {
    this.#request?.abort();
    this.#request = new AbortController();
    const counts = this.#counts;
    this.#body.setAttribute("aria-busy", "true");
    let answer;
    try {
      answer = await get("files", { q: asked.q, state: asked.state, sort: asked.sort, page: asked.page }, this.#request.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      this.#say(error.message);
      return;
    }
    this.#say(null);
    if (counts) this.#shown = counts;
    this.#pages = Math.max(1, answer.pages);
    asked.page = answer.page;
    this.#show(answer);
  }

  #say(sentence) {
    this.#body.setAttribute("aria-busy", "false");
    this.#trouble.hidden = sentence === null;
    this.#trouble.textContent = sentence ?? "";
  }

  #show({ files, matching, total, page, pages }) {
    this.#new.hidden = true;
    this.#options();
    this.#matching.textContent = matching === total ? counted(total, "file") : `${count(matching)} of ${counted(total, "file")}`;
    for (const [index, [sort]] of COLUMNS.entries()) {
      // The longest come first.
      if (sort === asked.sort) this.#heads[index].setAttribute("aria-sort", sort === "length" ? "descending" : "ascending");
      else this.#heads[index].removeAttribute("aria-sort");
    }
    this.#page.value = page + 1;
    this.#page.max = Math.max(1, pages);
    this.#of.textContent = ` of ${count(Math.max(1, pages))}`;
    this.#pager.hidden = pages <= 1 && page === 0;
    this.#before.disabled = page <= 0;
    this.#after.disabled = page >= pages - 1;
    const none = h("tr", {}, h("td", { colspan: COLUMNS.length, class: "muted" }, total ? "No file fits." : "There are no files yet."));
    fill(this.#body, files.length ? files.map((file) => this.#row(file)) : none);
    this.#return();
  }

  #row({ output, source, state, audio_seconds: seconds, error, has_transcript: readable }) {
    const name = lastPart(source);
    const folder = source.slice(0, Math.max(0, source.lastIndexOf(name)));
    const fragment = `#${new URLSearchParams({ file: output })}`;
    const open = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      asked.left = { output, scroll: scrollY };
      history.pushState(null, "", fragment);
      dispatchEvent(new PopStateEvent("popstate"));
    };
    const link = readable && h("a", { href: fragment, on: { click: open } }, foreign(name));
    if (link) link.output = output;
    return h(
      "tr",
      {},
      h("td", { class: "name", title: source }, link || foreign(name), folder && h("small", { class: "muted" }, foreign(folder)), error && h("small", { class: "error", title: uncut(error) }, foreign(error))),
      h("td", { class: "state-of" }, h("span", { class: `state ${look(state)}` }, called(state))),
      h("td", { class: "length" }, typeof seconds === "number" ? clock(seconds) : "–"),
    );
  }

  // Where they were before they opened a file.
  #return() {
    // There is no row yet, or it is not on the page.
    if (!asked.left || !this.#counts || !this.#body.firstChild) return;
    const { output, scroll } = asked.left;
    asked.left = null;
    scrollTo({ top: scroll, behavior: "instant" });
    [...this.#body.querySelectorAll("a")].find((link) => link.output === output)?.focus({ preventScroll: true });
  }
}
