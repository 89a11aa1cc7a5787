/** Keys that work anywhere in a view. Single keys can be switched off, for those who speak to their computer. */

import { h } from "./dom.js";

const SETTING = "laplas.single_keys";

function wanted() {
  try {
    return localStorage.getItem(SETTING) !== "off";
  } catch {
    return true;
  }
}

export class Keys {
  #bindings;
  #listener = (event) => this.#key(event);

  /** @param bindings what each key does: "n", "N", "F3", "Shift+F3" */
  constructor(bindings) {
    this.#bindings = bindings;
    addEventListener("keydown", this.#listener);
  }

  close() {
    removeEventListener("keydown", this.#listener);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const single = event.key.length === 1;
    const call = this.#bindings[!single && event.shiftKey ? `Shift+${event.key}` : event.key];
    if (!call) return;
    if (single && (!wanted() || event.target.closest?.("input, select, textarea"))) return;
    // The space bar presses what has the focus; but to play a word again there is Enter.
    if (event.key === " " && event.target !== document.body && !event.target.matches(".word")) return;
    event.preventDefault();
    call();
  }
}

const KEYS = [
  ["/", "find"],
  ["n", "next hit (F3)"],
  ["Shift n", "previous hit (Shift F3)"],
  ["c", "copy a link to the moment"],
  ["← →", "from word to word"],
  ["↑ ↓", "from paragraph to paragraph"],
];

const AUDIO_KEYS = [
  ["Enter", "play from the word"],
  ["Space", "play or pause (k)"],
  ["j l", "5 seconds back, on"],
];

/** The list of keys, with the switch. */
export function keyList(withAudio) {
  const box = h("input", { type: "checkbox", checked: wanted() });
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(SETTING, box.checked ? "on" : "off");
    } catch {
      // Without storage it cannot be kept.
    }
  });
  const row = ([key, does]) => h("div", {}, h("dt", {}, key.split(" ").map((part, index) => [index ? " " : null, h("kbd", {}, part)])), h("dd", {}, does));
  return [h("dl", { class: "keys" }, [...KEYS, ...(withAudio ? AUDIO_KEYS : [])].map(row)), h("label", { class: "check" }, box, "Single keys")];
}
