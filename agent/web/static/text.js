// The words of the page, numbers and times, in the language that is chosen.

/** @typedef {string | {one?: string, other: string}} Entry */
export const languages = /** @type {Record<string, string>} */ ({ en: "English", de: "Deutsch" });

export const language = chosen();
const words = /** @type {Record<string, Entry>} */ ((await (language === "de" ? import("./de.js") : import("./en.js"))).default);

function chosen() {
  const wanted = [localStorage.getItem("popbridge-language") ?? "", ...navigator.languages.map(l => l.split("-")[0])];
  return wanted.find(l => l in languages) ?? "en";
}

/** @param {string} l */
export function choose(l) {
  localStorage.setItem("popbridge-language", l);
  location.reload();
}

/**
 * The text of an id, with {name} replaced. One with n is chosen by that number.
 * @param {string} id
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(id, values = {}) {
  let entry = words[id] ?? id;
  if (typeof entry === "object") entry = (Number(values.n) === 1 && entry.one) || entry.other;
  return entry.replace(/\{(\w+)\}/g, (all, name) => name in values ? (typeof values[name] === "number" ? number(values[name]) : values[name]) : all);
}

/** Whether there is such a text. @param {string} id */
export const has = id => id in words;

// Numbers and times are written here and not by Intl, whose first use takes the browser as
// long as the rest of the page (docs/PERFORMANCE.md).

/** A number with one decimal place at most. @param {number} n */
export function number(n) {
  const [whole, tenth] = String(Math.round(n * 10) / 10).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, t("number.group")) + (tenth ? t("number.point") + tenth : "");
}

/** A size in bytes. @param {number} n */
export function size(n) {
  if (n < 1000) return t("size.byte", { n });
  let unit = -1;
  for (; n >= 1000 && unit < 3; unit++) n /= 1000;
  return number(n < 10 && unit > 0 ? n : Math.round(n)) + "\u00a0" + ["kB", "MB", "GB", "TB"][unit];
}

const two = (/** @type {number} */ n) => String(n).padStart(2, "0");

/** The time of day. @param {Date} d */
export const clock = d => two(d.getHours()) + ":" + two(d.getMinutes());

/** A day, with its year if it is another one. @param {Date} d @param {number} [year] */
export const day = (d, year = d.getFullYear()) => t(d.getFullYear() === year ? "date" : "date.year",
  { day: String(d.getDate()), month: t("months").split(" ")[d.getMonth()], year: String(d.getFullYear()) });

/** A moment, as "14:05" today and with its date otherwise. @param {string | null | undefined} at @param {Date} now */
export function when(at, now) {
  if (!at) return "";
  const d = new Date(at);
  return (d.toDateString() === now.toDateString() ? "" : day(d, now.getFullYear()) + ", ") + clock(d);
}

/** How long ago or ahead a moment is, "4 minutes ago". @param {string | null | undefined} at @param {Date} now */
export function ago(at, now) {
  if (!at) return "";
  const s = (new Date(at).getTime() - now.getTime()) / 1000, far = Math.abs(s);
  if (far < 10) return t("now");
  const [unit, length] = far >= 86400 ? ["day", 86400] : far >= 3600 ? ["hour", 3600] : far >= 60 ? ["minute", 60] : ["second", 1];
  const n = Math.round(far / Number(length));
  return s < 0 ? t("ago." + unit, { n }) : t("ahead." + unit, { n });
}

/** A span of seconds in words, "4 minutes". @param {number} s */
export function span(s) {
  const [n, unit] = s >= 5400 ? [s / 3600, "hour"] : s >= 90 ? [s / 60, "minute"] : [s, "second"];
  return t("span." + unit, { n: Math.max(1, Math.round(Number(n))) });
}
