/** The states of a batch's files: in which order they are shown, what they are called, and how they look. */

import { words } from "./format.js";

const LOOKS = {
  completed: "good",
  skipped: "kept",
  duplicate: "kept",
  submitted: "at-work",
  split: "at-work",
  intent: "at-work",
  pending: "rest",
  rejected: "bad",
  failed: "bad",
  timed_out: "bad",
  gone: "bad",
  ambiguous: "bad",
};

const UNFINISHED = new Set(["submitted", "split", "intent", "pending"]);

export const look = (state) => LOOKS[state] ?? "rest";

const CALLED = { intent: "being submitted", split: "in parts" };

export const called = (state) => CALLED[state] ?? words(state);

/** State and number of files, of those that there are, in order. */
export function inOrder(counts) {
  const order = Object.keys(LOOKS);
  const rank = (state) => (order.includes(state) ? order.indexOf(state) : order.length);
  return Object.entries(counts)
    .filter(([, files]) => files > 0)
    .sort(([one], [other]) => rank(one) - rank(other));
}

/** The number of files of which the state fits. */
export const sum = (counts, fits) => Object.entries(counts).reduce((files, [state, number]) => files + (fits(state) ? number : 0), 0);

export const isDone = (state) => !UNFINISHED.has(state);

export const isBad = (state) => look(state) === "bad";
