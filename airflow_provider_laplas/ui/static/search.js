/** The page "Transcripts": search over what was loaded into the database, and the figures of its report. */

import { ApiError, get } from "./api.js";
import { announce, button, fill, foreign, h, prose } from "./dom.js";
import { clock, count, counted, lastPart } from "./format.js";
import { facts, head, notice, section } from "./parts.js";
import { found, searchable } from "./words.js";

export class SearchView {
  #request = null;
  #results = h("div", { class: "results" });

  constructor(view) {
    this.#field = h("input", { type: "search", "aria-label": "Search in all transcripts", placeholder: "Search in all transcripts", autocomplete: "off" });
    this.#form = h("form", { class: "searching", role: "search" }, this.#field, h("button", { type: "submit" }, "Search"));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#go(this.#field.value.trim(), 0);
    });
    fill(view, head("Transcripts"), this.#form, this.#results);
    addEventListener("popstate", () => this.#load());
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input")) return;
      event.preventDefault();
      this.#field.select();
    });
    this.#view = view;
    this.#load();
  }

  #view;
  #form;
  #field;

  #go(q, page) {
    const query = new URLSearchParams({ ...(q && { q }), ...(page && { page }) });
    history.pushState(null, "", `?${query}`);
    this.#load();
  }

  async #load() {
    const own = new URLSearchParams(location.search);
    const q = own.get("q") ?? "";
    const page = Number(own.get("page")) || 0;
    this.#field.value = q;
    this.#request?.abort();
    this.#request = new AbortController();
    this.#view.setAttribute("aria-busy", "true");
    let answer;
    try {
      answer = await get("search", { q, page }, this.#request.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      fill(this.#results, notice("error", "This cannot be shown", h("p", {}, prose(error.message)), button("Try again", () => this.#load())));
      this.#view.setAttribute("aria-busy", "false");
      return;
    }
    this.#view.setAttribute("aria-busy", "false");
    document.title = q ? `${q} – Transcripts` : "Transcripts";
    this.#show(answer, q);
  }

  #show({ configured, how, hits, total, page, pages, report }, q) {
    this.#form.hidden = !configured;
    if (!configured) {
      fill(this.#results, notice("note", "Search is not set up", h("p", {}, prose(how ?? "No connection is configured for it."))));
      return;
    }
    const heading = total ? `${counted(total, "hit")} for ` : "No hits for ";
    fill(
      this.#results,
      q && h("section", { "aria-labelledby": "hits" }, h("h2", { id: "hits" }, heading, "“", foreign(q), "”"), h("ol", { class: "hits" }, hits.map((hit) => this.#hit(hit, q))), pages > 1 && this.#pager(q, page, pages)),
      report?.length ? section("In the database", { class: "card" }, facts(report)) : null,
    );
    if (q) announce(total ? `${count(total)} hits` : "No hits");
  }

  #pager(q, page, pages) {
    const turn = (by) => () => {
      this.#go(q, page + by);
      this.#view.querySelector("h1").focus();
    };
    return h(
      "nav",
      { class: "pager", "aria-label": "Pages of hits" },
      button("Previous", turn(-1), { disabled: page <= 0 }),
      h("span", {}, `Page ${count(page + 1)} of ${count(pages)}`),
      button("Next", turn(1), { disabled: page >= pages - 1 }),
    );
  }

  #hit({ source, text, start, speaker, transcript }, q) {
    const name = foreign(lastPart(source), { title: source });
    const href = target(transcript, q);
    return h(
      "li",
      {},
      h(
        "p",
        { class: "of" },
        href ? h("a", { href }, name) : name,
        typeof start === "number" && h("span", {}, clock(start)),
        speaker && h("span", {}, foreign(speaker)),
        // Files of several DAGs may have the same name.
        href && h("span", {}, foreign(new URL(href, location.href).searchParams.get("dag_id") ?? "")),
      ),
      h("p", { class: "said", dir: "auto" }, marked(text, q)),
    );
  }
}

/** The page of a hit with the phrase to find there, null where the answer names none, or none of these pages. */
function target(transcript, q) {
  if (!transcript?.startsWith("page?")) return null;
  const url = new URL(transcript, location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  fragment.set("q", q);
  return `page${url.search}#${fragment}`;
}

/** A text with the phrase marked. */
function marked(text, q) {
  const nodes = [];
  let done = 0;
  for (const [start, end] of found(q, searchable(text))) {
    nodes.push(text.slice(done, start), h("mark", {}, text.slice(start, end)));
    done = end;
  }
  return [...nodes, text.slice(done)].filter((node) => node !== "");
}
