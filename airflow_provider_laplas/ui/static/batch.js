/** The view of a batch: how far it is, and its files. A refresh costs one small request. */

import { ApiError, get } from "./api.js";
import { announce, fill, foreign, h, late, prose, renew } from "./dom.js";
import { FileTable } from "./files.js";
import { count, counted, hours, lasting, moment } from "./format.js";
import { facts, findings, head, notice, section } from "./parts.js";
import { called, inOrder, isBad, isDone, look, sum } from "./states.js";

const SAY_EVERY = 60; // seconds between two announcements of how far it is

export class BatchView {
  #said = 0;
  // Asked for at the same time as how far the batch is.
  #files = new FileTable();
  #counts = null;
  #top = h("div");
  #below = h("div");
  #table = h("div");

  constructor(view, task) {
    fill(view, this.#top, this.#table, this.#below);
    this.update(task);
  }

  async update(task) {
    let batch = null;
    try {
      batch = await get("batch");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (this.#counts) this.late(error.message);
      else this.#nothingYet(task, error);
      return;
    }
    this.#show(task, batch);
    if (!this.#counts) fill(this.#table, this.#files.root);
    this.#files.counted(batch.counts, Boolean(task.refresh));
    this.#tell(task, batch);
    this.#counts = batch.counts;
  }

  /** Say that what is shown is old, and why. */
  late(sentence) {
    late(this.#top, sentence);
  }

  close() {
    this.#files.close();
  }

  #nothingYet(task, error) {
    const sentence = task.state === "waiting" ? "The batch has begun. How far it is, is shown here in a moment." : error.message;
    fill(this.#top, head("Batch", h("p", { class: "line" }, h("span", { class: "state" }, task.airflow_state ?? task.state))), problem(task), h("p", { class: "lead" }, prose(sentence)));
  }

  #show(task, batch) {
    const state = task.state === "failed" ? ["failed", "bad"] : task.refresh ? ["at work", "at-work"] : ["finished", "good"];
    const line = h("p", { class: "line" }, h("span", { class: `state ${state[1]}` }, state[0]), batch.changed_at && h("span", {}, `as of ${moment(batch.changed_at)}`));
    renew(this.#top, head(`Batch of ${counted(batch.files, "file")}`, line), problem(task), findings(task.findings), progress(batch), figures(batch));
    // Nothing in here is pressed or typed into: it can be made anew.
    renew(
      this.#below,
      section("About the batch", { class: "card" }, facts([["Manifest", batch.manifest], ...(task.facts ?? [])])),
      task.after_clear && section("If you clear this task", { class: "card" }, h("p", {}, prose(task.after_clear))),
    );
  }

  #tell(task, { files, counts }) {
    const done = sum(counts, isDone);
    const ended = !task.refresh && this.#counts;
    if (!this.#counts || (done === sum(this.#counts, isDone) && !ended) || (!ended && Date.now() - this.#said < SAY_EVERY * 1000)) return;
    this.#said = Date.now();
    announce(`${ended ? "The batch has ended. " : ""}${count(done)} of ${counted(files, "file")} done.`);
  }
}

const problem = (task) =>
  task.error && notice("error", "What happened", h("p", {}, prose(task.error.message)), task.error.advice && [h("h3", {}, "What to do"), h("p", {}, prose(task.error.advice))]);

function progress({ files, counts }) {
  const states = inOrder(counts);
  const share = (number) => (files ? `${Math.floor((number / files) * 1000) / 10} %` : "");
  const bar = h(
    "div",
    { class: "progress", "aria-hidden": "true" },
    states.map(([state, number]) => {
      const part = h("span", { class: look(state) });
      part.style.flexGrow = number;
      return part;
    }),
  );
  const legend = states.map(([state, number]) => h("li", { class: `state ${look(state)}` }, called(state), " ", h("strong", {}, count(number)), h("span", { class: "muted" }, ` ${share(number)}`)));
  return section("Progress", {}, bar, h("ul", { class: "legend" }, legend));
}

function figures({ files, counts, per_hour: hourly, seconds_left: left, audio_seconds: audio, cost }) {
  const done = sum(counts, isDone);
  const bad = sum(counts, isBad);
  const shown = [
    ["Done", count(done), `of ${count(files)}`],
    ["Failed", count(bad), null],
    ["Files an hour", typeof hourly === "number" ? count(Math.round(hourly)) : null, null],
    ["Time left, about", typeof left === "number" && done < files ? lasting(left) : null, null],
    ["Transcribed", typeof audio === "number" ? hours(audio) : null, "of audio"],
    ["Cost", cost, null],
  ].filter(([, value]) => value !== null && value !== undefined);
  return h("dl", { class: "figures" }, shown.map(([label, value, note]) => h("div", {}, h("dt", {}, label), h("dd", {}, foreign(value), note && h("small", {}, note)))));
}
