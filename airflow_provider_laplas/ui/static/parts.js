/** What several views are made of: headings, facts, notices, and times. */

import { foreign, h, icon, prose, uncut } from "./dom.js";
import { clock, fromNow, moment, percent } from "./format.js";

/** The head of a view: what it is about, a line below it, and a way back where there is one. */
export function head(title, line = null, back = null) {
  document.title = title;
  return h(
    "header",
    { class: "head" },
    back && h("a", { class: "back", href: back.href, on: back.click ? { click: back.click } : {} }, icon("back"), back.label),
    h("h1", { dir: "auto", tabindex: "-1", title: uncut(title) }, title),
    line,
  );
}

const fact = (value) => (value instanceof Node ? value : typeof value === "number" ? moment(value) : foreign(value));

/** Facts as label and text; a number is a moment. */
export function facts(pairs) {
  const rows = pairs.filter(([, text]) => text !== null && text !== undefined && text !== "");
  return rows.length ? h("dl", { class: "facts" }, rows.map(([label, text]) => h("div", {}, h("dt", {}, foreign(label)), h("dd", { title: text instanceof Node ? null : uncut(text) }, fact(text))))) : null;
}

/** A section with a heading. */
export const section = (heading, properties, ...content) => h("section", { "aria-label": heading, ...properties }, h("h2", {}, heading), ...content);

/** A sentence that matters: kind is "error", "warning" or "note". */
export function notice(kind, heading, ...content) {
  return h("section", { class: `notice ${kind}`, "aria-label": heading }, kind === "note" ? null : icon("warning"), h("div", {}, h("h2", {}, heading), ...content));
}

/** The findings of the quality checks, null where there are none. */
export const findings = (sentences) =>
  sentences?.length ? notice("warning", "Quality checks", h("ul", {}, sentences.map((sentence) => h("li", {}, prose(sentence))))) : null;

/** A moment: when it is, and how far away. */
export function when(seconds) {
  const date = new Date(seconds * 1000);
  const stamp = Number.isNaN(date.getTime()) ? null : date.toISOString();
  return h("time", { datetime: stamp }, moment(seconds), h("span", { class: "muted" }, ` · ${fromNow(seconds)}`));
}

/** A language code as its name. */
export function language(code) {
  try {
    return new Intl.DisplayNames("en", { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}

/** Model, language, length and confidence in a line. */
export function summaryLine(summary) {
  if (!summary) return null;
  const parts = [
    summary.model,
    summary.language && language(summary.language),
    summary.duration !== null && summary.duration !== undefined && clock(summary.duration),
    typeof summary.confidence === "number" && `${percent(summary.confidence)} confidence`,
  ].filter(Boolean);
  return parts.length ? h("p", { class: "line" }, parts.map((part) => h("span", {}, foreign(part)))) : null;
}
