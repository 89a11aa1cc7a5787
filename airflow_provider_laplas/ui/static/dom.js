/** Elements, and nothing else that puts something into the page: text becomes text nodes, never markup. */

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  play: "M7 4.5v15l12.5-7.5z",
  pause: "M6 4.5h4v15H6zM14 4.5h4v15h-4z",
  back: "M11 6 5 12l6 6M5 12h14",
  up: "M6 15l6-6 6 6",
  down: "M6 9l6 6 6-6",
  link: "M10 13.5a4 4 0 0 0 6 .4l2.6-2.6a4 4 0 0 0-5.7-5.7L11.7 6.8M14 10.5a4 4 0 0 0-6-.4l-2.6 2.6a4 4 0 0 0 5.7 5.7l1.2-1.2",
  find: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5 20 20",
  warning: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.4",
};

const FILLED = new Set(["play", "pause"]);

/**
 * Return an element. Of its properties, `on` holds listeners, and the others are attributes: true is an empty one, and null
 * and false are none. Strings among the children become text nodes.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return foreign text that keeps its direction, and whatever overrides of it there are, to itself. */
export const foreign = (text, properties = {}) => h("bdi", { dir: "auto", ...properties }, String(text));

/** Return a foreign sentence, in which names are between backticks. */
export const prose = (text) =>
  h("bdi", { dir: "auto" }, String(text).split(/`([^`\n]+)`/u).map((part, index) => (index % 2 ? h("code", {}, part) : part)));

const MAY_BE_CUT = 120; // characters

/** Return a text as the title of an element that may cut it off, null where it is too short for that. */
export const uncut = (text) => (String(text).length > MAY_BE_CUT ? text : null);

/** Return an icon, which screen readers do not see. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", FILLED.has(name) ? "icon filled" : "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Return a button with an icon, a text, or both; `label` is what it is called where it has no text. */
export function button(label, click, { glyph = null, text = glyph === null, ...properties } = {}) {
  return h(
    "button",
    { type: "button", "aria-label": text ? null : label, title: text ? null : label, on: { click }, ...properties },
    glyph && icon(glyph),
    text && h("span", {}, label),
  );
}

/** Put these in place of all that an element has. */
export const fill = (element, ...children) => element.replaceChildren(...children.flat(2).filter(Boolean));

/** Do what `fill` does, but leave what is the same: whoever reads it, with a screen reader, does not begin anew. */
export function renew(element, ...children) {
  const next = children.flat(2).filter(Boolean);
  const now = [...element.childNodes];
  if (now.length !== next.length) fill(element, next);
  else next.forEach((child, index) => child.isEqualNode(now[index]) || now[index].replaceWith(child));
}

/** Say at the end of an element that what it shows is old, and why. */
export function late(element, reason) {
  let line = element.querySelector(".late");
  if (!line) {
    line = h("p", { class: "late", role: "status" });
    element.append(line);
  }
  const sentence = `This could not be refreshed. ${reason}`;
  // It would be read out again.
  if (line.textContent !== sentence) line.textContent = sentence;
}

let announced = null;

/** Tell screen readers, when they have finished what they say. */
export function announce(text) {
  announced ??= document.getElementById("announcements");
  announced.textContent = text;
}

/** Whether the person asked for less motion. */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Return a function that calls another once it has not been called for so many milliseconds. */
export function debounced(milliseconds, call) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...args), milliseconds);
  };
}
