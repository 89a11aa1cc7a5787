/** Which view there is: by the address, and by what the task is. It looks again while the task is at work. */

import { BatchView } from "./batch.js";
import { ApiError, get } from "./api.js";
import { announce, button, fill, h, prose } from "./dom.js";
import { followTheme, fragment, onFragment } from "./frame.js";
import { notice, head } from "./parts.js";
import { SearchView } from "./search.js";
import { TaskView } from "./task.js";
import { TranscriptView } from "./transcript.js";

const view = document.getElementById("view");
const AGAIN = 30; // seconds after which a request that failed is made again, where the task may be at work
const SOON = 5000; // milliseconds within which it is not asked after again when it gets the focus

class TaskPage {
  #task = null;
  #shown = null;
  #key = null;
  #file = null;
  #timer = 0;
  #asked = 0;
  #generation = 0;

  constructor() {
    onFragment(() => this.#task && this.#file !== this.#wanted() && this.#show());
    // It may have been cleared, in Airflow's page around this one or in another.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.#task) this.load();
    });
    addEventListener("focus", () => {
      if (this.#task && Date.now() - this.#asked > SOON) this.load();
    });
    this.load();
  }

  async load() {
    clearTimeout(this.#timer);
    this.#asked = Date.now();
    try {
      this.#task = await get("task");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // What is there is only older than it could be.
      if (this.#key !== null && error.status !== 401 && error.status !== 403) this.#late(error);
      else this.#trouble(error);
      return;
    }
    await this.#show();
    // One that nobody sees asks when it is seen again.
    if (this.#task.refresh && !document.hidden) this.#again(this.#task.refresh);
  }

  #wanted() {
    return this.#task.kind === "batch" ? (fragment().get("file") ?? new URLSearchParams(location.search).get("file")) : null;
  }

  async #show() {
    const task = this.#task;
    const file = this.#wanted();
    const finished = task.kind === "transcript" && task.state === "finished";
    const key = JSON.stringify([task.kind, task.kind === "batch" ? null : task.state, task.try_number, file]);
    if (key === this.#key) {
      this.#shown.update(task);
      return;
    }
    this.#generation += 1;
    const generation = this.#generation;
    view.setAttribute("aria-busy", "true");
    let transcript = null;
    try {
      if (file || finished) transcript = await get("transcript", { file });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (generation === this.#generation) this.#trouble(error, file ? toFiles() : null);
      return;
    }
    if (generation !== this.#generation) return;
    const moved = this.#key !== null;
    this.#shown?.close();
    this.#key = key;
    this.#file = file;
    if (file) this.#shown = this.#ofFile(file, transcript);
    else if (finished) this.#shown = new TranscriptView(view, task, transcript, { back: fromSearch() });
    else if (task.kind === "batch" && task.state !== "none") this.#shown = new BatchView(view, task);
    else this.#shown = new TaskView(view, task);
    view.setAttribute("aria-busy", "false");
    if (moved) {
      announce(document.title);
      if (file) view.querySelector("h1")?.focus({ preventScroll: fragment().has("t") });
    }
  }

  #ofFile(file, transcript) {
    const silent = "audio" in transcript || "no_audio" in transcript;
    const params = new URLSearchParams(location.search);
    const audio = silent ? transcript.audio : { url: `api/audio?${fileQuery(params, file)}`, type: null };
    const about = { facts: [], findings: [], no_audio: null, source: file, ...transcript, audio };
    return new TranscriptView(view, about, transcript, { file, back: fromSearch() ?? toFiles() });
  }

  #trouble(error, back = null) {
    view.setAttribute("aria-busy", "false");
    this.#shown?.close();
    this.#shown = null;
    this.#key = null;
    fill(view, head("Transcript", null, back), notice("error", "This cannot be shown", h("p", {}, prose(error.message)), button("Try again", () => this.load())));
    if (passes(error)) this.#again(AGAIN);
  }

  #late(error) {
    this.#shown.late(error.message);
    if (passes(error)) this.#again(AGAIN);
  }

  // One timer at a time: two would each make their own next ones.
  #again(seconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.load(), seconds * 1000);
  }
}

const passes = (error) => error.status === 0 || error.status >= 500;

function fileQuery(params, file) {
  params.set("file", file);
  return params;
}

function fromSearch() {
  const phrase = fragment().get("q");
  return phrase ? { href: `search?${new URLSearchParams({ q: phrase })}`, label: "Transcripts" } : null;
}

function toFiles() {
  const query = new URLSearchParams(location.search);
  query.delete("file");
  // A fragment of its own, so that the one of the window around no longer counts.
  const href = `${location.pathname}?${query}#files=all`;
  const click = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", href);
    dispatchEvent(new PopStateEvent("popstate"));
  };
  return { href, click, label: "All files" };
}

followTheme();
if (/\/search\/?$/u.test(location.pathname)) new SearchView(view);
else new TaskPage();
