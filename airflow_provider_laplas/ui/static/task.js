/** The views of a task that has no transcript, or not yet: waiting, failed, submitted, not begun, not ours. */

import { fill, foreign, h, late, prose, renew } from "./dom.js";
import { words } from "./format.js";
import { facts, findings, head, notice, section, when } from "./parts.js";

const clearing = (task) => (task.after_clear ? section("If you clear this task", { class: "card" }, h("p", {}, prose(task.after_clear))) : null);

const known = (task) =>
  facts([
    ["Generation id", task.generation_id && h("code", {}, foreign(task.generation_id))],
    ["Since", task.state === "waiting" && typeof task.since === "number" ? when(task.since) : null],
    ["Deadline", typeof task.deadline === "number" ? when(task.deadline) : null],
    ["Audio", task.source],
    ["Try", String(task.try_number ?? "")],
    // The generation is among the facts as well.
    ...(task.facts ?? []).filter(([, text]) => text !== task.generation_id),
  ]);

const state = (text, look = "") => h("p", { class: "line" }, h("span", { class: `state ${look}` }, text));

const VIEWS = {
  waiting: (task) => [
    head("Waiting for the transcript", state(words(task.airflow_state ?? "waiting"), "at-work")),
    section("So far", { class: "card" }, known(task)),
    clearing(task),
  ],
  failed: (task) => [
    head("No transcript", state("failed", "bad")),
    notice("error", "What happened", h("p", {}, prose(task.error?.message ?? "The task failed. Its log says why.")), task.error?.advice && [h("h3", {}, "What to do"), h("p", {}, prose(task.error.advice))]),
    findings(task.findings),
    section("What is known", { class: "card" }, known(task)),
    clearing(task),
  ],
  submitted: (task) => [
    head("Submitted", state("submitted", "good")),
    h("p", { class: "lead" }, "This task hands the recording in. The transcript is on the tab of the task that waits for it."),
    section("Facts", { class: "card" }, known(task)),
    clearing(task),
  ],
  unbegun: (task) => [
    head("No transcript yet", task.airflow_state ? state(words(task.airflow_state)) : null),
    h("p", { class: "lead" }, "The transcript is here once the task has run."),
    clearing(task),
  ],
  foreign: () => [head("No transcript"), h("p", { class: "lead" }, "This task does not transcribe. The tab is for the tasks of the Laplas provider.")],
};

function which(task) {
  if (task.kind === "none") return "foreign";
  if (task.state === "finished") return "submitted";
  return VIEWS[task.state] ? task.state : "unbegun";
}

export class TaskView {
  #view;

  constructor(view, task) {
    this.#view = view;
    fill(view);
    this.update(task);
  }

  update(task) {
    // Somebody is copying the generation id.
    if (this.#view.contains(getSelection().anchorNode) && !getSelection().isCollapsed) return;
    renew(this.#view, VIEWS[which(task)](task));
  }

  /** Say that what is shown is old, and why. */
  late(sentence) {
    late(this.#view, sentence);
  }

  close() {}
}
