/** Times, moments and numbers as people read them. */

import { timezone } from "./frame.js";

const numbers = new Intl.NumberFormat("en");

export const count = (value) => numbers.format(value);

/** "1 file", "2 files". */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Seconds of audio as "1:02:03", or "2:03". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** Seconds as "45 s", "12 min", "3 h 20 min", "2 d 4 h". */
export function lasting(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** Seconds of audio as hours, "1,234.5 h"; less than one as "12 min". */
export const hours = (seconds) => (seconds < 3600 ? lasting(seconds) : `${new Intl.NumberFormat("en", { maximumFractionDigits: 1 }).format(seconds / 3600)} h`);

const pattern = { dateStyle: "medium", timeStyle: "medium" };

/** Epoch seconds as a date and a time, in the time zone that Airflow's UI is set to. */
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "–";
  try {
    return new Intl.DateTimeFormat("en-GB", { ...pattern, timeZone: timezone() }).format(date);
  } catch {
    return new Intl.DateTimeFormat("en-GB", pattern).format(date);
  }
}

/** Epoch seconds from now: "12 min ago", "in 3 h". */
export function fromNow(seconds, now = Date.now() / 1000) {
  const apart = seconds - now;
  return apart > 0 ? `in ${lasting(apart)}` : `${lasting(-apart)} ago`;
}

/** "timed_out" as "timed out". */
export const words = (name) => name.replaceAll("_", " ");

export const percent = (share) => `${Math.round(share * 100)} %`;

/** The last part of an address, which is what people call it by. */
export function lastPart(address) {
  const path = address.split(/[?#]/u, 1)[0].replace(/\/+$/u, "");
  return path.slice(path.lastIndexOf("/") + 1) || address;
}
