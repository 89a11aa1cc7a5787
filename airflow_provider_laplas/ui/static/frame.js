/**
 * What is around the page. Airflow shows it in an iframe of the same origin; alone, in a tab of its own, it works as well.
 *
 * Airflow marks its theme as a class of its root element, and keeps it and the time zone in local storage.
 */

function parentWindow() {
  try {
    // Reading the address fails where the parent is of another origin.
    return window.parent !== window && window.parent.location.href ? window.parent : null;
  } catch {
    return null;
  }
}

const around = parentWindow();
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function theme() {
  const classes = around?.document.documentElement.classList;
  if (classes?.contains("dark")) return "dark";
  if (classes?.contains("light")) return "light";
  const chosen = stored("theme");
  if (chosen === "dark" || chosen === "light") return chosen;
  return systemIsDark.matches ? "dark" : "light";
}

/** Look as Airflow looks, now and whenever it changes. */
export function followTheme() {
  const apply = () => {
    document.documentElement.dataset.theme = theme();
  };
  apply();
  systemIsDark.addEventListener("change", apply);
  addEventListener("storage", apply);
  if (around) {
    const observer = new MutationObserver(apply);
    observer.observe(around.document.documentElement, { attributes: true, attributeFilter: ["class"] });
    addEventListener("pagehide", () => observer.disconnect());
  }
}

/** The time zone that Airflow's UI is set to; undefined is the browser's own. */
export function timezone() {
  const kept = stored("timezone");
  try {
    return kept === null ? undefined : JSON.parse(kept);
  } catch {
    return kept;
  }
}

/** Whether the address of the window around is the one of this task: then that is the address to share. */
function sharedLocation() {
  const task = new URLSearchParams(location.search).get("task_id");
  try {
    const path = decodeURIComponent(around.location.pathname);
    return task && path.includes(`/tasks/${task}`) ? around.location : location;
  } catch {
    return location;
  }
}

/** What the fragment says: of this page, or of Airflow's around it. */
export function fragment() {
  const own = location.hash.length > 1 ? location.hash : sharedLocation().hash;
  return new URLSearchParams(own.slice(1));
}

/** The address to share, with this fragment. */
export function linkTo(parameters) {
  const url = new URL(sharedLocation().href);
  url.hash = new URLSearchParams(parameters).toString();
  return url.href;
}

/** Call when the fragment changes, here or around. Return a function that ends it. */
export function onFragment(call) {
  addEventListener("hashchange", call);
  addEventListener("popstate", call);
  around?.addEventListener("hashchange", call);
  const end = () => around?.removeEventListener("hashchange", call);
  addEventListener("pagehide", end);
  return () => {
    removeEventListener("hashchange", call);
    removeEventListener("popstate", call);
    removeEventListener("pagehide", end);
    end();
  };
}

/** Follow a link to a download: Airflow's iframe did not allow downloads before 3.3, its own page always does. */
export function download(event) {
  const frame = around && window.frameElement;
  if (!frame?.hasAttribute("sandbox") || frame.sandbox.contains("allow-downloads")) return;
  event.preventDefault();
  const link = around.document.createElement("a");
  link.href = event.currentTarget.href;
  link.download = "";
  around.document.body.append(link);
  link.click();
  link.remove();
}

/** Put a text on the clipboard. False where the browser does not allow it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https there is no clipboard but this one.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    const before = document.activeElement;
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus({ preventScroll: true });
    return done;
  }
}
